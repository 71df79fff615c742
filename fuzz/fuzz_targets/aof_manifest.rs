//! The formats beside the append-only file; see `lockstep_fuzz::aof_manifest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lockstep_fuzz::aof_manifest::check(input));
