//! Values of many elements, changed, carried about and deleted while snapshots take them: what a
//! replica gets, and what a killed server finds in its files, is what the primary has.

mod support;

use lockstep::client::Client;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use support::{Server, eventually};

/// Far more than a snapshot takes of a value at a time.
const ELEMENTS: &str = "9000";

const FILL: &str = "for i = 1, tonumber(ARGV[1]) do
    redis.call('HSET', 'hash', 'f' .. i, i)
    redis.call('ZADD', 'sorted', i * 7919 % 10007, 'm' .. i)
    redis.call('SADD', 'set', 'm' .. i)
    redis.call('RPUSH', 'list', 'e' .. i)
    redis.call('XADD', 'stream', i .. '-1', 'n', i)
end
redis.call('XGROUP', 'CREATE', 'stream', 'group', '0')
return redis.call('XREADGROUP', 'GROUP', 'group', 'one', 'COUNT', '3000', 'STREAMS', 'stream', '>') and 1";

struct Writers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Writers {
    fn start(server: &Server, seed: u64) -> Writers {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = |writer: u64| {
            let (stop, client) = (Arc::clone(&stop), server.client());
            std::thread::spawn(move || write(client, &stop, seed ^ writer << 32))
        };
        let threads = (0..3).map(thread).collect();
        Writers { stop, threads }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a writer ends");
        }
    }
}

fn write(mut client: Client, stop: &AtomicBool, seed: u64) {
    let mut n = seed;
    while !stop.load(Ordering::Relaxed) {
        n = n
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let i = (n >> 33) % 10_000;
        let (field, member) = (format!("f{i}"), format!("m{i}"));
        let (score, index) = ((n >> 20 & 1023).to_string(), (n >> 50).to_string());
        let words: &[&str] = match n >> 59 {
            0..=3 => &["HSET", "hash", &field, &score],
            4 => &["HDEL", "hash", &field],
            5 => &["HPEXPIRE", "hash", "600000", "FIELDS", "1", &field],
            6..=9 => &["ZINCRBY", "sorted", &score, &member],
            10 => &["ZREM", "sorted", &member],
            11 | 12 => &["SADD", "set", &member],
            13 | 14 => &["SREM", "set", &member],
            15 => &["LSET", "list", &index, &score],
            16 => &["LPUSH", "list", &member],
            17 => &["RPOP", "list"],
            18 => &["LREM", "list", "1", &member],
            19 | 20 => &["XADD", "stream", "*", "n", &score],
            21 => &["XDEL", "stream", &format!("{i}-1")],
            22 => &["XACK", "stream", "group", &format!("{i}-1")],
            23 => &[
                "XREADGROUP",
                "GROUP",
                "group",
                "two",
                "COUNT",
                "2",
                "STREAMS",
                "stream",
                ">",
            ],
            24 => &["EXPIRE", "sorted", "100000"],
            25 if index.ends_with('7') => &["RENAME", "hash", "other"],
            25 => &["RENAME", "other", "hash"],
            26 if index.ends_with('3') => &["RENAME", "sorted", "also"],
            26 => &["RENAME", "also", "sorted"],
            27 if index.ends_with("11") => &["SWAPDB", "0", "1"],
            28 if index.ends_with("55") => &["COPY", "hash", "copy", "REPLACE"],
            29 if index.ends_with("55") => &["UNLINK", "copy", "also"],
            _ => &["INCR", "counter"],
        };
        // Some fail, as a key may have another name just now.
        let _ = client.call(words);
    }
}

fn run(options: &[&str], seed: u64) {
    let always = ["--appendonly", "yes", "--appendfsync", "no"];
    let mut primary = Server::start(&[&always[..], options].concat());
    primary.call(&["EVAL", FILL, "0", ELEMENTS]);
    for round in 0..3 {
        let writers = Writers::start(&primary, seed + round);
        let replica = Server::replica_of(&primary, &[]);
        primary.call(&["BGREWRITEAOF"]);
        eventually("the replica to be in sync", || {
            primary.info("insync_replicas") == "1"
        });
        eventually("the rewrite to end", || {
            let info = primary.text(&["INFO", "persistence"]);
            info.contains("aof_rewrite_in_progress:0")
                && info.contains("aof_last_bgrewrite_status:ok")
        });
        writers.end();
        eventually("the replica to catch up", || {
            replica.info("master_repl_offset") == primary.info("master_repl_offset")
        });
        let digest = primary.digest();
        assert_eq!(replica.digest(), digest, "seed {seed}, round {round}");
        drop(replica);
        primary.kill();
        primary.restart();
        eventually("the data to be loaded", || {
            primary.text(&["INFO", "persistence"]).contains("loading:0")
        });
        assert_eq!(
            primary.digest(),
            digest,
            "seed {seed}, round {round}: the file"
        );
    }
}

#[test]
fn large_values_are_what_they_were_when_a_snapshot_has_taken_them() {
    run(&[], 1);
}

#[test]
fn the_same_as_commands() {
    run(&["--aof-use-rdb-preamble", "no"], 2);
}
