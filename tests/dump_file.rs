//! The RDB file: whole whatever happens while it is made, refused when it is damaged.

mod support;

use lockstep::client::info_field;
use std::io::Write as _;
use std::time::Duration;
use support::random::Draw;
use support::{Server, eventually};

fn persistence(server: &Server, field: &str) -> String {
    let info = server.text(&["INFO", "persistence"]);
    info_field(&info, field).unwrap_or_default().to_owned()
}

fn fill(server: &Server, keys: &str) {
    server.call(&["DEBUG", "POPULATE", keys, "key", "100"]);
    let mut client = server.client();
    for n in 0..200 {
        let field = format!("f{n}");
        client.call(&["HSET", "hash", &field, "v"]).expect("OK");
    }
}

#[test]
fn a_server_killed_while_it_saves_starts_from_a_whole_file() {
    let mut server = Server::start(&[]);
    fill(&server, "20000");
    assert_eq!(server.text(&["SAVE"]), "OK");
    let keys = server.text(&["DBSIZE"]);
    let mut rng = Draw::new(3);
    let (mut before, mut saved_last) = (0, 0);
    for round in 1..=12 {
        server.call(&["HSET", "hash", "round", &round.to_string()]);
        server.call(&["BGSAVE"]);
        std::thread::sleep(Duration::from_millis(rng.below(40) as u64));
        server.kill();
        server.restart();
        assert_eq!(server.text(&["DBSIZE"]), keys, "{}", server.log());
        let entries = std::fs::read_dir(server.dir()).expect("a folder").flatten();
        let mut names = entries.map(|entry| entry.file_name());
        assert!(!names.any(|name| name.to_string_lossy().starts_with("temp-")));
        let found: u64 = server
            .text(&["HGET", "hash", "round"])
            .parse()
            .unwrap_or(before);
        assert!(found == round || found == before, "{found} in {round}");
        saved_last += u64::from(found == round);
        before = found;
        assert_eq!(
            server.text(&["HLEN", "hash"]),
            (200 + u64::from(found > 0)).to_string()
        );
    }
    eprintln!("{saved_last} of 12 saves were complete");
}

#[test]
fn a_damaged_file_is_refused_with_its_offset() {
    let mut server = Server::start(&[]);
    fill(&server, "100");
    assert_eq!(server.text(&["SAVE"]), "OK");
    server.kill();
    let good = std::fs::read(server.path("dump.rdb")).expect("the file");
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x40;
    for bad in [
        &damaged[..],
        &good[..good.len() - 9],
        &good[..middle],
        b"RUBBISH",
    ] {
        std::fs::write(server.path("dump.rdb"), bad).expect("written");
        server.spawn();
        assert!(!server.wait(), "{}", server.log());
        let log = server.log();
        let last = log.lines().rfind(|line| line.contains("RDB file"));
        assert!(last.is_some_and(|line| line.contains("at offset")), "{log}");
    }
    std::fs::write(server.path("dump.rdb"), good).expect("written");
    server.restart();
    assert_eq!(server.text(&["DBSIZE"]), "101");
}

#[test]
fn while_saving_fails_writes_are_refused() {
    let server = Server::start(&["--save", "3600 1"]);
    assert_eq!(server.text(&["SET", "k", "v"]), "OK");
    // A file cannot be put in the place of a folder.
    std::fs::create_dir(server.path("dump.rdb")).expect("a folder");
    let error = server.try_call(&["SAVE"]).expect_err("no room");
    assert!(error.starts_with("ERR"), "{error}");
    assert_eq!(persistence(&server, "rdb_last_bgsave_status"), "err");
    let refused = server.try_call(&["SET", "k", "w"]).expect_err("refused");
    assert!(refused.starts_with("MISCONF"), "{refused}");
    assert_eq!(server.text(&["GET", "k"]), "v");
    let folder = server.dir().read_dir().expect("a folder");
    let left: Vec<_> = folder.flatten().map(|entry| entry.file_name()).collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().starts_with("temp-")),
        "{left:?}"
    );
    let lenient = ["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"];
    assert_eq!(server.text(&lenient), "OK");
    assert_eq!(server.text(&["SET", "k", "w"]), "OK");
    let strict = ["CONFIG", "SET", "stop-writes-on-bgsave-error", "yes"];
    assert_eq!(server.text(&strict), "OK");
    assert!(server.try_call(&["SET", "k", "x"]).is_err());
    std::fs::remove_dir(server.path("dump.rdb")).expect("removed");
    assert_eq!(server.text(&["SAVE"]), "OK");
    assert_eq!(server.text(&["SET", "k", "x"]), "OK");
}

#[test]
fn save_points_save_and_a_save_counts_what_is_unsaved() {
    let server = Server::start(&["--save", "1 3"]);
    server.call(&["SET", "a", "1"]);
    server.call(&["SET", "b", "1"]);
    assert_eq!(persistence(&server, "rdb_changes_since_last_save"), "2");
    server.call(&["SET", "c", "1"]);
    eventually("a save point to be reached", || {
        persistence(&server, "rdb_saves") == "1"
    });
    assert_eq!(persistence(&server, "rdb_changes_since_last_save"), "0");
    assert!(server.path("dump.rdb").exists());
}

#[test]
fn an_append_only_file_that_is_new_begins_with_the_data_of_the_rdb_file() {
    let mut server = Server::start(&[]);
    fill(&server, "1000");
    assert_eq!(server.text(&["SAVE"]), "OK");
    let digest = server.digest();
    server.kill();
    server.options = ["--appendonly", "yes", "--appendfsync", "always"]
        .map(str::to_owned)
        .to_vec();
    server.restart();
    assert_eq!(server.digest(), digest);
    eventually("the first append-only file", || {
        server
            .path("appendonlydir/appendonly.aof.manifest")
            .exists()
    });
    server.call(&["SET", "after", "1"]);
    server.kill();
    std::fs::remove_file(server.path("dump.rdb")).expect("removed");
    server.restart();
    assert_eq!(server.text(&["GET", "after"]), "1");
    assert_eq!(server.text(&["DEL", "after"]), "1");
    assert_eq!(server.digest(), digest);
}

#[test]
fn a_replica_that_restarts_from_its_rdb_file_resumes() {
    let primary = Server::start(&[]);
    let mut replica = Server::replica_of(&primary, &[]);
    eventually("the link", || replica.info("master_link_status") == "up");
    for n in 0..100 {
        primary.call(&["SET", &format!("k{n}"), "v"]);
    }
    eventually("the data", || replica.text(&["DBSIZE"]) == "100");
    assert_eq!(replica.text(&["SAVE"]), "OK");
    primary.call(&["SET", "later", "v"]);
    replica.kill();
    primary.call(&["SET", "missed", "v"]);
    let full = |server: &Server| {
        let info = server.text(&["INFO", "stats"]);
        info_field(&info, "sync_full")
            .unwrap_or_default()
            .to_owned()
    };
    let before = full(&primary);
    replica.restart();
    eventually("what was missed", || replica.text(&["DBSIZE"]) == "102");
    assert_eq!(full(&primary), before, "{}", replica.log());
    assert_eq!(replica.digest(), primary.digest());
}

/// The file is a pipe here, so that loading takes as long as the test wants.
#[test]
fn clients_are_told_how_far_loading_has_come() {
    let mut server = Server::start(&[]);
    fill(&server, "1000");
    assert_eq!(server.text(&["SAVE"]), "OK");
    let digest = server.digest();
    server.kill();
    let path = server.path("dump.rdb");
    let bytes = std::fs::read(&path).expect("the file");
    std::fs::remove_file(&path).expect("gone");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("mkfifo").success());
    server.spawn();
    let mut pipe = std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .expect("a reader");
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    pipe.write_all(first).expect("the server reads");
    let read = first.len().to_string();
    eventually("what was written to be read", || {
        server.try_call(&["PING"]).is_err() && persistence(&server, "loading_loaded_bytes") == read
    });
    assert_eq!(persistence(&server, "loading"), "1");
    assert_ne!(persistence(&server, "loading_start_time"), "");
    assert_eq!(persistence(&server, "loading_total_bytes"), "0");
    let refused = server.try_call(&["GET", "key:1"]).expect_err("loading");
    assert!(
        refused.starts_with("LOADING Redis is loading the dataset in memory"),
        "{refused}"
    );
    assert!(refused.contains("seconds left"), "{refused}");
    pipe.write_all(rest).expect("the server reads");
    drop(pipe);
    eventually("the data to be there", || {
        server.try_call(&["GET", "key:1"]).is_ok()
    });
    assert_eq!(persistence(&server, "loading"), "0");
    assert_eq!(persistence(&server, "loading_start_time"), "");
    assert_eq!(server.digest(), digest);
}

#[test]
fn what_flushall_deleted_does_not_come_back() {
    let mut server = Server::start(&["--save", "3600 1"]);
    server.call(&["SET", "k", "v"]);
    server.call(&["SAVE"]);
    server.call(&["FLUSHDB"]);
    server.kill();
    server.restart();
    assert_eq!(server.text(&["DBSIZE"]), "1", "as in Redis");
    // A save that is under way holds what is gone: it must not have the last word.
    server.call(&["DEBUG", "POPULATE", "200"]);
    server.call(&["CONFIG", "SET", "rdb-key-save-delay", "10000"]);
    server.call(&["BGSAVE"]);
    server.call(&["FLUSHALL"]);
    assert_eq!(persistence(&server, "rdb_changes_since_last_save"), "0");
    server.call(&["CONFIG", "SET", "rdb-key-save-delay", "0"]);
    eventually("the save to end", || {
        persistence(&server, "rdb_bgsave_in_progress") == "0"
    });
    server.kill();
    server.restart();
    assert_eq!(server.text(&["DBSIZE"]), "0");
    // What comes after it in a transaction is there.
    let mut client = server.client();
    for command in [
        &["MULTI"][..],
        &["FLUSHALL"],
        &["SET", "after", "1"],
        &["EXEC"],
    ] {
        client.call(command).expect("a reply");
    }
    server.kill();
    server.restart();
    assert_eq!(server.text(&["GET", "after"]), "1");
}

#[test]
fn a_save_takes_as_long_as_a_test_wants() {
    let server = Server::start(&["--save", "3600 1"]);
    server.call(&["DEBUG", "POPULATE", "300"]);
    server.call(&["CONFIG", "SET", "rdb-key-save-delay", "100000"]);
    server.call(&["BGSAVE"]);
    eventually("some keys to be saved", || {
        persistence(&server, "current_save_keys_processed") != "0"
    });
    assert_eq!(persistence(&server, "rdb_bgsave_in_progress"), "1");
    assert_eq!(persistence(&server, "current_save_keys_total"), "300");
    assert_eq!(
        server.text(&["BGSAVE", "CANCEL"]),
        "Background saving cancelled"
    );
    eventually("the save to end", || {
        persistence(&server, "rdb_bgsave_in_progress") == "0"
    });
    eventually("the snapshot to end", || {
        persistence(&server, "current_fork_perc") == "0.00"
    });
    // A shutdown does not wait for one that is slow either.
    server.call(&["BGSAVE"]);
    let _ = server.try_call(&["CONFIG", "SET", "rdb-key-save-delay", "0"]);
    server.signal(nix::sys::signal::Signal::SIGTERM);
    let mut server = server;
    assert!(server.wait(), "{}", server.log());
}
