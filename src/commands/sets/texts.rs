//! Error texts that only set commands have, in Redis's words.

use crate::protocol::WireError;

/// SRANDMEMBER with the one count that has no opposite.
pub(super) const COUNT_RANGE: WireError = WireError::fixed(
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
);
/// SINTERCARD of no sets.
pub(super) const NUMKEYS_NOT_POSITIVE: WireError =
    WireError::fixed("ERR numkeys should be greater than 0");
/// SINTERCARD of more sets than follow.
pub(super) const TOO_FEW_KEYS: WireError =
    WireError::fixed("ERR Number of keys can't be greater than number of args");
/// SINTERCARD up to something that is no count.
pub(super) const NEGATIVE_LIMIT: WireError = WireError::fixed("ERR LIMIT can't be negative");
