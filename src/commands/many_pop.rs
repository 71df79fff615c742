//! What `LMPOP`, `ZMPOP` and their blocking forms have in common: how they are written.

use super::arguments::Arguments;
use crate::number::parse_i64;
use crate::protocol::{Args, WireError, errors};

/// How many elements to take, from which end of the first of some keys.
pub(super) struct ManyPop<W> {
    /// How many keys there are; they begin right after their number.
    pub keys: usize,
    /// From which end.
    pub from: W,
    /// How many elements at most.
    pub count: usize,
}

impl<W> ManyPop<W> {
    /// Reads the arguments; the number of keys is argument `at`, and `named` knows the ends.
    ///
    /// # Errors
    /// In Redis's words.
    pub(super) fn parse(
        args: Args<'_>,
        at: usize,
        named: fn(&[u8]) -> Option<W>,
    ) -> Result<ManyPop<W>, WireError> {
        let keys = parse_i64(args.at(at)).and_then(|n| usize::try_from(n).ok());
        let keys = keys.filter(|n| *n > 0 && *n <= i32::MAX as usize);
        let keys = keys.ok_or(WireError::fixed("ERR numkeys should be greater than 0"))?;
        let from = args.get(at + keys + 1).and_then(named);
        let from = from.ok_or(errors::SYNTAX)?;
        let mut count = None;
        let mut rest = Arguments::new(args, at + keys + 2);
        while rest.more() {
            if count.is_some() || !rest.word("count") || rest.left() == 0 {
                return Err(errors::SYNTAX);
            }
            let given = parse_i64(rest.value()).and_then(|n| usize::try_from(n).ok());
            let given = given.filter(|n| *n > 0);
            count = Some(given.ok_or(WireError::fixed("ERR count should be greater than 0"))?);
        }
        rest.finish()?;
        Ok(ManyPop {
            keys,
            from,
            count: count.unwrap_or(1),
        })
    }
}
