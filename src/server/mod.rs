//! The server: what it owns, how it starts and how it stops.

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

pub use command_stats::{CommandClock, CommandCount, CommandCounts, CommandStats};
pub use live::{Live, LiveValues, OutputLimit};
pub use load_progress::{Counted, Estimate, LoadProgress};
pub use pause::{Hold, Pause};
pub use rates::{PerSecond, Rates};
pub use start::{StartError, run};
pub use state::Server;
pub use stats::Stats;

/// The version of Redis whose commands and replies this server has. Client libraries decide
/// by it what they may use.
pub const COMPATIBLE_VERSION: &str = "8.2.3";
