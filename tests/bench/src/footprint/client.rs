//! One sample, in a process of its own.

use std::io::Write as _;
use std::path::Path;

use syncline::engine::io::ConnectionState;
use syncline::{ClientConfig, Command};

use super::SYNCLINE;
use crate::device::Device;
use crate::process::memory_mib;
use crate::scenario::BenchError;

/// By which this program is told to be one.
pub(super) const NAME: &str = "footprint/client";

/// Told the server's address on standard input; answers with the growth, in MiB.
pub(super) fn run(directory: &Path) -> Result<(), BenchError> {
    let mut url = String::new();
    std::io::stdin().read_line(&mut url)?;
    let empty = memory_mib("VmRSS")?;
    let device = Device::open(config(directory, url.trim()), super::syncline::ROOM)?;
    device.run(Command::Connect)?;
    let grown = memory_mib("VmRSS")? - empty;
    let open = device.connection()?.state == ConnectionState::Open;
    device.run(Command::Close)?;
    if !open {
        return Err(BenchError::failed(SYNCLINE, "was not connected"));
    }
    writeln!(std::io::stdout(), "{grown}")?;
    Ok(())
}

pub(super) fn config(directory: &Path, url: &str) -> ClientConfig {
    let mut config = ClientConfig { directory: Some(directory.to_owned()), ..ClientConfig::new(url) };
    config.settings.token_required = false;
    config
}
