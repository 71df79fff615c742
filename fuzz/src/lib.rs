//! What the fuzz targets check, and where inputs come from without libFuzzer.
//!
//! Each target is a module with `check(input)`, which panics when something is wrong. The
//! libFuzzer binaries under `fuzz_targets/` and the bounded runs under `tests/` call the
//! same functions.

pub mod allocations;
pub mod aof_file;
pub mod aof_manifest;
pub mod config_text;
pub mod mutate;
pub mod rdb_file;
pub mod request_reader;
pub mod restore_payload;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;
