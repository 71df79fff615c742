//! What the newer hash commands share in their arguments: `FIELDS numfields field ...` and
//! expiries of fields.

use super::texts;
use crate::number::parse_i64;
use crate::protocol::{Args, WireError, errors};
use crate::time::UnixMs;

/// The fields after `FIELDS numfields`, which begins at index `at` and ends the request.
///
/// # Errors
/// If `FIELDS` is not there, the number is none (`bad_count`), or it is not how many follow.
pub(super) fn fields<'a>(
    args: Args<'a>,
    at: usize,
    bad_count: WireError,
) -> Result<Args<'a>, WireError> {
    if !args.is(at, "fields") {
        return Err(texts::FIELDS_MISSING);
    }
    let count = args.get(at + 1).and_then(parse_i64);
    let count = count.filter(|n| *n > 0).ok_or(bad_count)?;
    let fields = args.skip(at + 2);
    if fields.len() as u64 != count as u64 {
        return Err(texts::FIELDS_MISMATCH);
    }
    Ok(fields)
}

/// How a time is given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock {
    /// Milliseconds in the unit of the argument.
    unit_ms: i64,
    /// Whether it counts from now.
    relative: bool,
}

impl Clock {
    /// Seconds from now.
    pub(super) const EX: Clock = Clock::new(1000, true);
    /// Milliseconds from now.
    pub(super) const PX: Clock = Clock::new(1, true);
    /// Seconds since the epoch.
    pub(super) const EXAT: Clock = Clock::new(1000, false);
    /// Milliseconds since the epoch.
    pub(super) const PXAT: Clock = Clock::new(1, false);

    const fn new(unit_ms: i64, relative: bool) -> Self {
        Clock { unit_ms, relative }
    }

    /// The clock that argument `i` names as an option.
    pub(super) fn named(args: Args<'_>, i: usize) -> Option<Clock> {
        let names = [
            ("ex", Self::EX),
            ("px", Self::PX),
            ("exat", Self::EXAT),
            ("pxat", Self::PXAT),
        ];
        let named = names.into_iter().find(|(name, _)| args.is(i, name));
        named.map(|(_, clock)| clock)
    }

    /// The expiry in milliseconds since the epoch.
    ///
    /// # Errors
    /// If it is no integer, negative, or beyond [`MAX_EXPIRY`]; `command` is named then.
    pub(super) fn read(self, text: &[u8], now: UnixMs, command: &str) -> Result<UnixMs, WireError> {
        let given = parse_i64(text).ok_or(errors::NOT_AN_INTEGER)?;
        if given < 0 {
            return Err(texts::EXPIRY_NEGATIVE);
        }
        let base = if self.relative { now } else { 0 };
        given
            .checked_mul(self.unit_ms)
            .and_then(|ms| ms.checked_add(base))
            .filter(|at| *at <= MAX_EXPIRY)
            .ok_or_else(|| errors::invalid_expire(command))
    }
}

/// The latest expiry that a field may have, in milliseconds since the epoch; Redis's limit.
const MAX_EXPIRY: UnixMs = (1 << 46) - 1;
