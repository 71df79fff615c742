//! When a reply may go: the in-sync set, the committed offset, held replies.
//!
//! [`InSyncSet`] is a state machine without I/O: it is told who acknowledged what and what
//! time it is, and it says how far each level is committed. [`Watermarks`] publishes that to
//! the workers. [`Held`] is a connection's queue of replies that wait. Only this room
//! releases replies; only `coordination` feeds the set.

mod held;
mod in_sync;
mod watermarks;

pub use held::{Held, Shows, Verdict, Wait};
pub use in_sync::{
    Acked, Action, Event, InSyncSet, MemberId, MemberState, MemberView, Now, Policy, Rules,
};
pub use watermarks::{AckLevel, LEVELS, Watermarks};
