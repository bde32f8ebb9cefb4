//! What other nodes say over Redis. What reads is written, and read back as the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| syncline_server::fuzz_message(input));
