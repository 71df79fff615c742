//! The configuration parser; see `lockstep_fuzz::config_text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lockstep_fuzz::config_text::check(input));
