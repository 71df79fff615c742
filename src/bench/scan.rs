//! Skips replies: finds where each ends, and notices errors.

/// What a look at the buffer found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// The reply is not complete.
    Incomplete,
    /// A whole reply of this many bytes; whether it is an error.
    Reply(usize, bool),
    /// No reply.
    Invalid,
}

/// Looks at the reply at the front of `buf`.
#[inline]
pub fn scan(buf: &[u8]) -> Scan {
    // What most replies are: a short line.
    match buf {
        [b'+', b'O', b'K', b'\r', b'\n', ..] => return Scan::Reply(5, false),
        [b':', _, b'\r', b'\n', ..] => return Scan::Reply(4, false),
        _ => {}
    }
    let mut at = 0;
    let mut remaining = 1usize;
    let mut error = false;
    while remaining > 0 {
        let Some(end) = memchr::memchr(b'\n', &buf[at.min(buf.len())..]) else {
            return Scan::Incomplete;
        };
        let line = &buf[at..at + end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let next = at + end + 1;
        let Some((kind, rest)) = line.split_first() else {
            return Scan::Invalid;
        };
        remaining -= 1;
        at = match kind {
            b'+' | b':' | b'_' | b'#' | b',' | b'(' => next,
            b'-' => {
                error = true;
                next
            }
            b'$' | b'=' | b'!' => match number(rest) {
                Some(n) if n >= 0 => next + n as usize + 2,
                Some(_) => next,
                None => return Scan::Invalid,
            },
            b'*' | b'~' | b'>' | b'%' => match number(rest) {
                Some(n) => {
                    let each = if *kind == b'%' { 2 } else { 1 };
                    remaining += n.max(0) as usize * each;
                    next
                }
                None => return Scan::Invalid,
            },
            _ => return Scan::Invalid,
        };
        if at > buf.len() {
            return Scan::Incomplete;
        }
    }
    Scan::Reply(at, error)
}

fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_end_where_they_end() {
        for (reply, error) in [
            (&b"+OK\r\n"[..], false),
            (b":1\r\n", false),
            (b":-12345\r\n", false),
            (b"$-1\r\n", false),
            (b"$5\r\nhello\r\n", false),
            (b"-ERR x\r\n", true),
            (b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", false),
            (b"*2\r\n+OK\r\n-ERR inside\r\n", true),
            (b"%1\r\n+k\r\n_\r\n", false),
        ] {
            let mut more = reply.to_vec();
            more.extend_from_slice(b"+next\r\n");
            assert_eq!(scan(&more), Scan::Reply(reply.len(), error));
            for cut in 0..reply.len() {
                assert_eq!(scan(&reply[..cut]), Scan::Incomplete, "{cut}");
            }
        }
        assert_eq!(scan(b"hello\r\n"), Scan::Invalid);
    }
}
