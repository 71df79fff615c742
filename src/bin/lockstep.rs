//! The tools around the server. Thin: each lives in the library.

use clap::{Parser, Subcommand};
use lockstep::{bench, check, group};
use std::process::ExitCode;

/// Tools for Lockstep, the cache whose replicas move in step with the primary.
#[derive(Parser)]
#[command(name = "lockstep", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a primary and synchronous replicas on this machine.
    Group(group::Options),
    /// Send load to a server and report throughput and latency.
    Bench(bench::Options),
    /// Look through append-only and RDB files, and cut a torn tail off.
    Check(check::Options),
    /// Forward TCP connections with a delay, to stand for distance.
    DelayProxy(bench::DelayOptions),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Group(options) => group::run(options).map_err(|e| e.to_string()),
        Command::Bench(options) => bench::run(&options).map_err(|e| e.to_string()),
        Command::Check(options) => check::run(&options).map_err(|e| e.to_string()),
        Command::DelayProxy(options) => bench::run_delay_proxy(&options).map_err(|e| e.to_string()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lockstep: {error}");
            ExitCode::FAILURE
        }
    }
}
