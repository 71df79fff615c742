//! The server. Thin: everything lives in the library.

use lockstep::allocator::Jemalloc;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let config = lockstep::config::ConfigHandle::from_args(std::env::args().skip(1));
    match lockstep::server::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the server could not start");
            ExitCode::FAILURE
        }
    }
}
