//! What other nodes say over Redis, and the same as JSON, from which fuzzing finds its way deeper. What reads is written,
//! and read back as the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| syncline_server::fuzz_message(input));
