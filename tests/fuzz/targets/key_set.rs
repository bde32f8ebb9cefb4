//! A key set, as somebody's server gives it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| syncline_server::auth::fuzz_key_set(input));
