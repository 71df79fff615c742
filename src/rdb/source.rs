//! The bytes of RDB data, read once from front to back.
//!
//! A [`Source`] knows how far it is, for errors, and what the checksum is of what was taken.
//! It allocates in steps as bytes arrive: a length that the data claims reserves nothing.

use super::checksum::Checksum;
use super::error::{Problem, RdbError, Result};
use super::lzf;
use std::io::{self, Read};

/// See the module's documentation.
pub struct Source<R> {
    reader: R,
    buffer: Vec<u8>,
    /// What was taken of the buffer.
    at: usize,
    /// The offset of the buffer's first byte.
    start: u64,
    /// What of the buffer has been added to the checksum.
    summed: usize,
    checksum: Option<Checksum>,
}

/// A length, or the announcement of a string in another form.
pub(super) enum Length {
    Plain(u64),
    Special(u8),
}

impl<R: Read> Source<R> {
    /// The bytes of `reader`; with a checksum if it is going to be asked for.
    pub fn new(reader: R, with_checksum: bool) -> Self {
        Source {
            reader,
            buffer: Vec::new(),
            at: 0,
            start: 0,
            summed: 0,
            checksum: with_checksum.then(Checksum::default),
        }
    }

    /// How many bytes were taken.
    pub fn offset(&self) -> u64 {
        self.start + self.at as u64
    }

    /// The checksum of what was taken.
    pub fn checksum(&mut self) -> Option<u64> {
        self.sum();
        self.checksum.as_ref().map(Checksum::value)
    }

    /// What was read and not taken, and the reader of the rest.
    pub fn into_rest(self) -> (Vec<u8>, R) {
        (self.buffer[self.at..].to_vec(), self.reader)
    }

    /// An error at the present offset.
    pub(super) fn error(&self, what: Problem) -> RdbError {
        RdbError {
            offset: self.offset(),
            what,
        }
    }

    /// An error of the format at the present offset.
    pub(super) fn malformed<T>(&self, what: &'static str) -> Result<T> {
        Err(self.error(Problem::Malformed(what)))
    }

    /// The next byte.
    pub fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// The next bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        if let Some(bytes) = self.buffer[self.at..].first_chunk::<N>() {
            self.at += N;
            return Ok(*bytes);
        }
        let mut bytes = [0; N];
        let mut have = 0;
        while have < N {
            if self.at == self.buffer.len() && self.fill()? == 0 {
                return Err(self.error(Problem::Truncated));
            }
            bytes[have] = self.buffer[self.at];
            self.at += 1;
            have += 1;
        }
        Ok(bytes)
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: u64) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.take_into(len, &mut out)?;
        Ok(out)
    }

    /// Appends the next `len` bytes to `out`.
    pub fn take_into(&mut self, len: u64, out: &mut Vec<u8>) -> Result<()> {
        let mut left = len;
        while left > 0 {
            if self.at == self.buffer.len() && self.fill()? == 0 {
                return Err(self.error(Problem::Truncated));
            }
            let ready = &self.buffer[self.at..];
            let part = ready.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if out.is_empty() {
                // Mostly the whole string is here, and then this is its exact size.
                out.reserve_exact(part);
            }
            out.extend_from_slice(&ready[..part]);
            self.at += part;
            left -= part as u64;
        }
        Ok(())
    }

    /// A length that is no announcement.
    pub fn length(&mut self) -> Result<u64> {
        match self.any_length()? {
            Length::Plain(n) => Ok(n),
            Length::Special(_) => self.malformed("a length is expected, not a special string"),
        }
    }

    /// `00` six bits, `01` fourteen bits, `0x80` four bytes, `0x81` eight bytes (all big-endian),
    /// `11` a special string.
    pub(super) fn any_length(&mut self) -> Result<Length> {
        let first = self.byte()?;
        Ok(match (first >> 6, first & 0x3f) {
            (0, low) => Length::Plain(u64::from(low)),
            (1, low) => Length::Plain(u64::from(low) << 8 | u64::from(self.byte()?)),
            (2, 0) => Length::Plain(u64::from(u32::from_be_bytes(self.array()?))),
            (2, 1) => Length::Plain(u64::from_be_bytes(self.array()?)),
            (3, special) => Length::Special(special),
            _ => return self.malformed("unknown form of a length"),
        })
    }

    /// A string in any of its forms.
    pub fn string(&mut self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.string_into(&mut out)?;
        Ok(out)
    }

    /// Appends a string in any of its forms.
    pub fn string_into(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let number = match self.any_length()? {
            Length::Plain(len) => return self.take_into(len, out),
            Length::Special(INT_8) => i64::from(i8::from_le_bytes(self.array()?)),
            Length::Special(INT_16) => i64::from(i16::from_le_bytes(self.array()?)),
            Length::Special(INT_32) => i64::from(i32::from_le_bytes(self.array()?)),
            Length::Special(LZF) => return self.compressed_into(out),
            Length::Special(_) => return self.malformed("unknown form of a string"),
        };
        crate::number::write_i64(number, out);
        Ok(())
    }

    fn compressed_into(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let packed_len = self.length()?;
        let len = self.length()?;
        let offset = self.offset();
        let packed = self.take(packed_len)?;
        let len = usize::try_from(len).ok();
        match len.and_then(|len| lzf::decompress(&packed, len)) {
            Some(text) if out.is_empty() => *out = text,
            Some(text) => out.extend_from_slice(&text),
            None => {
                return Err(RdbError {
                    offset,
                    what: Problem::Malformed("a compressed string cannot be decompressed"),
                });
            }
        }
        Ok(())
    }

    /// A float of eight bytes.
    pub fn double(&mut self) -> Result<f64> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    /// A time in milliseconds, eight bytes.
    pub fn time_ms(&mut self) -> Result<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    fn fill(&mut self) -> Result<usize> {
        self.sum();
        self.start += self.buffer.len() as u64;
        self.at = 0;
        self.summed = 0;
        self.buffer.resize(AT_ONCE, 0);
        loop {
            match self.reader.read(&mut self.buffer) {
                Ok(n) => {
                    self.buffer.truncate(n);
                    return Ok(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.buffer.clear();
                    return Err(self.error(Problem::Io(error)));
                }
            }
        }
    }

    fn sum(&mut self) {
        if let Some(checksum) = &mut self.checksum {
            checksum.update(&self.buffer[self.summed..self.at]);
        }
        self.summed = self.at;
    }
}

/// Special strings: integers of one, two and four bytes, and LZF.
pub(super) const INT_8: u8 = 0;
pub(super) const INT_16: u8 = 1;
pub(super) const INT_32: u8 = 2;
pub(super) const LZF: u8 = 3;

/// Bytes read at once.
const AT_ONCE: usize = 128 * 1024;
