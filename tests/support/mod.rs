//! Real server processes for the tests: started, paused, killed, started again.

#![allow(dead_code)] // Each test file uses a part of this.

pub mod proxy;
pub mod random;

use lockstep::client::{Client, info_field};
use redis_protocol::resp2::types::OwnedFrame;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take before the test gives up. Never a measure of speed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server process with a folder of its own.
pub struct Server {
    pub port: u16,
    pub options: Vec<String>,
    /// What a shell does before it becomes the server.
    pub before: Option<String>,
    dir: TempDir,
    child: Option<Child>,
}

impl Server {
    /// Starts a server on a free port and waits until it answers.
    pub fn start(options: &[&str]) -> Server {
        Server::start_after(None, options)
    }

    /// The same after a shell has done something, such as setting limits.
    pub fn start_after(before: Option<&str>, options: &[&str]) -> Server {
        let mut server = Server {
            port: free_port(),
            options: options.iter().map(|o| (*o).to_owned()).collect(),
            before: before.map(str::to_owned),
            dir: TempDir::new().expect("a temporary folder"),
            child: None,
        };
        server.restart();
        server
    }

    /// Starts a replica of `primary`.
    pub fn replica_of(primary: &Server, options: &[&str]) -> Server {
        let port = primary.port.to_string();
        let mut all = vec!["--replicaof", "127.0.0.1", &port];
        all.extend(options);
        Server::start(&all)
    }

    /// Starts the process again, on the same port and folder.
    pub fn restart(&mut self) {
        self.spawn();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if self.try_call(&["PING"]).is_ok() {
                return;
            }
            let ended = self
                .child
                .as_mut()
                .and_then(|c| c.try_wait().ok().flatten());
            assert!(ended.is_none(), "the server ended: {}", self.log());
            assert!(Instant::now() < deadline, "no answer: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts the process without waiting for an answer.
    pub fn spawn(&mut self) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir().join("log"))
            .expect("a log file");
        let binary = env!("CARGO_BIN_EXE_lockstep-server");
        let mut command = match &self.before {
            None => Command::new(binary),
            Some(before) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("{before}; exec \"$0\" \"$@\""), binary]);
                shell
            }
        };
        let child = command
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .arg("--dir")
            .arg(self.dir())
            .args(["--save", "", "--enable-debug-command", "yes"])
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the server starts");
        self.child = Some(child);
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub fn client(&self) -> Client {
        Client::connect("127.0.0.1", self.port, PATIENCE).expect("a connection")
    }

    pub fn try_call(&self, args: &[&str]) -> Result<OwnedFrame, String> {
        let mut client = Client::connect("127.0.0.1", self.port, Duration::from_secs(5))
            .map_err(|e| e.to_string())?;
        client.call(args).map_err(|e| e.to_string())
    }

    pub fn call(&self, args: &[&str]) -> OwnedFrame {
        match self.client().call(args) {
            Ok(frame) => frame,
            Err(error) => panic!("{args:?}: {error}; log: {}", self.log()),
        }
    }

    pub fn text(&self, args: &[&str]) -> String {
        text(&self.call(args))
    }

    pub fn info(&self, field: &str) -> String {
        let info = self.text(&["INFO", "replication"]);
        info_field(&info, field).unwrap_or_default().to_owned()
    }

    /// A digest of all data.
    pub fn digest(&self) -> String {
        self.text(&["DEBUG", "DIGEST", "FULL"])
    }

    /// Resident memory, in kB.
    pub fn resident_kb(&self) -> u64 {
        let pid = self.child.as_ref().expect("a running server").id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let number = line.and_then(|l| l.split_whitespace().next());
        number.expect("a size").parse().expect("a number")
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let child = self.child.as_ref().expect("a running server");
        let pid = nix::unistd::Pid::from_raw(child.id() as i32);
        nix::sys::signal::kill(pid, signal).expect("a signal");
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running server").id()
    }

    /// SIGSTOP; returns when every thread has stopped.
    pub fn pause(&self) {
        self.signal(nix::sys::signal::Signal::SIGSTOP);
        let tasks = format!("/proc/{}/task", self.child.as_ref().expect("running").id());
        let stopped = |task: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            let state = stat
                .rsplit_once(") ")
                .map(|(_, rest)| rest.starts_with('T'));
            state.unwrap_or(true)
        };
        eventually("the process to stop", || {
            let tasks = std::fs::read_dir(&tasks).expect("a process");
            tasks.flatten().all(stopped)
        });
    }

    pub fn resume(&self) {
        self.signal(nix::sys::signal::Signal::SIGCONT);
    }

    /// SIGKILL: nothing is flushed, nobody is told.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits for the process to end by itself; whether it ended well.
    pub fn wait(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let mut child = self.child.take().expect("a running server");
        loop {
            if let Some(status) = child.try_wait().expect("a child") {
                return status.success();
            }
            assert!(Instant::now() < deadline, "it does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A paused process cannot be waited for before it runs again.
        if let Some(child) = &self.child {
            let pid = nix::unistd::Pid::from_raw(child.id() as i32);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT);
        }
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- log of {} ---\n{}", self.port, self.log());
        }
    }
}

/// The text of a reply.
pub fn text(frame: &OwnedFrame) -> String {
    match frame {
        OwnedFrame::BulkString(bytes) | OwnedFrame::SimpleString(bytes) => {
            String::from_utf8_lossy(bytes).into_owned()
        }
        OwnedFrame::Integer(n) => n.to_string(),
        OwnedFrame::Null => "(nil)".to_owned(),
        other => format!("{other:?}"),
    }
}

/// A primary and replicas, all in sync.
pub struct Group {
    pub primary: Server,
    pub replicas: Vec<Server>,
}

impl Group {
    pub fn start(replicas: usize, primary_options: &[&str], replica_options: &[&str]) -> Group {
        let primary = Server::start(primary_options);
        let replicas: Vec<_> = (0..replicas)
            .map(|_| Server::replica_of(&primary, replica_options))
            .collect();
        let group = Group { primary, replicas };
        group.wait_in_sync(group.replicas.len());
        for replica in &group.replicas {
            // The stream stands still from here on.
            eventually("a replica to hear that it is in sync", || {
                replica.info("replica_in_sync") == "yes"
            });
        }
        group
    }

    pub fn wait_in_sync(&self, count: usize) {
        eventually("replicas to be in sync", || {
            self.primary.info("insync_replicas") == count.to_string()
        });
    }

    /// Waits until every replica has what the primary has, and compares.
    pub fn assert_equal(&self) {
        for replica in &self.replicas {
            eventually("a replica to catch up", || {
                replica.info("master_repl_offset") == self.primary.info("master_repl_offset")
            });
            assert_eq!(replica.digest(), self.primary.digest());
        }
    }
}

/// Waits for something that must come true.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A port that nobody listens on. It is below those that the system gives to outgoing
/// connections, one of which could take it before it is listened on, or between two runs of a
/// server.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(97);
    loop {
        let n = begin.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + (n % 10_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
