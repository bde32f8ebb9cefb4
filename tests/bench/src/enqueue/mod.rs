//! `enqueue`: how long an app waits until an offline write is safe on the disk, 206 bytes of JSON each.
//!
//! Syncline as in `local-write`, and once more encrypted. The limit writes the bytes of Syncline's journal over bytes
//! that were written before, and calls `fdatasync`. better-sqlite3 in its two usual settings, of which NORMAL does not
//! wait for the disk; lmdb as its documentation has it, awaiting `flushed`; and the queue that apps keep as one array
//! of JSON under one key, which is written anew for each group, with 100 and 1,000 entries in it.

use std::path::Path;

use ::syncline::store::{EncryptionKey, KEY_BYTES};

use crate::contender::serve;
use crate::local_write::{raw, syncline};
use crate::scenario::{BenchError, Block, Bound, Contender, Goal, Program, Scenario, Work};

const SYNCLINE: &str = "Syncline";
const SEALED: &str = "Syncline, encrypted";
const LIMIT: &str = "write + fdatasync";
const SQLITE: &str = "better-sqlite3 WAL, FULL";

const SINGLE: &str = "one writer";
const WRITERS: &str = "32 writers";
const GROUP: &str = "group of 50";

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "enqueue",
    description: "durable writes into the queue: 1 writer, 32 writers, groups of 50",
    contenders: &[
        Contender { name: SYNCLINE, program: Program::Own("enqueue/syncline") },
        Contender { name: SEALED, program: Program::Own("enqueue/sealed") },
        Contender { name: LIMIT, program: Program::Own("enqueue/raw") },
        Contender { name: SQLITE, program: Program::Node("local_write_sqlite.mjs") },
        Contender { name: "better-sqlite3 WAL, NORMAL", program: Program::Node("enqueue_sqlite_normal.mjs") },
        Contender { name: "lmdb", program: Program::Node("enqueue_lmdb.mjs") },
        Contender { name: "JSON array of 100", program: Program::Node("enqueue_json_100.mjs") },
        Contender { name: "JSON array of 1,000", program: Program::Node("enqueue_json_1000.mjs") },
    ],
    blocks: &[
        Block { name: SINGLE, samples: 40, work: Work::One, unit: "µs", also: &[] },
        Block { name: WRITERS, samples: 20, work: Work::Concurrent(32), unit: "µs per write", also: &[] },
        Block { name: GROUP, samples: 20, work: Work::Batch(50), unit: "µs per write", also: &[] },
    ],
    rounds: 15,
    goals: &[
        Goal { figure: SINGLE, over: SYNCLINE, under: Some(LIMIT), bound: Bound::AtMost(1.15) },
        Goal { figure: GROUP, over: SQLITE, under: Some(SYNCLINE), bound: Bound::AtLeast(1.4) },
        Goal { figure: WRITERS, over: SQLITE, under: Some(SYNCLINE), bound: Bound::AtLeast(1.4) },
        Goal { figure: GROUP, over: SYNCLINE, under: None, bound: Bound::AtMost(6.0) },
        Goal { figure: GROUP, over: SEALED, under: Some(SYNCLINE), bound: Bound::AtMost(1.25) },
    ],
};

/// Runs one of the scenario's own contenders until its orders end.
pub(crate) fn contend(name: &str, directory: &Path) -> Result<(), BenchError> {
    match name {
        "enqueue/syncline" => {
            let mut contender = syncline::Contender::open(directory, None)?;
            serve(|order| contender.run(order))
        }
        "enqueue/sealed" => {
            let key = EncryptionKey::from_bytes([1; KEY_BYTES]);
            let mut contender = syncline::Contender::open(directory, Some(key))?;
            serve(|order| contender.run(order))
        }
        "enqueue/raw" => {
            let mut contender = raw::Contender::open(directory)?;
            serve(|order| contender.run(order))
        }
        _ => Err(BenchError::failed(name, "is not known")),
    }
}
