//! Who is primary, and who is in sync.
//!
//! Membership is decided behind [`Authority`]: today by the primary itself
//! ([`LocalAuthority`]), later by a consensus store. Nothing else changes the in-sync set.

mod local;

pub use local::{LocalAuthority, Parts};

use crate::commit::{Event, MemberView};

/// Decides membership.
pub trait Authority: Send + Sync {
    /// Takes note of something that happened, and lets everybody concerned know what
    /// follows from it.
    fn tell(&self, event: Event);

    /// The members as they are now.
    fn members(&self) -> Vec<MemberView>;

    /// How many members are in sync.
    fn in_sync_count(&self) -> usize;
}
