//! The wire: requests in, replies out.
//!
//! The request reader and the reply writer are ours because they are the hot path; the
//! reader is fuzzed against the `redis-protocol` crate, which decodes and encodes
//! everything else. Nothing here knows the keyspace or a socket.

mod args;
pub mod errors;
mod inline;
mod reply;
mod request;

pub use args::{Args, OwnedArgs};
#[allow(unused_imports)]
pub(crate) use args::{encode_bulk, encode_header};
pub use errors::WireError;
pub use inline::split_quoted;
pub use reply::{OutBuf, Reply};
pub use request::{Limits, Parsed, ProtocolError, RequestReader};
