//! Clients that wait for lists: every element goes to exactly one of them, whatever worker it
//! lives on, and none that was handed out comes back when the primary is killed.

mod support;

use lockstep::client::Client;
use redis_protocol::resp2::types::OwnedFrame;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;
use support::{Group, PATIENCE, Server, eventually, text};

const CONSUMERS: usize = 32;
const PRODUCERS: usize = 8;
const QUEUES: usize = 5;
/// Long enough that a reply that is not held has come, however busy the machine is.
const MOMENT: Duration = Duration::from_millis(700);

/// Sends a command on a connection of its own; the reply comes through the channel.
fn send(server: &Server, args: &[&str]) -> Receiver<Result<OwnedFrame, String>> {
    let mut client = server.client();
    let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let _ = sender.send(client.call(&args).map_err(|e| e.to_string()));
    });
    receiver
}

fn blocked(server: &Server) -> String {
    let info = server.text(&["INFO", "clients"]);
    let mut lines = info.lines();
    let line = lines.find_map(|line| line.strip_prefix("blocked_clients:"));
    line.unwrap_or_default().trim().to_owned()
}

/// The key and the element that a pop gave.
fn popped(frame: &OwnedFrame) -> Option<(String, String)> {
    match frame {
        OwnedFrame::Array(parts) if parts.len() == 2 => Some((text(&parts[0]), text(&parts[1]))),
        _ => None,
    }
}

#[test]
fn the_reply_of_a_served_client_is_held_like_the_write() {
    let group = Group::start(1, &["--sync-timeout", "120000", "--workers", "3"], &[]);
    let waiting = send(&group.primary, &["BLPOP", "l", "0"]);
    eventually("a blocked client", || blocked(&group.primary) == "1");
    group.replicas[0].pause();
    let mut pusher = group.primary.client();
    pusher.call(&["CLIENT", "SYNC", "async"]).expect("a level");
    let pushed = pusher.call(&["RPUSH", "l", "x"]).expect("not held");
    assert_eq!(pushed, OwnedFrame::Integer(1));
    let early = waiting.recv_timeout(MOMENT);
    assert_eq!(early, Err(RecvTimeoutError::Timeout), "it must wait");
    group.replicas[0].resume();
    let reply = waiting.recv_timeout(PATIENCE).expect("a reply");
    let expected = ("l".to_owned(), "x".to_owned());
    assert_eq!(popped(&reply.expect("an element")), Some(expected));
    group.assert_equal();
}

#[test]
fn a_primary_that_becomes_a_replica_sends_those_who_wait_away() {
    let primary = Server::start(&[]);
    let waiting = send(&primary, &["BLPOP", "l", "0"]);
    let replicas = send(&primary, &["WAIT", "1", "0"]);
    eventually("blocked clients", || blocked(&primary) == "2");
    primary.call(&["REPLICAOF", "127.0.0.1", "1"]);
    for reply in [waiting, replicas] {
        let error = reply.recv_timeout(PATIENCE).expect("a reply");
        let error = format!("{error:?}");
        assert!(error.contains("UNBLOCKED force unblock"), "{error}");
    }
    assert_eq!(blocked(&primary), "0");
}

/// Takes elements until the connection breaks: popped ones, and ones moved to a list of its
/// own.
fn consume(port: u16, id: usize, count: &AtomicU64) -> [Vec<String>; 2] {
    let mut got = [Vec::new(), Vec::new()];
    let Ok(mut client) = Client::connect("127.0.0.1", port, Duration::from_secs(20)) else {
        return got;
    };
    let queue = |i: usize| format!("queue:{}", (id + i) % QUEUES);
    let (first, second, target) = (queue(0), queue(1), format!("taken:{id}"));
    for round in id.. {
        let reply = match round % 3 {
            0 => client.call(&["BLPOP", &first, &second, "0"]),
            1 => client.call(&["BRPOP", &second, "0.05"]),
            _ => client.call(&["BLMOVE", &first, &target, "LEFT", "RIGHT", "0.05"]),
        };
        match reply {
            Ok(OwnedFrame::Null) => continue,
            Ok(OwnedFrame::BulkString(element)) => {
                got[1].push(String::from_utf8_lossy(&element).into_owned());
            }
            Ok(frame) => match popped(&frame) {
                Some((_, element)) => got[0].push(element),
                None => break,
            },
            Err(_) => break,
        }
        count.fetch_add(1, Ordering::SeqCst);
    }
    got
}

/// Pushes elements of its own until the connection breaks; gives those that were acknowledged,
/// and the one that may have been pushed.
fn produce(port: u16, id: usize, stop: &AtomicBool) -> (Vec<String>, Option<String>) {
    let mut acknowledged = Vec::new();
    let Ok(mut client) = Client::connect("127.0.0.1", port, Duration::from_secs(20)) else {
        return (acknowledged, None);
    };
    for i in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let (queue, element) = (format!("queue:{}", (id + i) % QUEUES), format!("{id}:{i}"));
        let pushed = if i % 7 == 0 {
            let script = "return redis.call('RPUSH', KEYS[1], ARGV[1])";
            client.call(&["EVAL", script, "1", &queue, &element])
        } else {
            client.call(&["RPUSH", &queue, &element])
        };
        match pushed {
            Ok(OwnedFrame::Integer(_)) => acknowledged.push(element),
            _ => return (acknowledged, Some(element)),
        }
    }
    (acknowledged, None)
}

#[test]
fn every_element_is_handed_out_once_when_the_primary_is_killed() {
    let options = ["--min-insync-replicas", "1", "--workers", "4"];
    let mut group = Group::start(2, &options, &options);
    let port = group.primary.port;
    let (stop, count) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let consumers: Vec<_> = (0..CONSUMERS)
        .map(|id| {
            let count = Arc::clone(&count);
            std::thread::spawn(move || consume(port, id, &count))
        })
        .collect();
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|id| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || produce(port, id, &stop))
        })
        .collect();
    eventually("some traffic", || count.load(Ordering::SeqCst) > 2000);
    group.primary.kill();
    stop.store(true, Ordering::SeqCst);
    let (mut acknowledged, mut perhaps) = (HashSet::new(), HashSet::new());
    for producer in producers {
        let (sure, unsure) = producer.join().expect("no panic");
        acknowledged.extend(sure);
        perhaps.extend(unsure);
    }
    let (mut received, mut moved) = (HashSet::new(), HashSet::new());
    for consumer in consumers {
        let [popped, own] = consumer.join().expect("no panic");
        moved.extend(own.iter().cloned());
        for element in popped.into_iter().chain(own) {
            let shown = element.clone();
            assert!(received.insert(element), "{shown} came twice");
        }
    }
    let offset = |server: &Server| server.info("master_repl_offset").parse::<u64>().ok();
    let successor = group.replicas.iter().max_by_key(|replica| offset(replica));
    let successor = successor.expect("two replicas");
    successor.call(&["REPLICAOF", "NO", "ONE"]);
    let mut left = HashSet::new();
    for queue in 0..QUEUES {
        for element in list(successor, &format!("queue:{queue}")) {
            assert!(left.insert(element.clone()), "{element} is there twice");
        }
    }
    for element in &left {
        assert!(
            !received.contains(element),
            "{element} was handed out and is back"
        );
        let known = acknowledged.contains(element) || perhaps.contains(element);
        assert!(known, "{element} came from nowhere");
    }
    // Popped by clients that were not told any more: one each, at most.
    let lost = acknowledged
        .iter()
        .filter(|e| !received.contains(*e) && !left.contains(*e));
    let lost: Vec<_> = lost.collect();
    assert!(lost.len() <= CONSUMERS, "{lost:?} are gone");
    // What BLMOVE handed out is in the list that it moved it to.
    let mut taken = HashSet::new();
    for id in 0..CONSUMERS {
        for element in list(successor, &format!("taken:{id}")) {
            assert!(taken.insert(element.clone()), "{element} was moved twice");
            assert!(!left.contains(&element), "{element} is in two lists");
        }
    }
    assert!(moved.is_subset(&taken), "a move is lost");
}

fn list(server: &Server, key: &str) -> Vec<String> {
    match server.call(&["LRANGE", key, "0", "-1"]) {
        OwnedFrame::Array(elements) => elements.iter().map(text).collect(),
        other => panic!("{other:?}"),
    }
}
