//! What `DUMP` gives and `RESTORE` takes: one object with its type, a version and a checksum.
//!
//! ```text
//! type │ object │ version:u16 LE │ checksum of all before:u64 LE
//! ```

use super::checksum;
use super::codes;
use super::error::{Problem, RdbError};
use super::object::read_object;
use super::source::Source;
use super::value::Value;
use super::write::{COMMON_VERSION, Object, Target};
use crate::keyspace::ValueRef;

/// A payload is of no use.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// Its version is not known, or its checksum wrong.
    #[error("DUMP payload version or checksum are wrong")]
    Envelope,
    /// It holds nothing that can be restored.
    #[error("Bad data format: {0}")]
    Content(#[from] RdbError),
}

/// The payload of a value.
pub fn write_payload(value: ValueRef<'_>, target: Target) -> Vec<u8> {
    let object = Object::new(value, target);
    let mut out = vec![object.kind()];
    object.write(&mut out);
    out.extend_from_slice(&(object.version() as u16).to_le_bytes());
    let sum = checksum::of(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

/// Whether every server from Redis 7.0 on reads a payload of this version.
pub fn is_old_enough(payload: &[u8]) -> bool {
    let envelope = payload.split_last_chunk::<10>();
    envelope.is_some_and(|(_, end)| u32::from(u16::from_le_bytes([end[0], end[1]])) <= OLD)
}

/// The payload that every server from Redis 7.0 on reads. `None` for a hash whose fields
/// expire, of which there is none.
pub fn write_old_payload(value: ValueRef<'_>) -> Option<Vec<u8>> {
    let target = |version| Target {
        version,
        compress: true,
    };
    let newest = Object::new(value, target(COMMON_VERSION + 1)).version();
    (newest <= COMMON_VERSION).then(|| write_payload(value, target(OLD)))
}

/// The version that Redis 7.0 reads.
const OLD: u32 = 10;

/// The value in a payload. What stands behind the value is not looked at, as in Redis.
///
/// # Errors
/// When the payload is damaged or from a version that is not known.
pub fn read_payload(payload: &[u8]) -> Result<Value, PayloadError> {
    let (summed, sum) = payload
        .split_last_chunk::<8>()
        .ok_or(PayloadError::Envelope)?;
    let (body, version) = summed
        .split_last_chunk::<2>()
        .ok_or(PayloadError::Envelope)?;
    let version = u32::from(u16::from_le_bytes(*version));
    let known = version == 0 || codes::is_known(version);
    if !known || checksum::of(summed) != u64::from_le_bytes(*sum) {
        return Err(PayloadError::Envelope);
    }
    let mut source = Source::new(body, false);
    let kind = source.byte()?;
    let value = read_object(&mut source, kind, version)?;
    if value.is_empty_collection() {
        return Err(source
            .error(Problem::Malformed("a collection without elements"))
            .into());
    }
    Ok(value)
}
