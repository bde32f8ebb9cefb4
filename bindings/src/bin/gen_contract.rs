//! Writes `contract.ts`; with `--check`, fails when the file is not what would be written.

use std::path::Path;
use std::process::ExitCode;

fn main() -> std::io::Result<ExitCode> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../react-native-module/src/contract.ts");
    let text = syncline_ffi::contract::typescript();
    if std::env::args().nth(1).as_deref() != Some("--check") {
        std::fs::write(&path, text)?;
        return Ok(ExitCode::SUCCESS);
    }
    if std::fs::read_to_string(&path).unwrap_or_default() == text {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("react-native-module/src/contract.ts is stale: run scripts/gen-contract");
    Ok(ExitCode::FAILURE)
}
