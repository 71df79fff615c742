//! Every reply that shows a write waits until the write is acknowledged.

mod support;

use lockstep::client::Client;
use redis_protocol::resp2::types::OwnedFrame;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;
use support::{Group, PATIENCE, Server, eventually, text};

/// Long enough that a reply that is not held has come, however busy the machine is.
const MOMENT: Duration = Duration::from_millis(700);
/// A timeout that no test waits for.
const NO_TIMEOUT: [&str; 2] = ["--sync-timeout", "120000"];

/// Sends a command on a connection of its own; the reply comes through the channel.
fn send(
    server: &Server,
    level: Option<&str>,
    args: &[&str],
) -> Receiver<Result<OwnedFrame, String>> {
    let mut client = server.client();
    if let Some(level) = level {
        client.call(&["CLIENT", "SYNC", level]).expect("a level");
    }
    let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let _ = sender.send(client.call(&args).map_err(|e| e.to_string()));
    });
    receiver
}

fn is_held(reply: &Receiver<Result<OwnedFrame, String>>) -> bool {
    matches!(reply.recv_timeout(MOMENT), Err(RecvTimeoutError::Timeout))
}

fn arrives(reply: &Receiver<Result<OwnedFrame, String>>) -> String {
    match reply.recv_timeout(PATIENCE).expect("a reply") {
        Ok(frame) => text(&frame),
        Err(error) => error,
    }
}

#[test]
fn a_paused_replica_holds_writes_at_every_level_but_async() {
    let replica_options = ["--appendonly", "yes", "--appendfsync", "always"];
    let group = Group::start(1, &NO_TIMEOUT, &replica_options);
    let replica = &group.replicas[0];
    for level in ["received", "applied", "fsynced"] {
        // Before: everything flows.
        let before = send(&group.primary, Some(level), &["SET", "k", "before"]);
        assert_eq!(arrives(&before), "OK", "{level}");
        replica.pause();
        let unawaited = send(&group.primary, Some("async"), &["SET", "other", level]);
        assert_eq!(arrives(&unawaited), "OK", "{level}");
        let write = send(&group.primary, Some(level), &["SET", "k", level]);
        assert!(is_held(&write), "{level}: the write must wait");
        let read = send(&group.primary, Some(level), &["GET", "k"]);
        assert!(
            is_held(&read),
            "{level}: a read that shows the write must wait"
        );
        replica.resume();
        assert_eq!(arrives(&write), "OK");
        assert_eq!(arrives(&read), level);
    }
    group.assert_equal();
}

#[test]
fn the_server_s_level_is_the_default_and_async_waits_for_nobody() {
    for (level, held) in [("async", false), ("received", true), ("applied", true)] {
        let group = Group::start(1, &["--sync-ack", level, "--sync-timeout", "120000"], &[]);
        group.replicas[0].pause();
        let write = send(&group.primary, None, &["INCR", "n"]);
        assert_eq!(is_held(&write), held, "{level}");
        group.replicas[0].resume();
        if held {
            assert_eq!(arrives(&write), "1");
        }
    }
}

#[test]
fn reads_of_what_nobody_wrote_are_not_held() {
    let group = Group::start(1, &NO_TIMEOUT, &[]);
    let mut client = group.primary.client();
    for i in 0..200 {
        client.call(&["SET", &format!("old:{i}"), "x"]).expect("OK");
    }
    group.replicas[0].pause();
    let write = send(&group.primary, None, &["SET", "new", "y"]);
    assert!(is_held(&write));
    // One key in sixty-four shares the shard with `new`; most of two hundred do not, and now
    // and then none does.
    let reads: Vec<_> = (0..200)
        .map(|i| send(&group.primary, None, &["GET", &format!("old:{i}")]))
        .collect();
    std::thread::sleep(MOMENT);
    let free = reads.iter().filter(|r| r.try_recv().is_ok()).count();
    assert!(
        (150..=200).contains(&free),
        "{free} of 200 reads were answered"
    );
    // What looks at the whole database shows the write, and waits.
    let all = send(&group.primary, None, &["DBSIZE"]);
    assert!(is_held(&all));
    group.replicas[0].resume();
    assert_eq!(arrives(&all), "201");
}

#[test]
fn a_pipeline_goes_on_executing_and_its_replies_stay_in_order() {
    use std::io::{Read, Write};
    let group = Group::start(1, &NO_TIMEOUT, &[]);
    group.replicas[0].pause();
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", group.primary.port)).expect("up");
    for _ in 0..100 {
        socket
            .write_all(b"INCR n\r\nECHO between\r\n")
            .expect("sent");
    }
    // They are all executed though none is answered: an unawaited read sees the last.
    let reader = |level| send(&group.primary, Some(level), &["GET", "n"]);
    eventually("the pipeline to be executed", || {
        arrives(&reader("async")) == "100"
    });
    socket.set_read_timeout(Some(MOMENT)).expect("a timeout");
    let mut first = [0u8; 1];
    assert!(socket.read(&mut first).is_err(), "nothing may have come");
    group.replicas[0].resume();
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let expected: String = (1..=100)
        .map(|i| format!(":{i}\r\n$7\r\nbetween\r\n"))
        .collect();
    let mut got = vec![0u8; expected.len()];
    socket.read_exact(&mut got).expect("all replies");
    assert_eq!(String::from_utf8_lossy(&got), expected);
}

#[test]
fn a_transaction_is_held_as_a_whole() {
    let group = Group::start(2, &NO_TIMEOUT, &[]);
    let mut client = group.primary.client();
    client.call(&["MULTI"]).expect("OK");
    client.call(&["SET", "a", "1"]).expect("QUEUED");
    client.call(&["GET", "a"]).expect("QUEUED");
    group.replicas[1].pause();
    let (sender, reply) = channel();
    std::thread::spawn(move || {
        let _ = sender.send(client.call(&["EXEC"]).map_err(|e| e.to_string()));
    });
    assert!(is_held(&reply), "one of two replicas has not acknowledged");
    group.replicas[1].resume();
    assert!(arrives(&reply).contains("Array"));
    group.assert_equal();
}

#[test]
fn demote_frees_the_waits_and_the_replica_comes_back() {
    let group = Group::start(
        2,
        &["--sync-timeout", "300", "--min-insync-replicas", "1"],
        &[],
    );
    group.replicas[0].pause();
    let write = send(&group.primary, None, &["SET", "k", "v"]);
    assert_eq!(arrives(&write), "OK", "the other replica has it");
    group.wait_in_sync(1);
    assert!(group.primary.log().contains("leaves the in-sync set"));
    group.replicas[0].resume();
    group.wait_in_sync(2);
    group.assert_equal();
}

#[test]
fn too_few_members_are_told_honestly() {
    let group = Group::start(
        1,
        &["--sync-timeout", "300", "--min-insync-replicas", "1"],
        &[],
    );
    group.replicas[0].pause();
    let write = send(&group.primary, None, &["SET", "k", "v"]);
    let answer = arrives(&write);
    assert!(answer.starts_with("UNCERTAIN"), "{answer}");
    let refused = arrives(&send(&group.primary, None, &["SET", "k2", "v"]));
    assert!(refused.starts_with("NOREPLICAS"), "{refused}");
    let read = arrives(&send(&group.primary, None, &["GET", "k"]));
    assert!(read.starts_with("UNCERTAIN"), "it may be lost: {read}");
    assert_eq!(arrives(&send(&group.primary, None, &["EXISTS", "k2"])), "0");
    group.replicas[0].resume();
    group.wait_in_sync(1);
    assert_eq!(arrives(&send(&group.primary, None, &["GET", "k"])), "v");
    group.assert_equal();
}

#[test]
fn fail_keeps_the_member_and_wait_waits() {
    let options = ["--sync-timeout", "300", "--sync-on-timeout", "fail"];
    let group = Group::start(1, &options, &[]);
    group.replicas[0].pause();
    let answer = arrives(&send(&group.primary, None, &["INCR", "n"]));
    assert!(answer.starts_with("UNCERTAIN"), "{answer}");
    assert_eq!(
        group.primary.info("insync_replicas"),
        "1",
        "it stays a member"
    );
    group
        .primary
        .call(&["CONFIG", "SET", "sync-on-timeout", "wait"]);
    let waiting = send(&group.primary, None, &["INCR", "n"]);
    assert!(is_held(&waiting));
    group.replicas[0].resume();
    assert_eq!(arrives(&waiting), "2");
    group.assert_equal();
}

#[test]
fn wait_is_answered_from_what_is_acknowledged_already() {
    let group = Group::start(2, &NO_TIMEOUT, &[]);
    let mut client = group.primary.client();
    client.call(&["SET", "k", "v"]).expect("OK");
    assert_eq!(
        text(&client.call(&["WAIT", "2", "0"]).expect("a number")),
        "2"
    );
    group.replicas[0].pause();
    let mut hurried = group.primary.client();
    hurried.call(&["CLIENT", "SYNC", "async"]).expect("OK");
    hurried.call(&["SET", "k", "w"]).expect("OK");
    let reached = hurried.call(&["WAIT", "2", "300"]).expect("a number");
    assert_eq!(text(&reached), "1", "one of two within the time");
    group.replicas[0].resume();
    let reached = hurried.call(&["WAIT", "2", "0"]).expect("a number");
    assert_eq!(text(&reached), "2");
}

#[test]
fn the_in_sync_set_and_latency_are_in_info() {
    let group = Group::start(2, &[], &[]);
    let mut client: Client = group.primary.client();
    for i in 0..50 {
        client.call(&["SET", &i.to_string(), "v"]).expect("OK");
    }
    let info = group.primary.text(&["INFO", "replication"]);
    assert_eq!(info.matches("insync=yes").count(), 2, "{info}");
    assert_eq!(info.matches("ack_us=").count(), 2, "{info}");
    assert!(info.contains("insync_replicas:2"), "{info}");
}
