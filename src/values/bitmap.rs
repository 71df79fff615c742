//! Strings as rows of bits. Bit 0 is the highest of the first byte; beyond the end all bits
//! are clear.

use std::ops::Range;

/// How many bits of the range are set. The range lies in the string.
pub fn count(bytes: &[u8], bits: Range<u64>) -> u64 {
    let (head, whole, tail) = parts(bytes, bits);
    let (words, rest) = whole.as_chunks::<8>();
    let words: u64 = words
        .iter()
        .map(|word| u64::from(u64::from_le_bytes(*word).count_ones()))
        .sum();
    let rest: u32 = rest.iter().map(|byte| byte.count_ones()).sum();
    words + u64::from(rest + head.byte.count_ones() + tail.byte.count_ones())
}

/// The first bit of the range that is `set`, counted from the start of the string. The range
/// lies in the string.
pub fn position(bytes: &[u8], set: bool, bits: Range<u64>) -> Option<u64> {
    let flip = if set { 0 } else { 0xff };
    let in_part = |part: &Part| match (part.byte ^ flip) & part.mask {
        0 => None,
        wanted => Some(part.at + u64::from(wanted.leading_zeros())),
    };
    let (head, whole, tail) = parts(bytes, bits);
    let in_whole = || {
        let (words, rest) = whole.as_chunks::<8>();
        let word = words
            .iter()
            .position(|word| *word != [flip; 8])
            .map(|index| index * 8);
        let from = word.unwrap_or(words.len() * 8);
        debug_assert!(from + rest.len() <= whole.len());
        let byte = whole[from..].iter().position(|byte| *byte != flip)? + from;
        let bit = (whole[byte] ^ flip).leading_zeros();
        Some(head.end + 8 * byte as u64 + u64::from(bit))
    };
    in_part(&head).or_else(in_whole).or_else(|| in_part(&tail))
}

/// A byte of which some bits are in a range.
struct Part {
    /// The byte, without the bits outside.
    byte: u8,
    /// Which bits are in the range.
    mask: u8,
    /// The byte's first bit.
    at: u64,
    /// Where the next byte's bits begin.
    end: u64,
}

/// A range of bits: part of a byte, whole bytes, part of a byte.
fn parts(bytes: &[u8], bits: Range<u64>) -> (Part, &[u8], Part) {
    let byte_at = |index: u64| bytes.get(index as usize).copied().unwrap_or(0);
    let nothing = |at: u64| Part {
        byte: 0,
        mask: 0,
        at,
        end: at,
    };
    let part = |index: u64, mask: u8| Part {
        byte: byte_at(index) & mask,
        mask,
        at: index * 8,
        end: (index + 1) * 8,
    };
    if bits.is_empty() {
        return (nothing(bits.start), &[], nothing(bits.start));
    }
    let (first, last) = (bits.start / 8, bits.end / 8);
    let from_start = 0xff >> (bits.start % 8) as u32;
    let to_end = !(0xff >> (bits.end % 8) as u32);
    if first == last {
        return (part(first, from_start & to_end), &[], nothing(bits.end));
    }
    let head = match bits.start % 8 {
        0 => nothing(bits.start),
        _ => part(first, from_start),
    };
    let tail = match bits.end % 8 {
        0 => nothing(bits.end),
        _ => part(last, to_end),
    };
    let whole = head.end as usize / 8..last as usize;
    (head, bytes.get(whole).unwrap_or_default(), tail)
}

/// What several strings are combined by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Set in all.
    And,
    /// Set in at least one.
    Or,
    /// Set in an odd number.
    Xor,
    /// Not set in the only one.
    Not,
    /// Set in the first and in no other.
    Diff,
    /// Set in another and not in the first.
    Diff1,
    /// Set in the first and in another.
    AndOr,
    /// Set in exactly one.
    One,
}

/// The strings combined; as long as the longest of them.
pub fn combine<T: AsRef<[u8]>>(operation: Operation, sources: &[T]) -> Vec<u8> {
    let longest = sources.iter().map(|s| s.as_ref().len()).max().unwrap_or(0);
    let Some((first, others)) = sources.split_first() else {
        return Vec::new();
    };
    let first = first.as_ref();
    let mut out = vec![0; longest];
    match operation {
        Operation::And => {
            out[..first.len()].copy_from_slice(first);
            for other in others {
                let other = other.as_ref();
                zip(&mut out, other, |byte, other| byte & other);
                out[other.len()..].fill(0);
            }
        }
        Operation::Or | Operation::Xor => {
            out[..first.len()].copy_from_slice(first);
            for other in others {
                match operation {
                    Operation::Or => zip(&mut out, other.as_ref(), |byte, other| byte | other),
                    _ => zip(&mut out, other.as_ref(), |byte, other| byte ^ other),
                }
            }
        }
        Operation::Not => zip(&mut out, first, |_, byte| !byte),
        Operation::One => {
            let mut several = vec![0; longest];
            for source in sources {
                let source = source.as_ref();
                for ((one, several), byte) in out.iter_mut().zip(&mut several).zip(source) {
                    *several |= *one & byte;
                    *one |= byte;
                }
            }
            zip(&mut out, &several, |one, several| one & !several);
        }
        Operation::Diff | Operation::Diff1 | Operation::AndOr => {
            for other in others {
                zip(&mut out, other.as_ref(), |byte, other| byte | other);
            }
            // Here `out` is what the others have.
            match operation {
                Operation::Diff => zip(&mut out, first, |others, first| first & !others),
                Operation::Diff1 => zip(&mut out, first, |others, first| others & !first),
                _ => zip(&mut out, first, |others, first| others & first),
            }
            if operation != Operation::Diff1 {
                out[first.len()..].fill(0);
            }
        }
    }
    out
}

fn zip(out: &mut [u8], with: &[u8], combine: impl Fn(u8, u8) -> u8) {
    for (byte, other) in out.iter_mut().zip(with) {
        *byte = combine(*byte, *other);
    }
}

/// An integer of some bits in a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Whether the highest bit is a sign.
    pub signed: bool,
    /// 1 to 64, or to 63 if unsigned.
    pub bits: u32,
    /// Its highest bit.
    pub offset: u64,
}

/// What becomes of a result that a field cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// Its lowest bits are kept.
    Wrap,
    /// It becomes the nearest that the field can hold.
    Saturate,
    /// Nothing is written.
    Fail,
}

impl Field {
    /// How many bytes a string has that holds all of the field.
    pub fn end_byte(self) -> usize {
        ((self.offset + u64::from(self.bits)).div_ceil(8)) as usize
    }

    /// The bytes that hold part of the field.
    pub fn byte_range(self) -> Range<usize> {
        (self.offset / 8) as usize..self.end_byte()
    }

    /// Its value in the string.
    pub fn get(self, bytes: &[u8]) -> i64 {
        let mut raw: u128 = 0;
        for index in self.byte_range() {
            raw = raw << 8 | u128::from(bytes.get(index).copied().unwrap_or(0));
        }
        let behind = 8 * self.end_byte() as u64 - self.offset - u64::from(self.bits);
        self.interpret(raw >> behind)
    }

    /// Writes the value's lowest bits over the field, in `bytes`, which begin with the byte in
    /// which the field begins and hold all of it.
    pub fn put(self, bytes: &mut [u8], value: i64) {
        let behind = 8 * self.end_byte() as u64 - self.offset - u64::from(self.bits);
        let mask = self.mask() << behind;
        let mut value = (value as u128) << behind & mask;
        let mut mask = mask;
        for byte in bytes[..self.byte_range().len()].iter_mut().rev() {
            *byte = *byte & !(mask as u8) | value as u8;
            value >>= 8;
            mask >>= 8;
        }
    }

    /// What is stored for the value that a `SET` gives, and its old value's successor for
    /// `INCRBY`; `None` if the overflow forbids it.
    pub fn fit(self, wanted: Wanted, overflow: Overflow) -> Option<i64> {
        let (least, most) = self.bounds();
        let wide = match wanted {
            // To an unsigned field a negative number is a very large one.
            Wanted::Value(value) if !self.signed => i128::from(value as u64),
            Wanted::Value(value) => i128::from(value),
            Wanted::Sum(old, by) => i128::from(old) + i128::from(by),
        };
        if (least..=most).contains(&wide) {
            return Some(wide as i64);
        }
        match overflow {
            Overflow::Wrap => Some(self.interpret(wide as u128)),
            Overflow::Saturate if wide > most || self.is_too_far(wanted) => Some(most as i64),
            Overflow::Saturate => Some(least as i64),
            Overflow::Fail => None,
        }
    }

    /// Redis computes in 64 bits how far it is from a value to the greatest that a field can
    /// hold. For the smallest values of all that overflows, and they count as too large.
    fn is_too_far(self, wanted: Wanted) -> bool {
        let Wanted::Value(value) = wanted else {
            return false;
        };
        let distance = self.bounds().1 - i128::from(value);
        self.signed && self.bits < 64 && distance > i128::from(i64::MAX)
    }

    fn mask(self) -> u128 {
        (1 << self.bits) - 1
    }

    fn bounds(self) -> (i128, i128) {
        match self.signed {
            true => (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1),
            false => (0, (1 << self.bits) - 1),
        }
    }

    /// The value of the lowest bits.
    fn interpret(self, raw: u128) -> i64 {
        let raw = (raw & self.mask()) as u64;
        if self.signed {
            let unused = 64 - self.bits;
            (raw << unused) as i64 >> unused
        } else {
            raw as i64
        }
    }
}

/// What a field is to become.
#[derive(Clone, Copy, Debug)]
pub enum Wanted {
    /// A value.
    Value(i64),
    /// The sum of its old value and an increment.
    Sum(i64, i64),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bit(bytes: &[u8], at: u64) -> bool {
        bytes
            .get((at / 8) as usize)
            .is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1)
    }

    fn sparse() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![3 => Just(0u8), 3 => Just(0xff), 1 => any::<u8>()];
        prop::collection::vec(byte, 0..40)
    }

    proptest! {
        #[test]
        fn counts_and_positions_bit_by_bit(
            bytes in sparse(), a in 0u64..320, b in 0u64..320, set in any::<bool>(),
        ) {
            let len = bytes.len() as u64 * 8;
            let range = a.min(len)..b.min(len);
            let slow = range.clone().filter(|at| bit(&bytes, *at)).count() as u64;
            prop_assert_eq!(count(&bytes, range.clone()), slow);
            let slow = range.clone().find(|at| bit(&bytes, *at) == set);
            prop_assert_eq!(position(&bytes, set, range), slow);
        }

        #[test]
        fn combinations_bit_by_bit(sources in prop::collection::vec(sparse(), 1..5)) {
            use Operation::*;
            for operation in [And, Or, Xor, Not, Diff, Diff1, AndOr, One] {
                let out = combine(operation, &sources);
                prop_assert_eq!(out.len(), sources.iter().map(Vec::len).max().unwrap_or(0));
                for at in 0..out.len() as u64 * 8 {
                    let bits: Vec<bool> = sources.iter().map(|s| bit(s, at)).collect();
                    let set = bits.iter().filter(|bit| **bit).count();
                    let others = bits[1..].contains(&true);
                    let expected = match operation {
                        And => set == bits.len(),
                        Or => set > 0,
                        Xor => set % 2 == 1,
                        // Of the longest string only the first one's bytes are inverted.
                        Not => at < sources[0].len() as u64 * 8 && !bits[0],
                        Diff => bits[0] && !others,
                        Diff1 => !bits[0] && others,
                        AndOr => bits[0] && others,
                        One => set == 1,
                    };
                    prop_assert_eq!(bit(&out, at), expected, "{:?} at {}", operation, at);
                }
            }
        }

        #[test]
        fn a_field_gives_back_what_was_put(
            bytes in prop::collection::vec(any::<u8>(), 20),
            offset in 0u64..90, bits in 1u32..=64, signed in any::<bool>(), value in any::<i64>(),
        ) {
            let bits = if signed { bits } else { bits.min(63) };
            let field = Field { signed, bits, offset };
            let mut changed = bytes.clone();
            field.put(&mut changed[field.byte_range()], value);
            for at in 0..160 {
                if !(offset..offset + u64::from(bits)).contains(&at) {
                    prop_assert_eq!(bit(&changed, at), bit(&bytes, at));
                }
            }
            let wrapped = field.fit(Wanted::Value(value), Overflow::Wrap);
            prop_assert_eq!(Some(field.get(&changed)), wrapped);
            let kept = field.fit(Wanted::Value(field.get(&bytes)), Overflow::Fail);
            prop_assert_eq!(kept, Some(field.get(&bytes)));
        }
    }
}
