//! Error texts that only hash commands have, in Redis's words.

use crate::protocol::WireError;

/// HINCRBY on something else.
pub(super) const NOT_AN_INTEGER: WireError = WireError::fixed("ERR hash value is not an integer");
/// HINCRBYFLOAT on something else.
pub(super) const NOT_A_FLOAT: WireError = WireError::fixed("ERR hash value is not a float");
/// HINCRBYFLOAT by infinity.
pub(super) const INCREMENT_NOT_FINITE: WireError = WireError::fixed("ERR value is NaN or Infinity");
/// HRANDFIELD with the one count that has no opposite.
pub(super) const COUNT_RANGE: WireError = WireError::fixed(
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
);
/// `FIELDS` is not where it should be.
pub(super) const FIELDS_MISSING: WireError =
    WireError::fixed("ERR Mandatory argument FIELDS is missing or not at the right position");
/// Another number of fields than was announced.
pub(super) const FIELDS_MISMATCH: WireError =
    WireError::fixed("ERR The `numfields` parameter must match the number of arguments");
/// A number of fields that cannot be one.
pub(super) const BAD_COUNT: WireError =
    WireError::fixed("ERR Number of fields must be a positive integer");
/// The same in HEXPIRE and its relatives.
pub(super) const BAD_COUNT_EXPIRING: WireError =
    WireError::fixed("ERR Parameter `numFields` should be greater than 0");
/// The same in HSETEX.
pub(super) const BAD_COUNT_SETTING: WireError = WireError::fixed("ERR invalid number of fields");
/// An expiry below 0.
pub(super) const EXPIRY_NEGATIVE: WireError =
    WireError::fixed("ERR invalid expire time, must be >= 0");
/// HSETEX with two conditions.
pub(super) const FNX_FXX_CLASH: WireError =
    WireError::fixed("ERR Only one of FXX or FNX arguments can be specified");
/// HSETEX with two expiries.
pub(super) const EXPIRY_CLASH: WireError =
    WireError::fixed("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
