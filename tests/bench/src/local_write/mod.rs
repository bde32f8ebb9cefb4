//! `local-write`: how long an accepted write takes until it is on disk.
//!
//! Syncline is asked through the client that an app holds, offline, one room, one new document per write. The limit
//! writes as many bytes as Syncline's journal took, over bytes that were written before, and calls `fdatasync`. The
//! peer inserts the same document as JSON; it has one caller, so a group is a transaction in both kinds of group.

pub(crate) mod raw;
pub(crate) mod syncline;

use std::path::Path;

use crate::contender::serve;
use crate::scenario::{BenchError, Block, Bound, Contender, Goal, Program, Scenario, Work};

const SYNCLINE: &str = "Syncline";
const LIMIT: &str = "write + fdatasync";
const SQLITE: &str = "better-sqlite3 WAL, FULL";

const SINGLE: &str = "one at a time";
const CONCURRENT: &str = "50 callers";
const BATCH: &str = "50 in one call";

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "local-write",
    description: "durable writes of documents, one at a time and in groups of 50",
    contenders: &[
        Contender { name: SYNCLINE, program: Program::Own("local-write/syncline") },
        Contender { name: LIMIT, program: Program::Own("local-write/raw") },
        Contender { name: SQLITE, program: Program::Node("local_write_sqlite.mjs") },
    ],
    blocks: &[
        Block { name: SINGLE, samples: 50, work: Work::One, unit: "µs", also: &[] },
        Block { name: CONCURRENT, samples: 20, work: Work::Concurrent(50), unit: "µs per write", also: &[] },
        Block { name: BATCH, samples: 20, work: Work::Batch(50), unit: "µs per write", also: &[] },
    ],
    rounds: 20,
    goals: &[
        Goal { figure: SINGLE, over: SYNCLINE, under: Some(LIMIT), bound: Bound::AtMost(3.0) },
        Goal { figure: BATCH, over: SQLITE, under: Some(SYNCLINE), bound: Bound::AtLeast(1.4) },
        Goal { figure: CONCURRENT, over: SQLITE, under: Some(SYNCLINE), bound: Bound::AtLeast(1.4) },
    ],
};

/// Runs one of the scenario's own contenders until its orders end.
pub(crate) fn contend(name: &str, directory: &Path) -> Result<(), BenchError> {
    match name {
        "local-write/syncline" => {
            let mut contender = syncline::Contender::open(directory, None)?;
            serve(|order| contender.run(order))
        }
        "local-write/raw" => {
            let mut contender = raw::Contender::open(directory)?;
            serve(|order| contender.run(order))
        }
        _ => Err(BenchError::Contender { name: name.to_owned(), reason: "is not known".to_owned() }),
    }
}
