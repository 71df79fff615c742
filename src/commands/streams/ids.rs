//! Identities as clients write them: `5`, `5-1`, `5-*`, `-`, `+`, `(5-1`.

use super::texts;
use crate::number;
use crate::protocol::WireError;
use crate::values::stream::StreamId;

/// The sequence number of an identity as it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seq {
    /// A number, or none.
    Given(Option<u64>),
    /// `*`: the server chooses.
    Auto,
}

/// An identity; without a sequence number it has `missing`.
pub(super) fn parse(text: &[u8], missing: u64) -> Result<StreamId, WireError> {
    match parts(text) {
        Some((ms, Seq::Given(seq))) => Ok(StreamId::new(ms, seq.unwrap_or(missing))),
        _ => Err(texts::INVALID_ID),
    }
}

/// The first identity meant by the start of a range: `-`, `+`, or one, exclusive after `(`.
pub(super) fn start(text: &[u8]) -> Result<StreamId, WireError> {
    match exclusive(text) {
        Some(text) => parse(text, 0)?.next().ok_or(texts::INVALID_START),
        None => bound(text, 0),
    }
}

/// The last identity meant by the end of a range.
pub(super) fn end(text: &[u8]) -> Result<StreamId, WireError> {
    match exclusive(text) {
        Some(text) => parse(text, u64::MAX)?.previous().ok_or(texts::INVALID_END),
        None => bound(text, u64::MAX),
    }
}

fn exclusive(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b"(").filter(|rest| !rest.is_empty())
}

fn bound(text: &[u8], missing: u64) -> Result<StreamId, WireError> {
    match text {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        text => parse(text, missing),
    }
}

/// Milliseconds and sequence number, as far as they are given.
pub(super) fn parts(text: &[u8]) -> Option<(u64, Seq)> {
    if text.len() >= MAX_TEXT {
        return None;
    }
    // As in Redis, what follows a NUL is not looked at.
    let text = text.split(|byte| *byte == 0).next()?;
    let Some(dash) = text.iter().position(|byte| *byte == b'-') else {
        return Some((number(text)?, Seq::Given(None)));
    };
    let ms = number(&text[..dash])?;
    let seq = match &text[dash + 1..] {
        b"*" => Seq::Auto,
        seq => Seq::Given(Some(number(seq)?)),
    };
    Some((ms, seq))
}

/// A number of 64 bits as C reads it: blanks and a sign may precede, and a minus turns it
/// around, except in a plain negative number.
fn number(text: &[u8]) -> Option<u64> {
    if let Some(n) = number::parse_i64(text) {
        return u64::try_from(n).ok();
    }
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for digit in digits {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        value = value.checked_mul(10)?.checked_add(digit.into())?;
    }
    Some(if negative {
        value.wrapping_neg()
    } else {
        value
    })
}

/// Texts of this length are no identities.
const MAX_TEXT: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_read_as_redis_reads_them() {
        let given = |ms, seq| Some((ms, Seq::Given(seq)));
        type Case = (&'static [u8], Option<(u64, Seq)>);
        let cases: [Case; 14] = [
            (b"5", given(5, None)),
            (b"5-7", given(5, Some(7))),
            (b"5-*", Some((5, Seq::Auto))),
            (b"01-1", given(1, Some(1))),
            (b"18446744073709551615-0", given(u64::MAX, Some(0))),
            (b"18446744073709551616", None),
            (b" 5", given(5, None)),
            (b"5-", None),
            (b"-5", None),
            (b"5--05", given(5, Some(5u64.wrapping_neg()))),
            (b"5--5", None),
            (b"5\0x", given(5, None)),
            (b"", None),
            (b"*", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parts(text), expected, "{}", text.escape_ascii());
        }
    }
}
