//! The reply writer: one API, RESP2 or RESP3 on the wire.

use super::errors::WireError;
use bytes::Bytes;
use std::collections::VecDeque;

/// Bytes to be sent: a flat buffer, with large values spliced in by reference.
#[derive(Default, Debug)]
pub struct OutBuf {
    /// Everything but the shared values.
    pub buf: Vec<u8>,
    /// `(position in buf, value)`: the value goes out before the byte at the position.
    /// Positions ascend.
    pub shared: VecDeque<(usize, Bytes)>,
}

impl OutBuf {
    /// Empties it. The room of an ordinary reply is kept for the next.
    pub fn clear(&mut self) {
        self.shared.clear();
        self.buf.clear();
        self.buf.shrink_to(KEPT_ROOM);
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty() && self.shared.is_empty()
    }

    /// All bytes in order, for tests and for callers without a socket.
    pub fn flatten(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.buf.len());
        let mut from = 0;
        for (at, value) in &self.shared {
            out.extend_from_slice(&self.buf[from..*at]);
            out.extend_from_slice(value);
            from = *at;
        }
        out.extend_from_slice(&self.buf[from..]);
        out
    }

    /// Makes everything stand in `buf`.
    pub fn join(&mut self) {
        if !self.shared.is_empty() {
            self.buf = self.flatten();
            self.shared.clear();
        }
    }

    /// Drops everything from `len` on, as if it had not been written.
    pub fn truncate(&mut self, len: usize) {
        self.buf.truncate(len);
        while self.shared.back().is_some_and(|(at, _)| *at > len) {
            self.shared.pop_back();
        }
    }
}

/// Writes one client's replies in the protocol version it speaks.
pub struct Reply<'a> {
    out: &'a mut OutBuf,
    resp3: bool,
}

impl<'a> Reply<'a> {
    /// A writer at the end of `out`.
    #[inline]
    pub fn new(out: &'a mut OutBuf, resp3: bool) -> Self {
        Reply { out, resp3 }
    }

    /// Whether the client speaks RESP3.
    #[inline]
    pub fn resp3(&self) -> bool {
        self.resp3
    }

    /// Changes the version from the next reply on (`HELLO`, `RESET`).
    pub fn set_resp3(&mut self, resp3: bool) {
        self.resp3 = resp3;
    }

    /// Where the next byte goes; for [`Reply::rewind`].
    #[inline]
    pub fn position(&self) -> usize {
        self.out.buf.len()
    }

    /// How many bytes were written since `position`, shared values included.
    #[inline]
    pub fn bytes_since(&self, position: usize) -> usize {
        let own = self.out.buf.len() - position;
        if self.out.shared.is_empty() {
            return own;
        }
        let shared = self.out.shared.iter().rev();
        let since = shared.take_while(|(at, _)| *at > position);
        own + since.map(|(_, value)| value.len()).sum::<usize>()
    }

    /// Takes back everything written since `position`.
    pub fn rewind(&mut self, position: usize) {
        self.out.truncate(position);
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.out.buf.extend_from_slice(b"+OK\r\n");
    }

    /// A simple string; it must not hold CR or LF.
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']));
        self.out.buf.push(b'+');
        self.out.buf.extend_from_slice(text.as_bytes());
        self.crlf();
    }

    /// An error. Line breaks in its text become blanks, as in Redis.
    pub fn error(&mut self, error: &WireError) {
        self.out.buf.push(b'-');
        let bytes = error.bytes().iter();
        self.out.buf.extend(bytes.map(|b| match b {
            b'\r' | b'\n' => b' ',
            b => *b,
        }));
        self.crlf();
    }

    /// An integer.
    #[inline]
    pub fn int(&mut self, n: i64) {
        // The replies that counters and flags give most.
        match n {
            0 => self.out.buf.extend_from_slice(b":0\r\n"),
            1 => self.out.buf.extend_from_slice(b":1\r\n"),
            n => self.prefixed(b':', n),
        }
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        super::args::encode_bulk(&mut self.out.buf, bytes);
    }

    /// A bulk string from text.
    pub fn bulk_str(&mut self, text: &str) {
        self.bulk(text.as_bytes());
    }

    /// A large bulk string that is sent from where it lies.
    pub fn bulk_shared(&mut self, bytes: Bytes) {
        self.prefixed(b'$', bytes.len() as i64);
        self.out.shared.push_back((self.out.buf.len(), bytes));
        self.crlf();
    }

    /// An integer as a bulk string.
    #[inline]
    pub fn int_bulk(&mut self, n: i64) {
        let mut digits = itoa::Buffer::new();
        self.bulk(digits.format(n).as_bytes());
    }

    /// Null: `_` in RESP3, the null bulk string in RESP2.
    #[inline]
    pub fn null(&mut self) {
        self.by_version("$-1\r\n", "_\r\n");
    }

    /// Null where an array was due: `_` in RESP3, the null array in RESP2.
    pub fn null_array(&mut self) {
        self.by_version("*-1\r\n", "_\r\n");
    }

    /// The head of an array of `n` elements.
    #[inline]
    pub fn array(&mut self, n: usize) {
        self.prefixed(b'*', n as i64);
    }

    /// The head of a map of `pairs` pairs; in RESP2 an array of twice as many elements.
    pub fn map(&mut self, pairs: usize) {
        if self.resp3 {
            self.prefixed(b'%', pairs as i64);
        } else {
            self.prefixed(b'*', pairs as i64 * 2);
        }
    }

    /// The head of a set; in RESP2 an array.
    pub fn set(&mut self, n: usize) {
        self.prefixed(if self.resp3 { b'~' } else { b'*' }, n as i64);
    }

    /// The head of a push message; in RESP2 an array.
    pub fn push(&mut self, n: usize) {
        self.prefixed(if self.resp3 { b'>' } else { b'*' }, n as i64);
    }

    /// A double; in RESP2 its text as a bulk string.
    pub fn double(&mut self, value: f64) {
        let text = crate::number::format_double(value);
        if self.resp3 {
            self.out.buf.push(b',');
            self.out.buf.extend_from_slice(text.as_bytes());
            self.crlf();
        } else {
            self.bulk(text.as_bytes());
        }
    }

    /// A boolean; in RESP2 `:1` or `:0`.
    pub fn bool(&mut self, value: bool) {
        match (self.resp3, value) {
            (true, true) => self.out.buf.extend_from_slice(b"#t\r\n"),
            (true, false) => self.out.buf.extend_from_slice(b"#f\r\n"),
            (false, value) => self.int(i64::from(value)),
        }
    }

    /// Text with a three-letter format (`txt`, `mkd`); in RESP2 a bulk string.
    pub fn verbatim(&mut self, format: &str, text: &str) {
        let mut letters = [b' '; 3];
        for (letter, given) in letters.iter_mut().zip(format.bytes()) {
            *letter = given;
        }
        self.verbatim_bytes(letters, text.as_bytes());
    }

    /// The same for what need not be UTF-8.
    pub fn verbatim_bytes(&mut self, format: [u8; 3], text: &[u8]) {
        if self.resp3 {
            self.prefixed(b'=', text.len() as i64 + 4);
            self.out.buf.extend_from_slice(&format);
            self.out.buf.push(b':');
            self.out.buf.extend_from_slice(text);
            self.crlf();
        } else {
            self.bulk(text);
        }
    }

    /// A number of any size, as text; in RESP2 a bulk string.
    pub fn big_number(&mut self, digits: &str) {
        if self.resp3 {
            self.out.buf.push(b'(');
            self.out.buf.extend_from_slice(digits.as_bytes());
            self.crlf();
        } else {
            self.bulk(digits.as_bytes());
        }
    }

    /// Bytes that are a whole reply already.
    pub fn raw(&mut self, encoded: &[u8]) {
        self.out.buf.extend_from_slice(encoded);
    }

    /// A help text: the head line, the lines, and the line that every HELP ends with.
    pub fn help(&mut self, command: &str, lines: &[&str]) {
        self.array(lines.len() + 3);
        self.simple(&format!(
            "{command} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
        ));
        for line in lines {
            self.simple(line);
        }
        self.simple("HELP");
        self.simple("    Print this help.");
    }

    #[inline]
    fn prefixed(&mut self, kind: u8, n: i64) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(n).as_bytes();
        self.out.buf.reserve(digits.len() + 3);
        self.out.buf.push(kind);
        self.out.buf.extend_from_slice(digits);
        self.out.buf.extend_from_slice(b"\r\n");
    }

    #[inline]
    fn by_version(&mut self, resp2: &str, resp3: &str) {
        let text = if self.resp3 { resp3 } else { resp2 };
        self.out.buf.extend_from_slice(text.as_bytes());
    }

    #[inline]
    fn crlf(&mut self) {
        self.out.buf.extend_from_slice(b"\r\n");
    }
}
/// Bytes of an emptied buffer that stay allocated.
const KEPT_ROOM: usize = 16 * 1024;
