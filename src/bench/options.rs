//! What a user may say.

use super::engine;
use super::report::Report;
use std::path::PathBuf;
use std::time::Duration;

/// Sends load to a Redis-protocol server and reports throughput and latency.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// Host of the server.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// Port of the server.
    #[arg(long, short, default_value_t = 6379)]
    pub port: u16,
    /// Unix socket of the server, in place of host and port.
    #[arg(long)]
    pub unix: Option<PathBuf>,
    /// Password.
    #[arg(long)]
    pub auth: Option<String>,
    /// What to send.
    #[arg(long, short, value_enum, default_value_t = Workload::Set)]
    pub workload: Workload,
    /// Connections.
    #[arg(long, short, default_value_t = 50)]
    pub connections: usize,
    /// Operations a connection sends before it awaits their replies.
    #[arg(long, short = 'P', default_value_t = 1)]
    pub pipeline: usize,
    /// Operations in all [default: 100000, or all keys with --sequential].
    #[arg(long, short = 'n', conflicts_with = "seconds")]
    pub requests: Option<u64>,
    /// Seconds to run, in place of a number of operations.
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Operations a second over all connections, each sent when it is due whatever the server
    /// does; latency then counts from when it was due, so that a stall is not hidden.
    /// Without this, as fast as replies come.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Keys to choose from, at random [default: those of --populate, or 100000].
    #[arg(long)]
    pub keys: Option<u64>,
    /// Bytes of a value.
    #[arg(long, default_value_t = 64)]
    pub value_size: usize,
    /// Keys are taken in order and each once, to fill a server.
    #[arg(long)]
    pub sequential: bool,
    /// Before the run, write so many keys of the workload's kind; not part of the figures.
    #[arg(long, value_name = "KEYS")]
    pub populate: Option<u64>,
    /// Acknowledgement level of these connections, by CLIENT SYNC: async, received, applied
    /// or fsynced [default: the server's]. Lockstep only.
    #[arg(long, value_name = "LEVEL")]
    pub sync: Option<String>,
    /// Replicas that the workload set-wait waits for.
    #[arg(long, default_value_t = 1)]
    pub replicas: u32,
    /// Seconds without any reply after which the run is given up.
    #[arg(long, default_value_t = 30.0)]
    pub patience: f64,
    /// Print one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// The command of the workload custom; `__key__`, `__value__` and `__number__` (random,
    /// below --keys) are replaced.
    #[arg(last = true)]
    pub command: Vec<String>,
}

const EXAMPLES: &str = "\
What does synchrony cost on this network? Run against the primary, once with the replies
held until every in-sync replica has acknowledged, once without:
  lockstep bench --host primary --workload set --seconds 10
  lockstep bench --host primary --workload set --seconds 10 --sync async
The same on a Redis or Valkey primary with one replica (SET and WAIT, one operation):
  lockstep bench --host primary --workload set-wait --seconds 10
Latency as users of 5000 writes a second see it, below what the server can do:
  lockstep bench --workload set --rate 5000 --seconds 30
Any command:
  lockstep bench --workload custom -- HINCRBY __key__ opens 1";

impl Options {
    /// How many keys there are to choose from.
    pub fn key_count(&self) -> u64 {
        self.keys.or(self.populate).unwrap_or(DEFAULT_KEYS)
    }

    /// How long the server may be silent while something is awaited.
    pub fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.patience)
    }

    fn check(&self) -> Result<(), BenchError> {
        let wrong = |text: &str| Err(BenchError::Options(text.to_owned()));
        if self.connections == 0 || self.pipeline == 0 || self.key_count() == 0 {
            return wrong("--connections, --pipeline and --keys must be at least 1");
        }
        if self.rate.is_some_and(|rate| !(0.01..=1e8).contains(&rate)) {
            return wrong("--rate must be from 0.01 to 100000000 a second");
        }
        if self.seconds.is_some_and(|s| !(0.0..=1e8).contains(&s)) {
            return wrong("--seconds must be from 0 to 100000000");
        }
        if !(0.1..=1e8).contains(&self.patience) {
            return wrong("--patience must be from 0.1 to 100000000 seconds");
        }
        if (self.workload == Workload::Custom) == self.command.is_empty() {
            return wrong("a command after -- goes with --workload custom, and with no other");
        }
        Ok(())
    }

    /// The run that fills the server for this one.
    fn population(&self, keys: u64) -> Options {
        Options {
            workload: self.workload.filled_by(),
            connections: self.connections.min(8),
            pipeline: 64,
            requests: Some(keys),
            seconds: None,
            rate: None,
            keys: Some(keys),
            sequential: true,
            populate: None,
            ..self.clone()
        }
    }
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
    /// `HSET hash field value`, one of ten fields
    Hset,
    /// `HSET` of a subscriber with six fields
    Subscriber,
    /// `SET key value` and `WAIT replicas 0`, counted as one until the reply to WAIT
    SetWait,
    /// `MULTI`, five `SET`, `EXEC`, counted as one
    Multi,
    /// `PING`
    Ping,
    /// The command given after `--`
    Custom,
}

impl Workload {
    /// The workload that writes the keys which this one uses.
    fn filled_by(self) -> Workload {
        match self {
            Workload::Get | Workload::SetWait | Workload::Multi => Workload::Set,
            Workload::Ping | Workload::Custom => Workload::Set,
            other => other,
        }
    }
}

/// The benchmark cannot run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A connection failed.
    #[error("connection: {0}")]
    Io(#[from] std::io::Error),
    /// The server refused what is sent before the run: the command and the answer.
    #[error("the server refused {0}: {1}")]
    Preparation(String, String),
    /// The options make no sense.
    #[error("{0}")]
    Options(String),
    /// Keys could not be written before the run.
    #[error("populating failed: {0}")]
    Population(String),
    /// The server's bytes are no replies, or more replies than were asked for.
    #[error("the server sent what is no reply to anything asked")]
    Protocol,
    /// The server closed a connection.
    #[error("the server closed the connection")]
    Closed,
    /// The server closed a connection during the run.
    #[error("the server closed a connection after {0} operations")]
    ClosedAfter(u64),
    /// Nothing has come for too long.
    #[error("no reply for too long: {0} operations in flight, {1} completed")]
    Silent(u64, u64),
}

/// Runs the benchmark and prints its report.
///
/// # Errors
/// When it cannot connect, the options make no sense, or the server goes away. Error replies
/// are not errors of the run; the report counts them.
pub fn run(options: &Options) -> Result<(), BenchError> {
    options.check()?;
    if let Some(keys) = options.populate {
        let filled = engine::run(&options.population(keys))?;
        if let Some((error, n)) = filled.errors.first_key_value() {
            return Err(BenchError::Population(format!("{error} ({n} times)")));
        }
    }
    let report: Report = engine::run(options)?;
    if options.json {
        println!("{}", report.json());
    } else {
        print!("{}", report.text());
    }
    Ok(())
}

/// Keys of a run that does not say how many.
const DEFAULT_KEYS: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn parse(words: &str) -> Options {
        Cli::parse_from(["bench"].into_iter().chain(words.split_whitespace())).options
    }

    #[test]
    fn populated_keys_are_those_used() {
        let options = parse("--workload get --populate 500 --rate 10 --seconds 1");
        assert_eq!(options.key_count(), 500);
        let filling = options.population(500);
        assert_eq!(filling.workload, Workload::Set);
        assert!(filling.sequential && filling.rate.is_none() && filling.seconds.is_none());
        assert_eq!(filling.requests, Some(500));
        assert_eq!(parse("--populate 500 --keys 9").key_count(), 9);
    }

    #[test]
    fn senseless_options_are_refused() {
        for words in [
            "--connections 0",
            "--pipeline 0",
            "--keys 0",
            "--rate 0",
            "--rate nan",
            "--seconds inf",
            "--patience 0",
            "--workload custom",
            "--workload get -- PING",
        ] {
            assert!(parse(words).check().is_err(), "{words}");
        }
        assert!(parse("--workload custom -- INCR __key__").check().is_ok());
        assert!(parse("").check().is_ok());
    }
}
