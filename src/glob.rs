//! Patterns as KEYS, SCAN, CONFIG GET and PSUBSCRIBE take them.
//!
//! `*` any bytes, `?` one byte, `[abc]`, `[^abc]` and `[a-z]` one byte of a set, `\x` the
//! byte x. An unclosed set ends with the pattern. Matching takes at most time proportional
//! to the product of both lengths, whatever the pattern: it only ever goes back to the last
//! star.

/// Whether the whole of `text` matches `pattern`; with `ignore_case`, ASCII case aside.
pub fn matches(pattern: &[u8], text: &[u8], ignore_case: bool) -> bool {
    if text.is_empty() {
        // Redis's own: several stars do not match the empty text.
        return matches!(pattern, b"" | b"*");
    }
    let (mut p, mut t) = (0, 0);
    // After the last star: where the pattern goes on, and the text that it has not taken.
    let mut star: Option<(usize, usize)> = None;
    loop {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                if p == pattern.len() {
                    return true;
                }
                star = Some((p, t));
                continue;
            }
            None if t == text.len() => return true,
            Some(_) if t < text.len() => {
                if let Some(next) = one(pattern, p, text[t], ignore_case) {
                    (p, t) = (next, t + 1);
                    continue;
                }
            }
            _ => {}
        }
        match star {
            Some((after, taken)) if taken < text.len() => {
                star = Some((after, taken + 1));
                (p, t) = (after, taken + 1);
            }
            _ => return false,
        }
    }
}

/// Whether `byte` matches the element at `p`, and where the next element begins.
fn one(pattern: &[u8], p: usize, byte: u8, ignore_case: bool) -> Option<usize> {
    let fold = |b: u8| {
        if ignore_case {
            b.to_ascii_lowercase()
        } else {
            b
        }
    };
    match pattern[p] {
        b'?' => Some(p + 1),
        b'[' => set(pattern, p + 1, byte, ignore_case),
        // A lone backslash at the end stands for itself.
        b'\\' if p + 1 < pattern.len() => (fold(pattern[p + 1]) == fold(byte)).then_some(p + 2),
        literal => (fold(literal) == fold(byte)).then_some(p + 1),
    }
}

/// As [`one`] for a set whose members begin at `p`.
fn set(pattern: &[u8], mut p: usize, byte: u8, ignore_case: bool) -> Option<usize> {
    let fold = |b: u8| {
        if ignore_case {
            b.to_ascii_lowercase()
        } else {
            b
        }
    };
    let negated = pattern.get(p) == Some(&b'^');
    p += usize::from(negated);
    let mut found = false;
    loop {
        match pattern[p.min(pattern.len())..] {
            [] => break,
            [b']', ..] => {
                p += 1;
                break;
            }
            [b'\\', member, ..] => {
                found |= member == byte;
                p += 2;
            }
            [from, b'-', to, ..] => {
                let (from, to) = (fold(from).min(fold(to)), fold(from).max(fold(to)));
                found |= (from..=to).contains(&fold(byte));
                p += 3;
            }
            [member, ..] => {
                found |= fold(member) == fold(byte);
                p += 1;
            }
        }
    }
    (found != negated).then_some(p)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a*b*c", "aXbXbc", true),
            ("a*b", "acb!", false),
            ("h?llo", "hello", true),
            ("h[ae]llo", "hallo", true),
            ("h[^ae]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            (r"h\*llo", "h*llo", true),
            (r"h\*llo", "hello", false),
            ("[ab", "a", true),
            ("[", "a", false),
            ("[^", "a", true),
            (r"[\]]", "]", true),
            ("a\\", "a\\", true),
            ("a**", "a", true),
            ("*?", "", false),
            ("**", "", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes(), false),
                expected,
                "{pattern} on {text}"
            );
        }
        assert!(matches(b"HE[L-M]*", b"hello", true));
    }

    #[test]
    fn stars_do_not_multiply() {
        let text = vec![b'a'; 5000];
        assert!(!matches(b"a*a*a*a*a*a*a*a*a*a*b", &text, false));
    }
}
