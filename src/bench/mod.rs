//! `lockstep bench`: a load generator for RESP servers that costs little itself.
//!
//! It exists because a user should see what synchrony costs on their own network, and
//! because no public generator sends `SET` and `WAIT` as one operation. One thread, one
//! poll loop over non-blocking sockets; requests are written straight into the output
//! buffer, replies are skipped rather than decoded (errors and nulls are counted).
//!
//! `options` is what a user may say, `workload` makes requests, `scan` skips replies,
//! `connection` is one socket with its buffers, `engine` the loop, `report` the figures,
//! `delay` a proxy that adds latency.

mod connection;
mod delay;
mod engine;
mod options;
mod report;
mod scan;
mod workload;

pub use delay::{DelayOptions, run as run_delay_proxy};
pub use options::{BenchError, Options, Workload, run};
