//! The longest common subsequence of two strings, as `LCS` answers it.
//!
//! Of the many subsequences of the greatest length, clients see the one that Redis's walk
//! back through the table of lengths finds: from the ends of both strings, over equal bytes
//! diagonally, else towards the greater length, and for equal lengths one byte back in `b`.
//!
//! Redis keeps the table whole, four bytes a cell, and refuses what would take more than
//! `proto-max-bulk-len` ([`check_size`] refuses the same). Here the lengths live in one row,
//! and of the table only a bit a cell remains: which way the walk turns.

use std::ops::Range;

/// Why two strings are not compared; the command layer words it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLarge {
    /// A string has 2^32 - 2 bytes or more.
    String,
    /// The table would pass the limit on transient memory.
    Table,
}

/// A run of bytes that both strings have and the subsequence takes whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Where it lies in the first string.
    pub a: Range<usize>,
    /// Where it lies in the second.
    pub b: Range<usize>,
}

/// Refuses what Redis refuses for its size. `max_bytes` is `proto-max-bulk-len`. To be
/// called first: the time of the functions below is the product of the two lengths.
pub fn check_size(a_len: usize, b_len: usize, max_bytes: u64) -> Result<(), TooLarge> {
    let longest = u32::MAX as usize - 1;
    if a_len >= longest || b_len >= longest {
        return Err(TooLarge::String);
    }
    let cells = (a_len as u128 + 1) * (b_len as u128 + 1);
    if cells * 4 > u128::from(max_bytes) {
        return Err(TooLarge::Table);
    }
    Ok(())
}

/// Length of the longest common subsequence.
pub fn length(a: &[u8], b: &[u8]) -> usize {
    fill(a, b, |_, _| {})
}

/// The runs that make up the longest common subsequence, from the last to the first, and
/// its length.
pub fn matches(a: &[u8], b: &[u8]) -> (Vec<Match>, usize) {
    // One bit a cell, set where the walk goes one byte back in `a`.
    let width = b.len();
    let mut turns = vec![0u64; (a.len() * width).div_ceil(64)];
    let length = fill(a, b, |i, j| {
        let cell = i * width + j;
        turns[cell / 64] |= 1 << (cell % 64);
    });
    let mut found: Vec<Match> = Vec::new();
    let (mut i, mut j) = (a.len(), b.len());
    while i > 0 && j > 0 {
        if a[i - 1] == b[j - 1] {
            i -= 1;
            j -= 1;
            match found.last_mut() {
                Some(run) if run.a.start == i + 1 && run.b.start == j + 1 => {
                    (run.a.start, run.b.start) = (i, j);
                }
                _ => found.push(Match {
                    a: i..i + 1,
                    b: j..j + 1,
                }),
            }
        } else {
            let cell = (i - 1) * width + (j - 1);
            if turns[cell / 64] >> (cell % 64) & 1 == 1 {
                i -= 1;
            } else {
                j -= 1;
            }
        }
    }
    (found, length)
}

/// The longest common subsequence itself.
pub fn string(a: &[u8], b: &[u8]) -> Vec<u8> {
    let (runs, length) = matches(a, b);
    let mut out = Vec::with_capacity(length);
    runs.iter()
        .rev()
        .for_each(|run| out.extend_from_slice(&a[run.a.clone()]));
    out
}

/// Fills the table of lengths row by row, keeping one row. Reports the cells (counted from 0)
/// whose bytes differ and where leaving out the byte of `a` leaves more than leaving out
/// that of `b`.
fn fill(a: &[u8], b: &[u8], mut back_in_a: impl FnMut(usize, usize)) -> usize {
    let mut row = vec![0u32; b.len()];
    for (i, &byte) in a.iter().enumerate() {
        // The lengths to the left, and above to the left.
        let (mut left, mut diagonal) = (0, 0);
        for (j, (cell, &other)) in row.iter_mut().zip(b).enumerate() {
            let above = *cell;
            if byte == other {
                *cell = diagonal + 1;
            } else if above > left {
                back_in_a(i, j);
            } else {
                *cell = left;
            }
            diagonal = above;
            left = *cell;
        }
    }
    row.last().map_or(0, |length| *length as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // Replies of Redis 8.2.3 to LCS … and LCS … IDX WITHMATCHLEN.
    const CASES: &[(&str, &str, &str, &[[usize; 4]])] = &[
        (
            "ohmytext",
            "mynewtext",
            "mytext",
            &[[4, 7, 5, 8], [2, 3, 0, 1]],
        ),
        ("abcde", "edcba", "e", &[[4, 4, 0, 0]]),
        ("aaaa", "aa", "aa", &[[2, 3, 0, 1]]),
        ("abab", "baba", "bab", &[[1, 3, 0, 2]]),
        (
            "rnasequencetruncated",
            "brandnewsequence",
            "rasequence",
            &[
                [18, 18, 15, 15],
                [14, 15, 13, 14],
                [10, 10, 12, 12],
                [3, 6, 8, 11],
                [2, 2, 2, 2],
                [0, 0, 1, 1],
            ],
        ),
        ("", "abc", "", &[]),
        ("xabcx", "abc", "abc", &[[1, 3, 0, 2]]),
        ("abc", "xxabcxx", "abc", &[[0, 2, 2, 4]]),
        ("abcxyz", "xyzabc", "xyz", &[[3, 5, 0, 2]]),
        (
            "aXbXc",
            "abc",
            "abc",
            &[[4, 4, 2, 2], [2, 2, 1, 1], [0, 0, 0, 0]],
        ),
        (
            "abcabba",
            "cbabac",
            "cbba",
            &[[5, 6, 3, 4], [4, 4, 1, 1], [2, 2, 0, 0]],
        ),
    ];

    #[test]
    fn runs_are_those_of_redis() {
        for (a, b, text, runs) in CASES {
            let (a, b) = (a.as_bytes(), b.as_bytes());
            assert_eq!(string(a, b), text.as_bytes());
            let (found, length) = matches(a, b);
            let found: Vec<_> = found
                .iter()
                .map(|m| [m.a.start, m.a.end - 1, m.b.start, m.b.end - 1])
                .collect();
            assert_eq!(found, *runs);
            assert_eq!(length, text.len());
        }
    }

    #[test]
    fn sizes_are_refused_where_redis_refuses_them() {
        let limit = 512 * 1024 * 1024;
        assert_eq!(check_size(11585, 11584, limit), Err(TooLarge::Table));
        assert_eq!(check_size(11584, 11584, limit), Ok(()));
        assert_eq!(
            check_size(u32::MAX as usize - 1, 0, u64::MAX),
            Err(TooLarge::String)
        );
        assert_eq!(check_size(u32::MAX as usize - 2, 0, u64::MAX), Ok(()));
    }

    /// The table in full, as a definition.
    fn plain_length(a: &[u8], b: &[u8]) -> usize {
        let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
        for i in 1..=a.len() {
            for j in 1..=b.len() {
                table[i][j] = if a[i - 1] == b[j - 1] {
                    table[i - 1][j - 1] + 1
                } else {
                    table[i - 1][j].max(table[i][j - 1])
                };
            }
        }
        table[a.len()][b.len()]
    }

    proptest! {
        #[test]
        fn the_result_is_a_longest_subsequence_of_both(a in "[abc]{0,60}", b in "[abc]{0,60}") {
            let (a, b) = (a.as_bytes(), b.as_bytes());
            let (runs, len) = matches(a, b);
            prop_assert_eq!(len, plain_length(a, b));
            prop_assert_eq!(len, length(a, b));
            prop_assert_eq!(len, string(a, b).len());
            for run in &runs {
                prop_assert_eq!(&a[run.a.clone()], &b[run.b.clone()]);
            }
            for pair in runs.windows(2) {
                prop_assert!(pair[1].a.end <= pair[0].a.start && pair[1].b.end <= pair[0].b.start);
            }
        }
    }
}
