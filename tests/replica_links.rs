//! Links between nodes as operators see them: what is listed, counted, ended and kept.

mod support;

use std::time::{Duration, Instant};
use support::{Group, Server, eventually, free_port};

fn number(server: &Server, field: &str) -> i64 {
    let value = server.info(field);
    value.parse().unwrap_or_else(|_| panic!("{field}:{value}"))
}

#[test]
fn the_link_to_the_primary_is_a_client_that_can_be_ended() {
    let group = Group::start(1, &[], &[]);
    let replica = &group.replicas[0];
    group.primary.call(&["SELECT", "3"]);
    group.primary.call(&["SET", "k", "v"]);
    eventually("the write to come", || {
        replica
            .text(&["CLIENT", "LIST", "TYPE", "master"])
            .contains("cmd=set ")
    });
    let line = replica.text(&["CLIENT", "LIST", "TYPE", "master"]);
    assert!(line.contains(" flags=M "), "{line}");
    assert!(line.contains("user=(superuser)"), "{line}");
    assert!(line.contains(&format!("addr=127.0.0.1:{} ", group.primary.port)));
    let line = group.primary.text(&["CLIENT", "LIST", "TYPE", "replica"]);
    assert!(line.contains("cmd=replconf "), "{line}");
    assert_eq!(number(replica, "master_total_sync_attempts"), 1);
    assert_eq!(replica.text(&["CLIENT", "KILL", "TYPE", "master"]), "1");
    eventually("the link to be made again", || {
        number(replica, "master_total_sync_attempts") == 2
            && replica.info("master_link_status") == "up"
    });
    let line = replica.text(&["CLIENT", "LIST", "TYPE", "master"]);
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(number(replica, "master_link_up_since_seconds") <= 1);
}

#[test]
fn a_link_that_never_was_up_is_not_down_since_anything() {
    let replica = Server::start(&[]);
    let nobody = free_port().to_string();
    replica.call(&["REPLICAOF", "127.0.0.1", &nobody]);
    eventually("some attempts", || {
        number(&replica, "master_current_sync_attempts") > 2
    });
    assert_eq!(number(&replica, "master_link_down_since_seconds"), -1);
    assert_eq!(number(&replica, "total_disconnect_time_sec"), 0);
}

#[test]
fn replicas_of_a_replica_stay_while_it_looks_for_another_primary() {
    let group = Group::start(1, &[], &[]);
    let middle = &group.replicas[0];
    let last = Server::replica_of(middle, &[]);
    eventually("the chain", || last.info("master_link_status") == "up");
    let nobody = free_port().to_string();
    middle.call(&["REPLICAOF", "127.0.0.1", &nobody]);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(middle.info("connected_slaves"), "1");
    assert_eq!(last.info("master_link_status"), "up");
    // With another primary comes another history, for them too.
    let other = Server::start(&[]);
    other.call(&["SET", "theirs", "1"]);
    middle.call(&["REPLICAOF", "127.0.0.1", &other.port.to_string()]);
    eventually("the other history to reach the last", || {
        last.text(&["GET", "theirs"]) == "1"
    });
    other.call(&["SET", "more", "1"]);
    eventually("the stream to reach the last", || {
        last.text(&["GET", "more"]) == "1"
    });
}

#[test]
fn a_target_that_does_not_answer_leaves_nobody_hanging() {
    let group = Group::start(1, &["--sync-timeout", "300"], &[]);
    let target = &group.replicas[0];
    // It has everything, so that it is asked to take over; and it does not hear that.
    target.pause();
    let port = target.port.to_string();
    group.primary.call(&["FAILOVER", "TO", "127.0.0.1", &port]);
    eventually("the target to be asked", || {
        group.primary.info("master_failover_state") == "failover-in-progress"
    });
    std::thread::sleep(Duration::from_millis(400));
    let begun = Instant::now();
    let refused = group
        .primary
        .try_call(&["SET", "k", "v"])
        .expect_err("refused");
    assert!(refused.starts_with("READONLY"), "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(2));
    target.resume();
    eventually("the target to take over", || {
        target.info("role") == "master"
    });
}

#[test]
fn a_file_that_is_waited_for_is_fsynced_at_once() {
    let group = Group::start(
        1,
        &["--min-insync-replicas", "1"],
        &["--appendonly", "yes", "--appendfsync", "everysec"],
    );
    group
        .primary
        .call(&["CONFIG", "SET", "sync-ack", "fsynced"]);
    let mut client = group.primary.client();
    eventually("the replica to be in sync at that level", || {
        client.call(&["SET", "k", "v"]).is_ok()
    });
    let begun = Instant::now();
    for n in 0..20 {
        let written = client.call(&["SET", "k", &n.to_string()]);
        written.unwrap_or_else(|error| panic!("{n}: {error}"));
    }
    // Each would wait for most of a second.
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    // One client may want it alone.
    let other = Group::start(1, &[], &["--appendonly", "yes"]);
    let mut client = other.primary.client();
    client
        .call(&["CLIENT", "SYNC", "fsynced"])
        .expect("a reply");
    for n in 0..5 {
        client.call(&["SET", "k", &n.to_string()]).expect("a reply");
    }
    let begun = Instant::now();
    for n in 0..20 {
        client.call(&["SET", "k", &n.to_string()]).expect("a reply");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn wait_is_refused_on_a_replica_before_anything_else() {
    let group = Group::start(1, &[], &[]);
    let refused = group.replicas[0]
        .try_call(&["WAIT", "x", "y"])
        .expect_err("refused");
    assert!(refused.contains("replica instances"), "{refused}");
}
