//! The data structures, ignorant of the server: no module here imports another room.

pub mod hash;
pub mod lcs;
pub mod packed;
pub mod table;

pub use packed::SpliceBuf;
