//! The patch of a REST request.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| syncline_server::rest::fuzz_patch(input));
