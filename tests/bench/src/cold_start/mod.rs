//! `cold-start`: from nothing to the first result of a query, with 10,000 documents on the disk and 1,000 queued writes, in
//! milliseconds.
//!
//! Each of Syncline's samples is a new process that opens its client and watches: all that a start does before there is
//! something to show. The documents came from a real server. SQLite opens a database of as many rows, reads the queue as
//! a queue must, and selects. The files are in the system's memory.

mod prepared;
mod start;

use std::collections::BTreeMap;
use std::path::Path;

use syncline::ClientConfig;

use crate::contender::serve;
use crate::scenario::{BenchError, Block, Contender, Figure, Program, Scenario, Work};

const SCREEN: &str = "the first 50, ordered";
const ALL: &str = "all 10,000";
const SCREEN_OPEN: Figure = Figure { name: "thereof the opening, 50", unit: "ms" };
const ALL_OPEN: Figure = Figure { name: "thereof the opening, all", unit: "ms" };

const DOCUMENTS: usize = 10_000;
const QUEUED: usize = 1_000;
const ROOM: &str = "list:cold";

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "cold-start",
    description: "from nothing to the first result of a query, with 10,000 documents and 1,000 queued writes",
    contenders: &[
        Contender { name: "Syncline", program: Program::Own("cold-start/syncline") },
        Contender { name: "better-sqlite3", program: Program::Node("cold_start_sqlite.mjs") },
    ],
    blocks: &[
        Block { name: SCREEN, samples: 3, work: Work::Batch(50), unit: "ms", also: &[SCREEN_OPEN] },
        Block { name: ALL, samples: 3, work: Work::Batch(DOCUMENTS), unit: "ms", also: &[ALL_OPEN] },
    ],
    rounds: 10,
    goals: &[],
};

/// A client of a directory, with an index of what the query is ordered by, as SQLite has one.
fn config(url: &str, directory: &Path) -> Result<ClientConfig, BenchError> {
    let options =
        serde_json::from_value(serde_json::json!({ "notes": { "indexes": [{ "fields": ["position"] }] } }))?;
    let collections: BTreeMap<_, _> = options;
    Ok(ClientConfig { directory: Some(directory.to_owned()), collections, ..ClientConfig::new(url) })
}

/// Runs the scenario's own contender until its orders end, or one of its samples.
pub(crate) fn contend(name: &str, directory: &Path, server: &Path) -> Result<(), BenchError> {
    match name {
        "cold-start/syncline" => {
            let contender = prepared::Contender::open(directory, server)?;
            serve(|order| contender.run(order))
        }
        start::NAME => start::run(directory),
        _ => Err(BenchError::failed(name, "is not known")),
    }
}
