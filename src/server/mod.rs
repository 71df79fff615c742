//! The server: what it owns, how it starts and how it stops.

mod cron;
mod live;
mod start;
mod state;
mod stats;

pub use live::{Live, LiveValues, OutputLimit};
pub use start::{StartError, run};
pub use state::Server;
pub use stats::Stats;
