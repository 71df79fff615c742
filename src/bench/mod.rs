//! `lockstep bench`: a load generator for RESP servers that costs little itself.
//!
//! It exists because a user should see what synchrony costs on their own network, and
//! because no public generator sends `SET` and `WAIT` as one operation. One thread, one
//! poll loop over non-blocking sockets; requests are made from a template, replies are
//! skipped rather than decoded (an error is noticed and counted).
//!
//! `options` is what a user may say, `workload` makes requests, `scan` skips replies,
//! `engine` is the loop, `report` the figures, `delay` a proxy that adds latency.

mod delay;
mod engine;
mod options;
mod report;
mod scan;
mod workload;

pub use delay::{DelayOptions, run as run_delay_proxy};
pub use options::{BenchError, Options, Workload, run};
