//! Logs: `tracing` events as Redis's log lines, or as JSON.
//!
//! ```text
//! 4711:M 23 Nov 2026 03:00:00.123 * ready to accept connections port=6379
//! ```
//! Process, role (`M` primary, `S` replica), local time, level (`.` debug, `-` verbose,
//! `*` notice, `#` warning), text and fields. The file is opened for each line, so that it
//! may be moved away at any time.

use crate::config::{Config, LogFormat, LogLevel};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;

static IS_REPLICA: AtomicBool = AtomicBool::new(false);
static LEVEL: OnceLock<Handle<LevelFilter, Registry>> = OnceLock::new();

/// Starts logging as the configuration says; once for a process.
///
/// # Errors
/// When the log file cannot be written.
pub fn start(config: &Config) -> io::Result<()> {
    let target = Target {
        file: config.logfile.clone(),
    };
    // A log that cannot be written is told now, not at the first line.
    drop(target.open()?);
    let (level, handle) = reload::Layer::new(filter(config.loglevel));
    let registry = tracing_subscriber::registry().with(level);
    let started = match config.log_format {
        LogFormat::Text => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .event_format(RedisLines)
                    .with_ansi(false)
                    .with_writer(target),
            )
            .try_init(),
        LogFormat::Json => registry
            .with(tracing_subscriber::fmt::layer().json().with_writer(target))
            .try_init(),
    };
    // Only a second start in one process (tests) fails here, and the first one serves.
    if started.is_ok() {
        let _ = LEVEL.set(handle);
    }
    Ok(())
}

/// Changes the level (`CONFIG SET loglevel`).
pub fn set_level(level: LogLevel) {
    if let Some(handle) = LEVEL.get() {
        // The subscriber lives as long as the process.
        let _ = handle.modify(|current| *current = filter(level));
    }
}

/// Says which role log lines show.
pub fn set_replica(replica: bool) {
    IS_REPLICA.store(replica, Ordering::Relaxed);
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::TRACE,
        LogLevel::Verbose => LevelFilter::DEBUG,
        LogLevel::Notice => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Nothing => LevelFilter::OFF,
    }
}

struct Target {
    file: Option<PathBuf>,
}

enum Sink {
    File(File),
    Stdout(io::Stdout),
}

impl Target {
    fn open(&self) -> io::Result<Sink> {
        match &self.file {
            Some(path) => OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .map(Sink::File),
            None => Ok(Sink::Stdout(io::stdout())),
        }
    }
}

impl<'a> MakeWriter<'a> for Target {
    type Writer = Sink;

    fn make_writer(&'a self) -> Sink {
        self.open().unwrap_or_else(|_| Sink::Stdout(io::stdout()))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::File(file) => file.write(bytes),
            Sink::Stdout(stdout) => stdout.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::File(file) => file.flush(),
            Sink::Stdout(stdout) => stdout.flush(),
        }
    }
}

struct RedisLines;

impl<S, N> FormatEvent<S, N> for RedisLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let role = if IS_REPLICA.load(Ordering::Relaxed) {
            'S'
        } else {
            'M'
        };
        let level = match *event.metadata().level() {
            Level::TRACE => '.',
            Level::DEBUG => '-',
            Level::INFO => '*',
            Level::WARN | Level::ERROR => '#',
        };
        let pid = std::process::id();
        write!(
            writer,
            "{pid}:{role} {} {level} ",
            crate::time::local_stamp()
        )?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
