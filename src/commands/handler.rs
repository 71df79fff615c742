//! The shapes of command handlers.
//!
//! Reads see the locked keys and cannot change them. Writes change them and say what their
//! effect is, so that no write can forget it. Session commands see the client and the
//! server, and lock what they need themselves.

use crate::execute::{Effect, ReadContext, SessionContext, WriteContext};
use crate::protocol::{Args, Reply, WireError};

/// A command that reads keys.
pub type ReadFn = fn(&ReadContext<'_>, Args<'_>, &mut Reply<'_>) -> Result<(), WireError>;
/// A command that may change keys. On an error nothing has been changed.
pub type WriteFn = fn(&mut WriteContext<'_>, Args<'_>, &mut Reply<'_>) -> Result<Effect, WireError>;
/// A command about the connection or the server.
pub type SessionFn = fn(&mut SessionContext<'_>, Args<'_>, &mut Reply<'_>) -> Result<(), WireError>;

/// What runs a command.
#[derive(Clone, Copy, Debug)]
pub enum Handler {
    /// Reads keys.
    Read(ReadFn),
    /// Changes keys.
    Write(WriteFn),
    /// Concerns the connection or the server.
    Session(SessionFn),
    /// Has subcommands only.
    Container,
}

/// What a command locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Scope {
    /// The shards of its keys, in the client's database.
    #[default]
    Keys,
    /// The shards of its keys, in every database: `COPY` and `MOVE` name a second one.
    KeysAnywhere,
    /// The client's database.
    Database,
    /// Every database.
    Keyspace,
}
