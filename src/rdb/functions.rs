//! Libraries of functions in RDB data: their text, and the payload of `FUNCTION DUMP`.
//!
//! ```text
//! [ F5 text ]… │ version:u16 LE │ checksum of all before:u64 LE
//! ```

use super::checksum;
use super::codes;
use super::source::Source;
use super::write::{COMMON_VERSION, Target, put_string};

/// A payload holds no libraries.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FunctionsError {
    /// Its version is not known, or its checksum wrong.
    #[error("DUMP payload version or checksum are wrong")]
    Envelope,
    /// It is of a candidate for Redis 7.
    #[error("Pre-GA function format not supported")]
    Old,
    /// It holds something else.
    #[error("given type is not a function")]
    Type,
    /// It is cut off.
    #[error("Failed loading library payload")]
    Truncated,
}

/// Appends a library to a file, unless whom it is written for knows none.
pub fn put_function(out: &mut Vec<u8>, code: &[u8], target: Target) {
    if target.version >= FIRST_WITH_FUNCTIONS {
        out.push(codes::FUNCTION);
        put_string(out, code, target.compress);
    }
}

/// The payload of these libraries.
pub fn write_functions<'a>(codes: impl Iterator<Item = &'a [u8]>, target: Target) -> Vec<u8> {
    let version = target.version.clamp(FIRST_WITH_FUNCTIONS, COMMON_VERSION);
    let target = Target { version, ..target };
    let mut out = Vec::new();
    codes.for_each(|code| put_function(&mut out, code, target));
    out.extend_from_slice(&(version as u16).to_le_bytes());
    let sum = checksum::of(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

/// The texts of the libraries in a payload.
///
/// # Errors
/// When the payload is damaged, or of something else.
pub fn read_functions(payload: &[u8]) -> Result<Vec<Vec<u8>>, FunctionsError> {
    let parts = payload.split_last_chunk::<8>().and_then(|(summed, sum)| {
        let (body, version) = summed.split_last_chunk::<2>()?;
        Some((summed, u64::from_le_bytes(*sum), body, *version))
    });
    let (summed, sum, body, version) = parts.ok_or(FunctionsError::Envelope)?;
    let version = u32::from(u16::from_le_bytes(version));
    if !codes::is_known(version) || checksum::of(summed) != sum {
        return Err(FunctionsError::Envelope);
    }
    let mut source = Source::new(body, false);
    let mut texts = Vec::new();
    while source.offset() < body.len() as u64 {
        match source.byte().map_err(|_| FunctionsError::Truncated)? {
            codes::FUNCTION => {}
            codes::FUNCTION_OLD => return Err(FunctionsError::Old),
            _ => return Err(FunctionsError::Type),
        }
        texts.push(source.string().map_err(|_| FunctionsError::Truncated)?);
    }
    Ok(texts)
}

/// Versions before it have none.
const FIRST_WITH_FUNCTIONS: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Target = Target {
        version: 11,
        compress: true,
    };

    #[test]
    fn what_was_written_is_read_and_damage_is_found() {
        let long = [&b"#!lua name=long\n"[..], &[b'-'; 5000]].concat();
        let texts = [&b"#!lua name=a\n"[..], &long];
        let payload = write_functions(texts.into_iter(), TARGET);
        assert_eq!(read_functions(&payload).expect("whole"), texts);
        assert_eq!(
            read_functions(&write_functions([].into_iter(), TARGET)),
            Ok(vec![])
        );
        for end in 0..payload.len() {
            let error = read_functions(&payload[..end]);
            assert_eq!(error, Err(FunctionsError::Envelope), "{end}");
        }
    }

    #[test]
    fn other_things_are_told_apart() {
        for (body, error) in [
            (&b"\x00\x01a\x01b"[..], FunctionsError::Type),
            (b"\xf6\x01a", FunctionsError::Old),
            (b"\xf5", FunctionsError::Truncated),
            (b"\xf5\x05ab", FunctionsError::Truncated),
        ] {
            let mut payload = [body, b"\x0b\x00"].concat();
            let sum = checksum::of(&payload);
            payload.extend_from_slice(&sum.to_le_bytes());
            assert_eq!(read_functions(&payload), Err(error), "{body:?}");
        }
    }
}
