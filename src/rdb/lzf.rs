//! LZF, the compression of strings in RDB data.
//!
//! ```text
//! 000lllll  l+1 bytes                 as they are, 1 to 32
//! lllooooo oooooooo                   l+2 bytes (3 to 8) from o+1 bytes back
//! 111ooooo llllllll oooooooo          l+9 bytes (9 to 264) from o+1 bytes back
//! ```

/// Decompresses to exactly `len` bytes; `None` if the input is no such thing. What is
/// allocated is bounded by the input, not by `len`.
pub fn decompress(input: &[u8], len: usize) -> Option<Vec<u8>> {
    // Three bytes make the longest copy.
    if len > input.len().saturating_mul(LONGEST_COPY / 3) {
        return None;
    }
    let mut out = Vec::with_capacity(len);
    let mut rest = input;
    while let Some((&control, tail)) = rest.split_first() {
        rest = tail;
        if control < 32 {
            let (run, tail) = rest.split_at_checked(usize::from(control) + 1)?;
            out.extend_from_slice(run);
            rest = tail;
        } else {
            let mut count = usize::from(control >> 5) + 2;
            if count == 9 {
                let (&more, tail) = rest.split_first()?;
                count += usize::from(more);
                rest = tail;
            }
            let (&low, tail) = rest.split_first()?;
            rest = tail;
            let back = (usize::from(control & 0x1f) << 8 | usize::from(low)) + 1;
            copy_back(&mut out, back, count)?;
        }
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then_some(out)
}

/// Repeats `count` bytes from `back` bytes before the end. The two may overlap.
fn copy_back(out: &mut Vec<u8>, back: usize, mut count: usize) -> Option<()> {
    let from = out.len().checked_sub(back)?;
    while count > 0 {
        let part = count.min(out.len() - from);
        out.extend_from_within(from..from + part);
        count -= part;
    }
    Some(())
}

/// Compresses; `None` if that saves nothing worth the trouble.
pub fn compress(input: &[u8]) -> Option<Vec<u8>> {
    if input.len() <= LEAST_INPUT {
        return None;
    }
    // It must become at least four bytes shorter.
    let limit = input.len() - 4;
    let mut out = Vec::with_capacity(limit);
    // A table for what may be in it: clearing a large one costs more than a short text.
    let bits = input.len().ilog2().clamp(LEAST_TABLE_BITS, TABLE_BITS);
    let mut table = vec![0u32; 1 << bits];
    // Bytes that wait to be written as they are begin here.
    let mut literal = 0;
    let mut at = 0;
    while let Some(&[a, b, c]) = input.get(at..).and_then(|rest| rest.first_chunk::<3>()) {
        let word = u32::from(a) << 16 | u32::from(b) << 8 | u32::from(c);
        let slot = &mut table[(word.wrapping_mul(0x9e37_79b1) >> (32 - bits)) as usize];
        // Positions are kept plus one, so that an empty slot is 0.
        let before = (*slot as usize).wrapping_sub(1);
        *slot = (at as u32).wrapping_add(1);
        let back = at.wrapping_sub(before);
        if before < at && back <= FARTHEST && input[before..before + 3] == [a, b, c] {
            put_literals(&mut out, &input[literal..at]);
            let count = match_len(input, before, at);
            put_copy(&mut out, back - 1, count - 2);
            at += count;
            literal = at;
            if out.len() > limit {
                return None;
            }
        } else {
            at += 1;
        }
    }
    put_literals(&mut out, &input[literal..]);
    (out.len() <= limit).then_some(out)
}

/// How many bytes at `before` and `at` are equal, up to what one copy can hold.
fn match_len(input: &[u8], before: usize, at: usize) -> usize {
    let most = (input.len() - at).min(LONGEST_COPY);
    let same = input[before..].iter().zip(&input[at..at + most]);
    same.take_while(|(a, b)| a == b).count()
}

fn put_literals(out: &mut Vec<u8>, bytes: &[u8]) {
    for run in bytes.chunks(32) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

fn put_copy(out: &mut Vec<u8>, back: usize, count: usize) {
    let high = (back >> 8) as u8;
    if count < 7 {
        out.push((count as u8) << 5 | high);
    } else {
        out.push(7 << 5 | high);
        out.push((count - 7) as u8);
    }
    out.push(back as u8);
}

const LONGEST_COPY: usize = 264;
const FARTHEST: usize = 1 << 13;
const TABLE_BITS: u32 = 13;
const LEAST_TABLE_BITS: u32 = 6;
/// Strings up to this length are never compressed.
const LEAST_INPUT: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn repetition_becomes_short_and_comes_back() {
        let text = b"abcabcabc".repeat(1000);
        let packed = compress(&text).expect("it repeats");
        assert!(packed.len() < 150, "{}", packed.len());
        assert_eq!(decompress(&packed, text.len()), Some(text.clone()));
        assert_eq!(decompress(&packed, text.len() - 1), None);
        assert_eq!(decompress(&packed, text.len() + 1), None);
        assert_eq!(compress(b"short"), None);
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        assert_eq!(decompress(&[0, b'a'], usize::MAX), None);
        assert_eq!(decompress(&[0x20, 0], 3), None);
    }

    proptest! {
        #[test]
        fn everything_comes_back(
            words in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 1..8),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..300),
        ) {
            let text: Vec<u8> = picks.iter().flat_map(|pick| pick.get(&words).clone()).collect();
            if let Some(packed) = compress(&text) {
                prop_assert!(packed.len() + 4 <= text.len());
                prop_assert_eq!(decompress(&packed, text.len()), Some(text));
            }
        }

        #[test]
        fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), len in 0usize..3000) {
            let out = decompress(&bytes, len);
            prop_assert!(out.is_none_or(|out| out.len() == len));
        }
    }
}
