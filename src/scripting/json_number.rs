//! Numbers in JSON as `cjson` reads them: with C's `strtod`, which takes more than JSON allows.

/// The number at the beginning of a text, and how long it is.
pub fn read(text: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let (value, len) = magnitude(&text[sign..])?;
    let negative = text.first() == Some(&b'-');
    Some((if negative { -value } else { value }, sign + len))
}

fn magnitude(text: &[u8]) -> Option<(f64, usize)> {
    let begins = |word: &str| {
        let head = text.get(..word.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes()))
    };
    for (word, value) in [
        ("infinity", f64::INFINITY),
        ("inf", f64::INFINITY),
        ("nan", f64::NAN),
    ] {
        if begins(word) {
            return Some((value, word.len()));
        }
    }
    if begins("0x")
        && let Some((value, len)) = hexadecimal(&text[2..])
    {
        return Some((value, 2 + len));
    }
    decimal(text)
}

fn digits(text: &[u8], is_digit: fn(&u8) -> bool) -> usize {
    text.iter().take_while(|byte| is_digit(byte)).count()
}

/// How long an exponent is that begins with this letter, and what it says; nothing if it has no
/// digits.
fn exponent(text: &[u8], letter: u8) -> (i32, usize) {
    if !text
        .first()
        .is_some_and(|byte| byte.eq_ignore_ascii_case(&letter))
    {
        return (0, 0);
    }
    let sign = usize::from(matches!(text.get(1), Some(b'+' | b'-')));
    let count = digits(&text[1 + sign..], u8::is_ascii_digit);
    if count == 0 {
        return (0, 0);
    }
    let read = text[1 + sign..][..count].iter().fold(0i32, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(i32::from(digit - b'0'))
    });
    let negative = text.get(1) == Some(&b'-');
    (if negative { -read } else { read }, 1 + sign + count)
}

fn decimal(text: &[u8]) -> Option<(f64, usize)> {
    let whole = digits(text, u8::is_ascii_digit);
    let mut len = whole;
    if text.get(len) == Some(&b'.') {
        let fraction = digits(&text[len + 1..], u8::is_ascii_digit);
        if whole + fraction > 0 {
            len += 1 + fraction;
        }
    }
    if len == 0 {
        return None;
    }
    len += exponent(&text[len..], b'e').1;
    let value = std::str::from_utf8(&text[..len]).ok()?.parse().ok()?;
    Some((value, len))
}

/// What follows `0x`: digits with a point, and a power of two.
fn hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let value = |digits: &[u8], start: f64| {
        let digits = digits
            .iter()
            .filter_map(|digit| char::from(*digit).to_digit(16));
        digits.fold(start, |sum, digit| sum * 16.0 + f64::from(digit))
    };
    let whole = digits(text, u8::is_ascii_hexdigit);
    let mut number = value(&text[..whole], 0.0);
    let (mut len, mut fraction) = (whole, 0);
    if text.get(len) == Some(&b'.') {
        fraction = digits(&text[len + 1..], u8::is_ascii_hexdigit);
        if whole + fraction > 0 {
            number = value(&text[len + 1..][..fraction], number);
            len += 1 + fraction;
        }
    }
    if whole + fraction == 0 {
        return None;
    }
    let (power, more) = exponent(&text[len..], b'p');
    let power = i64::from(power) - 4 * fraction as i64;
    let power = power.clamp(-10_000, 10_000) as i32;
    Some((number * 2f64.powi(power), len + more))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn numbers_are_read_as_far_as_they_go() {
        for (text, value, len) in [
            ("1", 1.0, 1),
            ("+1]", 1.0, 2),
            ("-12.5e1,", -125.0, 7),
            ("1e", 1.0, 1),
            ("1e+x", 1.0, 1),
            ("1.", 1.0, 2),
            (".5", 0.5, 2),
            ("1-2", 1.0, 1),
            ("01", 1.0, 2),
            ("0x1F", 31.0, 4),
            ("0x1.8p1", 3.0, 7),
            ("0xg", 0.0, 1),
            ("-Infinityx", f64::NEG_INFINITY, 9),
            ("infx", f64::INFINITY, 3),
            ("1e999", f64::INFINITY, 5),
            ("1e99999999999", f64::INFINITY, 13),
        ] {
            assert_eq!(read(text.as_bytes()), Some((value, len)), "{text}");
        }
        assert!(read(b"nan").is_some_and(|(value, len)| value.is_nan() && len == 3));
        for text in ["", "+", "-", "--1", ".", "e1", "x"] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }
}
