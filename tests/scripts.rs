//! Scripts: whole or not at all on every node, and a slow one does not take the server away.

mod support;

use lockstep::client::Client;
use redis_protocol::resp2::types::OwnedFrame;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::{Group, Server, eventually, text};

const CONNECTIONS: usize = 16;
/// Counts in two keys and lists the step in a hash: three effects.
const STEP: &str = "local n = redis.call('incr', KEYS[1]) \
     redis.call('set', KEYS[2], n) redis.call('hset', KEYS[3], n, 1) return n";

fn connect(port: u16) -> Client {
    Client::connect("127.0.0.1", port, Duration::from_secs(20)).expect("a connection")
}

/// What the server said, be it an error.
fn said(client: &mut Client, args: &[&str]) -> String {
    match client.call(args) {
        Ok(frame) => text(&frame),
        Err(error) => error.to_string(),
    }
}

/// Runs scripts until the connection breaks; gives the last step that was acknowledged.
fn steps(port: u16, id: usize, stop: &AtomicBool) -> u64 {
    let mut client = connect(port);
    let keys = [
        format!("count:{id}"),
        format!("last:{id}"),
        format!("all:{id}"),
    ];
    let mut acknowledged = 0;
    while !stop.load(Ordering::SeqCst) {
        let [a, b, c] = &keys;
        match client.call(&["EVAL", STEP, "3", a, b, c]) {
            Ok(OwnedFrame::Integer(n)) => acknowledged = n as u64,
            _ => break,
        }
    }
    acknowledged
}

#[test]
fn a_script_is_on_the_replicas_whole_or_not_at_all() {
    let mut group = Group::start(2, &[], &[]);
    group.wait_in_sync(2);
    let port = group.primary.port;
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..CONNECTIONS)
        .map(|id| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || steps(port, id, &stop))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(700));
    group.primary.kill();
    stop.store(true, Ordering::SeqCst);
    let acknowledged: Vec<u64> = workers
        .into_iter()
        .map(|worker| worker.join().expect("a worker"))
        .collect();
    assert!(acknowledged.iter().sum::<u64>() > 0, "scripts ran");
    for replica in &group.replicas {
        replica.call(&["REPLICAOF", "NO", "ONE"]);
        for (id, told) in acknowledged.iter().enumerate() {
            let count: u64 = replica
                .text(&["GET", &format!("count:{id}")])
                .parse()
                .unwrap_or(0);
            assert!(
                count >= *told,
                "connection {id}: {told} acknowledged, {count} there"
            );
            let last: u64 = replica
                .text(&["GET", &format!("last:{id}")])
                .parse()
                .unwrap_or(0);
            assert_eq!(count, last, "connection {id}: half a script");
            let all: u64 = replica
                .text(&["HLEN", &format!("all:{id}")])
                .parse()
                .unwrap_or(0);
            assert_eq!(count, all, "connection {id}: half a script");
        }
    }
}

#[test]
fn a_slow_script_answers_busy_can_be_killed_and_costs_no_replica() {
    let group = Group::start(1, &["--busy-reply-threshold", "200", "--workers", "2"], &[]);
    group.wait_in_sync(1);
    let primary = &group.primary;
    primary.call(&["SET", "k", "v"]);
    let mut others: Vec<Client> = (0..4).map(|_| connect(primary.port)).collect();
    let mut watcher = connect(primary.port);
    watcher.call(&["WATCH", "k"]).expect("WATCH");
    let port = primary.port;
    let slow = std::thread::spawn(move || {
        let script = "while true do pcall(function() while true do end end) end";
        said(&mut connect(port), &["EVAL", script, "0"])
    });
    eventually("others are answered BUSY", || {
        // A new connection is taken, too.
        let mut fresh = connect(port);
        let busy = |client: &mut Client| said(client, &["GET", "k"]).contains("BUSY");
        busy(&mut fresh) && others.iter_mut().all(busy)
    });
    // A connection that goes while it watches must not disturb anybody.
    drop(watcher);
    for client in &mut others {
        let reply = said(client, &["WATCH", "k"]);
        assert!(reply.contains("BUSY"), "{reply}");
    }
    assert_eq!(primary.text(&["SCRIPT", "KILL"]), "OK");
    let reply = slow.join().expect("the slow client");
    assert!(reply.contains("Script killed by user"), "{reply}");
    assert_eq!(primary.text(&["GET", "k"]), "v");
    assert_eq!(primary.text(&["SET", "k", "w"]), "OK");
    group.wait_in_sync(1);
    group.assert_equal();
}

#[test]
fn a_slow_script_that_has_written_ends_by_itself_and_reaches_the_replica() {
    let group = Group::start(1, &["--busy-reply-threshold", "100"], &[]);
    group.wait_in_sync(1);
    let primary = &group.primary;
    let port = primary.port;
    let script = "redis.call('set', 'begun', 1) for i = 1, 60000000 do end \
         redis.call('set', 'done', 1) return 'through'";
    let slow = std::thread::spawn(move || said(&mut connect(port), &["EVAL", script, "0"]));
    let mut killer = connect(port);
    eventually("SCRIPT KILL comes too late", || {
        let reply = said(&mut killer, &["SCRIPT", "KILL"]);
        reply.contains("UNKILLABLE") || slow.is_finished()
    });
    assert_eq!(slow.join().expect("the slow client"), "through");
    assert_eq!(group.replicas[0].text(&["GET", "done"]), "1");
    group.assert_equal();
}

#[test]
fn a_script_that_takes_all_memory_is_ended() {
    let server = Server::start(&[]);
    // A megabyte doubled is many, and no loop in C.
    let large = "local s = string.rep('x', 1e6) for _ = 1, 6 do s = s .. s end";
    let script = format!("{large} local t = {{}} while true do t[#t + 1] = s .. #t end");
    // Smaller values, so that less is left.
    let small = "local s, t = string.rep('x', 1e6), {} while true do t[#t + 1] = s .. #t end";
    for script in [&*script, small] {
        let mut client = connect(server.port);
        let reply = said(&mut client, &["EVAL", script, "0"]);
        assert!(reply.contains("not enough memory"), "{reply}");
        // The next script in the same interpreter has all of it again.
        let again = format!("{large} return #(s .. s)");
        assert_eq!(said(&mut client, &["EVAL", &again, "0"]), "128000000");
        let memory = said(&mut client, &["INFO", "memory"]);
        let used = lockstep::client::info_field(&memory, "used_memory_lua");
        let used: u64 = used.and_then(|n| n.parse().ok()).expect("a number");
        assert!(used < 128 << 20, "{used}");
    }
    assert_eq!(server.text(&["EVAL", "return 'alive'", "0"]), "alive");
    let huge = format!("{large} for _ = 1, 5 do s = s .. s end return s");
    let reply = said(&mut connect(server.port), &["EVAL", &huge, "0"]);
    assert!(reply.contains("ERR"), "{reply:.100}");
    assert_eq!(server.text(&["PING"]), "PONG");
}

/// The name of a command that only an argument shows led to shards that were not locked: the
/// worker died of it, and with it all of its clients.
#[test]
fn scripts_that_reach_each_others_databases_end_and_hold_nobody_up() {
    const CLIENTS: usize = 6;
    let server = Server::start(&["--workers", "3"]);
    let port = server.port;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|id| {
            std::thread::spawn(move || {
                let mut client = connect(port);
                client.call(&["SELECT", &id.to_string()]).expect("SELECT");
                let (mut done, mut refused) = (0, 0);
                for round in 0..60 {
                    let other = ((id + round) % CLIENTS).to_string();
                    // A text of its own each time: what a script needs is remembered.
                    let script = format!(
                        "redis.call('set', 'mine', {round}) redis.call(ARGV[1], ARGV[2]) \
                         redis.call('incr', 'all') return {id}"
                    );
                    let reply = said(&mut client, &["EVAL", &script, "0", "select", &other]);
                    match reply == id.to_string() {
                        true => done += 1,
                        false => {
                            assert!(reply.contains("uses another database"), "{reply}");
                            refused += 1;
                        }
                    }
                    let script = format!("redis.call(ARGV[1], ARGV[2]) return {round}");
                    let reply = said(&mut client, &["EVAL", &script, "0", "select", &other]);
                    assert_eq!(reply, round.to_string());
                }
                (done, refused)
            })
        })
        .collect();
    let counts: Vec<(i64, i64)> = clients
        .into_iter()
        .map(|client| client.join().expect("a client"))
        .collect();
    let done: i64 = counts.iter().map(|(done, _)| done).sum();
    let mut total = 0;
    let mut client = connect(port);
    for db in 0..CLIENTS {
        client.call(&["SELECT", &db.to_string()]).expect("SELECT");
        total += said(&mut client, &["GET", "all"])
            .parse::<i64>()
            .unwrap_or(0);
    }
    assert_eq!(total, done, "{counts:?}");
    assert!(done > 0, "{counts:?}");
}

#[test]
fn a_script_that_has_called_a_write_cannot_be_killed() {
    let server = Server::start(&["--busy-reply-threshold", "100"]);
    server.call(&["SET", "text", "x"]);
    for write in [
        "redis.call('del', 'none')",
        "redis.pcall('lpush', 'text', 'x')",
    ] {
        let port = server.port;
        let script = format!("{write} for i = 1, 60000000 do end return 'through'");
        let slow = std::thread::spawn(move || said(&mut connect(port), &["EVAL", &script, "0"]));
        let mut killer = connect(port);
        let mut heard = false;
        eventually("SCRIPT KILL comes too late", || {
            let reply = said(&mut killer, &["SCRIPT", "KILL"]);
            heard |= reply.contains("UNKILLABLE");
            heard || slow.is_finished()
        });
        assert_eq!(slow.join().expect("the slow client"), "through", "{write}");
    }
}

#[test]
fn scripts_do_not_write_where_nothing_can_be_saved() {
    let server = Server::start(&["--save", "100 1"]);
    std::fs::create_dir_all(server.dir().join("dump.rdb/in the way")).expect("a folder");
    server.call(&["SET", "k", "v"]);
    server.call(&["BGSAVE"]);
    eventually("the snapshot fails", || {
        let info = server.text(&["INFO", "persistence"]);
        info.contains("rdb_last_bgsave_status:err")
    });
    let library = "#!lua name=l\nredis.register_function('w', function() return 1 end)";
    let plain = "return redis.call('set', KEYS[1], 'x')";
    let mut client = connect(server.port);
    let mut refused = |args: &[&str]| {
        let reply = said(&mut client, args);
        assert!(reply.contains("MISCONF"), "{args:?}: {reply}");
    };
    refused(&["EVAL", plain, "1", "k"]);
    refused(&["EVAL", "#!lua\nreturn 1", "0"]);
    refused(&["FUNCTION", "LOAD", library]);
    assert_eq!(
        server.text(&["EVAL", "return redis.call('get', 'k')", "0"]),
        "v"
    );
    let reads = "#!lua flags=no-writes\nreturn redis.call('get', 'k')";
    assert_eq!(server.text(&["EVAL", reads, "0"]), "v");
    client.call(&["MULTI"]).expect("MULTI");
    client.call(&["EVAL", plain, "1", "k"]).expect("queued");
    let frame = client.call(&["EXEC"]).expect("EXEC");
    assert!(format!("{frame:?}").contains("MISCONF"), "{frame:?}");
    assert_eq!(server.text(&["GET", "k"]), "v");
}

#[test]
fn a_replica_that_serves_nothing_stale_runs_only_scripts_that_allow_it() {
    let server = Server::start(&[]);
    server.call(&["REPLICAOF", "127.0.0.1", "1"]);
    server.call(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
    let mut client = connect(server.port);
    let get = "return redis.call('get', 'k')";
    for (script, expected) in [
        ("return 1".to_owned(), "MASTERDOWN"),
        (format!("#!lua flags=no-writes\n{get}"), "MASTERDOWN"),
        (
            format!("#!lua flags=no-writes,allow-stale\n{get}"),
            "ERR Can not execute the command on a stale replica script: ",
        ),
        (
            "#!lua flags=no-writes,allow-stale\nreturn 1".to_owned(),
            "1",
        ),
    ] {
        let reply = said(&mut client, &["EVAL", &script, "0"]);
        assert!(reply.contains(expected), "{script}: {reply}");
    }
}
