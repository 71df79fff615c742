//! Every error text that goes over the wire, in Redis's words where Redis has one.

use std::borrow::Cow;
use std::fmt;

/// An error reply: its text without the leading `-` and the final CRLF. The first word is
/// the error's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError(Cow<'static, str>);

impl WireError {
    /// An error with a fixed text.
    pub const fn fixed(text: &'static str) -> Self {
        WireError(Cow::Borrowed(text))
    }

    /// An error with a text made for the occasion.
    pub fn new(text: impl Into<String>) -> Self {
        WireError(Cow::Owned(text.into()))
    }

    /// The text, code first.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The error's code: the first word.
    pub fn code(&self) -> &str {
        self.0.split(' ').next().unwrap_or("")
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WireError {}

/// The number of arguments does not fit the command.
pub fn wrong_arity(full_name: &str) -> WireError {
    WireError::new(format!(
        "ERR wrong number of arguments for '{full_name}' command"
    ))
}

/// An expiry that lies outside what can be stored.
pub fn invalid_expire(full_name: &str) -> WireError {
    WireError::new(format!("ERR invalid expire time in '{full_name}' command"))
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: WireError = WireError::fixed($text);)*
    };
}

texts! {
    /// The arguments do not follow the command's syntax.
    SYNTAX = "ERR syntax error";
    /// The key holds another type.
    WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";
    /// An integer was due.
    NOT_AN_INTEGER = "ERR value is not an integer or out of range";
    /// A float was due.
    NOT_A_FLOAT = "ERR value is not a valid float";
    /// A number outside its range.
    OUT_OF_RANGE = "ERR value is out of range";
    /// A number that must be positive.
    MUST_BE_POSITIVE = "ERR value is out of range, must be positive";
    /// The key is not there.
    NO_SUCH_KEY = "ERR no such key";
    /// A string would grow over `proto-max-bulk-len`.
    STRING_TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    /// An offset outside what a string may have.
    OFFSET_OUT_OF_RANGE = "ERR offset is out of range";
    /// INCR past the ends of 64 bits.
    OVERFLOW = "ERR increment or decrement would overflow";
    /// INCRBYFLOAT to something that is no number.
    NAN_OR_INFINITY = "ERR increment would produce NaN or Infinity";
    /// A database index that does not exist.
    DB_OUT_OF_RANGE = "ERR DB index is out of range";
    /// A write sent to a read-only replica.
    READ_ONLY = "READONLY You can't write against a read only replica.";
    /// Not logged in.
    NO_AUTH = "NOAUTH Authentication required.";
    /// A wrong user or password.
    WRONG_PASS = "WRONGPASS invalid username-password pair or user is disabled.";
    /// The data is still being loaded.
    LOADING = "LOADING Redis is loading the dataset in memory";
    /// The link to the primary is down and stale data may not be served.
    MASTER_DOWN = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    /// `maxmemory` is reached.
    OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'.";
    /// EXEC of a transaction whose queueing failed.
    EXEC_ABORT = "EXECABORT Transaction discarded because of previous errors.";
    /// Fewer replicas than `min-replicas-to-write` or `min-insync-replicas`: not executed.
    NO_REPLICAS = "NOREPLICAS Not enough good replicas to write.";
    /// Executed here, not confirmed by the in-sync set.
    UNCERTAIN = "UNCERTAIN The write was executed here but not confirmed by the in-sync replicas in time; it may or may not survive a failover.";
    /// The read depends on a write that was not confirmed.
    UNCERTAIN_READ = "UNCERTAIN The value read depends on a write that the in-sync replicas did not confirm in time.";
    /// The connection limit is reached.
    MAX_CLIENTS = "ERR max number of clients reached";
    /// HELLO with a version that does not exist.
    NO_PROTO = "NOPROTO unsupported protocol version";
}
