//! The network between primary and replica is slow, silent or gone.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use support::proxy::Proxy;
use support::{Group, PATIENCE, Server, eventually, text};

/// A primary and one replica that follows it through a proxy.
fn behind_proxy(options: &[&str]) -> (Group, Proxy) {
    let primary = Server::start(options);
    let proxy = Proxy::to(primary.port);
    let port = proxy.port.to_string();
    let replica = Server::start(&["--replicaof", "127.0.0.1", &port]);
    let replicas = vec![replica];
    let group = Group { primary, replicas };
    group.wait_in_sync(1);
    (group, proxy)
}

/// Sends a command on a connection of its own; the reply, or the error, comes later.
fn send(server: &Server, args: &[&str]) -> Receiver<String> {
    let mut client = server.client();
    let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let reply = match client.call(&args) {
            Ok(frame) => text(&frame),
            Err(error) => error.to_string(),
        };
        let _ = sender.send(reply);
    });
    receiver
}

fn arrives(reply: &Receiver<String>) -> String {
    reply.recv_timeout(PATIENCE).expect("a reply")
}

#[test]
fn a_silent_link_costs_the_timeout_once_and_heals() {
    let (group, proxy) = behind_proxy(&["--sync-timeout", "300"]);
    group.primary.call(&["SET", "k", "before"]);
    proxy.swallow();
    let during = send(&group.primary, &["SET", "k", "during"]);
    assert_eq!(arrives(&during), "OK", "demote frees the write");
    group.wait_in_sync(0);
    assert_eq!(group.replicas[0].text(&["GET", "k"]), "before");
    proxy.heal();
    group.wait_in_sync(1);
    assert_eq!(group.replicas[0].text(&["GET", "k"]), "during");
    group.assert_equal();
}

#[test]
fn a_distant_replica_gets_every_write_before_its_reply() {
    let (group, proxy) = behind_proxy(&["--sync-timeout", "60000"]);
    proxy.delay(20);
    let writers: Vec<_> = (0..8)
        .map(|id| {
            let mut here = group.primary.client();
            let mut there = group.replicas[0].client();
            std::thread::spawn(move || {
                let key = format!("counter:{id}");
                for n in 1..=15 {
                    let told = here.call(&["INCR", &key]).expect("a number");
                    assert_eq!(text(&told), n.to_string());
                    let seen = there.call(&["GET", &key]).expect("a value");
                    assert_eq!(
                        text(&seen),
                        n.to_string(),
                        "a read on the replica is behind"
                    );
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().expect("what was told is on the replica");
    }
    group.assert_equal();
}

#[test]
fn a_link_that_is_cut_under_load_loses_nothing() {
    let (group, proxy) = behind_proxy(&["--sync-timeout", "60000"]);
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|id| {
            let stop = Arc::clone(&stop);
            let mut client = group.primary.client();
            std::thread::spawn(move || {
                let key = format!("counter:{id}");
                let mut n = 0u64;
                while !stop.load(Ordering::SeqCst) {
                    n += 1;
                    let told = client.call(&["INCR", &key]).expect("a number");
                    assert_eq!(text(&told), n.to_string());
                }
                n
            })
        })
        .collect();
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(150));
        proxy.cut();
    }
    stop.store(true, Ordering::SeqCst);
    let told = writers
        .into_iter()
        .map(|w| w.join().expect("every increment once"));
    let told: Vec<_> = told.collect();
    // What was released while the link was down comes with the partial resync.
    group.assert_equal();
    for (id, told) in told.into_iter().enumerate() {
        let told = told.to_string();
        let key = format!("counter:{id}");
        assert_eq!(group.replicas[0].text(&["GET", &key]), told);
    }
    let stats = group.primary.text(&["INFO", "stats"]);
    let full = lockstep::client::info_field(&stats, "sync_full");
    assert_eq!(full, Some("1"), "only the first resync is a full one");
}

#[test]
fn a_primary_that_was_cut_off_gives_up_what_nobody_confirmed() {
    // REPLICAOF on the old primary used to answer waiting writes with OK, and to discard
    // them right after.
    let options = ["--sync-timeout", "120000", "--min-insync-replicas", "1"];
    let (group, proxy) = behind_proxy(&options);
    let (old, new) = (&group.primary, &group.replicas[0]);
    old.call(&["SET", "kept", "1"]);
    proxy.swallow();
    let write = send(old, &["SET", "lost", "1"]);
    let pair = send(old, &["INCR", "lost:too"]);
    eventually("the writes to be executed", || {
        let mut client = old.client();
        client.call(&["CLIENT", "SYNC", "async"]).expect("OK");
        let exists = client.call(&["EXISTS", "lost", "lost:too"]);
        text(&exists.expect("a number")) == "2"
    });
    new.call(&["REPLICAOF", "NO", "ONE"]);
    let (host, port) = ("127.0.0.1", new.port.to_string());
    old.call(&["REPLICAOF", host, &port]);
    for reply in [&write, &pair] {
        let answer = arrives(reply);
        assert!(answer.starts_with("UNCERTAIN"), "{answer}");
    }
    eventually("the old primary to follow", || {
        old.info("master_link_status") == "up"
    });
    new.call(&["CONFIG", "SET", "min-insync-replicas", "1"]);
    eventually("the old primary to be in sync", || {
        new.info("insync_replicas") == "1"
    });
    new.call(&["SET", "kept", "2"]);
    assert_eq!(old.text(&["GET", "kept"]), "2");
    assert_eq!(old.text(&["EXISTS", "lost", "lost:too"]), "0");
    assert_eq!(old.digest(), new.digest());
}

#[test]
fn a_promoted_node_confirms_nothing_alone_if_it_must_not() {
    let options = ["--min-insync-replicas", "1"];
    let group = Group::start(1, &options, &options);
    let replica = &group.replicas[0];
    let stop = Arc::new(AtomicBool::new(false));
    // Writers hammer the replica while it is promoted: whatever slips in is not confirmed.
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (stop, mut client) = (Arc::clone(&stop), replica.client());
            std::thread::spawn(move || {
                let mut told = 0;
                while !stop.load(Ordering::SeqCst) {
                    told += u32::from(client.call(&["INCR", "n"]).is_ok());
                }
                told
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(100));
    replica.call(&["REPLICAOF", "NO", "ONE"]);
    std::thread::sleep(Duration::from_millis(200));
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        assert_eq!(writer.join().expect("no panic"), 0);
    }
}
