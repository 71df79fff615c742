//! Append-only files; see `lockstep_fuzz::aof_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lockstep_fuzz::aof_file::check(input));
