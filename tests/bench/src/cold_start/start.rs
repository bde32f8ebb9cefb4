//! One start, in a process that ends with it.

use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use syncline::{Client, ClientConfig, Command, Reply};

use super::{DOCUMENTS, QUEUED, ROOM, config};
use crate::scenario::BenchError;

pub(super) const NAME: &str = "cold-start/start";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Started {
    /// Until the client was open.
    pub(super) opened_ms: f64,
    /// Until the rows of the query were there.
    pub(super) shown_ms: f64,
}

/// Opens the directory and watches as many rows as standard input says.
pub(super) fn run(directory: &Path) -> Result<(), BenchError> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let limit: usize = line.trim().parse().map_err(failed)?;
    let watch = watch(limit)?;
    let config = ClientConfig { auto_connect: false, ..config("http://127.0.0.1:1", directory)? };
    let begin = Instant::now();
    let ms = || begin.elapsed().as_secs_f64() * 1e3;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let client = runtime.block_on(Client::open(config, |_| {})).map_err(failed)?;
    let opened_ms = ms();
    let reply = runtime.block_on(client.execute(watch)).map_err(failed)?;
    let shown_ms = ms();
    match reply {
        Reply::Watching { rows, count, .. } if is_complete(rows.len(), count, limit) => {}
        other => return Err(failed(format!("{:?}", std::mem::discriminant(&other)))),
    }
    runtime.block_on(client.execute(Command::Close)).map_err(failed)?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&Started { opened_ms, shown_ms })?)?;
    Ok(())
}

fn is_complete(rows: usize, count: u64, limit: usize) -> bool {
    rows == limit && usize::try_from(count) == Ok(DOCUMENTS + QUEUED)
}

fn watch(limit: usize) -> Result<Command, BenchError> {
    let watch = serde_json::json!({
        "type": "watch", "room": ROOM, "collection": "notes", "orderBy": [{ "path": "position" }], "limit": limit,
    });
    serde_json::from_value(watch).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> BenchError {
    BenchError::failed("Syncline", error)
}
