//! redis-rs, the Rust client library, against a group: its commands, transactions, scripts, streams, messages and typed
//! replies over RESP2 and RESP3, and its connection manager while the primary is killed and replaced.

mod support;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, Client, Commands, Connection, RedisResult, Script};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use support::proxy::Proxy;
use support::{Group, eventually};

const OPTIONS: [&str; 4] = ["--min-insync-replicas", "1", "--sync-timeout", "15000"];

fn client(port: u16, protocol: &str) -> Client {
    Client::open(format!("redis://127.0.0.1:{port}/?protocol={protocol}")).expect("an address")
}

fn commands(connection: &mut Connection) -> RedisResult<()> {
    let _: () = redis::cmd("FLUSHALL").query(connection)?;
    let _: () = connection.hset_multiple("hash", &[("name", "Ada"), ("sent", "1")])?;
    let hash: BTreeMap<String, String> = connection.hgetall("hash")?;
    assert_eq!(hash["name"], "Ada");
    let _: () = connection.zadd_multiple("scores", &[(1.5, "a"), (f64::INFINITY, "z")])?;
    let scores: Vec<(String, f64)> = connection.zrange_withscores("scores", 0, -1)?;
    assert_eq!(
        scores,
        [("a".to_owned(), 1.5), ("z".to_owned(), f64::INFINITY)]
    );
    let missing: Option<i64> = connection.get("nothing")?;
    assert_eq!(missing, None);
    let (sum, set): (i64, bool) = redis::pipe()
        .atomic()
        .incr("counter", 41)
        .set("other", 1)
        .ignore()
        .incr("counter", 1)
        .ignore()
        .set_nx("other", 2)
        .query(connection)?;
    assert_eq!((sum, set), (41, false));
    let doubled: (i64,) = redis::transaction(connection, &["counter"], |connection, pipe| {
        let found: i64 = connection.get("counter")?;
        pipe.set("counter", found * 2)
            .ignore()
            .get("counter")
            .query(connection)
    })?;
    assert_eq!(doubled, (84,));
    let script = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    let _: () = redis::cmd("SCRIPT").arg("FLUSH").query(connection)?;
    let replied: i64 = script.key("counter").arg(16).invoke(connection)?;
    assert_eq!(replied, 100);
    let error = connection
        .hget::<_, _, String>("counter", "f")
        .expect_err("a hash is wanted");
    assert_eq!(error.code(), Some("WRONGTYPE"));
    for n in 0..300 {
        let _: () = connection.sadd("members", n)?;
    }
    let members: BTreeSet<u32> = connection.sscan("members")?.collect::<RedisResult<_>>()?;
    assert_eq!(members.len(), 300);
    Ok(())
}

fn streams(connection: &mut Connection) -> RedisResult<()> {
    let _: () = connection.xgroup_create_mkstream("mails", "senders", "$")?;
    let id: String = connection.xadd("mails", "*", &[("to", "ada")])?;
    let options = StreamReadOptions::default()
        .group("senders", "one")
        .count(5);
    let read: StreamReadReply = connection.xread_options(&["mails"], &[">"], &options)?;
    assert_eq!(read.keys[0].ids[0].id, id);
    let to: Option<String> = read.keys[0].ids[0].get("to");
    assert_eq!(to.as_deref(), Some("ada"));
    let acknowledged: i64 = connection.xack("mails", "senders", &[&id])?;
    assert_eq!(acknowledged, 1);
    Ok(())
}

fn messages(client: &Client, connection: &mut Connection) -> RedisResult<()> {
    let mut listening = client.get_connection()?;
    let mut subscription = listening.as_pubsub();
    subscription.subscribe("news")?;
    subscription.psubscribe("n*")?;
    let heard: i64 = connection.publish("news", "hello")?;
    assert_eq!(heard, 2);
    for _ in 0..2 {
        let message = subscription.get_message()?;
        assert_eq!(message.get_payload::<String>()?, "hello");
        assert_eq!(message.get_channel_name(), "news");
    }
    Ok(())
}

#[test]
fn its_commands_do_what_they_say_over_both_protocols() {
    let group = Group::start(2, &OPTIONS, &OPTIONS);
    for protocol in ["resp2", "resp3"] {
        let client = client(group.primary.port, protocol);
        let mut connection = client.get_connection().expect("a connection");
        commands(&mut connection).expect(protocol);
        streams(&mut connection).expect(protocol);
        messages(&client, &mut connection).expect(protocol);
    }
    group.assert_equal();
}

/// Writes numbers until told to stop; returns those that were acknowledged.
async fn write(
    mut manager: ConnectionManager,
    writer: u64,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    let mut number = writer;
    while !stop.load(Ordering::Relaxed) {
        let written: RedisResult<i64> = manager.sadd("written", number).await;
        if written.is_ok() {
            acknowledged.push(number);
            count.fetch_add(1, Ordering::Relaxed);
        }
        number += 8;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    acknowledged
}

/// Eight writers that share one connection, as the tasks of an application do; they run on this thread.
fn write_all(
    client: &Client,
    stop: &Arc<AtomicBool>,
    count: &Arc<AtomicU64>,
) -> RedisResult<Vec<u64>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let config = ConnectionManagerConfig::new().set_number_of_retries(3);
        let manager = ConnectionManager::new_with_config(client.clone(), config).await?;
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                tokio::spawn(write(
                    manager.clone(),
                    writer,
                    Arc::clone(stop),
                    Arc::clone(count),
                ))
            })
            .collect();
        let mut acknowledged = Vec::new();
        for writer in writers {
            acknowledged.extend(writer.await.expect("a writer"));
        }
        Ok(acknowledged)
    })
}

#[test]
fn its_connection_manager_goes_on_with_the_primary_that_takes_over() {
    let mut group = Group::start(2, &OPTIONS, &OPTIONS);
    // The address that the application knows leads to whichever server is the primary.
    let address = Proxy::to(group.primary.port);
    let (stop, count) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let application = {
        let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
        let client = client(address.port, "resp3");
        std::thread::spawn(move || write_all(&client, &stop, &count))
    };
    eventually("writes to be acknowledged", || {
        count.load(Ordering::Relaxed) > 200
    });

    group.primary.kill();
    group
        .replicas
        .sort_by_key(|r| r.info("master_repl_offset").parse::<u64>().unwrap_or(0));
    let successor = group.replicas.pop().expect("a replica");
    successor.call(&["REPLICAOF", "NO", "ONE"]);
    group.replicas[0].call(&["REPLICAOF", "127.0.0.1", &successor.port.to_string()]);
    group.primary = successor;
    group.wait_in_sync(1);
    let before = count.load(Ordering::Relaxed);
    address.lead_to(group.primary.port);

    eventually("writes to go on", || {
        count.load(Ordering::Relaxed) > before + 200
    });
    stop.store(true, Ordering::Relaxed);
    let acknowledged = application
        .join()
        .expect("the application")
        .expect("its connection");
    let mut connection = client(group.primary.port, "resp2")
        .get_connection()
        .expect("a connection");
    let found: BTreeSet<u64> = connection.smembers("written").expect("the set");
    let lost: Vec<_> = acknowledged.iter().filter(|n| !found.contains(n)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    group.assert_equal();
}
