//! The arguments of one request, borrowed from the bytes they arrived in.

use std::ops::Index;

/// A view of one request's arguments; `args[0]` is the command's name.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    buf: &'a [u8],
    ranges: &'a [(u32, u32)],
}

impl<'a> Args<'a> {
    /// A view over `buf`, of which each range is `(start, length)`. Ranges must lie inside.
    pub fn new(buf: &'a [u8], ranges: &'a [(u32, u32)]) -> Self {
        debug_assert!(
            ranges
                .iter()
                .all(|&(s, l)| s as usize + l as usize <= buf.len())
        );
        Args { buf, ranges }
    }

    /// How many arguments there are, the command's name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there is no argument at all (never for a request that reached a handler).
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Argument `i` with the lifetime of the request.
    ///
    /// # Panics
    /// If `i` is out of range: the arity check comes before every handler.
    #[inline]
    pub fn at(&self, i: usize) -> &'a [u8] {
        let (start, len) = self.ranges[i];
        &self.buf[start as usize..start as usize + len as usize]
    }

    /// Argument `i`, if there is one.
    #[inline]
    pub fn get(&self, i: usize) -> Option<&'a [u8]> {
        (i < self.ranges.len()).then(|| self.at(i))
    }

    /// All arguments in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let this = *self;
        (0..this.len()).map(move |i| this.at(i))
    }

    /// The arguments from `i` on, in order.
    pub fn from(&self, i: usize) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let this = *self;
        (i..this.len()).map(move |i| this.at(i))
    }

    /// The addresses between which the arguments lie.
    #[inline]
    pub fn span(&self) -> std::ops::Range<usize> {
        let base = self.buf.as_ptr() as usize;
        let end = self.ranges.last().map_or(0, |(at, len)| at + len);
        base..base + end as usize
    }

    /// The view without its first `n` arguments.
    pub fn skip(&self, n: usize) -> Args<'a> {
        Args {
            buf: self.buf,
            ranges: &self.ranges[n.min(self.ranges.len())..],
        }
    }

    /// The view of the first `n` arguments.
    pub fn first(&self, n: usize) -> Args<'a> {
        Args {
            buf: self.buf,
            ranges: &self.ranges[..n.min(self.ranges.len())],
        }
    }

    /// Whether argument `i` equals `word`, ASCII case aside.
    #[inline]
    pub fn is(&self, i: usize, word: &str) -> bool {
        self.get(i)
            .is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// The request as a RESP array of bulk strings, appended to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        encode_header(out, b'*', self.len());
        for arg in self.iter() {
            encode_bulk(out, arg);
        }
    }

    /// A copy that outlives the read buffer, for queued transactions.
    pub fn to_owned(&self) -> OwnedArgs {
        let mut buf = Vec::with_capacity(self.iter().map(<[u8]>::len).sum());
        let mut ranges = Vec::with_capacity(self.len());
        for arg in self.iter() {
            ranges.push((buf.len() as u32, arg.len() as u32));
            buf.extend_from_slice(arg);
        }
        OwnedArgs { buf, ranges }
    }
}

impl Index<usize> for Args<'_> {
    type Output = [u8];
    #[inline]
    fn index(&self, i: usize) -> &[u8] {
        self.at(i)
    }
}

impl std::fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|a| a.escape_ascii().to_string()))
            .finish()
    }
}

/// Arguments that own their bytes.
#[derive(Clone, Debug, Default)]
pub struct OwnedArgs {
    buf: Vec<u8>,
    ranges: Vec<(u32, u32)>,
}

impl OwnedArgs {
    /// Builds from parts; mostly for requests that the server makes itself.
    pub fn of<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> Self {
        let mut this = OwnedArgs::default();
        for part in parts {
            let part = part.as_ref();
            this.ranges.push((this.buf.len() as u32, part.len() as u32));
            this.buf.extend_from_slice(part);
        }
        this
    }

    /// Takes all arguments away. The room of an ordinary request is kept for the next.
    pub fn clear(&mut self) {
        self.buf.clear();
        self.ranges.clear();
        self.buf.shrink_to(KEPT_BYTES);
        self.ranges.shrink_to(KEPT_RANGES);
    }

    /// Adds an argument.
    pub fn push(&mut self, part: &[u8]) {
        self.ranges.push((self.buf.len() as u32, part.len() as u32));
        self.buf.extend_from_slice(part);
    }

    /// The borrowed view that handlers take.
    pub fn view(&self) -> Args<'_> {
        Args::new(&self.buf, &self.ranges)
    }

    /// Bytes that this copy occupies.
    pub fn mem_bytes(&self) -> usize {
        self.buf.capacity() + self.ranges.capacity() * 8
    }
}

/// Appends `<kind><n>\r\n`.
#[inline]
pub(crate) fn encode_header(out: &mut Vec<u8>, kind: u8, n: usize) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(n).as_bytes();
    out.reserve(digits.len() + 3);
    out.push(kind);
    out.extend_from_slice(digits);
    out.extend_from_slice(b"\r\n");
}

/// Appends a bulk string.
#[inline]
pub(crate) fn encode_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + 16);
    encode_header(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Room of a request that is kept for the next, in bytes and in arguments.
const KEPT_BYTES: usize = 16 * 1024;
const KEPT_RANGES: usize = 256;
