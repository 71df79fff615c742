//! `FAILOVER`: a primary hands its role over, under load, and when something goes wrong.

mod support;

use lockstep::client::{Client, info_field};
use redis_protocol::resp2::types::OwnedFrame;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use support::{Group, PATIENCE, Server, eventually, text};

const CONNECTIONS: usize = 24;

/// A client that turns to the next node when one says that it is no primary.
struct Retrying {
    ports: Vec<u16>,
    at: usize,
    client: Client,
}

impl Retrying {
    fn new(ports: &[u16]) -> Retrying {
        Retrying {
            ports: ports.to_vec(),
            at: 0,
            client: connect(ports[0]),
        }
    }

    fn call(&mut self, args: &[&str]) -> OwnedFrame {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.client.call(args) {
                Ok(frame) => return frame,
                Err(error) => {
                    let error = error.to_string();
                    assert!(error.contains("READONLY"), "{args:?}: {error}");
                }
            }
            assert!(Instant::now() < deadline, "no node takes {args:?}");
            self.at = (self.at + 1) % self.ports.len();
            self.client = connect(self.ports[self.at]);
        }
    }
}

fn connect(port: u16) -> Client {
    Client::connect("127.0.0.1", port, PATIENCE).expect("a connection")
}

/// Increments a counter of its own, and a shared one with a pair in a transaction; gives how
/// often.
fn load(ports: &[u16], id: usize, stop: &AtomicBool, done: &AtomicU64) -> i64 {
    let mut client = Retrying::new(ports);
    let (own, pair) = (format!("own:{id}"), format!("pair:{id}"));
    let mut count = 0;
    while !stop.load(Ordering::SeqCst) {
        count += 1;
        // Exactly this value: nothing was lost, and nothing that was refused was executed.
        let reply = client.call(&["INCR", &own]);
        assert_eq!(reply, OwnedFrame::Integer(count), "counter {id}");
        let script = "redis.call('set', KEYS[1], ARGV[1]) return redis.call('incr', KEYS[2])";
        let number = count.to_string();
        client.call(&["EVAL", script, "2", &pair, "all", &number]);
        done.fetch_add(1, Ordering::SeqCst);
    }
    count
}

#[test]
fn under_load_nothing_is_lost_and_nobody_sees_more_than_a_redirection() {
    let options = ["--min-insync-replicas", "1", "--sync-timeout", "20000"];
    let group = Group::start(2, &options, &options);
    let ports = [group.primary.port, group.replicas[0].port];
    let (stop, done) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let workers: Vec<_> = (0..CONNECTIONS)
        .map(|id| {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            std::thread::spawn(move || load(&ports, id, &stop, &done))
        })
        .collect();
    let nodes = [&group.primary, &group.replicas[0]];
    for round in 0..4 {
        let before = done.load(Ordering::SeqCst);
        eventually("a load", || done.load(Ordering::SeqCst) > before + 500);
        let (old, new) = (nodes[round % 2], nodes[(round + 1) % 2]);
        let port = new.port.to_string();
        // Once with its name, once whoever is first; the sibling follows the old primary, and
        // the new one is its only direct replica later.
        let order: &[&str] = match round {
            0 | 2 => &["FAILOVER", "TO", "127.0.0.1", &port, "TIMEOUT", "30000"],
            _ => &["FAILOVER"],
        };
        assert_eq!(old.text(order), "OK");
        eventually("the roles to change", || {
            old.info("role") == "slave" && new.info("role") == "master"
        });
        eventually("the failover to end", || {
            old.info("master_failover_state") == "no-failover"
                && old.info("master_link_status") == "up"
        });
        // A replica that missed two changes of the history in a row would need a copy.
        eventually("the sibling to follow", || {
            group.replicas[1].info("master_replid") == new.info("master_replid")
        });
    }
    stop.store(true, Ordering::SeqCst);
    let counts: Vec<i64> = workers
        .into_iter()
        .map(|w| w.join().expect("a worker"))
        .collect();
    for (id, count) in counts.iter().enumerate() {
        let get = |key: String| group.primary.text(&["GET", &key]);
        assert_eq!(get(format!("own:{id}")), count.to_string());
        assert_eq!(get(format!("pair:{id}")), count.to_string());
    }
    let sum: i64 = counts.iter().sum();
    assert_eq!(group.primary.text(&["GET", "all"]), sum.to_string());
    group.assert_equal();
    for (server, copies) in [(&group.primary, "2"), (&group.replicas[0], "0")] {
        let stats = server.text(&["INFO", "stats"]);
        assert_eq!(
            info_field(&stats, "sync_full"),
            Some(copies),
            "resyncs are partial"
        );
    }
}

/// Sends a command on a connection of its own.
fn send(server: &Server, args: &[&str]) -> Receiver<String> {
    let mut client = server.client();
    let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let reply = client.call(&args);
        let _ = sender.send(reply.map_or_else(|e| e.to_string(), |frame| text(&frame)));
    });
    receiver
}

fn arrives(reply: &Receiver<String>) -> String {
    reply.recv_timeout(PATIENCE).expect("a reply")
}

fn state(server: &Server) -> String {
    server.info("master_failover_state")
}

const SLOW: [&str; 2] = ["--sync-timeout", "120000"];

#[test]
fn writes_wait_while_a_replica_is_waited_for_and_go_on_after_abort_or_timeout() {
    let group = Group::start(1, &SLOW, &[]);
    let (primary, replica) = (&group.primary, &group.replicas[0]);
    for way in ["abort", "timeout"] {
        replica.pause();
        // The replica lacks this, so it cannot take over.
        let mut client = primary.client();
        client.call(&["CLIENT", "SYNC", "async"]).expect("a level");
        let mut exists = |key| text(&client.call(&["EXISTS", key]).expect("a reply")) == "1";
        let lacking = send(primary, &["SET", way, "v"]);
        eventually("the write", || exists(way));
        match way {
            "abort" => primary.call(&["FAILOVER"]),
            _ => primary.call(&["FAILOVER", "TIMEOUT", "400"]),
        };
        assert_eq!(state(primary), "waiting-for-sync");
        assert_eq!(primary.info("role"), "master");
        for refused in [&["FAILOVER"] as &[&str], &["REPLICAOF", "NO", "ONE"]] {
            let error = primary.try_call(refused).expect_err("a refusal");
            assert!(error.starts_with("ERR"), "{error}");
        }
        let waiting = send(primary, &["INCR", "waiting"]);
        if way == "abort" {
            std::thread::sleep(Duration::from_millis(100));
            // A pause of clients that ends lets no write in.
            primary.call(&["CLIENT", "UNPAUSE"]);
            assert!(waiting.try_recv().is_err());
            assert!(!exists("waiting"));
            assert_eq!(primary.text(&["FAILOVER", "ABORT"]), "OK");
        }
        eventually("the end", || state(primary) == "no-failover");
        replica.resume();
        assert!(
            ["1", "2"].contains(&&*arrives(&waiting)),
            "the write goes on"
        );
        assert_eq!(arrives(&lacking), "OK");
        assert_eq!(primary.info("role"), "master");
        group.wait_in_sync(1);
    }
    assert_eq!(primary.text(&["GET", "waiting"]), "2");
    group.assert_equal();
    // And now it works, and back again with no write in between.
    primary.call(&["FAILOVER"]);
    eventually("the replica to take over", || {
        replica.info("role") == "master" && state(primary) == "no-failover"
    });
    replica.call(&["FAILOVER"]);
    eventually("the role to come back", || {
        primary.info("role") == "master" && state(replica) == "no-failover"
    });
    let stats = replica.text(&["INFO", "stats"]);
    assert_eq!(info_field(&stats, "sync_full"), Some("0"));
    group.wait_in_sync(1);
}

#[test]
fn a_target_that_dies_is_waited_for_until_it_is_back() {
    let mut group = Group::start(1, &SLOW, &[]);
    group.primary.call(&["SET", "k", "v"]);
    let target = group.replicas[0].port.to_string();
    group.replicas[0].pause();
    group.primary.call(&[
        "FAILOVER",
        "TO",
        "127.0.0.1",
        &target,
        "FORCE",
        "TIMEOUT",
        "50",
    ]);
    // Nothing was lacking, so that it need not even be forced; it cannot answer.
    eventually("the role to be given away", || {
        state(&group.primary) == "failover-in-progress"
    });
    assert_eq!(group.primary.info("role"), "slave");
    let waiting = send(&group.primary, &["SET", "k", "w"]);
    group.replicas[0].kill();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(state(&group.primary), "failover-in-progress");
    assert!(
        waiting.try_recv().is_err(),
        "who writes waits for the outcome"
    );
    assert_eq!(group.primary.text(&["FAILOVER", "ABORT"]), "OK");
    assert_eq!(arrives(&waiting), "OK");
    assert_eq!(group.primary.info("role"), "master");
    group.replicas[0].restart();
    group.wait_in_sync(1);
    group.assert_equal();
    assert_eq!(group.replicas[0].text(&["GET", "k"]), "w");
}

#[test]
fn a_target_that_refuses_leaves_the_primary_what_it_was() {
    let group = Group::start(1, &SLOW, &[]);
    let (primary, replica) = (&group.primary, &group.replicas[0]);
    primary.call(&["SET", "k", "v"]);
    let port = replica.port.to_string();
    replica.pause();
    primary.call(&[
        "FAILOVER",
        "TO",
        "127.0.0.1",
        &port,
        "FORCE",
        "TIMEOUT",
        "50",
    ]);
    let waiting = send(primary, &["SET", "k", "w"]);
    eventually("the role to be given away", || {
        state(primary) == "failover-in-progress"
    });
    // Before it is asked it belongs to another history.
    let promotion = send(replica, &["REPLICAOF", "NO", "ONE"]);
    replica.resume();
    assert_eq!(arrives(&promotion), "OK");
    eventually("the end", || state(primary) == "no-failover");
    // Whichever request came first: there is one that took it, and the write was executed or
    // refused, once.
    let outcome = arrives(&waiting);
    let value = primary.text(&["GET", "k"]);
    match primary.info("role").as_str() {
        "master" => assert_eq!((&*outcome, &*value), ("OK", "w")),
        _ => assert!(outcome.contains("READONLY"), "{outcome}"),
    }
}
