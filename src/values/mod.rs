//! The data structures, ignorant of the server: no module here imports another room.

pub mod bitmap;
pub mod geohash;
pub mod hash;
pub mod hyperloglog;
pub mod lcs;
pub mod list;
pub mod packed;
pub mod set;
pub mod sorted_set;
pub mod stream;
pub mod table;

pub use packed::SpliceBuf;
