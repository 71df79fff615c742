//! The quoting rules of inline commands and of configuration lines.

/// Splits `line` into arguments by Redis's quoting rules: blanks separate; double quotes
/// take `\n \r \t \b \a \xHH` and `\<any>`; single quotes take only `\'`. A closing quote
/// must be followed by a blank or the end.
///
/// `None` when the quotes do not balance.
pub fn split_quoted(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut args = Vec::new();
    let mut rest = line;
    loop {
        while let [first, tail @ ..] = rest
            && is_blank(*first)
        {
            rest = tail;
        }
        if rest.is_empty() || rest[0] == 0 {
            return Some(args);
        }
        let (arg, tail) = one_argument(rest)?;
        args.push(arg);
        rest = tail;
    }
}

/// One argument from the front of `rest`, and what follows it.
fn one_argument(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut arg = Vec::new();
    loop {
        match rest {
            [] => return Some((arg, rest)),
            [c, ..] if ends_word(*c) => return Some((arg, rest)),
            [quote @ (b'"' | b'\''), tail @ ..] => {
                let tail = if *quote == b'"' {
                    double_quoted(tail, &mut arg)?
                } else {
                    single_quoted(tail, &mut arg)?
                };
                // What follows a closing quote must end the argument.
                return match tail.first() {
                    Some(c) if !is_blank(*c) && *c != 0 => None,
                    _ => Some((arg, tail)),
                };
            }
            [c, tail @ ..] => {
                arg.push(*c);
                rest = tail;
            }
        }
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], arg: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'"', tail @ ..] => return Some(tail),
            [b'\\', b'x', high, low, tail @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                arg.push(hex(*high) << 4 | hex(*low));
                rest = tail;
            }
            [b'\\', escaped, tail @ ..] => {
                arg.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = tail;
            }
            [c, tail @ ..] => {
                arg.push(*c);
                rest = tail;
            }
        }
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], arg: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'\\', b'\'', tail @ ..] => {
                arg.push(b'\'');
                rest = tail;
            }
            [b'\'', tail @ ..] => return Some(tail),
            [c, tail @ ..] => {
                arg.push(*c);
                rest = tail;
            }
        }
    }
}

fn hex(digit: u8) -> u8 {
    (digit as char).to_digit(16).unwrap_or(0) as u8
}

/// What ends a word without quotes. Fewer than separate words, as in Redis.
fn ends_word(c: u8) -> bool {
    matches!(c, b' ' | b'\t' | b'\n' | b'\r' | 0)
}

/// C's `isspace`.
fn is_blank(c: u8) -> bool {
    matches!(c, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Option<Vec<String>> {
        split_quoted(line.as_bytes()).map(|args| {
            args.into_iter()
                .map(|a| a.escape_ascii().to_string())
                .collect()
        })
    }

    #[test]
    fn words_and_quotes() {
        assert_eq!(split("  a  b "), Some(vec!["a".into(), "b".into()]));
        assert_eq!(split(r#""a b" c"#), Some(vec!["a b".into(), "c".into()]));
        assert_eq!(split(r#""\x41\n\q""#), Some(vec!["A\\nq".into()]));
        assert_eq!(split(r"'a\'b\n'"), Some(vec![r"a\'b\\n".into()]));
        assert_eq!(split(r#"a"b c""#), Some(vec!["ab c".into()]));
        assert_eq!(split(r#""""#), Some(vec![String::new()]));
        assert_eq!(split(""), Some(vec![]));
    }

    #[test]
    fn unbalanced() {
        assert_eq!(split(r#""a"#), None);
        assert_eq!(split("'a"), None);
        assert_eq!(split(r#""a"b"#), None);
    }
}
