//! RDB files; see `lockstep_fuzz::rdb_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lockstep_fuzz::rdb_file::check(input));
