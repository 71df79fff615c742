//! Walking the optional arguments of a command.
//!
//! An [`Arguments`] keeps the first error and then pretends that nothing is left, so that a
//! family's loop over its options needs no error handling of its own: `finish` reports.

use crate::keyspace::DbIndex;
use crate::number::parse_i64;
use crate::protocol::{Args, WireError, errors};
use crate::time::UnixMs;

/// What remains of a request's arguments.
pub struct Arguments<'a> {
    args: Args<'a>,
    at: usize,
    error: Option<WireError>,
}

impl<'a> Arguments<'a> {
    /// The arguments from index `first` on.
    pub fn new(args: Args<'a>, first: usize) -> Self {
        Arguments {
            args,
            at: first,
            error: None,
        }
    }

    /// Whether another argument is left and nothing has gone wrong.
    pub fn more(&self) -> bool {
        self.error.is_none() && self.at < self.args.len()
    }

    /// The index of the next argument.
    pub fn position(&self) -> usize {
        self.at
    }

    /// How many arguments are left.
    pub fn left(&self) -> usize {
        self.args.len().saturating_sub(self.at)
    }

    /// Takes the next argument if it is `word`, ASCII case aside.
    pub fn word(&mut self, word: &str) -> bool {
        let is = self.error.is_none() && self.args.is(self.at, word);
        self.at += usize::from(is);
        is
    }

    /// Takes the next argument, whatever it is. None left is a syntax error.
    pub fn value(&mut self) -> &'a [u8] {
        match self.args.get(self.at) {
            Some(value) if self.error.is_none() => {
                self.at += 1;
                value
            }
            _ => {
                self.fail(errors::SYNTAX);
                b""
            }
        }
    }

    /// Takes the next argument as an integer.
    pub fn integer(&mut self) -> i64 {
        let text = self.value();
        parse_i64(text).unwrap_or_else(|| {
            self.fail(errors::NOT_AN_INTEGER);
            0
        })
    }

    /// Takes `EX`, `PX`, `EXAT` or `PXAT` with its number, if one of them is next.
    pub fn expiry(&mut self) -> Option<GivenExpiry<'a>> {
        for (word, unit, relative) in EXPIRY_WORDS {
            if self.word(word) {
                return Some(GivenExpiry {
                    unit,
                    relative,
                    text: self.value(),
                });
            }
        }
        None
    }

    /// Notes an error, unless there is one already.
    pub fn fail(&mut self, error: WireError) {
        self.error.get_or_insert(error);
    }

    /// Ends the walk.
    ///
    /// # Errors
    /// The first error noted, or a syntax error if something is left.
    pub fn finish(self) -> Result<(), WireError> {
        match self.error {
            Some(error) => Err(error),
            None if self.at < self.args.len() => Err(errors::SYNTAX),
            None => Ok(()),
        }
    }
}

/// The database whose number a client gave, of so many that there are.
///
/// # Errors
/// If it is no integer, does not fit Redis's 32 bits, or does not exist: three texts.
pub fn db_index(text: &[u8], databases: u32) -> Result<DbIndex, WireError> {
    let number = parse_i64(text).ok_or(errors::NOT_AN_INTEGER)?;
    let number = i32::try_from(number).map_err(|_| errors::OUTSIDE_32_BITS)?;
    let index = u32::try_from(number).ok();
    let index = index.filter(|index| *index < databases);
    index.map(DbIndex).ok_or(errors::DB_OUT_OF_RANGE)
}

/// The unit in which a client gave a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

/// An expiry as it stands in a request: not yet a number, because Redis looks at the number
/// only after the rest of the syntax.
#[derive(Clone, Copy, Debug)]
pub struct GivenExpiry<'a> {
    /// The unit of the number.
    pub unit: Unit,
    /// Whether it counts from now and not from the epoch.
    pub relative: bool,
    /// The number.
    pub text: &'a [u8],
}

impl GivenExpiry<'_> {
    /// The time meant, in milliseconds since the epoch.
    ///
    /// # Errors
    /// If it is no integer, not positive, or too large; `command` is named in the text.
    pub fn at(&self, now: UnixMs, command: &str) -> Result<UnixMs, WireError> {
        let given = parse_i64(self.text).ok_or(errors::NOT_AN_INTEGER)?;
        let factor = match self.unit {
            Unit::Seconds => 1000,
            Unit::Milliseconds => 1,
        };
        let base = if self.relative { now } else { 0 };
        given
            .checked_mul(factor)
            .filter(|ms| *ms > 0)
            .and_then(|ms| ms.checked_add(base))
            .ok_or_else(|| errors::invalid_expire(command))
    }
}

const EXPIRY_WORDS: [(&str, Unit, bool); 4] = [
    ("ex", Unit::Seconds, true),
    ("px", Unit::Milliseconds, true),
    ("exat", Unit::Seconds, false),
    ("pxat", Unit::Milliseconds, false),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::OwnedArgs;

    #[test]
    fn the_first_error_is_the_one_reported() {
        let request = OwnedArgs::of(["cmd", "count", "x", "bogus"]);
        let mut options = Arguments::new(request.view(), 1);
        assert!(options.word("COUNT"));
        assert_eq!(options.integer(), 0);
        assert!(!options.more());
        assert_eq!(options.finish(), Err(errors::NOT_AN_INTEGER));
    }

    #[test]
    fn what_is_left_or_missing_is_a_syntax_error() {
        let request = OwnedArgs::of(["cmd", "ex"]);
        let mut options = Arguments::new(request.view(), 1);
        assert!(options.expiry().is_some());
        assert_eq!(options.finish(), Err(errors::SYNTAX));
        let options = Arguments::new(request.view(), 1);
        assert_eq!(options.finish(), Err(errors::SYNTAX));
    }

    #[test]
    fn expiries_become_absolute() {
        for (word, text, expected) in [
            ("EX", "10", Some(11_000)),
            ("PX", "10", Some(1010)),
            ("EXAT", "10", Some(10_000)),
            ("PXAT", "10", Some(10)),
            ("EX", "0", None),
            ("PX", "-1", None),
            ("EX", "9223372036854775", None),
            ("EXAT", "9223372036854776", None),
            ("PXAT", "9223372036854775807", Some(i64::MAX)),
        ] {
            let request = OwnedArgs::of(["cmd", word, text]);
            let mut options = Arguments::new(request.view(), 1);
            let given = options.expiry().map(|given| given.at(1000, "cmd").ok());
            assert_eq!(given, Some(expected), "{word} {text}");
        }
    }
}
