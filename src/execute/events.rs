//! Keyspace events: what handlers note for those who subscribe to changes of keys.

use crate::keyspace::DbIndex;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEvent {
    /// The key's database.
    pub db: DbIndex,
    /// What has happened.
    pub event: &'static str,
    /// To which key.
    pub key: Box<[u8]>,
}
