//! A file of settings, and the same text as a setting of the environment and as a flag.
#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use syncline_server::config::{Sources, load};

fuzz_target!(|input: &[u8]| {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a file");
    file.write_all(input).expect("there is room");
    drop(load(&Sources { file: Some(file.path().to_owned()), ..Sources::default() }));
    let Ok(text) = str::from_utf8(input) else { return };
    if let Some((name, value)) = text.split_once('=') {
        let pair = (name.to_owned(), value.to_owned());
        drop(load(&Sources { environment: vec![pair.clone()], ..Sources::default() }));
        drop(load(&Sources { flags: vec![pair], ..Sources::default() }));
    }
});
