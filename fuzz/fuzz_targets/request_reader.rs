//! The request reader against redis-protocol; see `lockstep_fuzz::request_reader`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lockstep_fuzz::request_reader::check(input));
