//! What a user may say.

use super::engine;
use super::report::Report;
use crate::client::{Client, ClientError};
use std::time::Duration;

/// Sends load to a Redis-protocol server and reports throughput and latency.
///
/// Example: what does synchrony cost here?
///   lockstep bench --workload set --connections 50
///   lockstep bench --workload set --connections 50 --sync async
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Host of the server.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// Port of the server.
    #[arg(long, short, default_value_t = 6379)]
    pub port: u16,
    /// Unix socket of the server, in place of host and port.
    #[arg(long)]
    pub unix: Option<std::path::PathBuf>,
    /// Password.
    #[arg(long)]
    pub auth: Option<String>,
    /// What to send.
    #[arg(long, short, value_enum, default_value_t = Workload::Set)]
    pub workload: Workload,
    /// Connections.
    #[arg(long, short, default_value_t = 50)]
    pub connections: usize,
    /// Operations sent before their replies are awaited.
    #[arg(long, short = 'P', default_value_t = 1)]
    pub pipeline: usize,
    /// Operations in all.
    #[arg(long, short = 'n', conflicts_with = "seconds")]
    pub requests: Option<u64>,
    /// Seconds to run, in place of a number of operations.
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Operations a second over all connections, sent on schedule; latency then counts from
    /// the scheduled time. Without it, as fast as replies come.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Keys to choose from, at random.
    #[arg(long, default_value_t = 100_000)]
    pub keys: u64,
    /// Bytes of a value.
    #[arg(long, default_value_t = 64)]
    pub value_size: usize,
    /// Keys are taken in order and each once, to fill a server.
    #[arg(long)]
    pub sequential: bool,
    /// Acknowledgement level for these connections (`CLIENT SYNC`); Lockstep only.
    #[arg(long)]
    pub sync: Option<String>,
    /// Replicas that `set-wait` waits for.
    #[arg(long, default_value_t = 1)]
    pub replicas: u32,
    /// Print one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// The command of workload `custom`; `__key__` and `__value__` are replaced.
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// What to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// `GET key`
    Get,
    /// `SET key value`
    Set,
    /// `SET key value EX 3600`
    SetEx,
    /// `SET key integer`
    SetInt,
    /// `INCR counter`
    Incr,
    /// `HSET hash field value`
    Hset,
    /// `HSET` of a subscriber with six fields
    Subscriber,
    /// `SET key value`, `WAIT n 0`, counted as one
    SetWait,
    /// `MULTI`, five `SET`, `EXEC`, counted as one
    Multi,
    /// `PING`
    Ping,
    /// The command given after `--`
    Custom,
}

/// The benchmark cannot run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A connection failed.
    #[error("connection: {0}")]
    Io(#[from] std::io::Error),
    /// The server refused the preparation.
    #[error("preparation: {0}")]
    Client(#[from] ClientError),
    /// The options make no sense.
    #[error("{0}")]
    Options(String),
    /// The server's bytes are no replies.
    #[error("the server sent what is no reply")]
    Protocol,
}

/// Runs the benchmark and prints its report.
///
/// # Errors
/// When it cannot connect or the options make no sense. Error replies are not errors of the
/// run; the report counts them.
pub fn run(options: &Options) -> Result<(), BenchError> {
    if options.connections == 0 || options.pipeline == 0 || options.keys == 0 {
        return Err(BenchError::Options(
            "connections, pipeline and keys must be at least 1".into(),
        ));
    }
    if options.workload == Workload::Custom && options.command.is_empty() {
        return Err(BenchError::Options(
            "custom needs a command after --".into(),
        ));
    }
    if options.unix.is_none() {
        // A clear error before fifty connections fail one by one.
        let mut client = Client::connect(&options.host, options.port, Duration::from_secs(5))?;
        if let Some(password) = &options.auth {
            client.call(&["AUTH", password])?;
        }
        client.call(&["PING"])?;
    }
    let report: Report = engine::run(options)?;
    if options.json {
        println!("{}", report.json());
    } else {
        print!("{}", report.text());
    }
    Ok(())
}
