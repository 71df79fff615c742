//! Libraries of functions are data: they outlive the process, and are where the keys are.

mod support;

use lockstep::client::{Client, info_field};
use redis_protocol::resp2::types::OwnedFrame;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::{Group, Server, eventually, text};

const CONNECTIONS: usize = 8;
/// Counts in two keys and lists the step in a hash: three effects.
const STEPS: &str = "#!lua name=steps
local function step(keys)
  local n = redis.call('incr', keys[1])
  redis.call('set', keys[2], n)
  redis.call('hset', keys[3], n, 1)
  return n
end
redis.register_function('step', step)
redis.register_function{function_name='peek', flags={'no-writes'},
  callback=function(keys) return redis.call('get', keys[1]) end}";

fn connect(port: u16) -> Client {
    Client::connect("127.0.0.1", port, Duration::from_secs(20)).expect("a connection")
}

/// What the server said, be it an error.
fn said(client: &mut Client, args: &[&str]) -> String {
    match client.call(args) {
        Ok(frame) => words(&frame),
        Err(error) => error.to_string(),
    }
}

fn library(name: &str, answer: &str) -> String {
    format!(
        "#!lua name={name}\nredis.register_function('{name}', function() return '{answer}' end)"
    )
}

fn load(server: &Server, code: &str) {
    server.call(&["FUNCTION", "LOAD", "REPLACE", code]);
}

fn field(server: &Server, name: &str) -> String {
    let info = server.text(&["INFO", "everything"]);
    info_field(&info, name).unwrap_or_default().to_owned()
}

/// All words of a reply.
fn words(frame: &OwnedFrame) -> String {
    match frame {
        OwnedFrame::Array(frames) => frames.iter().map(|one| words(one) + " ").collect(),
        other => text(other),
    }
}

/// All libraries with their texts.
fn listed(server: &Server) -> String {
    words(&server.call(&["FUNCTION", "LIST", "WITHCODE"]))
}

#[test]
fn scripts_written_for_valkey_call_it_server() {
    let server = Server::start(&[]);
    let mut client = connect(server.port);
    let set = "return server.call('SET', 'a', 'b')";
    assert_eq!(said(&mut client, &["EVAL", set, "1", "a"]), "OK");
    let library = "#!lua name=x\nserver.register_function('get', function() \
                   return server.call('GET', 'a') end)";
    assert_eq!(said(&mut client, &["FUNCTION", "LOAD", library]), "x");
    assert_eq!(said(&mut client, &["FCALL", "get", "0"]), "b");
    let changed = said(&mut client, &["EVAL", "server.call = 1", "0"]);
    assert!(changed.contains("readonly table"), "{changed}");
}

#[test]
fn functions_outlive_the_process_in_either_kind_of_append_only_file() {
    for preamble in ["yes", "no"] {
        let options = ["--appendonly", "yes", "--appendfsync", "always"];
        let mut server =
            Server::start(&[&options[..], &["--aof-use-rdb-preamble", preamble]].concat());
        load(&server, &library("first", "old"));
        load(&server, &library("gone", "x"));
        load(&server, STEPS);
        assert_eq!(server.text(&["FCALL", "step", "3", "a", "b", "c"]), "1");
        server.kill();
        server.restart();
        assert_eq!(server.text(&["FCALL", "gone", "0"]), "x");
        // Into the base, and then changed by what follows it.
        server.call(&["BGREWRITEAOF"]);
        eventually("the rewrite is done", || {
            field(&server, "aof_rewrite_in_progress") == "0"
                && field(&server, "aof_rewrites") == "1"
        });
        load(&server, &library("first", "new"));
        server.call(&["FUNCTION", "DELETE", "gone"]);
        let before = listed(&server);
        server.kill();
        server.restart();
        assert_eq!(listed(&server), before);
        assert_eq!(server.text(&["FCALL", "first", "0"]), "new");
        assert_eq!(server.text(&["FCALL", "step", "3", "a", "b", "c"]), "2");
        let reply = said(&mut server.client(), &["FCALL", "gone", "0"]);
        assert!(reply.contains("Function not found"), "{reply}");
    }
}

#[test]
fn functions_are_in_the_rdb_file_and_not_flushed_with_the_keys() {
    let mut server = Server::start(&[]);
    load(&server, STEPS);
    server.call(&["FCALL", "step", "3", "a", "b", "c"]);
    server.call(&["FLUSHALL"]);
    assert_eq!(server.text(&["FCALL", "step", "3", "a", "b", "c"]), "1");
    server.call(&["DEBUG", "RELOAD"]);
    assert_eq!(server.text(&["FCALL", "step", "3", "a", "b", "c"]), "2");
    assert_eq!(server.text(&["SAVE"]), "OK");
    load(&server, &library("unsaved", "x"));
    server.kill();
    server.restart();
    assert_eq!(server.text(&["FCALL", "step", "3", "a", "b", "c"]), "3");
    assert_eq!(server.text(&["FCALL_RO", "peek", "1", "a"]), "3");
    assert_eq!(field(&server, "number_of_libraries"), "1");
    assert_eq!(field(&server, "number_of_functions"), "2");
}

#[test]
fn replicas_have_the_functions_of_the_copy_and_of_the_stream() {
    let primary = Server::start(&[]);
    load(&primary, &library("before", "copied"));
    let replica = Server::start(&[]);
    load(&replica, &library("own", "to be lost"));
    replica.call(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
    eventually("the copy has arrived", || {
        listed(&replica) == listed(&primary)
    });
    load(&primary, STEPS);
    load(&primary, &library("before", "streamed"));
    primary.call(&["FUNCTION", "FLUSH"]);
    load(&primary, STEPS);
    primary.call(&["FCALL", "step", "3", "a", "b", "c"]);
    eventually("the stream has arrived", || {
        replica.text(&["GET", "b"]) == "1"
    });
    assert_eq!(listed(&replica), listed(&primary));
    assert_eq!(replica.text(&["FCALL_RO", "peek", "1", "a"]), "1");
    let mut client = replica.client();
    let reply = said(&mut client, &["FCALL", "step", "3", "a", "b", "c"]);
    assert!(reply.starts_with("READONLY"), "{reply}");
    let reply = said(&mut client, &["FUNCTION", "FLUSH"]);
    assert!(reply.starts_with("READONLY"), "{reply}");
}

/// Calls the function until the connection breaks; gives the last step that was acknowledged.
fn steps(port: u16, id: usize, stop: &AtomicBool) -> u64 {
    let mut client = connect(port);
    let keys = ["count", "last", "all"].map(|name| format!("{name}:{id}"));
    let mut acknowledged = 0;
    while !stop.load(Ordering::SeqCst) {
        let [a, b, c] = &keys;
        match client.call(&["FCALL", "step", "3", a, b, c]) {
            Ok(OwnedFrame::Integer(n)) => acknowledged = n as u64,
            _ => break,
        }
    }
    acknowledged
}

#[test]
fn a_function_is_on_the_replicas_whole_or_not_at_all() {
    let mut group = Group::start(2, &[], &[]);
    group.wait_in_sync(2);
    load(&group.primary, STEPS);
    let (port, stop) = (group.primary.port, Arc::new(AtomicBool::new(false)));
    let workers: Vec<_> = (0..CONNECTIONS)
        .map(|id| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || steps(port, id, &stop))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    group.primary.kill();
    stop.store(true, Ordering::SeqCst);
    let acknowledged: Vec<u64> = workers
        .into_iter()
        .map(|worker| worker.join().expect("a worker"))
        .collect();
    assert!(acknowledged.iter().sum::<u64>() > 0, "functions ran");
    for replica in &group.replicas {
        replica.call(&["REPLICAOF", "NO", "ONE"]);
        let number = |args: &[&str]| replica.text(args).parse::<u64>().unwrap_or(0);
        for (id, told) in acknowledged.iter().enumerate() {
            let count = number(&["GET", &format!("count:{id}")]);
            assert!(
                count >= *told,
                "connection {id}: {told} acknowledged, {count} there"
            );
            assert_eq!(
                count,
                number(&["GET", &format!("last:{id}")]),
                "half a function"
            );
            assert_eq!(
                count,
                number(&["HLEN", &format!("all:{id}")]),
                "half a function"
            );
        }
        // And it goes on there.
        assert_eq!(replica.text(&["FCALL", "step", "3", "x", "y", "z"]), "1");
    }
}

#[test]
fn a_slow_function_is_shown_and_killed_while_others_are_told_that_it_is_busy() {
    let server = Server::start(&["--busy-reply-threshold", "100", "--workers", "2"]);
    let code = "#!lua name=slow\nredis.register_function('slow', function() while true do end end)";
    load(&server, code);
    let port = server.port;
    let slow =
        std::thread::spawn(move || said(&mut connect(port), &["FCALL", "slow", "1", "key", "arg"]));
    let mut client = server.client();
    eventually("others are answered BUSY", || {
        said(&mut client, &["GET", "k"]).contains("You can only call FUNCTION KILL")
    });
    let reply = said(&mut client, &["SCRIPT", "KILL"]);
    assert!(reply.starts_with("BUSY"), "{reply}");
    let stats = said(&mut client, &["FUNCTION", "STATS"]);
    assert!(stats.contains("slow") && stats.contains("arg"), "{stats}");
    assert_eq!(said(&mut client, &["FUNCTION", "KILL"]), "OK");
    let reply = slow.join().expect("the slow client");
    assert!(reply.contains("Script killed by user"), "{reply}");
    let reply = said(&mut client, &["FUNCTION", "KILL"]);
    assert!(reply.starts_with("NOTBUSY"), "{reply}");
}
