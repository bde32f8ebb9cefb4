//! The TypeScript that apps compile against is the façade that runs.

#![cfg(feature = "contract")]
#![allow(clippy::unwrap_used)]

use std::path::Path;

#[test]
fn contract_ts_is_what_the_rust_types_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../react-native-module/src/contract.ts");
    let written = std::fs::read_to_string(path).unwrap();
    assert!(written == syncline_ffi::contract::typescript(), "stale: run scripts/gen-contract");
}
