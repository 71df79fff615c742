//! The bytes by which RDB data says what comes next.
//!
//! Types 22 and above 79 tell Redis's and Valkey's branches of the format apart: up to version
//! 12 they are Redis's, from version 80 on Valkey's.

/// `VALUE_*`: the type of an object, and how it is laid out.
pub const STRING: u8 = 0;
pub const LIST: u8 = 1;
pub const SET: u8 = 2;
/// Scores as text.
pub const ZSET: u8 = 3;
pub const HASH: u8 = 4;
/// Scores as eight bytes.
pub const ZSET_2: u8 = 5;
pub const MODULE_OLD: u8 = 6;
pub const MODULE: u8 = 7;
pub const HASH_ZIPMAP: u8 = 9;
pub const LIST_ZIPLIST: u8 = 10;
pub const SET_INTSET: u8 = 11;
pub const ZSET_ZIPLIST: u8 = 12;
pub const HASH_ZIPLIST: u8 = 13;
/// A list of ziplists.
pub const LIST_QUICKLIST: u8 = 14;
pub const STREAM: u8 = 15;
pub const HASH_LISTPACK: u8 = 16;
pub const ZSET_LISTPACK: u8 = 17;
/// A list of listpacks and plain elements.
pub const LIST_QUICKLIST_2: u8 = 18;
pub const STREAM_2: u8 = 19;
pub const SET_LISTPACK: u8 = 20;
pub const STREAM_3: u8 = 21;
/// Up to version 12: a hash with field expiry as candidates of Redis 7.4 wrote it. From
/// version 80 on: a hash with field expiry as Valkey 9 writes it.
pub const HASH_22: u8 = 22;
pub const HASH_LISTPACK_EX_OLD: u8 = 23;
/// A hash with field expiry as Redis 7.4 and later write it.
pub const HASH_METADATA: u8 = 24;
pub const HASH_LISTPACK_EX: u8 = 25;

/// Opcodes: what stands in a file beside keys.
pub const SLOT_IMPORT: u8 = 243;
pub const SLOT_INFO: u8 = 244;
pub const FUNCTION: u8 = 245;
pub const FUNCTION_OLD: u8 = 246;
pub const MODULE_AUX: u8 = 247;
pub const IDLE: u8 = 248;
pub const FREQUENCY: u8 = 249;
pub const AUX: u8 = 250;
pub const RESIZE: u8 = 251;
pub const EXPIRY_MS: u8 = 252;
pub const EXPIRY_SECONDS: u8 = 253;
pub const SELECT: u8 = 254;
pub const END: u8 = 255;

/// The first version of Valkey's branch.
pub const FIRST_VALKEY: u32 = 80;
/// The newest version of Redis's branch that is read here.
pub const NEWEST_REDIS: u32 = 12;
/// The newest version of Valkey's branch that is read here.
pub const NEWEST_VALKEY: u32 = 80;

/// Whether data of this version can be read.
pub fn is_known(version: u32) -> bool {
    (1..=NEWEST_REDIS).contains(&version) || (FIRST_VALKEY..=NEWEST_VALKEY).contains(&version)
}
