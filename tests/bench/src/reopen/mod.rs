//! `reopen`: how long a start takes with 10,000 and 100,000 writes in the queue, in milliseconds.
//!
//! Syncline's client is open, with every entry found and checked, when `open` returns: its first comes with its last, and
//! sled's start is within it. Each open but the first one reads the summary that the first one left. The journal alone is a contender of its own. SQLite reads and parses every row, and its
//! first one as soon as it can. The files are in the system's memory.

mod syncline;

use std::path::Path;

use crate::contender::serve;
use crate::scenario::{BenchError, Block, Bound, Contender, Figure, Goal, Program, Scenario, Work};

const SYNCLINE: &str = "Syncline";
const STORE: &str = "Syncline, the store alone";
const SQLITE: &str = "better-sqlite3";

const SMALL: &str = "10,000 entries";
const LARGE: &str = "100,000 entries";
const SMALL_FIRST: Figure = Figure { name: "first of 10,000", unit: "ms" };
const LARGE_FIRST: Figure = Figure { name: "first of 100,000", unit: "ms" };

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "reopen",
    description: "a start with 10,000 and 100,000 queued writes",
    contenders: &[
        Contender { name: SYNCLINE, program: Program::Own("reopen/syncline") },
        Contender { name: "Syncline, encrypted", program: Program::Own("reopen/sealed") },
        Contender { name: STORE, program: Program::Own("reopen/store") },
        Contender { name: SQLITE, program: Program::Node("reopen_sqlite.mjs") },
    ],
    blocks: &[
        Block { name: SMALL, samples: 3, work: Work::Batch(10_000), unit: "ms", also: &[SMALL_FIRST] },
        Block { name: LARGE, samples: 1, work: Work::Batch(100_000), unit: "ms", also: &[LARGE_FIRST] },
    ],
    rounds: 10,
    goals: &[
        Goal { figure: LARGE, over: SYNCLINE, under: Some(SQLITE), bound: Bound::AtMost(0.8) },
        Goal { figure: LARGE_FIRST.name, over: SYNCLINE, under: None, bound: Bound::AtMost(5.0) },
    ],
};

/// Runs one of the scenario's own contenders until its orders end.
pub(crate) fn contend(name: &str, directory: &Path) -> Result<(), BenchError> {
    let kind = match name {
        "reopen/syncline" => syncline::Kind::Client { sealed: false },
        "reopen/sealed" => syncline::Kind::Client { sealed: true },
        "reopen/store" => syncline::Kind::Store,
        _ => return Err(BenchError::failed(name, "is not known")),
    };
    serve(|order| syncline::run(kind, directory, order))
}
