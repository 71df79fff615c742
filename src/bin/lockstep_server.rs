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
            println!("{}", lockstep::server::version_line());
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
    if let Err(error) = lockstep::server::check(&loaded) {
        eprintln!(
            "\n*** FATAL CONFIG FILE ERROR (Lockstep {}) ***\n{error}",
            env!("CARGO_PKG_VERSION")
        );
        return ExitCode::FAILURE;
    }
    if let Err(error) = prepare(&loaded.handle.current()) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
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

/// What must happen before there is any other thread.
fn prepare(config: &lockstep::config::Config) -> Result<(), String> {
    if config.daemonize {
        nix::unistd::daemon(true, false).map_err(|e| format!("Can't become a daemon: {e}"))?;
    }
    std::env::set_current_dir(&config.dir)
        .map_err(|e| format!("Can't chdir to '{}': {e}", config.dir.display()))?;
    lockstep::server::logging::start(config).map_err(|e| format!("Can't open the log file: {e}"))
}
