//! Every error text that goes over the wire, in Redis's words where Redis has one.

use std::borrow::Cow;
use std::fmt;

/// An error reply: its text without the leading `-` and the final CRLF. The first word is
/// the error's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError(Cow<'static, [u8]>);

impl WireError {
    /// An error with a fixed text.
    pub const fn fixed(text: &'static str) -> Self {
        WireError(Cow::Borrowed(text.as_bytes()))
    }

    /// An error with a text made for the occasion.
    pub fn new(text: impl Into<String>) -> Self {
        WireError(Cow::Owned(text.into().into_bytes()))
    }

    /// An error that quotes a client's bytes, which may be no text.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        WireError(Cow::Owned(bytes))
    }

    /// An error that repeats a client's bytes, up to the first NUL, as Redis does.
    pub fn quoting(before: &str, quoted: &[u8], after: &str) -> Self {
        WireError::from_parts(&[before.as_bytes(), quoted, after.as_bytes()])
    }

    /// An error put together of texts, each up to its first NUL.
    pub fn from_parts(parts: &[&[u8]]) -> Self {
        let until_nul = |part: &&[u8]| {
            part.split(|byte| *byte == 0)
                .next()
                .unwrap_or_default()
                .to_vec()
        };
        WireError::from_bytes(parts.iter().flat_map(until_nul).collect())
    }

    /// What goes over the wire, code first.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, code first.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The error's code: the first word.
    pub fn code(&self) -> &str {
        let code = self.0.split(|b| *b == b' ').next().unwrap_or_default();
        std::str::from_utf8(code).unwrap_or("ERR")
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
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

/// An option that the EXPIRE family does not have.
pub fn unsupported_option(option: &[u8]) -> WireError {
    WireError::quoting("ERR Unsupported option ", option, "")
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
    /// A client waited for what only a primary gives.
    ROLE_CHANGED = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";
    /// An integer was due.
    NOT_AN_INTEGER = "ERR value is not an integer or out of range";
    /// A float was due.
    NOT_A_FLOAT = "ERR value is not a valid float";
    /// A number outside its range.
    OUT_OF_RANGE = "ERR value is out of range";
    /// A number that does not fit a C int.
    OUTSIDE_32_BITS = "ERR value is out of range, value must between -2147483648 and 2147483647";
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
    /// DECRBY by the one number that has no opposite.
    DECREMENT_OVERFLOW = "ERR decrement would overflow";
    /// INCRBYFLOAT to something that is no number.
    NAN_OR_INFINITY = "ERR increment would produce NaN or Infinity";
    /// A count of keys that cannot be one.
    INVALID_NUMKEYS = "ERR invalid numkeys value or out of range";
    /// LCS of something other than strings.
    LCS_NEEDS_STRINGS = "ERR The specified keys must contain string values";
    /// LCS of a string beyond 32 bits.
    LCS_STRING_TOO_LONG = "ERR String too long for LCS";
    /// LCS whose table would be too large.
    LCS_MEMORY = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
    /// LCS with LEN and IDX.
    LCS_LENGTH_AND_INDEXES = "ERR If you want both the length and indexes, please just use IDX.";
    /// EXPIRE with NX and another condition.
    EXPIRE_NX_CLASH = "ERR NX and XX, GT or LT options at the same time are not compatible";
    /// EXPIRE with GT and LT.
    EXPIRE_GT_LT_CLASH = "ERR GT and LT options at the same time are not compatible";
    /// SCAN with a cursor that is no number.
    INVALID_CURSOR = "ERR invalid cursor";
    /// SCAN with an option of HSCAN.
    NOVALUES_IN_SCAN = "ERR NOVALUES option can only be used in HSCAN";
    /// COPY or MOVE of a key to itself.
    SAME_OBJECT = "ERR source and destination objects are the same";
    /// OBJECT FREQ without an LFU policy.
    NOT_LFU = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.";
    /// OBJECT IDLETIME under an LFU policy.
    IS_LFU = "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.";
    /// A database index that does not exist.
    DB_OUT_OF_RANGE = "ERR DB index is out of range";
    /// SWAPDB whose first index is no number.
    INVALID_FIRST_DB = "ERR invalid first DB index";
    /// SWAPDB whose second index is no number.
    INVALID_SECOND_DB = "ERR invalid second DB index";
    /// A write sent to a read-only replica.
    READ_ONLY = "READONLY You can't write against a read only replica.";
    /// Not logged in.
    NO_AUTH = "NOAUTH Authentication required.";
    /// A wrong user or password.
    WRONG_PASS = "WRONGPASS invalid username-password pair or user is disabled.";
    /// A script has been running for longer than `busy-reply-threshold`.
    BUSY_SCRIPT = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
    /// SCRIPT KILL of a script that has written.
    BUSY_FUNCTION = "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";
    UNKILLABLE = "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.";
    /// The data is still being loaded.
    LOADING = "LOADING Redis is loading the dataset in memory";
    /// The link to the primary is down and stale data may not be served.
    MASTER_DOWN = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    /// `maxmemory` is reached.
    OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'.";
    /// The last snapshot could not be saved.
    SAVE_ERROR = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.";
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
