//! Large values are freed on a thread of their own, however they go: nobody waits for that.

mod support;

use lockstep::client::{Client, info_field};
use lockstep::commands::table;
use std::time::Duration;
use support::{PATIENCE, Server, eventually};

/// Elements of a value; a million with `make soak`.
fn elements() -> usize {
    if std::env::var("SOAK_MINUTES").is_ok() {
        1_000_000
    } else {
        100_000
    }
}

/// Each type with the command that adds `n` elements to it, from `from` on.
type Fill = fn(&str, usize, usize) -> Vec<String>;
const TYPES: [(&str, Fill); 6] = [
    ("SET", |key, _, _| {
        words(&["SET", key, &"x".repeat(4 << 20)])
    }),
    ("HSET", |key, from, n| {
        pairs("HSET", key, from, n, |i| [format!("field:{i}"), "v".into()])
    }),
    ("SADD", |key, from, n| many("SADD", key, from, n)),
    ("RPUSH", |key, from, n| many("RPUSH", key, from, n)),
    ("ZADD", |key, from, n| {
        pairs("ZADD", key, from, n, |i| {
            [i.to_string(), format!("member:{i}")]
        })
    }),
    ("XADD", |key, from, _| {
        // Each entry fills a node of its own.
        let id = format!("1-{}", from + 1);
        words(&["XADD", key, &id, "field", &"x".repeat(5000)])
    }),
];

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn many(command: &str, key: &str, from: usize, n: usize) -> Vec<String> {
    let mut call = words(&[command, key]);
    call.extend((from..from + n).map(|i| format!("element:{i}")));
    call
}

fn pairs(
    command: &str,
    key: &str,
    from: usize,
    n: usize,
    pair: impl Fn(usize) -> [String; 2],
) -> Vec<String> {
    let mut call = words(&[command, key]);
    call.extend((from..from + n).flat_map(pair));
    call
}

fn call(client: &mut Client, words: &[String]) {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    client.call(&words).expect("a reply");
}

fn make(client: &mut Client, name: &str, fill: Fill, key: &str) {
    let (step, most) = match name {
        "SET" => (1, 1),
        "XADD" => (1, 500),
        _ => (1000, elements()),
    };
    for from in (0..most).step_by(step) {
        call(client, &fill(key, from, step));
    }
}

fn memory(server: &Server, field: &str) -> u64 {
    let info = server.text(&["INFO", "memory"]);
    info_field(&info, field)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// The ways in which a value goes.
const WAYS: [(&str, &[&str]); 8] = [
    ("UNLINK", &["UNLINK", "k"]),
    ("DEL", &["DEL", "k"]),
    ("overwriting", &["SET", "k", "v"]),
    ("RENAME", &["RENAME", "other", "k"]),
    ("expiry", &["PEXPIRE", "k", "1"]),
    ("expiry in the past", &["EXPIRE", "k", "-1"]),
    ("FLUSHDB", &["FLUSHDB"]),
    ("FLUSHALL", &["FLUSHALL", "SYNC"]),
];

#[test]
fn large_values_are_freed_in_the_background() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for (name, fill) in TYPES {
        if table::lookup(name.as_bytes()).is_none() {
            continue;
        }
        for (way, command) in WAYS {
            make(&mut client, name, fill, "k");
            client.call(&["SET", "other", "v"]).expect("a reply");
            let before = memory(&server, "lazyfreed_objects");
            client.call(command).expect("a reply");
            eventually(
                &format!("{way} to free a value of {name} in the background"),
                || memory(&server, "lazyfreed_objects") > before,
            );
            eventually("nothing to be left", || {
                memory(&server, "lazyfree_pending_objects") == 0
            });
            client.call(&["FLUSHALL"]).expect("a reply");
        }
    }
}

/// Others are answered while a large value goes. The bound is no measure of speed: freeing
/// where commands are executed would exceed it in a run with a million elements.
#[test]
fn nobody_waits_while_a_large_value_is_freed() {
    let server = Server::start(&["--workers", "1"]);
    let mut client = server.client();
    make(&mut client, "HSET", TYPES[1].1, "k");
    let mut other = Client::connect("127.0.0.1", server.port, PATIENCE).expect("a connection");
    client.call(&["UNLINK", "k"]).expect("a reply");
    let mut answered = 0;
    let mut longest = Duration::ZERO;
    while answered < 100 || memory(&server, "lazyfree_pending_objects") > 0 {
        let begun = std::time::Instant::now();
        other.call(&["INCR", "n"]).expect("a reply");
        longest = longest.max(begun.elapsed());
        answered += 1;
    }
    println!("{answered} answered, the slowest after {longest:?}");
    assert!(longest < Duration::from_secs(2), "{longest:?}");
}
