//! Error texts that only stream commands have, in Redis's words.

use crate::protocol::WireError;

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub(super) const $name: WireError = WireError::fixed($text);)*
    };
}

texts! {
    /// Something that is no identity.
    INVALID_ID = "ERR Invalid stream ID specified as stream command argument";
    /// A range that begins after the last identity.
    INVALID_START = "ERR invalid start ID for the interval";
    /// A range that ends before the first identity.
    INVALID_END = "ERR invalid end ID for the interval";
    /// XADD of 0-0.
    ID_ZERO = "ERR The ID specified in XADD must be greater than 0-0";
    /// XADD not after the last entry.
    ID_TOO_SMALL = "ERR The ID specified in XADD is equal or smaller than the target stream top item";
    /// XADD after the last identity there is.
    EXHAUSTED = "ERR The stream has exhausted the last possible ID, unable to add more items";
    /// XADD of an entry that no node could hold.
    TOO_LARGE = "ERR Elements are too large to be stored";
    /// A negative MAXLEN.
    NEGATIVE_MAXLEN = "ERR The MAXLEN argument must be >= 0.";
    /// A negative LIMIT.
    NEGATIVE_LIMIT = "ERR The LIMIT argument must be >= 0.";
    /// LIMIT without MAXLEN or MINID.
    LIMIT_ALONE = "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy";
    /// LIMIT with exact trimming.
    LIMIT_EXACT = "ERR syntax error, LIMIT cannot be used without the special ~ option";
    /// A second MAXLEN or MINID.
    TWO_STRATEGIES = "ERR syntax error, MAXLEN and MINID options at the same time are not compatible";
    /// IDS with a number that is none.
    NUMIDS_NOT_POSITIVE = "ERR Number of IDs must be a positive integer";
    /// IDS with fewer identities than announced.
    TOO_FEW_IDS = "ERR The `numids` parameter must match the number of arguments";
    /// XSETID below the last entry.
    LAST_BELOW_TOP = "ERR The ID specified in XSETID is smaller than the target stream top item";
    /// XSETID below what was deleted.
    LAST_BELOW_DELETED = "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id";
    /// XSETID below what it says was deleted.
    LAST_BELOW_GIVEN = "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id";
    /// XSETID with fewer entries added than there are.
    ADDED_BELOW_LENGTH = "ERR The entries_added specified in XSETID is smaller than the target stream length";
    /// XSETID with a negative number of entries added.
    ADDED_NEGATIVE = "ERR entries_added must be positive";
    /// XGROUP of a key that is not there.
    GROUP_NEEDS_KEY = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.";
    /// XGROUP CREATE of a group that exists.
    BUSY_GROUP = "BUSYGROUP Consumer Group name already exists";
    /// ENTRIESREAD below -1.
    ENTRIES_READ_RANGE = "ERR value for ENTRIESREAD must be positive or -1";
    /// `>` outside groups.
    NEW_NEEDS_GROUP = "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.";
    /// `$` in a group.
    DOLLAR_IN_GROUP = "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.";
    /// `+` in a group.
    PLUS_IN_GROUP = "ERR The + ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The + ID would just return an empty result set.";
    /// XREAD with GROUP.
    GROUP_IN_XREAD = "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.";
    /// XREAD with NOACK.
    NOACK_IN_XREAD = "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.";
    /// XREADGROUP without GROUP.
    MISSING_GROUP = "ERR Missing GROUP option for XREADGROUP";
    /// XREAD with fewer or more identities than keys.
    UNBALANCED_READ = "ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified.";
    /// The same for XREADGROUP.
    UNBALANCED_READ_GROUP = "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.";
    /// BLOCK with something that is no integer.
    TIMEOUT_NOT_AN_INTEGER = "ERR timeout is not an integer or out of range";
    /// BLOCK beyond the end of time.
    TIMEOUT_OUT_OF_RANGE = "ERR timeout is out of range";
    /// BLOCK with a negative time.
    TIMEOUT_NEGATIVE = "ERR timeout is negative";
    /// XAUTOCLAIM of nothing.
    COUNT_NOT_POSITIVE = "ERR COUNT must be > 0";
    /// XAUTOCLAIM of more than memory holds.
    COUNT_TOO_HIGH = "ERR Insufficient memory, failed allocating transient memory, COUNT too high.";
}

/// A group that is not there, where the key must be.
pub(super) fn no_group(group: &[u8], key: &[u8]) -> WireError {
    WireError::from_parts(&[
        b"NOGROUP No such consumer group '",
        group,
        b"' for key name '",
        key,
        b"'",
    ])
}

/// A key or group that is not there.
pub(super) fn no_key_or_group(key: &[u8], group: &[u8], after: &str) -> WireError {
    WireError::from_parts(&[
        b"NOGROUP No such key '",
        key,
        b"' or consumer group '",
        group,
        b"'",
        after.as_bytes(),
    ])
}

/// Options that a subcommand does not have.
pub(super) fn unknown_options(container: &str, subcommand: &[u8]) -> WireError {
    let before = "ERR unknown subcommand or wrong number of arguments for '";
    WireError::quoting(before, subcommand, &format!("'. Try {container} HELP."))
}

/// An option that XCLAIM does not have.
pub(super) fn unknown_claim_option(option: &[u8]) -> WireError {
    WireError::quoting("ERR Unrecognized XCLAIM option '", option, "'")
}

/// An option's number that is none.
pub(super) fn invalid_number(what: &str, command: &str) -> WireError {
    WireError::new(format!("ERR Invalid {what} argument for {command}"))
}
