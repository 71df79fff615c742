//! Numbers as text: what Redis accepts as an integer or a float, and how it prints them.
//!
//! Integers are strict, because a string is stored as an integer only when printing the
//! integer gives the same bytes back. Floats are lenient in the way of C's `strtod`:
//! hexadecimal floats and `infinity` are numbers, blanks and NaN are not. Sums of
//! `INCRBYFLOAT` are made in x87's 80-bit format, which lives in [`long_double`].

pub mod long_double;

pub use long_double::LongDouble;

/// Longest text of an `i64`: a sign and nineteen digits.
pub const MAX_INT_LEN: usize = 20;

/// Parses a canonical decimal integer: no `+`, no blanks, no leading zeros, no `-0`, and
/// inside the range of `i64`. Printing the result gives `text` back.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let first = *digits.first()?;
    if digits.len() > 19 || !first.is_ascii_digit() {
        return None;
    }
    if first == b'0' {
        return (text.len() == 1).then_some(0);
    }
    let mut magnitude = u64::from(first - b'0');
    for &byte in &digits[1..] {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // Nineteen digits cannot pass 2^64.
        magnitude = magnitude * 10 + u64::from(digit);
    }
    if negative {
        (magnitude <= 1 << 63).then(|| (magnitude as i64).wrapping_neg())
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// [`parse_i64`] for a value that must not be negative and must fit a `usize`.
#[inline]
pub fn parse_usize(text: &[u8]) -> Option<usize> {
    usize::try_from(parse_i64(text)?).ok()
}

/// Parses a SCAN cursor. Redis is lenient here: blanks in front, a sign and leading zeros
/// pass, and a negative number that is not canonical wraps as in C's `strtoull`.
pub fn parse_cursor(text: &[u8]) -> Option<u64> {
    if let Some(value) = parse_i64(text) {
        return u64::try_from(value).ok();
    }
    let blanks = text
        .iter()
        .take_while(|b| matches!(b, b' ' | b'\t'..=b'\r'))
        .count();
    let (negative, digits) = match &text[blanks..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
    }
    Some(if negative {
        value.wrapping_neg()
    } else {
        value
    })
}

/// Appends the decimal form of `value`.
#[inline]
pub fn write_i64(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Parses a double as Redis does for scores and float arguments. `None` for anything that
/// `strtod` would not consume whole, for NaN, and for what overflows, or underflows to 0.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let (negative, body) = split_sign(text);
    if let Some(hex) = hex_body(body) {
        let Scaled {
            mantissa,
            exponent,
            sticky,
        } = parse_hex(hex)?;
        let magnitude = compose_f64(mantissa, exponent, sticky)?;
        return Some(if negative { -magnitude } else { magnitude });
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    if value.is_finite() && value != 0.0 {
        return Some(value);
    }
    if value == 0.0 {
        return is_zero_literal(body).then_some(value);
    }
    (value.is_infinite() && body[0].is_ascii_alphabetic()).then_some(value)
}

/// A double as Redis prints scores and RESP3 doubles: the shortest digits that read back as
/// the same number, plain up to a point and with an exponent beyond.
///
/// Not done: Redis's algorithm (Grisu2) misses the shortest or closest digits about once in
/// seven hundred random doubles and prints others, which read back as the same number.
pub fn format_double(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    // Whole numbers well inside the range of i64 print as integers; 2^63 itself does not fit.
    const BOUND: f64 = 4_611_686_018_427_387_904.0;
    let mut out = String::with_capacity(24);
    if value.is_sign_negative() {
        out.push('-');
    }
    if value.trunc() == value && value.abs() <= BOUND {
        out.push_str(itoa::Buffer::new().format(value.abs() as u64));
        return out;
    }
    let shortest = format!("{:e}", value.abs());
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    write_digits(
        &digits.replace('.', ""),
        exponent.parse().unwrap_or(0),
        &mut out,
    );
    out
}

/// A double as C's `%.<digits>g` prints it, which is how Lua turns numbers into text.
pub fn format_g(value: f64, digits: usize) -> String {
    if value.is_nan() {
        return if value.is_sign_negative() {
            "-nan"
        } else {
            "nan"
        }
        .to_owned();
    }
    if value.is_infinite() {
        return if value < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    let digits = digits.max(1);
    let scientific = format!("{:.*e}", digits - 1, value);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    trimmed(&format!("{value:.decimals$}"))
}

/// Lays out `d.ddd × 10^exponent`.
fn write_digits(digits: &str, exponent: i32, out: &mut String) {
    let count = digits.len() as i32;
    // The power of ten of the last digit.
    let scale = exponent - (count - 1);
    let zeros = |n: i32| std::iter::repeat_n('0', n as usize);
    if scale >= 0 && exponent < count + 7 {
        out.push_str(digits);
        out.extend(zeros(scale));
    } else if scale < 0 && (scale > -7 || exponent.abs() < 4) {
        let whole = count + scale;
        if whole <= 0 {
            out.push_str("0.");
            out.extend(zeros(-whole));
            out.push_str(digits);
        } else {
            let (whole, fraction) = digits.split_at(whole as usize);
            out.push_str(whole);
            out.push('.');
            out.push_str(fraction);
        }
    } else {
        let (first, rest) = digits.split_at(1);
        out.push_str(first);
        if !rest.is_empty() {
            out.push('.');
            out.push_str(rest);
        }
        out.push_str(if exponent < 0 { "e-" } else { "e+" });
        out.push_str(itoa::Buffer::new().format(exponent.abs()));
    }
}

/// `mantissa × 2^exponent`, plus a little more when `sticky`.
struct Scaled {
    mantissa: u128,
    exponent: i64,
    sticky: bool,
}

fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

fn hex_body(body: &[u8]) -> Option<&[u8]> {
    match body {
        [b'0', b'x' | b'X', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// Whether the digits of a decimal literal are all zeros, whatever its exponent.
fn is_zero_literal(body: &[u8]) -> bool {
    body.iter()
        .take_while(|b| !matches!(b, b'e' | b'E'))
        .all(|b| matches!(b, b'0' | b'.'))
}

/// Parses what follows `0x`: hex digits with at most one dot, then an optional `p` exponent.
fn parse_hex(body: &[u8]) -> Option<Scaled> {
    let mut scaled = Scaled {
        mantissa: 0,
        exponent: 0,
        sticky: false,
    };
    let (mut any, mut dot) = (false, false);
    let mut at = 0;
    while let Some(&byte) = body.get(at) {
        if byte == b'.' && !dot {
            dot = true;
        } else if let Some(digit) = (byte as char).to_digit(16) {
            any = true;
            if scaled.mantissa >> 124 == 0 {
                scaled.mantissa = scaled.mantissa << 4 | u128::from(digit);
                scaled.exponent -= if dot { 4 } else { 0 };
            } else {
                scaled.sticky |= digit != 0;
                scaled.exponent += if dot { 0 } else { 4 };
            }
        } else {
            break;
        }
        at += 1;
    }
    if !any {
        return None;
    }
    match &body[at..] {
        [] => {}
        [b'p' | b'P', rest @ ..] => scaled.exponent += parse_exponent(rest)?,
        _ => return None,
    }
    Some(scaled)
}

/// Parses an exponent: a sign and decimal digits, clamped far outside every float's range.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = split_sign(text);
    if digits.is_empty() {
        return None;
    }
    let mut value = 0i64;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = (value * 10 + i64::from(byte - b'0')).min(1_000_000_000);
    }
    Some(if negative { -value } else { value })
}

/// Rounds to a double, half to even. `None` on overflow and on underflow to zero.
fn compose_f64(mantissa: u128, exponent: i64, sticky: bool) -> Option<f64> {
    if mantissa == 0 {
        return Some(0.0);
    }
    let shift = i64::from(mantissa.leading_zeros());
    let (mantissa, exponent) = (mantissa << shift, exponent - shift);
    // Bits kept: 53, fewer for subnormals, whose last bit is 2^-1074.
    let drop = 75.max(-1074 - exponent);
    if drop > 128 || exponent > 1024 {
        return None;
    }
    let kept = round_shift(mantissa, drop as u32, sticky);
    let power = exponent + drop;
    // Scaled in two exact steps: the smallest power of two has no normal reciprocal.
    let half = (power / 2) as i32;
    let value = kept as f64 * 2f64.powi(half) * 2f64.powi(power as i32 - half);
    (value.is_finite() && value != 0.0).then_some(value)
}

/// `wide / 2^drop` rounded half to even, where `sticky` stands for a little more. `drop` is
/// at most 128.
fn round_shift(wide: u128, drop: u32, sticky: bool) -> u128 {
    if drop == 0 {
        return wide;
    }
    let kept = wide.checked_shr(drop).unwrap_or(0);
    let half = 1u128 << (drop - 1);
    let rest = wide & (half | (half - 1));
    let up = rest > half || (rest == half && (sticky || kept & 1 == 1));
    kept + u128::from(up)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_are_canonical() {
        let accepted = [
            ("0", 0),
            ("-1", -1),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ];
        for (text, value) in accepted {
            assert_eq!(parse_i64(text.as_bytes()), Some(value), "{text}");
        }
        for text in [
            "",
            "-",
            "-0",
            "00",
            "01",
            "-01",
            "+1",
            " 1",
            "1 ",
            "1a",
            "0x1",
            "1.0",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
        ] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn cursors_are_lenient() {
        for (text, value) in [
            ("0", Some(0)),
            ("01", Some(1)),
            (" 1", Some(1)),
            ("+1", Some(1)),
            ("-0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("-1", None),
            ("", None),
            ("-", None),
            ("1 ", None),
            ("0x1", None),
            ("99999999999999999999", None),
            ("-9223372036854775808", None),
        ] {
            assert_eq!(parse_cursor(text.as_bytes()), value, "{text}");
        }
    }

    // Replies of Redis 8.2.3 to ZADD and ZSCORE.
    #[test]
    fn doubles_read_as_strtod_reads_them() {
        for (text, value) in [
            ("+1", 1.0),
            ("0x10", 16.0),
            ("0X1p3", 8.0),
            ("0x.8", 0.5),
            ("0x1p-2", 0.25),
            ("0x1.p1", 2.0),
            ("-0x1p-1074", -5e-324),
            ("0x1.fffffffffffff8p0", 2.0),
            ("0x1.fffffffffffff7p0", 2.0 - f64::EPSILON),
            ("inf", f64::INFINITY),
            ("-INFINITY", f64::NEG_INFINITY),
            ("+inf", f64::INFINITY),
            (".5", 0.5),
            ("5.", 5.0),
            ("4.9e-324", 5e-324),
            ("0e99999999999999999999", 0.0),
        ] {
            assert_eq!(parse_f64(text.as_bytes()), Some(value), "{text}");
        }
        for text in [
            "",
            ".",
            "-",
            "--1",
            "1e",
            "1e+",
            "e5",
            "0x",
            "0xp1",
            "0x1p",
            "1p3",
            "infinit",
            "nan",
            "-nan",
            "nan(1)",
            " 1",
            "1 ",
            "1\0",
            "1_0",
            "1e400",
            "-1e400",
            "1e-400",
            "2e-324",
            "0x1p-1075",
            "0x1p1024",
            "0x1p99999999999999999999",
            "0x1.1.1",
        ] {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn doubles_print_as_redis_prints_scores() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1e17, "100000000000000000"),
            (9223372036854775807.0, "9223372036854776000"),
            (1e19, "1e+19"),
            (123456789012345680000.0, "123456789012345680000"),
            (0.00001, "0.00001"),
            (1e-7, "1e-7"),
            (1.23e-7, "1.23e-7"),
            (0.00012345, "1.2345e-4"),
            (3e-5, "0.00003"),
            (1.1e-6, "1.1e-6"),
            (123456.789, "123456.789"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (-9.3e18, "-9.3e+18"),
            (1.2345678901234567, "1.2345678901234567"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(format_double(value), text);
        }
    }

    proptest! {
        #[test]
        fn integers_round_trip(value: i64) {
            let mut out = Vec::new();
            write_i64(value, &mut out);
            prop_assert_eq!(parse_i64(&out), Some(value));
            prop_assert_eq!(out.len() <= MAX_INT_LEN, true);
        }

        #[test]
        fn parsing_an_integer_keeps_its_bytes(text in "[-+ 0-9]{0,21}") {
            if let Some(value) = parse_i64(text.as_bytes()) {
                prop_assert_eq!(value.to_string(), text);
            }
        }

        #[test]
        fn doubles_round_trip(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            prop_assert_eq!(parse_f64(format_double(value).as_bytes()), Some(value));
        }
    }
}
