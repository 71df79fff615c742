//! A replica says by its priority whether Sentinel may promote it: never while it may lack a
//! write that was acknowledged.

mod support;

use support::{Group, Server, eventually};

const OPTIONS: [&str; 4] = ["--min-insync-replicas", "1", "--sync-timeout", "300"];

fn wait_for(server: &Server, priority: &str, in_sync: &str) {
    eventually("the replica to know where it stands", || {
        server.info("slave_priority") == priority && server.info("replica_in_sync") == in_sync
    });
}

#[test]
fn only_a_replica_in_sync_has_a_priority() {
    let mut group = Group::start(2, &OPTIONS, &[]);
    group
        .replicas
        .iter()
        .for_each(|r| wait_for(r, "100", "yes"));
    let chained = Server::replica_of(&group.replicas[0], &[]);
    eventually("the chained one to follow", || {
        chained.info("master_link_status") == "up"
    });
    wait_for(&chained, "0", "no");

    // Late: it leaves the set. Behind: it hears that only when it gets there.
    group.replicas[0].pause();
    group.primary.call(&["SET", "k", "v"]);
    group.wait_in_sync(1);
    // It has no file, so that it cannot come in again at this level.
    group
        .primary
        .call(&["CONFIG", "SET", "sync-ack", "fsynced"]);
    group.replicas[0].resume();
    wait_for(&group.replicas[0], "0", "no");
    assert_eq!(group.replicas[0].text(&["GET", "k"]), "v");
    group
        .primary
        .call(&["CONFIG", "SET", "sync-ack", "applied"]);
    group.wait_in_sync(2);
    wait_for(&group.replicas[0], "100", "yes");

    // The primary is gone: what they know stays, so that one of them can be chosen.
    group.primary.kill();
    for replica in &group.replicas {
        eventually("the link to be down", || {
            replica.info("master_link_status") == "down"
        });
        wait_for(replica, "100", "yes");
    }
    // After a start it knows nothing.
    group.replicas[0].kill();
    group.replicas[0].restart();
    wait_for(&group.replicas[0], "0", "no");
    // Promoted all the same, its sibling follows and is in sync again.
    group.replicas[1].call(&["REPLICAOF", "NO", "ONE"]);
    let port = group.replicas[1].port.to_string();
    group.replicas[0].call(&["REPLICAOF", "127.0.0.1", &port]);
    wait_for(&group.replicas[0], "100", "yes");
}

#[test]
fn where_nothing_is_awaited_everybody_has_its_priority() {
    let options = ["--sync-ack", "async", "--replica-priority", "7"];
    let mut group = Group::start(1, &options, &options);
    wait_for(&group.replicas[0], "7", "yes");
    group.primary.kill();
    group.replicas[0].kill();
    group.replicas[0].restart();
    wait_for(&group.replicas[0], "7", "no");
}
