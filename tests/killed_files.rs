//! SIGKILL while files change under load: rewrites that begin by themselves, increments that
//! are rotated, full copies on their way, on either node. Afterwards no acknowledged write is
//! missing, none counts twice, and both nodes are equal.

mod support;

use lockstep::client::Client;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use support::random::{Draw, duration, seed};
use support::{Group, Server, eventually, text};

/// A rewrite begins whenever the file has grown by a tenth: all the time.
const OPTIONS: [&str; 8] = [
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
    "--auto-aof-rewrite-percentage",
    "10",
    "--auto-aof-rewrite-min-size",
    "16kb",
];
const WRITERS: usize = 6;

/// Writers that count what they were told is done, each in a counter of its own.
struct Load {
    told: Vec<Arc<AtomicU64>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(server: &Server, round: usize) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let told: Vec<Arc<AtomicU64>> = (0..WRITERS).map(|_| Arc::default()).collect();
        let threads = told.iter().enumerate().map(|(writer, told)| {
            let (mut client, stop, told) = (server.client(), Arc::clone(&stop), Arc::clone(told));
            std::thread::spawn(move || {
                for n in 1.. {
                    if stop.load(Ordering::SeqCst) || write(&mut client, round, writer).is_none() {
                        return;
                    }
                    told.store(n, Ordering::SeqCst);
                }
            })
        });
        let threads = threads.collect();
        Load {
            told,
            stop,
            threads,
        }
    }

    fn total(&self) -> u64 {
        self.told
            .iter()
            .map(|told| told.load(Ordering::SeqCst))
            .sum()
    }

    /// What each writer was told in the end.
    fn end(self) -> Vec<u64> {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("a writer ends");
        }
        self.told
            .iter()
            .map(|told| told.load(Ordering::SeqCst))
            .collect()
    }
}

/// `None` if the answer did not come, or was that it may not be done.
fn write(client: &mut Client, round: usize, writer: usize) -> Option<()> {
    let reply = client.call(&[
        "HINCRBY",
        &format!("round:{round}"),
        &writer.to_string(),
        "1",
    ]);
    text(&reply.ok()?).parse::<u64>().ok().map(|_| ())
}

fn check(server: &Server, all: &[Vec<u64>]) {
    let mut client = server.client();
    for (round, told) in all.iter().enumerate() {
        for (writer, told) in told.iter().enumerate() {
            let reply = client.call(&["HGET", &format!("round:{round}"), &writer.to_string()]);
            let counted = text(&reply.expect("a reply")).parse::<u64>().unwrap_or(0);
            // One more may have been on its way.
            assert!(
                (*told..=told + 1).contains(&counted),
                "round {round}, writer {writer}: {counted}, told {told}"
            );
        }
    }
}

/// The manifest names every file of the folder, and there is no other; nor a temporary one.
fn assert_tidy(dir: &Path) {
    let folder = dir.join("appendonlydir");
    let manifest = std::fs::read_to_string(folder.join("appendonly.aof.manifest"));
    let manifest = manifest.expect("a manifest");
    let names = |dir: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(dir).expect("a folder").flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    };
    for name in names(&folder) {
        let named = manifest
            .lines()
            .any(|line| line.split(' ').nth(1) == Some(&name));
        assert!(
            named || name == "appendonly.aof.manifest",
            "{name} is left; {manifest}"
        );
    }
    let temporary: Vec<String> = names(dir)
        .into_iter()
        .filter(|name| name.starts_with("temp"))
        .collect();
    assert_eq!(temporary, [""; 0]);
}

fn idle(server: &Server) -> bool {
    let info = server.text(&["INFO", "persistence"]);
    [
        "loading:0",
        "aof_rewrite_in_progress:0",
        "aof_rewrite_scheduled:0",
    ]
    .iter()
    .all(|fact| info.contains(fact))
}

#[test]
fn nodes_killed_while_their_files_change_lose_nothing() {
    let mut draw = Draw::new(seed());
    let mut group = Group::start(1, &OPTIONS, &OPTIONS);
    group
        .primary
        .call(&["DEBUG", "POPULATE", "20000", "key", "100"]);
    let mut all = Vec::new();
    let end = Instant::now() + duration(6);
    let mut round = 0;
    while round < 4 || Instant::now() < end {
        let load = Load::start(&group.primary, round);
        eventually("some writes", || load.total() > 30);
        let some_time =
            |draw: &mut Draw| std::thread::sleep(Duration::from_millis(draw.below(60) as u64));
        some_time(&mut draw);
        // Every kind comes, whatever the seed.
        let kind = if round < 4 { round } else { draw.below(4) };
        let replica = &mut group.replicas[0];
        if kind == 0 {
            // While increments are rotated on the primary.
            group.primary.kill();
        } else {
            replica.kill();
            if kind < 3 {
                // It needs a copy of everything.
                std::fs::remove_dir_all(replica.path("appendonlydir")).expect("a folder to remove");
                replica.spawn();
                some_time(&mut draw);
            }
            match kind {
                1 => replica.kill(),
                _ => group.primary.kill(),
            }
        }
        if kind == 1 {
            replica.restart();
            some_time(&mut draw);
        }
        all.push(load.end());
        if kind != 1 {
            group.primary.restart();
        }
        if kind == 3 {
            replica.restart();
        }
        eventually("the primary to be ready", || idle(&group.primary));
        check(&group.primary, &all);
        let port = group.primary.port.to_string();
        eventually("the replica to be in sync", || {
            if group.primary.info("insync_replicas") == "1" {
                return true;
            }
            // It may have had writes that the primary could not keep, nor answer, and does not
            // give them up by itself once it has seen that.
            if group.replicas[0].log().contains("it would lose data") {
                group.replicas[0].call(&["REPLICAOF", "127.0.0.1", &port]);
            }
            std::thread::sleep(Duration::from_millis(100));
            false
        });
        group.assert_equal();
        for server in [&group.primary, &group.replicas[0]] {
            eventually("the files to be at rest", || idle(server));
            assert_tidy(server.dir());
        }
        round += 1;
    }
    println!("{round} rounds");
}
