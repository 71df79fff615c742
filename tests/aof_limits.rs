//! The append-only file where there is no room for it, and the rewrite that starts by itself.

mod support;

use lockstep::client::info_field;
use std::process::Command;
use support::{Server, eventually};

/// Files end at 64 kB; going on is an error, not a signal.
const NO_ROOM: &str = "trap '' XFSZ; ulimit -S -f 128";

fn persistence(server: &Server, field: &str) -> String {
    let info = server.text(&["INFO", "persistence"]);
    info_field(&info, field).unwrap_or_default().to_owned()
}

fn wait_loaded(server: &Server) {
    eventually("the data to be loaded", || {
        persistence(server, "loading") == "0"
    });
}

/// Sets keys until the server refuses or ends; how many it accepted.
fn fill(server: &Server, prefix: &str) -> usize {
    let value = "v".repeat(1000);
    let mut client = server.client();
    for n in 0..1000 {
        if let Err(error) = client.call(&["SET", &format!("{prefix}:{n}"), &value]) {
            println!("after {n}: {error}");
            return n;
        }
    }
    panic!("a megabyte fits into 64 kB: {}", server.log());
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_room() {
    let mut server = Server::start_after(Some(NO_ROOM), &["--appendonly", "yes"]);
    let accepted = fill(&server, "before");
    assert!(accepted > 10, "{accepted}");
    let refusal = server.try_call(&["SET", "x", "1"]).expect_err("no room");
    assert!(refusal.starts_with("MISCONF"), "{refusal}");
    assert_eq!(persistence(&server, "aof_last_write_status"), "err");
    // What is there can be read.
    assert_eq!(server.text(&["STRLEN", "before:0"]), "1000");
    let pid = server.pid().to_string();
    let lifted = Command::new("prlimit")
        .args(["--pid", &pid, "--fsize=unlimited:unlimited"])
        .status();
    assert!(lifted.is_ok_and(|status| status.success()), "prlimit");
    eventually("writes to be accepted again", || {
        server.try_call(&["SET", "after", "1"]).is_ok()
    });
    assert_eq!(persistence(&server, "aof_last_write_status"), "ok");
    let digest = server.digest();
    eventually("the file to have it", || {
        let fsynced = persistence(&server, "aof_fsynced_offset");
        fsynced == server.info("master_repl_offset")
    });
    server.kill();
    server.before = None;
    server.restart();
    wait_loaded(&server);
    assert_eq!(server.digest(), digest);
    assert_eq!(server.text(&["GET", "after"]), "1");
}

#[test]
fn with_always_the_server_ends_rather_than_confirm_what_it_cannot_write() {
    let options = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut server = Server::start_after(Some(NO_ROOM), &options);
    let accepted = fill(&server, "key");
    assert!(accepted > 10, "{accepted}");
    assert!(!server.wait(), "it ended well: {}", server.log());
    server.before = None;
    server.restart();
    wait_loaded(&server);
    let stored: usize = server.text(&["DBSIZE"]).parse().expect("a number");
    assert!(stored >= accepted, "{stored} of {accepted}");
    for n in 0..accepted {
        let len = server.text(&["STRLEN", &format!("key:{n}")]);
        assert_eq!(len, "1000", "key:{n} was confirmed");
    }
}

#[test]
fn the_file_is_rewritten_when_it_has_grown() {
    let grows = [
        "--appendonly",
        "yes",
        "--auto-aof-rewrite-min-size",
        "64kb",
        "--auto-aof-rewrite-percentage",
        "100",
    ];
    let server = Server::start(&grows);
    let rewrites = || {
        persistence(&server, "aof_rewrites")
            .parse::<u64>()
            .unwrap_or(0)
    };
    let value = "v".repeat(1000);
    let mut client = server.client();
    let mut write = || client.call(&["SET", "k", &value]).is_ok();
    for _ in 0..40 {
        assert!(write());
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(rewrites(), 0, "below the least size");
    for wanted in 1..=2 {
        eventually("a rewrite by itself", || write() && rewrites() >= wanted);
    }
    eventually("the rewrite to end", || {
        persistence(&server, "aof_rewrite_in_progress") == "0"
    });
    let base = persistence(&server, "aof_base_size");
    assert!(base.parse::<u64>().expect("bytes") < 10_000, "{base}");

    // 0 percent is never.
    assert_eq!(
        server.text(&["CONFIG", "SET", "auto-aof-rewrite-percentage", "0"]),
        "OK"
    );
    let before = rewrites();
    for _ in 0..300 {
        assert!(write());
    }
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(rewrites(), before);
}
