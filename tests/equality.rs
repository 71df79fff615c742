//! Random commands from the command table, on a primary with replicas and on a server that
//! is started again from its append-only file: the digests of all data must be equal.
//!
//! `LOCKSTEP_SEED` chooses the sequences, `LOCKSTEP_CLIENTS` the number of connections (one
//! replays exactly), `SOAK_MINUTES` the time.

mod support;

use lockstep::client::Client;
use redis_protocol::resp2::types::OwnedFrame;
use std::time::Duration;
use support::random::{Sender, duration, seed};
use support::{Group, Server, eventually};

/// Connections that send at the same time.
fn senders(server: &Server, seed: u64) -> Vec<Sender> {
    let clients = std::env::var("LOCKSTEP_CLIENTS").ok();
    let clients = clients.and_then(|n| n.parse().ok()).unwrap_or(4);
    (0..clients)
        .map(|n| Sender::new(server.port, seed.wrapping_add(n)))
        .collect()
}

fn send(senders: &mut [Sender], time: Duration) {
    std::thread::scope(|scope| {
        for sender in senders {
            scope.spawn(move || sender.run_for(time));
        }
    });
}

/// Every key of every database with its digest.
fn digests(server: &Server) -> Vec<(u32, String, String)> {
    let mut client = server.client();
    let mut all = Vec::new();
    for db in 0..2 {
        client
            .call(&["SELECT", &db.to_string()])
            .expect("a database");
        for key in keys(&mut client) {
            let digest = client.call(&["DEBUG", "DIGEST-VALUE-FULL", &key]);
            all.push((db, key, format!("{:?}", digest.expect("a digest"))));
        }
    }
    all.sort();
    all
}

fn keys(client: &mut Client) -> Vec<String> {
    let OwnedFrame::Array(keys) = client.call(&["KEYS", "*"]).expect("the keys") else {
        return Vec::new();
    };
    keys.iter().map(support::text).collect()
}

/// Waits until two servers hold the same; keys may be expiring meanwhile.
fn assert_equal(one: &Server, other: &Server, senders: &[Sender]) {
    let mut same = false;
    for _ in 0..20 {
        same = one.digest() == other.digest();
        if same {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    if same {
        return;
    }
    let (here, there) = (digests(one), digests(other));
    let differing: Vec<_> = here
        .iter()
        .filter(|row| !there.contains(row))
        .chain(there.iter().filter(|row| !here.contains(row)))
        .collect();
    for (_, key, _) in differing.iter().take(3) {
        println!("--- what was done to {key} ---");
        for sender in senders {
            let about = sender
                .history
                .iter()
                .filter(|line| line.contains(key.as_str()));
            let about: Vec<_> = about.collect();
            about
                .iter()
                .skip(about.len().saturating_sub(30))
                .for_each(|line| println!("{line}"));
        }
    }
    panic!("{differing:#?}");
}

#[test]
fn replicas_are_equal_after_random_commands() {
    let seed = seed();
    let group = Group::start(2, &[], &[]);
    let mut senders = senders(&group.primary, seed);
    let rounds = 4;
    for _ in 0..rounds {
        send(&mut senders, duration(8) / rounds);
        for replica in &group.replicas {
            eventually("a replica to catch up", || {
                replica.info("master_repl_offset") == group.primary.info("master_repl_offset")
            });
            assert_equal(&group.primary, replica, &senders);
        }
    }
    // One that comes late gets all in a full copy.
    let late = Server::replica_of(&group.primary, &[]);
    group.wait_in_sync(3);
    assert_equal(&group.primary, &late, &senders);
}

#[test]
fn a_restart_from_the_append_only_file_gives_the_same_data() {
    let seed = seed();
    let mut server = Server::start(&["--appendonly", "yes"]);
    let mut senders = senders(&server, seed);
    let part = duration(6) / 3;
    send(&mut senders, part);
    server.call(&["BGREWRITEAOF"]);
    send(&mut senders, part);
    eventually("the rewrite to end", || {
        let info = server.text(&["INFO", "persistence"]);
        info.contains("aof_rewrite_in_progress:0")
    });
    send(&mut senders, part);
    // What lives for a second at most goes before it is looked at.
    std::thread::sleep(Duration::from_millis(1100));
    server.call(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
    let before = digests(&server);
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(server.wait(), "{}", server.log());
    server.restart();
    eventually("the data to be loaded", || {
        server.text(&["INFO", "persistence"]).contains("loading:0")
    });
    let after = digests(&server);
    // What has expired since is gone.
    let appeared: Vec<_> = after.iter().filter(|row| !before.contains(row)).collect();
    assert!(appeared.is_empty(), "{appeared:#?}");
    let gone: Vec<_> = before.iter().filter(|row| !after.contains(row)).collect();
    let mut client = server.client();
    for (db, key, _) in gone {
        client
            .call(&["SELECT", &db.to_string()])
            .expect("a database");
        let exists = client.call(&["EXISTS", key]).expect("a number");
        assert_eq!(exists, OwnedFrame::Integer(0), "{key} has changed");
    }
}
