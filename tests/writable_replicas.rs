//! A replica that changes data by itself: clients write there, or it evicts.
//!
//! Such writes once went into the log of the primary's bytes: offsets ran ahead of the
//! primary's, acknowledged writes were skipped, and links broke again and again.

mod support;

use std::time::Duration;
use support::{Group, Server, eventually};

const WRITABLE: [&str; 2] = ["--replica-read-only", "no"];

fn same_offset(group: &Group) {
    eventually("the offsets to agree", || {
        group.replicas[0].info("master_repl_offset") == group.primary.info("master_repl_offset")
    });
}

fn stat(server: &Server, field: &str) -> u64 {
    let info = server.text(&["INFO", "stats"]);
    let line = info.lines().find_map(|line| line.strip_prefix(field));
    let value = line.and_then(|rest| rest.strip_prefix(':'));
    value
        .and_then(|value| value.trim().parse().ok())
        .expect("a number")
}

#[test]
fn what_clients_write_there_has_no_offset_and_stays() {
    let group = Group::start(1, &["--min-insync-replicas", "1"], &WRITABLE);
    let replica = &group.replicas[0];
    group.primary.call(&["RPUSH", "l", "1"]);
    for n in 0..200 {
        replica.call(&["SET", "local", &n.to_string()]);
        replica.call(&["SELECT", "0"]);
        group.primary.call(&["RPUSH", "l", "x"]);
    }
    // In another database, and of several commands.
    replica.call(&["EVAL", "redis.call('SELECT', 3) redis.call('SET', 'a', 1) redis.call('SELECT', 4) redis.call('SET', 'b', 1) return 1", "0"]);
    // The link breaks: what was missed must be asked for from the right place.
    group.primary.call(&["CLIENT", "KILL", "TYPE", "replica"]);
    replica.call(&["RPUSH", "local:list", "a"]);
    group.wait_in_sync(1);
    group.primary.call(&["RPUSH", "l", "last"]);
    same_offset(&group);
    assert_eq!(replica.text(&["LLEN", "l"]), "202");
    assert_eq!(replica.text(&["LINDEX", "l", "-1"]), "last");
    assert_eq!(replica.text(&["GET", "local"]), "199");
    assert_eq!(replica.text(&["LLEN", "local:list"]), "1");
    assert_eq!(stat(&group.primary, "sync_full"), 1, "{}", replica.log());
    assert!(stat(&group.primary, "sync_partial_ok") >= 1);
}

#[test]
fn what_they_wrote_is_not_the_primarys_to_stumble_over() {
    let options = [&WRITABLE[..], &["--appendonly", "yes"]].concat();
    let mut group = Group::start(1, &[], &options);
    group.replicas[0].call(&["SET", "mine", "a string"]);
    let mut client = group.primary.client();
    for command in [
        &["RPUSH", "mine", "an element"][..],
        &["SET", "between", "1"],
        &["MULTI"],
        &["SET", "first", "1"],
        &["RPUSH", "mine", "another"],
        &["SET", "second", "1"],
        &["EXEC"],
        &["SET", "after", "1"],
    ] {
        client.call(command).expect("a reply");
    }
    same_offset(&group);
    let replica = &mut group.replicas[0];
    assert_eq!(replica.text(&["GET", "mine"]), "a string");
    let all = ["between", "first", "second", "after"];
    let found = [&["EXISTS"][..], &all].concat();
    assert_eq!(replica.text(&found), "4");
    assert_eq!(replica.info("master_link_status"), "up");
    // What was skipped must not fail again when the file is loaded.
    replica.call(&["CONFIG", "SET", "appendfsync", "always"]);
    client.call(&["SET", "last", "1"]).expect("a reply");
    eventually("the file to have it", || {
        replica.text(&["GET", "last"]) == "1"
    });
    std::thread::sleep(Duration::from_millis(100));
    replica.kill();
    replica.restart();
    assert_eq!(replica.text(&found), "4", "{}", replica.log());
}

#[test]
fn promoted_it_gives_everything_it_has() {
    let options = [&WRITABLE[..], &["--appendonly", "yes"]].concat();
    let mut group = Group::start(2, &[], &options);
    group.primary.call(&["SET", "theirs", "1"]);
    same_offset(&group);
    let promoted = &group.replicas[0];
    promoted.call(&["RPUSH", "mine", "1"]);
    promoted.call(&["REPLICAOF", "NO", "ONE"]);
    // It builds on what no other node has.
    promoted.call(&["LSET", "mine", "0", "2"]);
    let port = promoted.port.to_string();
    group.replicas[1].call(&["REPLICAOF", "127.0.0.1", &port]);
    eventually("the other to have it", || {
        group.replicas[1].text(&["LINDEX", "mine", "0"]) == "2"
    });
    eventually("the file to be made anew", || {
        let info = group.replicas[0].text(&["INFO", "persistence"]);
        info.contains("aof_rewrite_in_progress:0")
    });
    group.replicas[0].call(&["CONFIG", "SET", "appendfsync", "always"]);
    group.replicas[0].call(&["SET", "last", "1"]);
    group.replicas[0].kill();
    group.replicas[0].restart();
    let first = group.replicas[0].text(&["LINDEX", "mine", "0"]);
    assert_eq!(first, "2", "{}", group.replicas[0].log());
}

#[test]
fn a_replica_told_so_looks_after_its_memory() {
    let options = [
        "--replica-ignore-maxmemory",
        "no",
        "--maxmemory-policy",
        "allkeys-lru",
    ];
    let group = Group::start(1, &[], &options);
    let replica = &group.replicas[0];
    group
        .primary
        .call(&["DEBUG", "POPULATE", "3000", "key", "2000"]);
    same_offset(&group);
    let info = replica.text(&["INFO", "memory"]);
    let used = info.lines().find_map(|l| l.strip_prefix("used_memory:"));
    let used: u64 = used.and_then(|n| n.trim().parse().ok()).expect("bytes");
    let most = (used - 3_000_000).to_string();
    replica.call(&["CONFIG", "SET", "maxmemory", &most]);
    eventually("keys to be evicted", || stat(replica, "evicted_keys") > 100);
    group.primary.call(&["SET", "after", "1"]);
    same_offset(&group);
    assert_eq!(group.primary.text(&["DBSIZE"]), "3001");
    assert_eq!(replica.info("master_link_status"), "up");
    assert_eq!(stat(&group.primary, "sync_full"), 1);
}
