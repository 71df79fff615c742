//! Skips replies: finds where each ends, and notices errors and nulls.

/// What a look at the buffer found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// The reply is not complete.
    Incomplete,
    /// A whole reply of this many bytes.
    Reply(usize, Kind),
    /// No reply.
    Invalid,
}

/// As much as the load needs to know of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anything but the others.
    Value,
    /// The reply is null: the key is not there.
    Null,
    /// An error, or an aggregate that holds one (as `EXEC` does).
    Error,
}

/// Looks at the reply at the front of `buf`.
#[inline]
pub fn scan(buf: &[u8]) -> Scan {
    // What most replies are: a short line.
    match buf {
        [b'+', b'O', b'K', b'\r', b'\n', ..] => Scan::Reply(5, Kind::Value),
        [b':', _, b'\r', b'\n', ..] => Scan::Reply(4, Kind::Value),
        _ => scan_any(buf),
    }
}

fn scan_any(buf: &[u8]) -> Scan {
    let mut at = 0;
    let mut remaining = 1usize;
    let mut reply = Kind::Value;
    while remaining > 0 {
        let Some(end) = memchr::memchr(b'\n', &buf[at..]) else {
            return Scan::Incomplete;
        };
        let line = &buf[at..at + end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let next = at + end + 1;
        let Some((kind, rest)) = line.split_first() else {
            return Scan::Invalid;
        };
        remaining -= 1;
        let size = match kind {
            b'$' | b'=' | b'!' | b'*' | b'~' | b'>' | b'%' => match number(rest) {
                Some(size) => size,
                None => return Scan::Invalid,
            },
            _ => 0,
        };
        if *kind == b'-' || *kind == b'!' {
            reply = Kind::Error;
        } else if at == 0 && (*kind == b'_' || size < 0) {
            reply = Kind::Null;
        }
        let size = size.max(0) as usize;
        at = match kind {
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => next,
            b'$' | b'=' | b'!' if rest.first() == Some(&b'-') => next,
            b'$' | b'=' | b'!' => next.saturating_add(size).saturating_add(2),
            b'*' | b'~' | b'>' => {
                remaining = remaining.saturating_add(size);
                next
            }
            b'%' => {
                remaining = remaining.saturating_add(size).saturating_add(size);
                next
            }
            _ => return Scan::Invalid,
        };
        if at > buf.len() {
            return Scan::Incomplete;
        }
    }
    Scan::Reply(at, reply)
}

fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_end_where_they_end() {
        for (reply, kind) in [
            (&b"+OK\r\n"[..], Kind::Value),
            (b":1\r\n", Kind::Value),
            (b":-12345\r\n", Kind::Value),
            (b"$-1\r\n", Kind::Null),
            (b"*-1\r\n", Kind::Null),
            (b"_\r\n", Kind::Null),
            (b"$0\r\n\r\n", Kind::Value),
            (b"$5\r\nhello\r\n", Kind::Value),
            (b"-ERR x\r\n", Kind::Error),
            (b"!5\r\nERR x\r\n", Kind::Error),
            (b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", Kind::Value),
            (b"*2\r\n$-1\r\n:1\r\n", Kind::Value),
            (b"*2\r\n+OK\r\n-ERR inside\r\n", Kind::Error),
            (b"%1\r\n+k\r\n_\r\n", Kind::Value),
        ] {
            let mut more = reply.to_vec();
            more.extend_from_slice(b"+next\r\n");
            assert_eq!(scan(&more), Scan::Reply(reply.len(), kind));
            for cut in 0..reply.len() {
                assert_eq!(scan(&reply[..cut]), Scan::Incomplete, "{cut}");
            }
        }
        assert_eq!(scan(b"hello\r\n"), Scan::Invalid);
        assert_eq!(scan(b"$x\r\n"), Scan::Invalid);
    }

    #[test]
    fn absurd_sizes_are_waited_for_and_not_computed_with() {
        assert_eq!(scan(b"$9223372036854775807\r\n"), Scan::Incomplete);
        assert_eq!(scan(b"%9223372036854775807\r\n"), Scan::Incomplete);
    }
}
