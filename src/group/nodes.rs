//! Starts, watches and stops the processes.

use super::options::{GroupError, Options};
use super::roles::{NodeFacts, successor};
use super::status::{NodeLine, Screen};
use crate::client::{Client, info_field};
use crate::time::{Duration, Instant};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs the group until it is told to stop.
///
/// # Errors
/// When a node cannot be started.
pub fn run(options: Options) -> Result<(), GroupError> {
    if options.port.checked_add(options.replicas).is_none() || options.port == 0 {
        return Err(GroupError::Options("the ports do not fit".into()));
    }
    let stop = stop_flag()?;
    let mut group = Group::new(options)?;
    let result = group.start().and_then(|()| group.watch(&stop));
    group.stop();
    result
}

struct Group {
    options: Options,
    server: PathBuf,
    nodes: Vec<Node>,
    primary: u16,
    screen: Screen,
}

struct Node {
    port: u16,
    dir: PathBuf,
    child: Option<Child>,
    client: Option<Client>,
    line: NodeLine,
    /// When it was found dead.
    died: Option<Instant>,
}

impl Group {
    fn new(options: Options) -> Result<Self, GroupError> {
        let server = match &options.server {
            Some(path) => path.clone(),
            None => std::env::current_exe()
                .map_err(|source| system("finding this program", source))?
                .with_file_name("lockstep-server"),
        };
        let nodes: Vec<_> = (0..=options.replicas)
            .map(|i| Node::new(options.port + i, &options.dir))
            .collect();
        let primary = remembered_primary(&options, &nodes);
        Ok(Group {
            options,
            server,
            nodes,
            primary,
            screen: Screen::default(),
        })
    }

    fn start(&mut self) -> Result<(), GroupError> {
        for i in 0..self.nodes.len() {
            self.spawn(i)?;
        }
        for node in &mut self.nodes {
            node.wait_until_ready()?;
        }
        self.remember_primary()?;
        self.screen.say(&format!(
            "Lockstep group: redis-cli -p {}   (data in {}, Ctrl-C stops all)\n",
            self.primary,
            self.options.dir.display()
        ));
        Ok(())
    }

    fn spawn(&mut self, index: usize) -> Result<(), GroupError> {
        let (primary, replicas) = (self.primary, self.options.replicas);
        let node = &mut self.nodes[index];
        fs::create_dir_all(&node.dir)
            .map_err(|source| system(&format!("creating {}", node.dir.display()), source))?;
        let mut command = Command::new(&self.server);
        let port = node.port.to_string();
        command.args(["--port", &port, "--bind", "127.0.0.1"]);
        command.arg("--dir").arg(&node.dir);
        command.args(["--appendonly", "yes", "--logfile", "server.log"]);
        command.args(["--save", ""]);
        let least = u16::from(replicas > 0).to_string();
        command.args(["--min-insync-replicas", &least]);
        if node.port != primary {
            command.args(["--replicaof", "127.0.0.1", &primary.to_string()]);
        }
        command.args(&self.options.server_options);
        // Ctrl-C goes to the whole process group of the terminal; nodes are stopped by us.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| system(&format!("starting {}", self.server.display()), source))?;
        node.child = Some(child);
        node.client = None;
        node.died = None;
        Ok(())
    }

    fn watch(&mut self, stop: &AtomicBool) -> Result<(), GroupError> {
        while !stop.load(Ordering::SeqCst) {
            self.look();
            self.repair()?;
            let lines: Vec<_> = self.nodes.iter().map(|n| n.line.clone()).collect();
            self.screen.show(&lines);
            std::thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// Asks every node how it is.
    fn look(&mut self) {
        let mut primary_info = None;
        for node in &mut self.nodes {
            let info = node.ask();
            if node.port == self.primary {
                primary_info = info;
            }
        }
        // A primary that does not answer leaves what was known of its set as it was.
        let Some(info) = primary_info else { return };
        for node in &mut self.nodes {
            let port = format!(",port={},", node.port);
            let line = info
                .lines()
                .find(|l| l.starts_with("slave") && l.contains(&port));
            let field = |name: &str| {
                line.and_then(|l| l.split([',', ':']).find_map(|f| f.strip_prefix(name)))
            };
            node.line.facts.in_sync = field("insync=") == Some("yes");
            node.line.ack_us = field("ack_us=").and_then(|us| us.trim().parse().ok());
        }
    }

    /// Promotes a replica when the primary is dead, and starts dead nodes again.
    fn repair(&mut self) -> Result<(), GroupError> {
        if self.options.no_failover {
            return Ok(());
        }
        let primary_dead = self
            .nodes
            .iter()
            .any(|node| node.port == self.primary && node.died.is_some());
        if primary_dead {
            let facts: Vec<_> = self.nodes.iter().map(|n| n.line.facts.clone()).collect();
            if let Some(port) = successor(&facts, self.primary) {
                self.promote(port)?;
            }
        }
        for i in 0..self.nodes.len() {
            let node = &self.nodes[i];
            // The dead primary comes back as a replica, so a successor must be there first;
            // without one it is the only node that has everything, and comes back as it was.
            if node.died.is_some_and(|at| at.elapsed() > RESTART_AFTER) {
                let port = node.port;
                self.spawn(i)?;
                self.screen
                    .say(&format!("node {port} was dead: started again"));
            }
        }
        Ok(())
    }

    fn promote(&mut self, port: u16) -> Result<(), GroupError> {
        let dead = std::mem::replace(&mut self.primary, port);
        self.remember_primary()?;
        let mut outcome = "promoted".to_owned();
        for node in &mut self.nodes {
            let to = port.to_string();
            let order: &[&str] = if node.port == port {
                &["REPLICAOF", "NO", "ONE"]
            } else if node.died.is_none() {
                &["REPLICAOF", "127.0.0.1", &to]
            } else {
                continue;
            };
            if let Some(client) = &mut node.client
                && let Err(error) = client.call(order)
            {
                outcome = format!("order to node {} failed: {error}", node.port);
            }
        }
        self.screen.say(&format!(
            "primary {dead} is dead: node {port} takes over ({outcome}). redis-cli -p {port}"
        ));
        Ok(())
    }

    fn remember_primary(&self) -> Result<(), GroupError> {
        let path = self.options.dir.join(PRIMARY_FILE);
        fs::write(&path, self.primary.to_string())
            .map_err(|source| system(&format!("writing {}", path.display()), source))
    }

    fn stop(&mut self) {
        println!("\nstopping the group");
        for node in &mut self.nodes {
            // Replicas last, so that the primary's last writes still reach them.
            if let Some(child) = &node.child
                && node.port == self.primary
            {
                terminate(child);
            }
        }
        for node in &self.nodes {
            if let Some(child) = &node.child {
                terminate(child);
            }
        }
        let begun = Instant::now();
        for node in &mut self.nodes {
            let Some(child) = &mut node.child else {
                continue;
            };
            while matches!(child.try_wait(), Ok(None)) && begun.elapsed() < STOP_WITHIN {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Node {
    fn new(port: u16, data: &Path) -> Self {
        Node {
            port,
            dir: data.join(port.to_string()),
            child: None,
            client: None,
            line: NodeLine {
                facts: NodeFacts {
                    port,
                    ..NodeFacts::default()
                },
                ..NodeLine::default()
            },
            died: None,
        }
    }

    fn wait_until_ready(&mut self) -> Result<(), GroupError> {
        let begun = Instant::now();
        loop {
            let exited = match &mut self.child {
                Some(child) => !matches!(child.try_wait(), Ok(None)),
                None => true,
            };
            if exited || begun.elapsed() > READY_WITHIN {
                return Err(GroupError::NotStarted {
                    port: self.port,
                    log: self.dir.join("server.log"),
                });
            }
            if self.ask().is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Asks the node for its state; gives the text of `INFO`.
    fn ask(&mut self) -> Option<String> {
        let exited = match &mut self.child {
            Some(child) => !matches!(child.try_wait(), Ok(None)),
            None => true,
        };
        if exited {
            self.died.get_or_insert_with(Instant::now);
        }
        let info = if exited { None } else { self.info() };
        self.line.facts.alive = info.is_some();
        let Some(info) = info else {
            self.client = None;
            self.line.role = if exited { "dead" } else { "no answer" }.into();
            return None;
        };
        let number = |field| info_field(&info, field).and_then(|n| n.parse().ok());
        let role = info_field(&info, "role").unwrap_or("?");
        self.line.role = if role == "master" {
            "primary"
        } else {
            "replica"
        }
        .into();
        self.line.facts.offset = number("master_repl_offset").unwrap_or(0);
        self.line.keys = keys_in(&info);
        Some(info)
    }

    fn info(&mut self) -> Option<String> {
        if self.client.is_none() {
            self.client = Client::connect("127.0.0.1", self.port, ANSWER_WITHIN).ok();
        }
        self.client
            .as_mut()?
            .text(&["INFO", "replication", "keyspace"])
            .ok()
    }
}

/// The keys of all databases in the text of `INFO`.
fn keys_in(info: &str) -> u64 {
    info.lines()
        .filter(|line| line.starts_with("db"))
        .filter_map(|line| {
            line.split_once("keys=")?
                .1
                .split(',')
                .next()?
                .parse::<u64>()
                .ok()
        })
        .sum()
}

/// The primary of the group's last run, which has everything that was acknowledged.
fn remembered_primary(options: &Options, nodes: &[Node]) -> u16 {
    fs::read_to_string(options.dir.join(PRIMARY_FILE))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .filter(|port| nodes.iter().any(|node| node.port == *port))
        .unwrap_or(options.port)
}

fn terminate(child: &Child) {
    // Only a process that has ended already cannot be signalled.
    let _ = nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child.id().cast_signed()),
        nix::sys::signal::Signal::SIGTERM,
    );
}

/// A flag that SIGINT and SIGTERM raise.
fn stop_flag() -> Result<Arc<AtomicBool>, GroupError> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| system("starting a runtime", source))?;
    let spawned = std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            runtime.block_on(async {
                use tokio::signal::unix::{SignalKind, signal};
                if let (Ok(mut interrupt), Ok(mut terminate)) = (
                    signal(SignalKind::interrupt()),
                    signal(SignalKind::terminate()),
                ) {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                }
                raised.store(true, Ordering::SeqCst);
            });
        });
    spawned
        .map(|_| flag)
        .map_err(|source| system("starting a thread", source))
}

fn system(doing: &str, source: std::io::Error) -> GroupError {
    GroupError::System {
        doing: doing.to_owned(),
        source,
    }
}

const PRIMARY_FILE: &str = "primary";
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
const READY_WITHIN: Duration = Duration::from_secs(60);
const RESTART_AFTER: Duration = Duration::from_secs(2);
const STOP_WITHIN: Duration = Duration::from_secs(10);
