//! Commands of a host, as JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncline::{Command, ConflictStrategy, JobCommand, NewJob, Schema};

fuzz_target!(|input: &[u8]| {
    drop(serde_json::from_slice::<Command>(input));
    drop(serde_json::from_slice::<JobCommand>(input));
    drop(serde_json::from_slice::<NewJob>(input));
    drop(serde_json::from_slice::<ConflictStrategy>(input));
    drop(serde_json::from_slice::<Schema>(input));
});
