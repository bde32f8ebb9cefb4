//! A backup of any bytes, as `restore` reads it.
#![no_main]

use std::io::Write;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(input).expect("there is room");
    syncline_server::storage::backup::fuzz_backup(file.path());
});
