//! The request reader: resumable, limits before allocation, no copy of arguments.
//!
//! The reader is fed a buffer that starts at the first byte of a request. While the request
//! is incomplete it remembers how far it got (relative to that start), so that bytes are
//! looked at once however slowly they come. When it is complete, [`RequestReader::args`]
//! gives a view into the same buffer.
//!
//! What must stay true: the reader allocates in proportion to bytes that have arrived,
//! never to a length that a header merely announces.

use super::args::{Args, encode_bulk, encode_header};
use super::errors::WireError;
use super::inline::split_quoted;
use crate::number::parse_i64;
use std::fmt;

/// What a request may at most be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest bulk string in bytes (`proto-max-bulk-len`).
    pub max_bulk: u64,
    /// Whether the client has authenticated; before that, requests must be small.
    pub authenticated: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_bulk: 512 << 20,
            authenticated: true,
        }
    }
}

/// The outcome of looking at the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// More bytes are needed.
    Incomplete,
    /// A whole request of this many bytes; its arguments are ready.
    Request(usize),
    /// This many bytes held no request (an empty line or an empty array).
    Nothing(usize),
}

/// The client broke the protocol; the text is Redis's. The connection cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// A fault with a fixed text.
    Text(&'static str),
    /// A `$` was due and this byte came.
    ExpectedBulk(u8),
}

impl ProtocolError {
    /// The error as it is sent; the offending byte as it came.
    pub fn to_wire(&self) -> WireError {
        match self {
            ProtocolError::Text(text) => WireError::new(format!("ERR Protocol error: {text}")),
            ProtocolError::ExpectedBulk(got) => {
                let mut bytes = b"ERR Protocol error: expected '$', got '".to_vec();
                bytes.extend([*got, b'\'']);
                WireError::from_bytes(bytes)
            }
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProtocolError::Text(text) => write!(f, "Protocol error: {text}"),
            ProtocolError::ExpectedBulk(got) => {
                let got = got.escape_ascii();
                write!(f, "Protocol error: expected '$', got '{got}'")
            }
        }
    }
}

/// Reads requests; one per connection.
#[derive(Default)]
pub struct RequestReader {
    /// How far into the request the reader has looked.
    pos: usize,
    /// Bulk strings still to come; meaningful once `started`.
    remaining: usize,
    started: bool,
    /// The announced length of the bulk string whose header has been read.
    bulk_len: Option<usize>,
    ranges: Vec<(u32, u32)>,
    /// The request re-encoded: inline requests, and arrays whose separators were not all CRLF.
    rewritten: Vec<u8>,
    is_rewritten: bool,
    odd_separator: bool,
}

impl RequestReader {
    /// Looks at `buf`, whose first byte is the first of a request.
    ///
    /// # Errors
    /// [`ProtocolError`] when the bytes cannot be a request or exceed a limit.
    #[inline]
    pub fn parse(&mut self, buf: &[u8], limits: &Limits) -> Result<Parsed, ProtocolError> {
        if !self.started {
            match buf.first() {
                None => return Ok(Parsed::Incomplete),
                Some(b'*') => {}
                Some(_) => return self.parse_inline(buf),
            }
            self.ranges.clear();
            self.is_rewritten = false;
            let Some((count, next)) = header(
                buf,
                0,
                "too big mbulk count string",
                "invalid multibulk length",
            )?
            else {
                return Ok(Parsed::Incomplete);
            };
            if count > i64::from(i32::MAX) {
                return Err(ProtocolError::Text("invalid multibulk length"));
            }
            if count <= 0 {
                return Ok(Parsed::Nothing(next));
            }
            if count > 10 && !limits.authenticated {
                return Err(ProtocolError::Text("unauthenticated multibulk length"));
            }
            self.started = true;
            self.odd_separator = buf[next - 1] != b'\n';
            self.remaining = count as usize;
            self.pos = next;
        }
        self.parse_bulks(buf, limits)
    }

    #[inline]
    fn parse_bulks(&mut self, buf: &[u8], limits: &Limits) -> Result<Parsed, ProtocolError> {
        while self.remaining > 0 {
            let len = match self.bulk_len {
                Some(len) => len,
                None => {
                    let Some(&first) = buf.get(self.pos) else {
                        return Ok(Parsed::Incomplete);
                    };
                    if first != b'$' {
                        // Redis finds the line's end first; an over-long line is that fault.
                        return match line_end(buf, self.pos, "too big bulk count string")? {
                            None => Ok(Parsed::Incomplete),
                            Some(_) => Err(ProtocolError::ExpectedBulk(first)),
                        };
                    }
                    let Some((len, next)) = header(
                        buf,
                        self.pos,
                        "too big bulk count string",
                        "invalid bulk length",
                    )?
                    else {
                        return Ok(Parsed::Incomplete);
                    };
                    if len < 0 || len as u64 > limits.max_bulk {
                        return Err(ProtocolError::Text("invalid bulk length"));
                    }
                    if len > 16384 && !limits.authenticated {
                        return Err(ProtocolError::Text("unauthenticated bulk length"));
                    }
                    self.odd_separator |= buf[next - 1] != b'\n';
                    self.pos = next;
                    self.bulk_len = Some(len as usize);
                    len as usize
                }
            };
            let end = self.pos + len;
            if buf.len() < end + 2 {
                return Ok(Parsed::Incomplete);
            }
            if end > u32::MAX as usize {
                return Err(ProtocolError::Text("invalid bulk length"));
            }
            // Redis skips what should be a line feed unseen, and these two bytes. So do we, but such a request must not reach
            // the write log as it came.
            self.odd_separator |= &buf[end..end + 2] != b"\r\n";
            self.ranges.push((self.pos as u32, len as u32));
            self.pos = end + 2;
            self.bulk_len = None;
            self.remaining -= 1;
        }
        let consumed = self.pos;
        self.pos = 0;
        self.started = false;
        if self.odd_separator {
            self.rewrite_odd(buf);
        }
        Ok(Parsed::Request(consumed))
    }

    /// How many more bytes the bulk string being read needs at least (0 when unknown), so
    /// that the caller can make room once.
    pub fn missing(&self, have: usize) -> usize {
        self.bulk_len
            .map_or(0, |len| (self.pos + len + 2).saturating_sub(have))
    }

    /// Whether a request has been begun and not finished.
    pub fn is_partial(&self) -> bool {
        self.started
    }

    /// The arguments of the request just parsed from `buf`.
    #[inline]
    pub fn args<'a>(&'a self, buf: &'a [u8]) -> Args<'a> {
        let buf = if self.is_rewritten {
            &self.rewritten
        } else {
            buf
        };
        Args::new(buf, &self.ranges)
    }

    /// The request just parsed, as a RESP array fit for the write log.
    #[inline]
    pub fn raw<'a>(&'a self, buf: &'a [u8], consumed: usize) -> &'a [u8] {
        if self.is_rewritten {
            &self.rewritten
        } else {
            &buf[..consumed]
        }
    }

    /// The ranges of the request just parsed, if its arguments lie in the caller's buffer.
    #[inline]
    pub fn plain_ranges(&self) -> Option<&[(u32, u32)]> {
        (!self.is_rewritten).then_some(&self.ranges)
    }

    /// Forgets a request that was begun: the caller goes back to an earlier one.
    pub fn reset(&mut self) {
        self.pos = 0;
        self.started = false;
        self.bulk_len = None;
    }

    /// Gives back memory that a large request needed.
    pub fn shrink(&mut self) {
        // What has been found of a request that is not complete is still needed.
        if self.started {
            return;
        }
        if self.ranges.capacity() > 1024 {
            self.ranges = Vec::new();
        }
        if self.rewritten.capacity() > 16384 {
            self.rewritten = Vec::new();
        }
    }

    fn parse_inline(&mut self, buf: &[u8]) -> Result<Parsed, ProtocolError> {
        let Some(newline) = memchr::memchr(b'\n', &buf[self.pos..]) else {
            if buf.len() > INLINE_MAX {
                return Err(ProtocolError::Text("too big inline request"));
            }
            self.pos = buf.len();
            return Ok(Parsed::Incomplete);
        };
        let newline = self.pos + newline;
        self.pos = 0;
        let line = &buf[..newline];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let args = split_quoted(line).ok_or(ProtocolError::Text("unbalanced quotes in request"))?;
        if args.is_empty() {
            return Ok(Parsed::Nothing(newline + 1));
        }
        self.rewrite(args.iter().map(Vec::as_slice), args.len());
        Ok(Parsed::Request(newline + 1))
    }

    fn rewrite_odd(&mut self, buf: &[u8]) {
        let ranges = std::mem::take(&mut self.ranges);
        let args = Args::new(buf, &ranges);
        self.rewrite(args.iter(), args.len());
    }

    fn rewrite<'a>(&mut self, args: impl Iterator<Item = &'a [u8]>, count: usize) {
        self.rewritten.clear();
        self.ranges.clear();
        encode_header(&mut self.rewritten, b'*', count);
        for arg in args {
            encode_bulk(&mut self.rewritten, arg);
            let start = self.rewritten.len() - 2 - arg.len();
            self.ranges.push((start as u32, arg.len() as u32));
        }
        self.is_rewritten = true;
    }
}

/// Reads `<kind><integer>\r\n` at `at`: the integer and the position after it. `None` while
/// the line is incomplete.
#[inline]
fn header(
    buf: &[u8],
    at: usize,
    too_long: &'static str,
    invalid: &'static str,
) -> Result<Option<(i64, usize)>, ProtocolError> {
    // One to three digits cover nearly every header; look no further for those.
    if let Some(&[_, a, b'\r', _]) = buf.get(at..at + 4).and_then(|s| s.first_chunk::<4>())
        && a.is_ascii_digit()
    {
        return Ok(Some((i64::from(a - b'0'), at + 4)));
    }
    if let Some(&[_, a, b, b'\r', _]) = buf.get(at..at + 5).and_then(|s| s.first_chunk::<5>())
        && (b'1'..=b'9').contains(&a)
        && b.is_ascii_digit()
    {
        return Ok(Some((
            i64::from(a - b'0') * 10 + i64::from(b - b'0'),
            at + 5,
        )));
    }
    let Some(end) = line_end(buf, at, too_long)? else {
        return Ok(None);
    };
    let n = parse_i64(&buf[at + 1..end]).ok_or(ProtocolError::Text(invalid))?;
    Ok(Some((n, end + 2)))
}

/// The position of the `\r` that ends the line at `at`, once the byte after it is there too.
fn line_end(buf: &[u8], at: usize, too_long: &'static str) -> Result<Option<usize>, ProtocolError> {
    let window = &buf[at..buf.len().min(at + INLINE_MAX + 1)];
    match memchr::memchr(b'\r', window) {
        Some(i) if at + i + 1 < buf.len() => Ok(Some(at + i)),
        Some(_) => Ok(None),
        None if window.len() > INLINE_MAX => Err(ProtocolError::Text(too_long)),
        None => Ok(None),
    }
}

/// The longest inline request or header line, in bytes.
const INLINE_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(input: &[u8], step: usize) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
        let mut reader = RequestReader::default();
        let limits = Limits::default();
        let (mut start, mut have) = (0, 0);
        let mut out = Vec::new();
        while have < input.len() {
            have = (have + step).min(input.len());
            loop {
                let buf = &input[start..have];
                match reader.parse(buf, &limits)? {
                    Parsed::Incomplete => break,
                    Parsed::Nothing(n) => start += n,
                    Parsed::Request(n) => {
                        out.push(reader.args(buf).iter().map(<[u8]>::to_vec).collect());
                        start += n;
                    }
                }
            }
        }
        Ok(out)
    }

    #[test]
    fn any_split_gives_the_same_requests() {
        let input = b"*2\r\n$3\r\nGET\r\n$0\r\n\r\nPING\r\n\r\n*0\r\n*1\r\n$12\r\nhello world!\r\nset a \"b c\"\n*-1\r\n";
        let whole = read_all(input, input.len()).expect("valid");
        assert_eq!(whole.len(), 4);
        assert_eq!(whole[3], [&b"set"[..], b"a", b"b c"]);
        for step in 1..input.len() {
            assert_eq!(read_all(input, step).expect("valid"), whole, "step {step}");
        }
    }

    #[test]
    fn inline_is_rewritten_for_the_log() {
        let mut reader = RequestReader::default();
        let buf = b"SET a 'b c'\r\n";
        assert_eq!(
            reader.parse(buf, &Limits::default()),
            Ok(Parsed::Request(buf.len()))
        );
        assert_eq!(
            reader.raw(buf, buf.len()),
            b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$3\r\nb c\r\n"
        );
    }

    #[test]
    fn faults_have_redis_texts() {
        for (input, text) in [
            (&b"*abc\r\n"[..], "Protocol error: invalid multibulk length"),
            (
                b"*2147483648\r\n",
                "Protocol error: invalid multibulk length",
            ),
            (b"*1\r\n+OK\r\n", "Protocol error: expected '$', got '+'"),
            (b"*1\r\n$-1\r\n", "Protocol error: invalid bulk length"),
            (b"*1\r\n$1x\r\n", "Protocol error: invalid bulk length"),
            (b"\"a\n", "Protocol error: unbalanced quotes in request"),
        ] {
            assert_eq!(
                read_all(input, 1).expect_err("a fault").to_string(),
                text,
                "{}",
                input.escape_ascii()
            );
        }
    }

    /// Shrinking between two reads once dropped the arguments found so far, so that a request
    /// of thousands of arguments was misread.
    #[test]
    fn shrinking_keeps_a_request_that_is_not_complete() {
        let args: Vec<Vec<u8>> = (0..3000).map(|i| i.to_string().into_bytes()).collect();
        let mut input = Vec::new();
        encode_header(&mut input, b'*', args.len());
        for arg in &args {
            encode_bulk(&mut input, arg);
        }
        let (mut reader, limits) = (RequestReader::default(), Limits::default());
        for have in [input.len() / 2, input.len() - 1] {
            assert_eq!(
                reader.parse(&input[..have], &limits),
                Ok(Parsed::Incomplete)
            );
            reader.shrink();
        }
        assert_eq!(
            reader.parse(&input, &limits),
            Ok(Parsed::Request(input.len()))
        );
        assert!(
            reader
                .args(&input)
                .iter()
                .eq(args.iter().map(Vec::as_slice))
        );
    }

    #[test]
    fn an_announced_length_allocates_nothing() {
        let mut reader = RequestReader::default();
        let limits = Limits::default();
        assert_eq!(
            reader.parse(b"*2147483647\r\n$536870912\r\n", &limits),
            Ok(Parsed::Incomplete)
        );
        assert!(reader.ranges.capacity() < 16);
    }
}
