//! One request, from its arguments to its reply and its effect.
//!
//! `dispatch` finds the command and runs the gates in their order; `run` locks the keys,
//! calls the handler, appends the effect to the write log while the locks are held, and says
//! which offset the reply must wait for. `transaction` does the same for `EXEC`, all at
//! once. `apply` runs what comes from a primary or from the append-only file. `blocking` lets
//! commands wait for keys, and serves them.
//!
//! What must stay true: a change is in the log before its locks are released; every reply
//! that shows a write waits for that write.

mod apply;
mod blocking;
mod clock;
mod context;
mod dispatch;
mod effect;
mod events;
mod evict;
#[cfg(test)]
pub(crate) mod fixture;
mod hash_cache;
mod look_ahead;
mod notify;
mod populate;
mod run;
mod script;
mod session;
mod transaction;
mod view;

pub use apply::{Applier, ApplyError};
pub use blocking::{BlockSpec, KeyWait, NullReply, call_off_all, forget_waiter};
pub use clock::{created, frequency, idle_seconds, with_frequency, with_idle};
pub use context::{
    Expiry, Found, Garbage, INLINE_STRING, Origin, ReadContext, Settings, WriteContext,
    string_payload,
};
pub use dispatch::{Batch, Gates, Request, dispatch};
pub use effect::{Effect, EffectBuf};
pub use events::KeyEvent;
pub use evict::evict;
pub use hash_cache::HashCache;
pub use look_ahead::LookAhead;
pub use notify::Flushed;
pub use populate::add_strings;
pub use run::{Done, Scratch, expire_due};
pub use script::{Reach, ScriptRules, ScriptRun, mentions_other_databases};
pub use session::{After, BlockOn, SessionContext};
pub use transaction::{Transaction, exec};
pub use view::{FlushedKeys, StringRef};
