//! RDB: the format in which Redis and Valkey keep data in files, and send it in payloads of
//! `DUMP` and in full copies.
//!
//! ```text
//! file, payload ──► source ──► object ──► Value ──► build ──► entry of the keyspace
//! entry ──► write ──► snapshot's chunks, payload
//! ```
//! `source` reads bytes, lengths and strings; `object`, `stream` and `packs` read what is made
//! of them; `file` and `payload` are the two frames around objects. `write` is the way back.
//!
//! What must stay true: reading allocates no more than a small multiple of the bytes that
//! have arrived, whatever lengths they claim; every error names its offset; nothing panics.
//! What is written loads in Redis from 7.2 on and in Valkey, but for hashes with field
//! expiry, of which each knows only its own form.

mod build;
mod checksum;
mod codes;
mod error;
mod file;
mod frame;
mod functions;
mod lzf;
mod object;
mod packs;
mod payload;
mod source;
mod stream;
mod stream_build;
mod stream_node;
mod stream_write;
#[cfg(test)]
mod tests;
mod value;
mod write;

pub use build::entry_of;
pub use checksum::Checksum;
pub use error::{Problem, RdbError};
pub use file::{FileReader, Item, Key, is_head};
pub use frame::{
    KeyForm, Rest, Usage, needed_version, put_end, put_head, put_key, put_key_in_parts,
    put_key_of_elements, put_key_quickly, put_select,
};
pub use functions::{FunctionsError, put_function, read_functions, write_functions};
pub use payload::{PayloadError, is_old_enough, read_payload, write_old_payload, write_payload};
pub use stream_node::each_entry;
pub use value::{
    StreamConsumer, StreamGroup, StreamId, StreamPending, StreamValue, Strings, Value,
};
pub use write::{Elements, Target, put_compressed, put_string};
