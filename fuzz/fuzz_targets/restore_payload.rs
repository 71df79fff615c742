//! Payloads of `RESTORE`; see `lockstep_fuzz::restore_payload`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lockstep_fuzz::restore_payload::check(input));
