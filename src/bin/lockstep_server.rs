//! The server. Thin: everything lives in the library.

use lockstep::allocator::Jemalloc;
use lockstep::config::{Invocation, USAGE, load, parse_command_line};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let sources = match parse_command_line(std::env::args_os().skip(1)) {
        Invocation::Run(sources) => sources,
        Invocation::Version => {
            println!("Lockstep server v={}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Invocation::Help => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
    };
    let loaded = match load(&sources) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    for (option, why) in &loaded.inert {
        tracing::warn!(option, why, "an option is set that has no effect");
    }
    match lockstep::server::run(loaded.handle) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the server could not start");
            ExitCode::FAILURE
        }
    }
}
