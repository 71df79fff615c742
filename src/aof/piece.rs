//! What stands next in the commands of an append-only file. The loader and `lockstep check`
//! read with it, so that what the one finds whole the other takes.

use crate::protocol::{Limits, Parsed, RequestReader};

/// Something whole, and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A line that begins with `#`, its end included.
    Comment(usize),
    /// A command; its arguments are the reader's.
    Command(usize),
}

/// The piece with which `rest` begins; `None` when more bytes are needed.
///
/// # Errors
/// Says what is wrong when it is neither.
pub fn next_piece(
    reader: &mut RequestReader,
    limits: &Limits,
    rest: &[u8],
) -> Result<Option<Piece>, String> {
    match rest.first() {
        None => Ok(None),
        Some(b'#') => match memchr::memchr(b'\n', rest) {
            Some(end) => Ok(Some(Piece::Comment(end + 1))),
            // Nobody writes such, and waiting for its end would read the whole file.
            None if rest.len() > LONGEST_COMMENT => Err("a comment without an end".into()),
            None => Ok(None),
        },
        Some(b'*') => match reader.parse(rest, limits) {
            Ok(Parsed::Incomplete) => Ok(None),
            Ok(Parsed::Request(n)) => Ok(Some(Piece::Command(n))),
            Ok(Parsed::Nothing(_)) => Err("a command without a name".into()),
            Err(error) => Err(error.to_string()),
        },
        Some(other) => Err(format!("expected '*', got '{}'", other.escape_ascii())),
    }
}

const LONGEST_COMMENT: usize = 4 << 20;
