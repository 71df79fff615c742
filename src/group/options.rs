//! What a user may say.

use std::io;
use std::path::PathBuf;

/// Starts a primary and its synchronous replicas on the loopback interface.
///
/// Every write is answered when every in-sync replica has applied it. When the primary dies,
/// an in-sync replica takes over and the dead node comes back as a replica. One Ctrl-C stops
/// all nodes; their data stays in the folder.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Port of the first node; the others use the ports after it.
    #[arg(long, default_value_t = 6379)]
    pub port: u16,
    /// How many replicas.
    #[arg(long, default_value_t = 2)]
    pub replicas: u16,
    /// Folder for the nodes' data.
    #[arg(long, default_value = "lockstep-data")]
    pub dir: PathBuf,
    /// Leave a dead primary alone instead of promoting a replica.
    #[arg(long)]
    pub no_failover: bool,
    /// The server to start; by default the `lockstep-server` beside this program.
    #[arg(long)]
    pub server: Option<PathBuf>,
    /// More options for every node, as `lockstep-server` takes them (after `--`).
    #[arg(last = true)]
    pub server_options: Vec<String>,
}

/// The group cannot run.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// Something of the operating system's.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A node ended before it was ready.
    #[error("node {port} did not start; see {}", log.display())]
    NotStarted {
        /// Its port.
        port: u16,
        /// Its log.
        log: PathBuf,
    },
    /// The options make no sense together.
    #[error("{0}")]
    Options(String),
}
