//! Full copies for several replicas at once.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use support::{Server, eventually};

/// A replica that asks for a copy and reads no more than the first bytes of it.
fn stuck_replica(primary: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", primary.port)).expect("a connection");
    stream
        .write_all(b"REPLCONF capa lockstep\r\nPSYNC ? -1\r\n")
        .expect("a request");
    let mut some = [0; 100];
    stream.read_exact(&mut some).expect("the copy begins");
    stream
}

#[test]
fn replicas_that_wait_for_a_copy_share_one_snapshot() {
    let primary = Server::start(&[]);
    // More than sockets and channels hold, so that the copy goes on for as long as we like.
    primary.call(&["DEBUG", "POPULATE", "2500", "key", "10000"]);
    let stuck = stuck_replica(&primary);
    let begun = |server: &Server| server.log().matches("snapshot begins").count();
    assert_eq!(begun(&primary), 1);
    let replicas: Vec<_> = (0..3).map(|_| Server::replica_of(&primary, &[])).collect();
    eventually("all to wait", || {
        let info = primary.text(&["INFO", "replication"]);
        info.matches("state=wait_bgsave").count() == 3
    });
    primary.call(&["SET", "while", "waiting"]);
    drop(stuck);
    eventually("all to be in sync", || {
        primary.info("insync_replicas") == "3"
    });
    assert_eq!(begun(&primary), 2, "{}", primary.log());
    primary.call(&["SET", "after", "that"]);
    for replica in &replicas {
        eventually("a replica to catch up", || {
            replica.info("master_repl_offset") == primary.info("master_repl_offset")
        });
        assert_eq!(replica.digest(), primary.digest());
    }
}

#[test]
fn one_that_dies_midway_takes_nothing_from_the_others() {
    let primary = Server::start(&[]);
    primary.call(&["DEBUG", "POPULATE", "2500", "key", "10000"]);
    let first = stuck_replica(&primary);
    let mut dying = TcpStream::connect(("127.0.0.1", primary.port)).expect("a connection");
    dying
        .write_all(b"REPLCONF capa lockstep\r\nPSYNC ? -1\r\n")
        .expect("a request");
    let replica = Server::replica_of(&primary, &[]);
    eventually("both to wait", || {
        let info = primary.text(&["INFO", "replication"]);
        info.matches("state=wait_bgsave").count() == 2
    });
    drop(first);
    // It takes a part, holds the other up, and is gone.
    let mut some = [0; 1000];
    dying.read_exact(&mut some).expect("the copy begins");
    drop(dying);
    eventually("the other to be in sync", || {
        primary.info("insync_replicas") == "1"
    });
    assert_eq!(replica.digest(), primary.digest());
    assert_eq!(primary.log().matches("snapshot begins").count(), 2);
}
