//! What can be wrong with an RDB file or a payload, and where.

use std::io;

/// RDB data cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("at offset {offset}: {what}")]
pub struct RdbError {
    /// Bytes before the place at which it was noticed, or before the string that is wrong.
    pub offset: u64,
    /// What is wrong.
    pub what: Problem,
}

/// What is wrong with RDB data.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The operating system refused.
    #[error("cannot read: {0}")]
    Io(io::Error),
    /// The data ends before it is complete.
    #[error("unexpected end of the data")]
    Truncated,
    /// The file begins like no RDB file.
    #[error("not an RDB file: it begins with neither REDIS nor VALKEY and a version")]
    Magic,
    /// The file is of a version that is not known here.
    #[error("RDB version {0} is not known to this version of Lockstep")]
    Version(u32),
    /// A type or opcode that is not known.
    #[error("unknown type or opcode {0}")]
    Type(u8),
    /// A value of a module's type.
    #[error("the value of a module's type ({0}), which Lockstep cannot hold")]
    Module(String),
    /// A name that occurs twice.
    #[error("{0} occurs twice")]
    Duplicate(&'static str),
    /// The bytes break a rule of the format.
    #[error("{0}")]
    Malformed(&'static str),
    /// A library of functions cannot be loaded.
    #[error("a library of functions: {0}")]
    Library(String),
    /// The checksum does not fit the bytes.
    #[error("wrong checksum: expected {expected:016x}, the data has {found:016x}")]
    Checksum {
        /// As it stands at the end.
        expected: u64,
        /// As computed.
        found: u64,
    },
}

/// The result of reading RDB data.
pub type Result<T> = std::result::Result<T, RdbError>;
