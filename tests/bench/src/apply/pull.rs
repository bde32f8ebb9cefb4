//! One sample, in a process of its own.

use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use syncline::engine::query::order::OrderBy;
use syncline::engine::query::selection::Selection;
use syncline::{ClientConfig, Command};

use super::{DOCUMENTS, ROOM, SYNCLINE};
use crate::device::Device;
use crate::process::memory_mib;
use crate::scenario::BenchError;

/// By which this program is told to be one.
pub(super) const NAME: &str = "apply/pull";

/// How many documents the app shows.
const WINDOW: u32 = 50;

/// When the app shows its documents.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) enum Shown {
    /// From the beginning.
    Throughout,
    /// Once all are there.
    Afterwards,
}

/// Told on standard input.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pull {
    pub(super) url: String,
    pub(super) token: String,
    pub(super) shown: Shown,
}

/// Answered on standard output.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pulled {
    pub(super) all_s: f64,
    pub(super) first_ms: f64,
    pub(super) peak_mib: f64,
}

pub(super) fn run(directory: &Path) -> Result<(), BenchError> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let Pull { url, token, shown } = serde_json::from_str(&line)?;
    let begin = Instant::now();
    let config =
        ClientConfig { directory: Some(directory.to_owned()), token: Some(token), ..ClientConfig::new(url) };
    let device = Device::open(config, ROOM)?;
    match shown {
        Shown::Throughout => device.watch(first_rows())?,
        Shown::Afterwards => device.subscribe()?,
    }
    device.run(Command::Connect)?;
    device.until("a room that is complete", |seen| {
        seen.live && (shown == Shown::Afterwards || seen.count == DOCUMENTS as u64)
    })?;
    let peak_mib = memory_mib("VmHWM")?;
    if shown == Shown::Afterwards {
        device.watch(first_rows())?;
        device.seen().first_rows_at.get_or_insert_with(Instant::now);
    }
    let (first, all, count) = {
        let seen = device.seen();
        let since = |instant: Option<Instant>| instant.map(|at| at.duration_since(begin).as_secs_f64());
        (since(seen.first_rows_at), since(seen.live_at), seen.count)
    };
    device.run(Command::Close)?;
    if count != DOCUMENTS as u64 {
        return Err(BenchError::failed(SYNCLINE, format!("{count} documents of {DOCUMENTS}")));
    }
    let (Some(first_s), Some(all_s)) = (first, all) else {
        return Err(BenchError::failed(SYNCLINE, "nothing was seen"));
    };
    let pulled = Pulled { all_s, first_ms: first_s * 1e3, peak_mib };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&pulled)?)?;
    Ok(())
}

fn first_rows() -> Selection {
    let order_by = vec![OrderBy { path: syncline_protocol::Path::field("position"), direction: None }];
    Selection { order_by, limit: Some(WINDOW), ..Selection::default() }
}
