//! The limits of ranges: ranks, scores and texts.

use crate::number::parse_i64;
use crate::protocol::{WireError, errors};
use crate::values::packed::Element;
use crate::values::sorted_set::SortedSetRef;

/// A range of a sorted set.
#[derive(Clone, Copy, Debug)]
pub(super) enum Range<'a> {
    /// From one rank to another; negative ones count from the end.
    Ranks(i64, i64),
    /// From one score to another.
    Scores(Bound<f64>, Bound<f64>),
    /// From one text to another.
    Texts(TextBound<'a>, TextBound<'a>),
}

/// A score, itself in the range or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound<T> {
    value: T,
    open: bool,
}

/// A text, or an end of all texts.
#[derive(Clone, Copy, Debug)]
pub(super) enum TextBound<'a> {
    /// Before all.
    Lowest,
    /// Behind all.
    Highest,
    /// At a text.
    At(Bound<&'a [u8]>),
}

/// Which kind of limits a command takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// Ranks.
    Rank,
    /// Scores.
    Score,
    /// Texts.
    Lex,
}

impl<'a> Range<'a> {
    /// The range between two limits, the lower one first.
    ///
    /// # Errors
    /// In Redis's words, when a limit is none of its kind.
    pub(super) fn parse(by: By, low: &'a [u8], high: &'a [u8]) -> Result<Self, WireError> {
        match by {
            By::Rank => Ok(Range::Ranks(
                parse_i64(low).ok_or(errors::NOT_AN_INTEGER)?,
                parse_i64(high).ok_or(errors::NOT_AN_INTEGER)?,
            )),
            By::Score => Ok(Range::Scores(score(low)?, score(high)?)),
            By::Lex => Ok(Range::Texts(text(low)?, text(high)?)),
        }
    }

    /// The ranks of the range: the first, and how many.
    pub(super) fn ranks(self, set: SortedSetRef<'_>, reverse: bool) -> (usize, usize) {
        let (first, end) = match self {
            Range::Ranks(start, stop) => {
                let len = set.len() as i64;
                let from_end = |n: i64| if n < 0 { n.saturating_add(len) } else { n };
                let (start, stop) = (from_end(start).max(0), from_end(stop).min(len - 1));
                if start > stop || start >= len {
                    return (0, 0);
                }
                let (first, end) = (start as usize, stop as usize + 1);
                if reverse {
                    (len as usize - end, len as usize - first)
                } else {
                    (first, end)
                }
            }
            Range::Scores(low, high) => (
                set.count_before(|score, _| score < low.value || low.open && score == low.value),
                set.count_before(|score, _| {
                    score < high.value || !high.open && score == high.value
                }),
            ),
            Range::Texts(low, high) => (
                set.count_before(|_, member| low.is_behind(member, true)),
                set.count_before(|_, member| high.is_behind(member, false)),
            ),
        };
        (first, end.saturating_sub(first))
    }
}

impl TextBound<'_> {
    /// Whether the member lies before the bound, taken as the beginning or as the end of a
    /// range.
    fn is_behind(self, member: Element<'_>, beginning: bool) -> bool {
        match self {
            TextBound::Lowest => false,
            TextBound::Highest => true,
            TextBound::At(Bound { value, open }) => {
                let mut digits = itoa::Buffer::new();
                let member = member.text(&mut digits);
                member < value || member == value && (open == beginning)
            }
        }
    }
}

fn score(given: &[u8]) -> Result<Bound<f64>, WireError> {
    let (open, digits) = match given.strip_prefix(b"(") {
        Some(rest) => (true, rest),
        None => (false, given),
    };
    let value = limit(digits).ok_or(WireError::fixed("ERR min or max is not a float"))?;
    Ok(Bound { value, open })
}

/// Redis 8.2 reads limits more leniently than scores: nothing is 0, what is too large is
/// infinite, what is too small is 0; but there are no hexadecimal ones.
fn limit(digits: &[u8]) -> Option<f64> {
    if digits.is_empty() {
        return Some(0.0);
    }
    let value: f64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (!value.is_nan()).then_some(value)
}

fn text(given: &[u8]) -> Result<TextBound<'_>, WireError> {
    match given {
        b"-" => Ok(TextBound::Lowest),
        b"+" => Ok(TextBound::Highest),
        [b'(', value @ ..] => Ok(TextBound::At(Bound { value, open: true })),
        [b'[', value @ ..] => Ok(TextBound::At(Bound { value, open: false })),
        _ => Err(WireError::fixed(
            "ERR min or max not valid string range item",
        )),
    }
}
