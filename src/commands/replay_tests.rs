//! What enters the log, and that replaying it gives the same data.

use crate::execute::fixture::Fixture;
use proptest::prelude::*;

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// Runs `lines` one after the other and gives the effect of the last one.
fn effect(lines: &[&str]) -> String {
    let mut primary = Fixture::new();
    let mut last = String::new();
    for line in lines {
        let text = primary.run(0, &words(line)).effect_text();
        last = text
            .strip_prefix("SELECT 0")
            .unwrap_or(&text)
            .trim_start()
            .to_owned();
    }
    last
}

#[test]
fn times_are_absolute_and_conditions_are_gone() {
    let cases: &[(&[&str], &str)] = &[
        (&["SET k v"], "SET k v"),
        (&["SET k v EX 10"], "SET k v PXAT 1800000010000"),
        (&["SET k v PX 10 NX GET"], "SET k v PXAT 1800000000010"),
        (&["SET k v", "SET k w XX KEEPTTL"], "SET k w KEEPTTL"),
        (&["SET k v", "SET k w NX"], ""),
        (&["SET k v", "SET k w IFEQ v"], "SET k w"),
        (&["SET k v", "SET k w EXAT 1"], "DEL k"),
        (&["SET k w EXAT 1"], ""),
        (&["SETEX k 10 v"], "SET k v PXAT 1800000010000"),
        (&["SETNX k v"], "SET k v"),
        (&["SET k v", "GETSET k w"], "SET k w"),
        (&["SET k v", "GETDEL k"], "DEL k"),
        (&["SET k v", "GETEX k EX 1"], "PEXPIREAT k 1800000001000"),
        (&["SET k v EX 9", "GETEX k PERSIST"], "PERSIST k"),
        (&["SET k v", "GETEX k PERSIST"], ""),
        (&["SET k v", "GETEX k EXAT 1"], "DEL k"),
        (&["SET k v", "GETEX k"], ""),
        (&["SET k 1", "INCRBYFLOAT k 0.5"], "SET k 1.5 KEEPTTL"),
        (&["INCR k"], "INCR k"),
        (&["SET k v", "EXPIRE k 1 NX"], "PEXPIREAT k 1800000001000"),
        (&["SET k v", "EXPIRE k 0"], "DEL k"),
        (&["SET k v", "EXPIRE k 1 XX"], ""),
        (&["SET k v", "DELIFEQ k v"], "DEL k"),
        (&["MSETEX 1 k v NX EX 1"], "SET k v PXAT 1800000001000"),
        (&["DEL missing"], ""),
        (&["SET k v", "RENAME k k"], ""),
        (&["SET k v", "MOVE k 1"], "MOVE k 1"),
        (&["FLUSHALL"], "FLUSHALL"),
        (&["HSET h a 1"], "HSET h a 1"),
        (&["HSET h a 1", "HSETNX h a 2"], ""),
        (&["HSET h a 1", "HDEL h b"], ""),
        (&["HINCRBY h a 1"], "HINCRBY h a 1"),
        (&["HSET h a 1", "HINCRBYFLOAT h a 0.5"], "HSET h a 1.5"),
        (
            &["HSETEX h EX 1 FIELDS 1 a 1", "HINCRBYFLOAT h a 0.5"],
            "MULTI\nHSET h a 1.5\nHPEXPIREAT h 1800000001000 FIELDS 1 a\nEXEC",
        ),
        (
            &["HSET h a 1 b 2", "HEXPIRE h 1 NX FIELDS 3 a c b"],
            "HPEXPIREAT h 1800000001000 FIELDS 2 a b",
        ),
        (&["HSET h a 1", "HEXPIRE h 1 XX FIELDS 1 a"], ""),
        (&["HSET h a 1 b 2", "HEXPIRE h 0 FIELDS 2 a c"], "HDEL h a"),
        (&["HSET h a 1", "HPERSIST h FIELDS 1 a"], ""),
        (
            &["HSETEX h EX 1 FIELDS 1 a 1", "HPERSIST h FIELDS 2 a b"],
            "HPERSIST h FIELDS 1 a",
        ),
        (
            &["HSET h a 1", "HGETEX h EX 1 FIELDS 2 a b"],
            "HPEXPIREAT h 1800000001000 FIELDS 1 a",
        ),
        (&["HSET h a 1", "HGETEX h EX 0 FIELDS 1 a"], "HDEL h a"),
        (&["HSET h a 1", "HGETEX h PERSIST FIELDS 1 a"], ""),
        (
            &["HSETEX h FNX EX 1 FIELDS 1 a 1"],
            "MULTI\nHSET h a 1\nHPEXPIREAT h 1800000001000 FIELDS 1 a\nEXEC",
        ),
        (
            &[
                "HSETEX h PXAT 1900000000000 FIELDS 2 a 1 c 2",
                "HSETEX h KEEPTTL FIELDS 3 a 3 b 4 c 5",
            ],
            "MULTI\nHSET h a 3 b 4 c 5\nHPEXPIREAT h 1900000000000 FIELDS 2 a c\nEXEC",
        ),
        (&["HSETEX h FXX FIELDS 1 a 1"], ""),
        (&["HSETEX h FIELDS 1 a 1"], "HSET h a 1"),
        (&["HSETEX h EX 0 FIELDS 1 a 1"], ""),
        (
            &["HSET h a 1", "HSETEX h EX 0 FIELDS 2 a 1 b 2"],
            "HDEL h a",
        ),
        (&["HSET h a 1", "HGETDEL h FIELDS 2 b a"], "HDEL h a"),
        (&["SETBIT k 3 1"], "SETBIT k 3 1"),
        (&["SET k a", "SETBIT k 0 0"], ""),
        (&["SET k a", "SETBIT k 8 0"], "SETBIT k 8 0"),
        (&["BITOP AND k l"], ""),
        (&["SET k a", "BITOP AND k l"], "DEL k"),
        (&["SET k a", "SET l c", "BITOP ONE k k l"], "SET k \u{2}"),
        (&["SET k a", "BITOP DIFF k x y"], "DEL k"),
        (&["SET k a", "BITFIELD k GET u8 0"], ""),
        (&["SET k a", "BITFIELD k OVERFLOW FAIL INCRBY u8 0 999"], ""),
        (
            &["BITFIELD k OVERFLOW FAIL INCRBY u8 0 999"],
            "BITFIELD k OVERFLOW FAIL INCRBY u8 0 999",
        ),
        (&["PFADD k a"], "PFADD k a"),
        (&["PFADD k a", "PFADD k a"], ""),
        (&["PFADD k a", "PFCOUNT k"], "PFCOUNT k"),
        (&["PFADD k a", "PFCOUNT k", "PFCOUNT k"], ""),
        (&["PFADD k a", "PFCOUNT k l"], ""),
        (&["PFADD k a", "PFMERGE k"], "PFMERGE k"),
        (&["PFADD k a", "PFDEBUG GETREG k"], "PFDEBUG GETREG k"),
        (&["PFADD k a", "PFDEBUG DECODE k"], ""),
        (&["ZADD z 1 a", "ZADD z 1 a"], ""),
        (&["ZADD z 1 a", "ZADD z GT 0 a"], ""),
        (
            &["ZADD z 1 a 2 b", "ZMPOP 2 x z MAX COUNT 5"],
            "ZPOPMAX z 2",
        ),
        (&["ZADD z 1 a", "ZPOPMIN z"], "ZPOPMIN z"),
        (&["ZADD z 1 a", "ZPOPMIN z 0"], ""),
        (&["ZADD z 1 a", "ZREMRANGEBYRANK z 5 6"], ""),
        (&["RPUSH l a b"], "RPUSH l a b"),
        (&["RPUSH l a b c", "LMPOP 2 x l LEFT COUNT 2"], "LPOP l 2"),
        (&["RPUSH l a b", "LMPOP 1 l RIGHT COUNT 9"], "RPOP l 2"),
        (&["LPUSHX l a"], ""),
        (&["RPUSH l a", "LPOP l 0"], ""),
        (&["RPUSH l a", "LREM l 0 b"], ""),
        (&["RPUSH l a", "LTRIM l 0 -1"], ""),
        (&["RPOPLPUSH l m"], ""),
        (&["SADD s 1 a"], "SADD s 1 a"),
        (&["SADD s a", "SADD s a"], ""),
        (&["SADD s a", "SREM s b"], ""),
        (&["SADD s a", "SREM s b a"], "SREM s b a"),
        (&["SADD s a", "SPOP s"], "SREM s a"),
        (&["SADD s a b c", "SPOP s 3"], "DEL s"),
        (&["SADD s a b c", "SREM s b c", "SPOP s 5"], "DEL s"),
        (&["SPOP s 5"], ""),
        (&["SADD s a", "SMOVE s t a"], "SMOVE s t a"),
        (&["SADD s a", "SMOVE s s a"], ""),
        (&["SADD s a", "SMOVE s t b"], ""),
        (&["SADD s a", "SUNIONSTORE d s t"], "SUNIONSTORE d s t"),
        (&["SADD s a", "SINTERSTORE d s t"], ""),
        (&["SADD s a", "SINTERSTORE s s t"], "SINTERSTORE s s t"),
        (&["XADD x 1-1 a b"], "XADD x 1-1 a b"),
        (&["XADD x * a b"], "XADD x 1800000000000-0 a b"),
        (&["XADD x 5-* a b", "XADD x 5-* a b"], "XADD x 5-1 a b"),
        (&["XADD x NOMKSTREAM * a b"], ""),
        (
            &["XADD x 1 a b", "XADD x MAXLEN ~ 1 * a b"],
            "XADD x 1800000000000-0 a b",
        ),
        (
            &["XADD x 1 a b", "XADD x MAXLEN 1 * a b"],
            "XADD x MAXLEN 1 1800000000000-0 a b",
        ),
        (
            &["XADD x 1 a b", "XTRIM x MAXLEN ~ 0"],
            "XTRIM x MAXLEN = 0",
        ),
        (&["XADD x 1 a b", "XTRIM x MAXLEN 1"], ""),
        (&["XADD x 1 a b", "XDEL x 2"], ""),
        (&["XADD x 1 a b", "XDEL x 2 1"], "XDEL x 2 1"),
        (
            &["XADD x 1 a b", "XADD x KEEPREF MAXLEN 1 2 a b"],
            "MULTI\nXADD x 2-0 a b\nXTRIM x MAXLEN = 1\nEXEC",
        ),
        (
            &["XADD x 1 a b", "XSETID x 3 MAXDELETEDID 2 MAXDELETEDID 0"],
            "XSETID x 3-0",
        ),
        (
            &["XADD x 1 a b", "XTRIM x MAXLEN 0 KEEPREF"],
            "XTRIM x MAXLEN = 0",
        ),
        (
            &["XADD x 1 a b", "XDELEX x KEEPREF IDS 2 1 2"],
            "XDEL x 1-0",
        ),
        (
            &[
                "XADD x 1 a b",
                "XADD x 2 a b",
                "XGROUP CREATE x g 0",
                "XREADGROUP GROUP g c STREAMS x >",
                "XACK x g 2",
                "XTRIM x MAXLEN 0 ACKED",
            ],
            "MULTI\nXDEL x 2-0\nXSETID x 2-0 MAXDELETEDID 0-0 MAXDELETEDID 0-0\nEXEC",
        ),
        (
            &[
                "XADD x 1 a b",
                "XADD x 2 a b",
                "XGROUP CREATE x g 0",
                "XREADGROUP GROUP g c STREAMS x >",
                "XTRIM x MAXLEN 1 DELREF",
            ],
            "MULTI\nXACK x g 1-0\nXTRIM x MAXLEN = 1\nEXEC",
        ),
        (
            &[
                "XADD x 1 a b",
                "XADD x 2 a b",
                "XGROUP CREATE x g 0",
                "XGROUP CREATE x h 0",
                "XREADGROUP GROUP g c STREAMS x >",
                "XREADGROUP GROUP h c STREAMS x >",
                "XACKDEL x g DELREF IDS 2 1 3",
            ],
            "MULTI\nXACK x g 1-0\nXACK x h 1-0\nXDEL x 1-0\nEXEC",
        ),
        (
            &["XGROUP CREATE x g 0 MKSTREAM"],
            "XGROUP CREATE x g 0 MKSTREAM",
        ),
        (
            &[
                "XADD x 1 a b",
                "XADD x 2 a b",
                "XGROUP CREATE x g 0",
                "XREADGROUP GROUP g c STREAMS x >",
            ],
            "MULTI\n\
             XCLAIM x g c 0 1-0 2-0 TIME 1800000000000 RETRYCOUNT 1 FORCE JUSTID LASTID 2-0\n\
             XGROUP SETID x g 2-0 ENTRIESREAD 2\nEXEC",
        ),
        (
            &[
                "XGROUP CREATE x g 0 MKSTREAM",
                "XREADGROUP GROUP g c STREAMS x >",
            ],
            "XGROUP CREATECONSUMER x g c",
        ),
        (
            &[
                "XADD x 1 a b",
                "XGROUP CREATE x g 0",
                "XREADGROUP GROUP g c STREAMS x >",
                "XDEL x 1",
                "XAUTOCLAIM x g c 0 -",
            ],
            "XACK x g 1-0",
        ),
    ];
    for (lines, expected) in cases {
        assert_eq!(effect(lines), *expected, "{lines:?}");
    }
}

#[test]
fn an_expired_key_that_a_write_meets_is_deleted_in_the_log() {
    let mut primary = Fixture::new();
    primary.run(0, &words("SET k 1 PX 10"));
    primary.now += 10;
    let outcome = primary.run(0, &words("INCR k"));
    assert_eq!(outcome.reply, ":1");
    assert_eq!(
        outcome.effect_text(),
        "SELECT 0\nMULTI\nDEL k\nINCR k\nEXEC"
    );
}

#[test]
fn an_expired_field_that_a_write_meets_is_deleted_in_the_log() {
    let mut primary = Fixture::new();
    primary.run(0, &words("HSETEX h PX 10 FIELDS 2 a 5 b 6"));
    primary.now += 10;
    let outcome = primary.run(0, &words("HINCRBY h a 1"));
    assert_eq!(outcome.reply, ":1");
    assert_eq!(
        outcome.effect_text(),
        "SELECT 0\nMULTI\nHDEL h a\nHINCRBY h a 1\nEXEC"
    );
    // Asked for by these, it still exists.
    assert_eq!(primary.run(0, &words("HSET h b 7")).reply, ":0");
    assert_eq!(
        primary.run(0, &words("HPERSIST h FIELDS 1 b")).reply,
        "*1 :-1"
    );
}

#[test]
fn a_hidden_key_leaves_when_another_takes_its_name() {
    let mut node = Fixture::new();
    node.run(0, &words("SET k 1 PX 10"));
    node.run(0, &words("SET other 5"));
    node.now += 10;
    node.may_expire = false;
    assert_eq!(node.run(0, &words("INCR k")).reply, ":1");
    assert_eq!(node.run(0, &words("DEL k")).reply, ":1");
    assert_eq!(node.state().len(), 1);
}

#[test]
fn a_replay_does_not_ask_the_clock() {
    let mut replica = Fixture::new();
    for line in [
        "SET k v PXAT 5",
        "PEXPIREAT k 6",
        "INCRBY n 3",
        "PEXPIREAT n 7",
        "INCR n",
    ] {
        let command = words(line).iter().map(|w| w.as_bytes().to_vec()).collect();
        replica.apply(&[command]);
    }
    let state: Vec<_> = replica.state().into_iter().collect();
    let entry = |key: &str, value: &str, at| ((0, key.into()), (value.into(), Some(at)));
    assert_eq!(state, [entry("k", "v", 6), entry("n", "4", 7)]);
}

#[test]
fn what_redis_writes_of_streams_is_understood() {
    let mut replica = Fixture::new();
    for line in [
        "XADD x 1-0 a b",
        "XADD x 2-0 a b",
        "XADD x 3-0 a b",
        "XGROUP CREATE x g 3-0",
        "XDEL x 1-0",
        // A rewritten file: the entry is gone and still pending.
        "XCLAIM x g c 0 1-0 TIME 5 RETRYCOUNT 2 JUSTID FORCE",
        "XCLAIM x g c 0 3-0 TIME 5 RETRYCOUNT 2 JUSTID FORCE",
        // Approximate trimming, as it was carried out.
        "XTRIM x MAXLEN = 1 LIMIT 100",
        "XADD x MINID = 3-0 LIMIT 100 4-0 a b",
    ] {
        let command = words(line).iter().map(|w| w.as_bytes().to_vec()).collect();
        replica.apply(&[command]);
    }
    let reply = |node: &mut Fixture, line: &str| node.run(0, &words(line)).reply;
    assert_eq!(reply(&mut replica, "XACK x g 2-0"), ":0");
    // A claim that a primary tells of: it has met that the entry is gone.
    let claim = |line: &str| vec![words(line).iter().map(|w| w.as_bytes().to_vec()).collect()];
    let gone = "XCLAIM x g d 0 1-0 TIME 6 RETRYCOUNT 3 FORCE JUSTID LASTID 3-0";
    replica.apply(&claim(gone));
    assert_eq!(reply(&mut replica, "XACK x g 1-0"), ":0");
    replica.apply(&claim(
        "XCLAIM x g c 0 1-0 TIME 5 RETRYCOUNT 2 JUSTID FORCE",
    ));
    assert_eq!(reply(&mut replica, "XACK x g 1-0"), ":1", "as a file says");
    assert_eq!(reply(&mut replica, "XACK x g 3-0"), ":1");
    assert_eq!(reply(&mut replica, "XTRIM x MAXLEN 0"), ":2");
    let refused = replica.run(0, &words("XTRIM x MAXLEN = 1 LIMIT 100"));
    assert!(refused.reply.starts_with('-'), "a client may not say so");
}

/// `K` and `L` stand for keys, `V` for a value, `N` for a number, `S` for a few
/// milliseconds.
const CALLS: &[&str] = &[
    "SET K V",
    "SET K V PX S",
    "SET K V NX PX S",
    "SET K V XX GET",
    "SET K V KEEPTTL",
    "SET K V IFEQ V",
    "SET K V PXAT 1",
    "SETNX K V",
    "PSETEX K S V",
    "GETSET K V",
    "GETDEL K",
    "GETEX K PX S",
    "GETEX K PERSIST",
    "GETEX K PXAT 1",
    "HSET K f V",
    "HSET K f V g V h V",
    "HSETNX K f V",
    "HMSET K g V",
    "HDEL K f",
    "HDEL K f g h",
    "HINCRBY K f N",
    "HINCRBYFLOAT K g N",
    "HPEXPIRE K S FIELDS 2 f g",
    "HPEXPIRE K S NX FIELDS 2 f h",
    "HPEXPIRE K S XX FIELDS 1 f",
    "HPEXPIRE K S GT FIELDS 2 f g",
    "HPEXPIRE K S LT FIELDS 2 f g",
    "HEXPIRE K 0 FIELDS 1 f",
    "HPERSIST K FIELDS 3 f g h",
    "HGETDEL K FIELDS 2 f g",
    "HGETEX K PX S FIELDS 2 f g",
    "HGETEX K PERSIST FIELDS 2 f g",
    "HGETEX K PXAT 1 FIELDS 1 f",
    "HSETEX K PX S FIELDS 2 f V g V",
    "HSETEX K FNX PX S FIELDS 1 f V",
    "HSETEX K FXX KEEPTTL FIELDS 2 f V g V",
    "HSETEX K PXAT 0 FIELDS 1 f V",
    "HSETEX K FIELDS 1 h V",
    "LPUSH K V N V",
    "RPUSH K V N",
    "LPUSHX K V",
    "RPUSHX K V",
    "LPOP K",
    "RPOP K 2",
    "LSET K 1 V",
    "LINSERT K BEFORE V N",
    "LTRIM K 1 3",
    "LREM K 1 V",
    "LMOVE K L LEFT RIGHT",
    "RPOPLPUSH L K",
    "LMPOP 2 K L RIGHT COUNT 3",
    "ZADD K 1 V 2 N",
    "ZADD K GT CH 5 V -1.5 N",
    "ZADD K INCR 2.25 V",
    "ZINCRBY K 3 V",
    "ZREM K V",
    "ZREMRANGEBYRANK K 0 0",
    "ZREMRANGEBYSCORE K 1 2",
    "ZPOPMIN K",
    "ZPOPMAX K 2",
    "ZMPOP 2 K L MIN COUNT 2",
    "ZUNIONSTORE L 2 K L WEIGHTS 2 3",
    "ZINTERSTORE L 2 K L",
    "ZDIFFSTORE L 2 K L",
    "ZRANGESTORE L K 0 1",
    "SADD K V",
    "SADD K V N V",
    "SADD K 1 2 3 4 5 6 7 8 9",
    "SREM K V N",
    "SPOP K",
    "SPOP K 2",
    "SPOP K 6",
    "SMOVE K L V",
    "SMOVE K L N",
    "SINTERSTORE K K L",
    "SUNIONSTORE K L K",
    "SDIFFSTORE L K L",
    "XADD K * f V",
    "XADD K * f V g N",
    "XADD K MAXLEN 3 * f V",
    "XADD K DELREF MAXLEN 3 * g V",
    "XADD K MINID ~ 1800000000020 * g V",
    "XADD K MAXLEN ~ 2 LIMIT 5 * g V",
    "XADD K NOMKSTREAM 1800000000100-* f V",
    "XTRIM K MAXLEN ~ 2",
    "XTRIM K MAXLEN 2 ACKED",
    "XTRIM K MINID 1800000000100",
    "XDEL K 1800000000000-0 1800000000100-0 1800000000100-1",
    "XDELEX K DELREF IDS 2 1800000000000-0 1800000000100-0",
    "XDELEX K ACKED IDS 2 1800000000100-1 1800000000100-0",
    "XGROUP CREATE K p 0 MKSTREAM",
    "XGROUP CREATE K q $",
    "XGROUP CREATE K q 0 ENTRIESREAD 3",
    "XGROUP SETID K p 0",
    "XGROUP DESTROY K q",
    "XGROUP CREATECONSUMER K p c",
    "XGROUP DELCONSUMER K p c",
    "XREADGROUP GROUP p c COUNT 2 STREAMS K >",
    "XREADGROUP GROUP q d STREAMS K >",
    "XREADGROUP GROUP p e NOACK COUNT 1 STREAMS K >",
    "XREADGROUP GROUP p c STREAMS K 0",
    "XREADGROUP GROUP p d STREAMS K L > >",
    "XACK K p 1800000000100-0 1800000000100-1",
    "XACKDEL K p ACKED IDS 2 1800000000100-0 1800000000100-1",
    "XACKDEL K p DELREF IDS 1 1800000000100-2",
    "XCLAIM K p d N 1800000000100-0 1800000000100-1 FORCE",
    "XCLAIM K q c 20 1800000000100-0 1800000000100-2 LASTID 1800000000200",
    "XAUTOCLAIM K p d S - COUNT 2",
    "XAUTOCLAIM K p c 0 - JUSTID",
    "XSETID K 1900000000000 ENTRIESADDED 90",
    "SETBIT K 7 1",
    "SETBIT K 90 0",
    "BITOP XOR K L K",
    "BITOP NOT K L",
    "BITFIELD K SET i9 5 N INCRBY u4 60 N",
    "BITFIELD K OVERFLOW FAIL INCRBY u2 300 N",
    "PFADD K V N",
    "PFADD K",
    "PFCOUNT K",
    "PFCOUNT K L",
    "PFMERGE K L",
    "PFDEBUG TODENSE K",
    "MSET K V L V",
    "MSETNX K V L V",
    "MSETEX 2 K V L V PX S",
    "MSETEX 2 K V L V XX KEEPTTL",
    "APPEND K V",
    "SETRANGE K 3 V",
    "INCR K",
    "DECRBY K N",
    "INCRBY K N",
    "INCRBYFLOAT K N",
    "DELIFEQ K V",
    "DEL K L",
    "UNLINK K",
    "RENAME K L",
    "RENAMENX K L",
    "COPY K L",
    "COPY K L DB 1 REPLACE",
    "MOVE K 1",
    "PEXPIRE K S",
    "PEXPIRE K S GT",
    "PEXPIRE K S LT",
    "PEXPIRE K S NX",
    "PEXPIREAT K 1 XX",
    "PERSIST K",
    "SWAPDB 0 1",
    "FLUSHDB",
];

fn call() -> impl Strategy<Value = Vec<String>> {
    let word = |stand_in: &str| match stand_in {
        "K" | "L" => "[abc]".boxed(),
        "V" => "7|-1|1.5|x|[a-c]{0,3}|z{60}|y{9000}".boxed(),
        "N" => "-?[1-9]".boxed(),
        "S" => "[1-9][0-9]?".boxed(),
        fixed => Just(fixed.to_owned()).boxed(),
    };
    prop::sample::select(CALLS)
        .prop_flat_map(move |call| call.split(' ').map(word).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn replayed_effects_give_the_same_data(
        calls in prop::collection::vec((0u32..2, 0i64..30, call()), 1..120),
    ) {
        let (mut primary, mut replica) = (Fixture::new(), Fixture::new());
        // The replica's clock runs ahead and must not matter.
        replica.now += 1_000_000;
        for (db, passed, call) in calls {
            primary.now += passed;
            let outcome = primary.run(db, &call);
            replica.apply(&outcome.effect);
            prop_assert_eq!(primary.state(), replica.state(), "after {:?}: {:?}", call, outcome);
        }
    }
}
