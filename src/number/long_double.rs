//! The 80-bit `long double` of x87, in integers: what `INCRBYFLOAT` computes with.
//!
//! Redis adds in this format and stores the sum as text, so the digits of a counter depend
//! on its 64-bit mantissa. Every step here rounds once, half to even, as the hardware does:
//!
//! ```text
//!   value = ± mantissa × 2^exponent        mantissa < 2^64
//!   normal:    top bit of the mantissa set, -16445 < exponent ≤ 16320
//!   subnormal: exponent = -16445, any mantissa (zero among them)
//! ```
//!
//! Ordinary numbers never leave `u128`; long literals and huge magnitudes go through
//! `num-bigint`, whose work is bounded by [`MAX_TEXT`] and the exponent range.
//!
//! Not done: NaN and the sign of infinity. All that is not finite is one value, because
//! every caller rejects it.

use super::{Scaled, hex_body, parse_exponent, parse_hex, round_shift, split_sign};
use num_bigint::BigUint;
use num_traits::{ToPrimitive, Zero};

/// Longest text that is read as a number, in bytes; the limit is Redis's.
pub const MAX_TEXT: usize = 5 * 1024 - 1;

const MIN_EXPONENT: i64 = -16445;
const MAX_EXPONENT: i64 = 16320;
/// Digits after the point in the printed form, and their power of ten.
const DECIMALS: usize = 17;
const DECIMALS_POWER: u64 = 100_000_000_000_000_000;

/// A number of the x87 extended format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongDouble {
    negative: bool,
    finite: bool,
    mantissa: u64,
    exponent: i64,
}

impl LongDouble {
    const NOT_FINITE: Self = Self {
        negative: false,
        finite: false,
        mantissa: 0,
        exponent: 0,
    };

    /// Reads what C's `strtold` would consume whole. `None` for NaN, for blanks, for texts
    /// over [`MAX_TEXT`] bytes, and for what overflows, or underflows to zero.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let (negative, body) = split_sign(text);
        let value = if body.eq_ignore_ascii_case(b"inf") || body.eq_ignore_ascii_case(b"infinity") {
            Self::NOT_FINITE
        } else if let Some(hex) = hex_body(body) {
            let Scaled {
                mantissa,
                exponent,
                sticky,
            } = parse_hex(hex)?;
            Self::checked(mantissa, exponent, sticky)?
        } else {
            parse_decimal(body)?
        };
        Some(Self { negative, ..value })
    }

    /// False for infinity, and for a sum that overflowed or had no meaning.
    pub fn is_finite(self) -> bool {
        self.finite
    }

    /// Appends the number with 17 decimals (`%.17Lf`), less the trailing zeros and a bare
    /// point. Negative zero prints as `0`. Must be finite.
    pub fn write_to(self, out: &mut Vec<u8>) {
        debug_assert!(self.finite);
        let start = out.len();
        if self.negative {
            out.push(b'-');
        }
        let fraction = if self.exponent > 0 {
            self.write_large(out);
            0
        } else {
            let (whole, fraction) = self.split();
            out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
            fraction
        };
        if fraction != 0 {
            out.push(b'.');
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(fraction).as_bytes();
            out.resize(out.len() + DECIMALS - digits.len(), b'0');
            out.extend_from_slice(digits);
            while out.last() == Some(&b'0') {
                out.pop();
            }
        }
        if out[start..] == *b"-0" {
            out.remove(start);
        }
    }

    /// Whole part and 17 decimals, rounded half to even; for exponents up to 0.
    fn split(self) -> (u128, u64) {
        let point = -self.exponent;
        if point > 127 {
            // Below 2^-63: the 17th decimal is 0.
            return (0, 0);
        }
        let mantissa = u128::from(self.mantissa);
        let whole = mantissa >> point;
        let scaled = (mantissa & ((1 << point) - 1)) * u128::from(DECIMALS_POWER);
        let fraction = round_shift(scaled, point as u32, false);
        if fraction == u128::from(DECIMALS_POWER) {
            (whole + 1, 0)
        } else {
            (whole, fraction as u64)
        }
    }

    /// A whole number of 2^63 and more.
    fn write_large(self, out: &mut Vec<u8>) {
        if self.exponent <= 64 {
            let value = u128::from(self.mantissa) << self.exponent;
            out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        } else {
            let value = BigUint::from(self.mantissa) << self.exponent as u64;
            out.extend_from_slice(value.to_string().as_bytes());
        }
    }

    /// Rounds `wide × 2^exponent` (and a little more when `sticky`) to the format. Overflow
    /// gives what is not finite, underflow zero.
    fn rounded(wide: u128, exponent: i64, sticky: bool) -> Self {
        if wide == 0 {
            return Self {
                negative: false,
                finite: true,
                mantissa: 0,
                exponent: MIN_EXPONENT,
            };
        }
        let shift = i64::from(wide.leading_zeros());
        let wide = wide << shift;
        let exponent = exponent - shift;
        // Sixty-four bits are kept, fewer where the last would lie below the smallest.
        let drop = 64.max(MIN_EXPONENT - exponent);
        if drop > 128 {
            return Self {
                negative: false,
                finite: true,
                mantissa: 0,
                exponent: MIN_EXPONENT,
            };
        }
        let mut kept = round_shift(wide, drop as u32, sticky);
        let mut exponent = exponent + drop;
        if kept >> 64 != 0 {
            kept >>= 1;
            exponent += 1;
        }
        if exponent > MAX_EXPONENT {
            return Self::NOT_FINITE;
        }
        Self {
            negative: false,
            finite: true,
            mantissa: kept as u64,
            exponent,
        }
    }

    /// [`Self::rounded`] with the range errors of `strtold`.
    fn checked(wide: u128, exponent: i64, sticky: bool) -> Option<Self> {
        let value = Self::rounded(wide, exponent, sticky);
        (value.finite && (value.mantissa != 0 || wide == 0)).then_some(value)
    }
}

/// The sum, rounded once. What is not finite stays so.
impl std::ops::Add for LongDouble {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        if !self.finite || !other.finite {
            return Self::NOT_FINITE;
        }
        let larger = (self.exponent, self.mantissa) >= (other.exponent, other.mantissa);
        let (a, b) = if larger { (self, other) } else { (other, self) };
        // Both under 2^126, so the sum fits, with 62 bits to spare below a's last.
        const ROOM: i64 = 62;
        let wide_a = u128::from(a.mantissa) << ROOM;
        let wide_b = u128::from(b.mantissa) << ROOM;
        let apart = a.exponent - b.exponent;
        let (shifted, lost) = if apart > 127 {
            (0, wide_b != 0)
        } else {
            (wide_b >> apart, wide_b & ((1 << apart) - 1) != 0)
        };
        let sum = if a.negative == b.negative {
            wide_a + shifted
        } else {
            // A lost part is taken off as one more unit, of which the rest is put back.
            wide_a - shifted - u128::from(lost)
        };
        let mut result = Self::rounded(sum, a.exponent - ROOM, lost);
        result.negative = a.negative && (result.mantissa != 0 || b.negative);
        result
    }
}

/// From an integer, exactly.
impl From<i64> for LongDouble {
    fn from(value: i64) -> Self {
        let magnitude = Self::rounded(u128::from(value.unsigned_abs()), 0, false);
        Self {
            negative: value < 0,
            ..magnitude
        }
    }
}

/// Digits with at most one dot, then an optional `e` exponent.
fn parse_decimal(body: &[u8]) -> Option<LongDouble> {
    let mut digits: smallvec::SmallVec<[u8; 48]> = smallvec::SmallVec::new();
    let (mut any, mut dot) = (false, false);
    let mut power = 0i64;
    let mut at = 0;
    while let Some(&byte) = body.get(at) {
        if byte == b'.' && !dot {
            dot = true;
        } else if byte.is_ascii_digit() {
            any = true;
            power -= i64::from(dot);
            if byte != b'0' || !digits.is_empty() {
                digits.push(byte);
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
        [b'e' | b'E', rest @ ..] => power += parse_exponent(rest)?,
        _ => return None,
    }
    while digits.last() == Some(&b'0') {
        digits.pop();
        power += 1;
    }
    if digits.is_empty() {
        return Some(LongDouble::rounded(0, 0, false));
    }
    from_decimal(&digits, power)
}

/// `digits × 10^power`, correctly rounded. The digits start and end with a non-zero one.
fn from_decimal(digits: &[u8], power: i64) -> Option<LongDouble> {
    if digits.len() <= 19 {
        let value = digits
            .iter()
            .fold(0u64, |v, d| v * 10 + u64::from(d - b'0'));
        if (0..=19).contains(&power) {
            let product = u128::from(value) * 10u128.pow(power as u32);
            return Some(LongDouble::rounded(product, 0, false));
        }
        if (-18..0).contains(&power) {
            let shift = value.leading_zeros() + 64;
            let dividend = u128::from(value) << shift;
            let divisor = 10u128.pow(-power as u32);
            // At least 68 bits of quotient: room for the mantissa and its rounding bit.
            let (quotient, rest) = (dividend / divisor, dividend % divisor);
            return Some(LongDouble::rounded(quotient, -i64::from(shift), rest != 0));
        }
    }
    // The decimal exponent of the first digit: outside this range nothing is representable.
    let leading = power + digits.len() as i64 - 1;
    if !(-4952..=4932).contains(&leading) {
        return None;
    }
    let value = BigUint::parse_bytes(digits, 10)?;
    let scale = BigUint::from(10u32).pow(power.unsigned_abs() as u32);
    let (quotient, exponent, sticky) = if power >= 0 {
        (value * scale, 0, false)
    } else {
        // Enough bits in front of the division for a quotient of 80.
        let shift = (80 + scale.bits()).saturating_sub(value.bits());
        let dividend = value << shift;
        let quotient = &dividend / &scale;
        let exact = &quotient * &scale == dividend;
        (quotient, -(shift as i64), !exact)
    };
    let excess = quotient.bits().saturating_sub(128);
    let top = &quotient >> excess;
    let sticky = sticky || !(&quotient - (&top << excess)).is_zero();
    LongDouble::checked(top.to_u128()?, exponent + excess as i64, sticky)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(a: &str, b: &str) -> Option<String> {
        let sum = LongDouble::parse(a.as_bytes())? + LongDouble::parse(b.as_bytes())?;
        sum.is_finite().then(|| shown(sum))
    }

    fn shown(value: LongDouble) -> String {
        let mut out = Vec::new();
        value.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    // Left by SET, right by INCRBYFLOAT, and what Redis 8.2.3 answered.
    const SUMS: &[(&str, &str, &str)] = &[
        ("0.1", "0.2", "0.3"),
        ("1", "0.1", "1.1"),
        ("3.0e3", "200", "3200"),
        ("5.0e3", "2.0e2", "5200"),
        ("10.50", "0.1", "10.6"),
        ("1.23456789012345678", "1", "2.23456789012345678"),
        ("9223372036854775807", "1", "9223372036854775808"),
        ("18446744073709551615", "1", "18446744073709551616"),
        ("18446744073709551615", "0.5", "18446744073709551616"),
        ("18446744073709551614", "0.5", "18446744073709551614"),
        ("9223372036854775807.5", "0", "9223372036854775807.5"),
        ("0.00000000000000001", "0", "0.00000000000000001"),
        ("0.000000000000000005", "0", "0"),
        ("0.000000000000000015", "0", "0.00000000000000002"),
        ("0x1p-18", "0", "0.00000381469726562"),
        ("0x1p-17", "0", "0.00000762939453125"),
        ("-0.000000000000000001", "0", "0"),
        ("1e-20", "-1", "-1"),
        ("0", "-0", "0"),
        ("-0", "-0", "0"),
        ("1", "-1", "0"),
        ("-1.5", "1.25", "-0.25"),
        ("1e20", "1", "100000000000000000000"),
        ("1e19", "0.3", "10000000000000000000"),
        ("1e30", "-1e30", "0"),
        (
            "123456789123456789123456789",
            "0",
            "123456789123456789123170304",
        ),
        ("1e40", "1e-40", "9999999999999999999783686092270256259072"),
        ("0.99999999999999999999", "0", "1"),
        ("0.999999999999999994", "0", "0.99999999999999999"),
        ("2.9999999999999999999999", "0", "3"),
        ("0x1.fffffffffffffffep0", "0x1p-64", "2"),
        ("0x1.fffffffffffffffep0", "0x1p-65", "2"),
        ("1", "0x1p-64", "1"),
        ("1", "-0x1p-65", "1"),
        ("1", "-0x1p-66", "1"),
        ("1", "-0x1.8p-65", "1"),
        ("3.6e-4951", "1", "1"),
        ("0x1p63", "-0x1p-1", "9223372036854775807.5"),
        ("0x1p64", "-0.25", "18446744073709551616"),
        (
            "100000000000000000000000000000000000000000",
            "0.1",
            "99999999999999999996656269301985151287296",
        ),
        ("4.35", "100", "104.35"),
        (
            "1e100",
            "1",
            "9999999999999999999669353532207342619498699019828496079271391541752018669482644324418977840117055488",
        ),
        ("0.30000000000000004", "0.1", "0.40000000000000004"),
        ("12345678901234567.89", "0.11", "12345678901234568"),
        ("1.1", "2.2", "3.3"),
        (
            "0x1d5254c56c9a.16a2a7ae1f3ac7652cp40",
            "0",
            "35447646572836493541244928",
        ),
        ("5", "-4.7", "0.3"),
    ];

    #[test]
    fn sums_are_those_of_redis() {
        for (a, b, expected) in SUMS {
            assert_eq!(sum(a, b).as_deref(), Some(*expected), "{a} + {b}");
        }
    }

    #[test]
    fn what_strtold_rejects() {
        for text in [
            "",
            ".",
            "1e",
            "e5",
            "0x",
            "0x1p",
            "nan",
            " 1",
            "1 ",
            "1\0",
            "infx",
            "1.2e4932",
            "1e5000",
            "1e-5000",
            "1e-4951",
            "0x1p16384",
            "0x1p-16446",
            "1e99999999999999999999",
        ] {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(LongDouble::parse(&[b'0'; MAX_TEXT + 1]), None);
        assert!(LongDouble::parse(&[b'0'; MAX_TEXT]).is_some());
        for text in [
            "3.6e-4951",
            "1.1e4932",
            "0x1p-16445",
            "0x1p16383",
            "0e99999999999999999999",
        ] {
            assert!(
                LongDouble::parse(text.as_bytes()).is_some_and(LongDouble::is_finite),
                "{text}"
            );
        }
    }

    #[test]
    fn infinity_and_overflow_are_not_finite() {
        for (a, b) in [
            ("inf", "1"),
            ("1", "-inf"),
            ("inf", "-inf"),
            ("1e4932", "1.18e4932"),
        ] {
            assert_eq!(sum(a, b), None, "{a} + {b}");
        }
    }

    proptest! {
        #[test]
        fn integers_print_exactly(value: i64) {
            prop_assert_eq!(shown(LongDouble::from(value)), value.to_string());
            prop_assert_eq!(LongDouble::parse(value.to_string().as_bytes()).map(shown), Some(value.to_string()));
        }

        #[test]
        fn the_short_way_agrees_with_the_long(value in 1u64.., power in -18i64..=19) {
            let text = value.to_string();
            // Zeros beyond nineteen digits force the long way.
            let long = format!("{text}.{}e{power}", "0".repeat(5));
            let tiny = format!("{text}{}1e{}", "0".repeat(40), power - 41);
            let short = LongDouble::parse(format!("{text}e{power}").as_bytes());
            prop_assert_eq!(LongDouble::parse(long.as_bytes()), short);
            let near = LongDouble::parse(tiny.as_bytes()).map(|v| v.mantissa);
            prop_assert!(near.unwrap().abs_diff(short.unwrap().mantissa) <= 1);
        }

        #[test]
        fn no_text_panics(text in "[-+0-9.eExXpPinf]{0,40}") {
            if let Some(value) = LongDouble::parse(text.as_bytes()) && value.is_finite() {
                let _ = shown(value + value);
            }
        }

        #[test]
        fn addition_commutes_and_cancels(a in "-?[0-9]{1,25}\\.[0-9]{0,25}", b in "-?[0-9]{1,25}\\.[0-9]{0,25}") {
            let (x, y) = (LongDouble::parse(a.as_bytes()).unwrap(), LongDouble::parse(b.as_bytes()).unwrap());
            prop_assert_eq!(x + y, y + x);
            let negated = LongDouble { negative: !x.negative, ..x };
            prop_assert_eq!(shown(x + negated), "0");
        }
    }
}
