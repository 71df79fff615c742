//! The server: what it owns, how it starts and how it stops.

mod checks;
mod client_eviction;
mod command_stats;
mod cron;
mod eviction;
mod live;
mod load_progress;
pub mod logging;
mod pause;
mod rates;
mod start;
mod state;
mod stats;
mod stop;
mod supervisor;

pub use checks::check;
pub use command_stats::{CommandClock, CommandCount, CommandCounts, CommandStats};
pub use live::{Live, LiveValues, OutputLimit};
pub use load_progress::{Counted, Estimate, LoadProgress};
pub use pause::{Hold, Pause};
pub use rates::{PerSecond, Rates};
pub use start::{StartError, run};
pub use state::Server;
pub use stats::Stats;
pub use supervisor::Supervisor;

/// The version of Redis whose commands and replies this server has. Client libraries decide
/// by it what they may use.
pub const COMPATIBLE_VERSION: &str = "8.2.3";

/// What `--version` prints: in Redis's form, in which tools look for the version.
pub fn version_line() -> String {
    format!(
        "Redis server v={COMPATIBLE_VERSION} sha=00000000:0 malloc={} bits={} build={:016x} \
         lockstep={}",
        crate::allocator::version(),
        usize::BITS,
        build_id(),
        env!("CARGO_PKG_VERSION")
    )
}

/// The same for the same version.
pub fn build_id() -> u64 {
    let version = concat!(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    version.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}
