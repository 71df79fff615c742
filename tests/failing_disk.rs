//! A disk that fails under a running server: calls of it are made to fail from outside, by
//! `strace`. No acknowledged write is missing afterwards, and the server says what is wrong.

mod support;

use lockstep::client::info_field;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use support::{Group, PATIENCE, Server, eventually};

/// System calls of a process fail while this lives.
struct Fault {
    tracer: Child,
    pid: u32,
}

impl Fault {
    /// Makes these calls fail with EIO. `None` where processes cannot be traced.
    fn of(server: &Server, calls: &str) -> Option<Fault> {
        let pid = server.pid();
        let spawned = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e"])
            .arg(format!("trace={calls}"))
            .args(["-e", &format!("inject={calls}:error=EIO")])
            .args(["-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut fault = match spawned {
            Ok(tracer) => Fault { tracer, pid },
            Err(error) => return skipped(&format!("strace: {error}")),
        };
        let deadline = Instant::now() + PATIENCE;
        while !fault.tasks_are(true) {
            if fault.tracer.try_wait().expect("a child").is_some() {
                return skipped("processes may not be traced here");
            }
            assert!(Instant::now() < deadline, "strace does not come to it");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Some(fault)
    }

    /// Whether all threads are traced, or none.
    fn tasks_are(&self, traced: bool) -> bool {
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{}/task", self.pid)) else {
            return false;
        };
        tasks.flatten().all(|task| {
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let tracer = status.lines().find_map(|l| l.strip_prefix("TracerPid:"));
            tracer.is_none_or(|tracer| (tracer.trim() != "0") == traced)
        })
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        // It lets go of the threads when it is asked to end.
        let pid = nix::unistd::Pid::from_raw(self.tracer.id() as i32);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT);
        let _ = self.tracer.wait();
    }
}

fn skipped(why: &str) -> Option<Fault> {
    eprintln!("SKIPPED: {why}");
    None
}

const WRITERS: usize = 4;

/// Sends writes over several connections while `meanwhile` runs; gives how many of each were
/// acknowledged. One that is refused is sent again, one whose connection breaks is the last.
fn write_during(server: &Server, meanwhile: impl FnOnce(&AtomicU64)) -> Vec<u64> {
    let (stop, refused) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let mut client = server.client();
                let (stop, refused) = (&stop, &refused);
                scope.spawn(move || {
                    let mut done = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let key = format!("{writer}:{done}");
                        match client.call(&["SET", &key, "x"]) {
                            Ok(reply) if format!("{reply:?}").contains("MISCONF") => {
                                refused.fetch_add(1, Ordering::Relaxed);
                            }
                            Ok(reply) => {
                                assert_eq!(support::text(&reply), "OK");
                                done += 1;
                            }
                            Err(error) if error.to_string().contains("MISCONF") => {
                                refused.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(_) => break,
                        }
                    }
                    done
                })
            })
            .collect();
        meanwhile(&refused);
        stop.store(true, Ordering::Relaxed);
        let counts = writers.into_iter().map(|writer| writer.join());
        counts.map(|count| count.expect("no panic")).collect()
    })
}

/// Every acknowledged write is there.
fn assert_all(server: &Server, acknowledged: &[u64]) {
    let mut client = server.client();
    for (writer, count) in acknowledged.iter().enumerate() {
        for n in 0..*count {
            let reply = client.call(&["EXISTS", &format!("{writer}:{n}")]);
            let found = support::text(&reply.expect("a reply"));
            assert_eq!(found, "1", "{writer}:{n} of {count} is missing");
        }
    }
}

#[test]
fn a_write_whose_fsync_fails_is_not_acknowledged() {
    let always = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut group = Group::start(2, &always, &[]);
    let mut fault = None;
    let acknowledged = write_during(&group.primary, |_| {
        eventually("writes", || group.primary.text(&["DBSIZE"]) != "0");
        fault = Fault::of(&group.primary, "fdatasync,fsync");
        if fault.is_some() {
            eventually("the primary to end", || {
                group.primary.try_call(&["PING"]).is_err()
            });
        }
    });
    if fault.is_none() {
        return;
    }
    // The tracer ends with the process.
    assert!(!group.primary.wait(), "it ends with an error");
    drop(fault);
    let log = group.primary.log();
    assert!(
        log.contains("can't recover from an append-only file error"),
        "{log}"
    );
    assert!(acknowledged.iter().all(|count| *count > 0));
    for replica in &group.replicas {
        replica.call(&["REPLICAOF", "NO", "ONE"]);
        assert_all(replica, &acknowledged);
    }
    group
        .primary
        .options
        .extend(["--min-insync-replicas", "0"].map(String::from));
    group.primary.restart();
    assert_all(&group.primary, &acknowledged);
}

#[test]
fn writes_are_refused_while_the_disk_fails_and_go_on_afterwards() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "everysec"]);
    let status = |server: &Server| {
        let info = server.text(&["INFO", "persistence"]);
        info_field(&info, "aof_last_write_status")
            .unwrap_or_default()
            .to_owned()
    };
    let mut ran = false;
    let acknowledged = write_during(&server, |refused| {
        eventually("writes", || server.text(&["DBSIZE"]) != "0");
        let Some(fault) = Fault::of(&server, "fdatasync,fsync,rename") else {
            return;
        };
        ran = true;
        eventually("writes to be refused", || {
            refused.load(Ordering::Relaxed) > 0
        });
        assert_eq!(status(&server), "err");
        // Reads go on.
        assert_eq!(server.text(&["GET", "0:0"]), "x");
        drop(fault);
        eventually("writes to go on", || status(&server) == "ok");
        let before = server.text(&["DBSIZE"]);
        eventually("more writes", || server.text(&["DBSIZE"]) != before);
    });
    if ran {
        // What was acknowledged in the last second is not on the disk by itself.
        let waited = server.client().call(&["WAITAOF", "1", "0", "0"]);
        assert!(format!("{waited:?}").contains("Integer(1)"), "{waited:?}");
        server.kill();
        server.restart();
        assert_all(&server, &acknowledged);
    }
}
