//! Error texts that only bitmap commands have, in Redis's words.

use crate::protocol::WireError;

/// An offset that no string can have.
pub(super) const BAD_OFFSET: WireError =
    WireError::fixed("ERR bit offset is not an integer or out of range");
/// SETBIT to something else than 0 or 1.
pub(super) const BAD_BIT: WireError = WireError::fixed("ERR bit is not an integer or out of range");
/// BITPOS of something else than 0 or 1.
pub(super) const BIT_IS_1_OR_0: WireError =
    WireError::fixed("ERR The bit argument must be 1 or 0.");
/// BITOP NOT of several strings.
pub(super) const NOT_TAKES_ONE: WireError =
    WireError::fixed("ERR BITOP NOT must be called with a single source key.");
/// BITFIELD with a type that does not exist.
pub(super) const BAD_TYPE: WireError = WireError::fixed(
    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
);
/// BITFIELD with a way of overflowing that does not exist.
pub(super) const BAD_OVERFLOW: WireError = WireError::fixed("ERR Invalid OVERFLOW type specified");
/// BITFIELD_RO that would write.
pub(super) const ONLY_GET: WireError =
    WireError::fixed("ERR BITFIELD_RO only supports the GET subcommand");

/// BITOP of one string where there must be others.
pub(super) fn takes_two(operation: &str) -> WireError {
    WireError::new(format!(
        "ERR BITOP {operation} must be called with at least two source keys."
    ))
}
