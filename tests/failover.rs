//! The primary is killed under load: nothing that was acknowledged is missing, nothing is
//! applied twice.

mod support;

use lockstep::client::Client;
use redis_protocol::resp2::types::OwnedFrame;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use support::{Group, Server, eventually, text};

/// What one connection was told.
#[derive(Default)]
struct Tally {
    /// Increments that were acknowledged, and that may or may not have happened.
    increments: u64,
    unknown: u64,
    /// Unique keys that were acknowledged.
    keys: Vec<String>,
    /// The last pair that was acknowledged.
    pair: u64,
}

const CONNECTIONS: u64 = 24;

/// Writes on a connection until it breaks or `stop` is raised. One request is in flight at a
/// time, so that at most one outcome is unknown.
fn load(port: u16, id: u64, stop: &AtomicBool, done: &AtomicU64) -> Tally {
    let mut tally = Tally::default();
    let Ok(mut client) = Client::connect("127.0.0.1", port, Duration::from_secs(10)) else {
        return tally;
    };
    let counter = format!("counter:{id}");
    for i in 1.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        tally.unknown = 1;
        match client.call(&["INCR", &counter]) {
            Ok(OwnedFrame::Integer(n)) => {
                assert_eq!(
                    n as u64, i,
                    "an increment was lost or doubled while all lived"
                );
                tally.increments += 1;
                done.fetch_add(1, Ordering::SeqCst);
                tally.unknown = 0;
            }
            _ => break,
        }
        let key = format!("key:{id}:{i}");
        if client.call(&["SET", &key, &key]).is_err() {
            break;
        }
        tally.keys.push(key);
        if pair(&mut client, id, i).is_err() {
            break;
        }
        tally.pair = i;
    }
    tally
}

fn pair(client: &mut Client, id: u64, i: u64) -> Result<(), lockstep::client::ClientError> {
    let (a, b, value) = (format!("a:{id}"), format!("b:{id}"), i.to_string());
    client.call(&["MULTI"])?;
    client.call(&["SET", &a, &value])?;
    client.call(&["HSET", &b, "value", &value])?;
    client.call(&["EXEC"])?;
    Ok(())
}

fn run_load(port: u16, milliseconds: u64, then: impl FnOnce()) -> Vec<Tally> {
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (0..CONNECTIONS)
        .map(|id| {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            std::thread::spawn(move || load(port, id, &stop, &done))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(milliseconds));
    // However busy the machine is, there must be a load.
    eventually("a load", || done.load(Ordering::SeqCst) > 100);
    then();
    stop.store(true, Ordering::SeqCst);
    let tallies = workers.into_iter().map(|w| w.join().expect("no panic"));
    tallies.collect()
}

/// Compares a server with what the connections were told.
fn check(server: &Server, tallies: &[Tally]) {
    let mut client = server.client();
    let mut get = |args: &[&str]| text(&client.call(args).expect("an answer"));
    let mut acknowledged = 0;
    for (id, tally) in tallies.iter().enumerate() {
        let count: u64 = get(&["GET", &format!("counter:{id}")]).parse().unwrap_or(0);
        let most = tally.increments + tally.unknown;
        assert!(
            (tally.increments..=most).contains(&count),
            "counter {id}: {count}, acknowledged {}, at most {most}",
            tally.increments
        );
        for key in &tally.keys {
            assert_eq!(get(&["GET", key]), *key, "an acknowledged write is missing");
        }
        let a = get(&["GET", &format!("a:{id}")]);
        let b = get(&["HGET", &format!("b:{id}"), "value"]);
        assert_eq!(a, b, "half of a transaction");
        let pair: u64 = a.parse().unwrap_or(0);
        assert!(pair >= tally.pair, "pair {id}: {pair} after {}", tally.pair);
        acknowledged += tally.increments;
    }
    assert!(acknowledged > 100, "there was no load to speak of");
}

#[test]
fn a_killed_primary_takes_no_acknowledged_write_with_it() {
    for round in 0..rounds(3) {
        let options = ["--min-insync-replicas", "1"];
        let mut group = Group::start(2, &options, &options);
        let port = group.primary.port;
        let tallies = run_load(port, 400 + 150 * round, || group.primary.kill());
        // The successor: the one with the highest offset of those in sync.
        let offset = |server: &Server| {
            server
                .info("master_repl_offset")
                .parse::<u64>()
                .expect("a number")
        };
        group
            .replicas
            .sort_by_key(|replica| std::cmp::Reverse(offset(replica)));
        let successor = &group.replicas[0];
        successor.call(&["REPLICAOF", "NO", "ONE"]);
        check(successor, &tallies);
        // The other replica and the old primary come over and agree.
        let new_port = successor.port.to_string();
        group.replicas[1].call(&["REPLICAOF", "127.0.0.1", &new_port]);
        eventually("the other replica to be in sync", || {
            successor.info("insync_replicas") == "1"
        });
        successor.call(&["SET", "after", "failover"]);
        assert_eq!(group.replicas[1].text(&["GET", "after"]), "failover");
        group.primary.options = vec!["--replicaof".into(), "127.0.0.1".into(), new_port];
        group.primary.restart();
        eventually("the old primary to be in sync", || {
            successor.info("insync_replicas") == "2"
        });
        check(&group.primary, &tallies);
        assert_eq!(group.primary.digest(), successor.digest());
    }
}

#[test]
fn a_replica_killed_under_load_comes_back_equal() {
    let options = ["--min-insync-replicas", "1", "--sync-timeout", "500"];
    let mut group = Group::start(2, &options, &[]);
    let port = group.primary.port;
    let tallies = run_load(port, 300, || {
        for _ in 0..3 {
            group.replicas[0].kill();
            std::thread::sleep(Duration::from_millis(200));
            group.replicas[0].restart();
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    group.wait_in_sync(2);
    check(&group.primary, &tallies);
    group.assert_equal();
}

#[test]
fn a_link_that_breaks_resumes_where_it_was() {
    let group = Group::start(1, &[], &[]);
    let port = group.primary.port;
    let tallies = run_load(port, 200, || {
        for _ in 0..5 {
            group.primary.call(&["CLIENT", "KILL", "TYPE", "replica"]);
            std::thread::sleep(Duration::from_millis(150));
        }
    });
    group.wait_in_sync(1);
    check(&group.primary, &tallies);
    group.assert_equal();
    let stats = group.primary.text(&["INFO", "stats"]);
    let full = lockstep::client::info_field(&stats, "sync_full").map(str::to_owned);
    assert_eq!(
        full.as_deref(),
        Some("1"),
        "only the first resync is a full one"
    );
}

#[test]
fn a_promoted_replica_s_history_lets_its_sibling_resume() {
    let group = Group::start(2, &[], &[]);
    group.primary.call(&["SET", "k", "v"]);
    let successor = &group.replicas[0];
    successor.call(&["REPLICAOF", "NO", "ONE"]);
    let port = successor.port.to_string();
    group.replicas[1].call(&["REPLICAOF", "127.0.0.1", &port]);
    eventually("the sibling to follow", || {
        group.replicas[1].info("master_link_status") == "up"
    });
    assert_eq!(
        successor.info("master_replid2"),
        group.primary.info("master_replid")
    );
    let stats = successor.text(&["INFO", "stats"]);
    let field = |name| lockstep::client::info_field(&stats, name).map(str::to_owned);
    assert_eq!(field("sync_partial_ok").as_deref(), Some("1"));
    assert_eq!(field("sync_full").as_deref(), Some("0"));
}

#[test]
fn an_empty_primary_does_not_make_its_replica_discard_data() {
    // A primary without a file that crashes and comes back empty used to be the classic way
    // to lose everything.
    let mut group = Group::start(1, &[], &[]);
    for i in 0..100 {
        group.primary.call(&["SET", &i.to_string(), "v"]);
    }
    group.primary.kill();
    group.primary.restart();
    let replica = &group.replicas[0];
    eventually("the replica to refuse", || {
        !replica.info("master_link_refusal").is_empty()
    });
    assert_eq!(replica.text(&["DBSIZE"]), "100");
    // Told again, it obeys.
    let port = group.primary.port.to_string();
    replica.call(&["REPLICAOF", "127.0.0.1", &port]);
    eventually("the copy to be taken", || replica.text(&["DBSIZE"]) == "0");
}

/// More rounds for `make soak`.
fn rounds(usual: u64) -> u64 {
    match std::env::var("SOAK_MINUTES") {
        Ok(minutes) => minutes.parse().unwrap_or(1) * 20,
        Err(_) => usual,
    }
}
