//! How a server stops: what it waits for, and how that is called off.

mod support;

use nix::sys::signal::Signal;
use std::time::{Duration, Instant};
use support::{Group, Server, eventually};

/// A client that waits for the answer to SHUTDOWN on a thread of its own.
fn shut_down(
    server: &Server,
    words: &'static [&'static str],
) -> std::thread::JoinHandle<Result<(), String>> {
    let mut client = server.client();
    std::thread::spawn(move || client.call(words).map(drop).map_err(|e| e.to_string()))
}

/// A group whose replica is paused and lacks a write.
fn lagging(options: &[&str]) -> Group {
    let group = Group::start(1, options, &[]);
    group.replicas[0].pause();
    assert_eq!(group.primary.text(&["SET", "k", "v"]), "OK");
    group
}

const PATIENT: [&str; 4] = ["--shutdown-timeout", "600", "--sync-ack", "async"];

#[test]
fn a_shutdown_that_waits_for_a_replica_can_be_called_off() {
    let group = lagging(&PATIENT);
    let primary = &group.primary;
    let waiting = shut_down(primary, &["SHUTDOWN", "NOSAVE"]);
    let abort = || primary.try_call(&["SHUTDOWN", "ABORT"]);
    eventually("the shutdown to be called off", || abort().is_ok());
    let error = waiting.join().expect("a thread").expect_err("no shutdown");
    assert_eq!(error, "ERR Errors trying to SHUTDOWN. Check logs.");
    assert_eq!(abort().expect_err("over"), "ERR No shutdown in progress.");
    // Writes go on.
    assert_eq!(primary.text(&["SET", "k", "w"]), "OK");
    // A signal's shutdown can be called off, too.
    primary.signal(Signal::SIGTERM);
    eventually("the signal's shutdown to be called off", || abort().is_ok());
    assert_eq!(primary.text(&["SET", "k", "x"]), "OK");
}

#[test]
fn now_does_not_wait_for_replicas() {
    let mut group = lagging(&PATIENT);
    let waiting = shut_down(&group.primary, &["SHUTDOWN", "NOW"]);
    assert!(group.primary.wait(), "{}", group.primary.log());
    assert!(waiting.join().expect("a thread").is_err());
}

#[test]
fn a_signal_stops_as_the_configuration_says() {
    let mut group = lagging(&PATIENT);
    let primary = &mut group.primary;
    let set = ["CONFIG", "SET", "shutdown-on-sigterm", "save now"];
    assert_eq!(primary.text(&set), "OK");
    primary.signal(Signal::SIGTERM);
    assert!(primary.wait(), "{}", primary.log());
    assert!(primary.path("dump.rdb").exists(), "{}", primary.log());
}

#[test]
fn a_second_signal_stops_at_once() {
    let mut group = lagging(&PATIENT);
    let primary = &mut group.primary;
    primary.signal(Signal::SIGINT);
    eventually("the shutdown to begin", || {
        primary.log().contains("SIGINT received")
    });
    let begun = Instant::now();
    primary.signal(Signal::SIGINT);
    assert!(primary.wait(), "{}", primary.log());
    assert!(begun.elapsed() < Duration::from_secs(300));
}

#[test]
fn what_cannot_be_saved_is_not_given_up_unless_forced() {
    let mut server = Server::start(&[]);
    assert_eq!(server.text(&["SET", "k", "v"]), "OK");
    // No file can take the name of a folder.
    std::fs::create_dir(server.path("dump.rdb")).expect("a folder");
    std::fs::write(server.path("dump.rdb/x"), "").expect("a file");
    let refused = server
        .try_call(&["SHUTDOWN", "SAVE"])
        .expect_err("not saved");
    assert_eq!(refused, "ERR Errors trying to SHUTDOWN. Check logs.");
    assert_eq!(server.text(&["GET", "k"]), "v");
    let forced = shut_down(&server, &["SHUTDOWN", "SAVE", "FORCE"]);
    assert!(server.wait(), "{}", server.log());
    assert!(forced.join().expect("a thread").is_err());
}
