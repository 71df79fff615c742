//! The configuration: one table of options, the values in force, and the ways in.
//!
//! - `spec` and `table`: every option of Redis 8.2, Valkey 9.1 and our own, declared once.
//! - `parse` and `value`: from arguments to a [`Value`] and back to what `CONFIG GET` and
//!   `CONFIG REWRITE` print.
//! - `resolved`: [`Config`], the same values under typed names.
//! - `command_line` and `file`: the arguments of `lockstep-server` and the syntax of `redis.conf`.
//! - `handle`: [`ConfigHandle`], shared by all threads; `CONFIG GET` and `CONFIG SET`.
//! - `rewrite`: `CONFIG REWRITE`.
//!
//! What must stay true: a [`Config`] is never changed, only replaced; every value in it has
//! passed its option's checks; error texts are Redis's.

mod command_line;
mod file;
mod handle;
mod parse;
mod resolved;
mod rewrite;
mod spec;
mod table;
mod value;

pub use command_line::{Invocation, Sources, USAGE, parse_command_line};
pub use file::{LoadError, Loaded, load, load_text};
pub use handle::{Change, ConfigError, ConfigHandle};
pub use parse::parse_memory;
pub use resolved::{
    AppendFsync, ClientMemory, Config, Exposure, LogFormat, LogLevel, MaxmemoryPolicy, SanitizeDump,
};
pub use spec::{Flags, Kind, Spec};
pub use table::{find, options};
pub use value::{NotifyClass, OutputLimit, SavePoint, ShutdownFlags, Value};

#[cfg(test)]
mod tests;
