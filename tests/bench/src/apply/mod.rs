//! `apply`: the first synchronization of 100,000 documents of 206 bytes into a fresh client.
//!
//! Each sample is a new process, so that its peak of memory is the client's alone, and starts with nothing: it opens
//! its client, connects over loopback, and ends when the client has all documents. The peers show the first 50 documents
//! by position from the beginning, and so does "Syncline, watched". "Syncline" is the pull alone, for which the goals
//! in documents per second and in memory are set: it only subscribes the room, and shows the same rows when the pull
//! has ended and its figures are taken; they also tell whether all documents are there. Syncline writes them to disk,
//! and its server reads them from disk; the peers keep theirs in memory at both ends, and their memory includes the
//! engine of JavaScript.

mod pull;
mod syncline;

use std::path::Path;

use self::pull::Shown;
use crate::contender::serve;
use crate::scenario::{BenchError, Block, Bound, Contender, Figure, Goal, Program, Scenario, Work};

const SYNCLINE: &str = "Syncline";
const WATCHED: &str = "Syncline, watched";
const RXDB: &str = "RxDB, memory, HTTP";
const TINYBASE: &str = "TinyBase, WebSocket";
const YJS: &str = "Yjs, WebSocket";
const AUTOMERGE: &str = "Automerge, WebSocket";

const APPLY: &str = "documents";
const FIRST: &str = "first rows";
const PEAK: &str = "peak memory";

const DOCUMENTS: usize = 100_000;
const ROOM: &str = "list:bench";

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "apply",
    description: "the first synchronization of 100,000 documents of 200 bytes",
    contenders: &[
        Contender { name: SYNCLINE, program: Program::Own("apply/syncline") },
        Contender { name: WATCHED, program: Program::Own("apply/syncline_watched") },
        Contender { name: RXDB, program: Program::Node("apply_rxdb.mjs") },
        Contender { name: TINYBASE, program: Program::Node("apply_tinybase.mjs") },
        Contender { name: YJS, program: Program::Node("apply_yjs.mjs") },
        Contender { name: AUTOMERGE, program: Program::Node("apply_automerge.mjs") },
    ],
    blocks: &[Block {
        name: APPLY,
        samples: 1,
        work: Work::Batch(DOCUMENTS),
        unit: "per second",
        also: &[Figure { name: FIRST, unit: "ms" }, Figure { name: PEAK, unit: "MiB" }],
    }],
    rounds: 5,
    goals: &[
        Goal { figure: APPLY, over: SYNCLINE, under: None, bound: Bound::AtLeast(50_000.0) },
        Goal { figure: PEAK, over: SYNCLINE, under: None, bound: Bound::AtMost(64.0) },
        Goal { figure: APPLY, over: WATCHED, under: Some(RXDB), bound: Bound::AtLeast(1.0) },
        Goal { figure: APPLY, over: WATCHED, under: Some(TINYBASE), bound: Bound::AtLeast(1.0) },
        Goal { figure: APPLY, over: WATCHED, under: Some(YJS), bound: Bound::AtLeast(1.0) },
        Goal { figure: APPLY, over: WATCHED, under: Some(AUTOMERGE), bound: Bound::AtLeast(1.0) },
    ],
};

/// Runs the scenario's own contender until its orders end, or one of its samples.
pub(crate) fn contend(name: &str, directory: &Path, server: &Path) -> Result<(), BenchError> {
    let pulls = |shown| {
        let mut contender = syncline::Contender::open(directory, server, shown)?;
        serve(|order| contender.run(order))
    };
    match name {
        "apply/syncline" => pulls(Shown::Afterwards),
        "apply/syncline_watched" => pulls(Shown::Throughout),
        pull::NAME => pull::run(directory),
        _ => Err(BenchError::failed(name, "is not known")),
    }
}
