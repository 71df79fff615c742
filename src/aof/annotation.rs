//! Annotations: comments in the append-only file that say which history it holds and how far.
//!
//! ```text
//! #LOCKSTEP replid=<40 hexadecimal digits> offset=<decimal>\r\n
//! ```
//! Redis skips lines that begin with `#` between commands. An annotation stands behind a whole
//! unit and says that the file holds the history `replid` up to `offset`; further fields may
//! follow and are skipped.

/// The replication id and offset at some place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// The history.
    pub replid: String,
    /// Bytes of it.
    pub offset: u64,
}

impl Annotation {
    /// Appends the annotation's line.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(PREFIX);
        out.extend_from_slice(self.replid.as_bytes());
        out.extend_from_slice(b" offset=");
        out.extend_from_slice(itoa::Buffer::new().format(self.offset).as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// Reads a line, its end included. `None` for any other comment.
    pub fn parse(line: &[u8]) -> Option<Annotation> {
        let rest = line.strip_prefix(PREFIX)?.strip_suffix(b"\r\n")?;
        let (replid, rest) = rest.split_at_checked(40)?;
        let fields = rest.strip_prefix(b" offset=")?;
        let end = memchr::memchr(b' ', fields).unwrap_or(fields.len());
        if !replid.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let offset = crate::number::parse_i64(&fields[..end])?;
        Some(Annotation {
            replid: String::from_utf8(replid.to_vec()).ok()?,
            offset: u64::try_from(offset).ok()?,
        })
    }

    /// Whether an annotation's line stands somewhere in these bytes.
    pub fn is_in(bytes: &[u8]) -> bool {
        memchr::memmem::find_iter(bytes, PREFIX).any(|at| {
            let line = &bytes[at..];
            let begins = at == 0 || bytes[at - 1] == b'\n';
            let end = memchr::memchr(b'\n', line);
            begins && end.is_some_and(|end| Self::parse(&line[..=end]).is_some())
        })
    }
}

const PREFIX: &[u8] = b"#LOCKSTEP replid=";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back_and_anything_else_is_not_one() {
        let annotation = Annotation {
            replid: "0123456789abcdef0123456789abcdef01234567".into(),
            offset: 815,
        };
        let mut line = Vec::new();
        annotation.write_to(&mut line);
        assert_eq!(Annotation::parse(&line), Some(annotation.clone()));
        assert!(Annotation::is_in(&line));
        assert!(Annotation::is_in(&[b"$3\r\nabc\r\n", &line[..]].concat()));
        assert!(!Annotation::is_in(&[b"abc", &line[..]].concat()));
        let text = String::from_utf8(line.clone()).expect("text");
        let more = text.replace("815", "815 db=3");
        assert_eq!(Annotation::parse(more.as_bytes()), Some(annotation));
        for cut in 0..line.len() {
            assert_eq!(Annotation::parse(&line[..cut]), None, "{cut}");
            assert!(!Annotation::is_in(&line[..cut]));
        }
        for (from, to) in [("815", "-1"), ("815", ""), ("0123", "012x"), ("#LO", "#TS")] {
            let other = text.replace(from, to);
            assert_eq!(Annotation::parse(other.as_bytes()), None, "{other}");
        }
    }
}
