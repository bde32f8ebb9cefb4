//! A backup of any bytes, as `restore` reads it, and a block of one whose checksums are right: what reads is written, and
//! read back as the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| syncline_server::storage::backup::fuzz_backup(input));
