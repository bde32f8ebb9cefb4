//! `converge`: two devices that were offline meet again.
//!
//! Both hold the same 1,000 documents of 8 fields. Offline, each makes 5,000 edits, every one of which sets a field of
//! a document that the other edits, too. A sample begins when they connect, and ends when both show the same and
//! nothing waits to be sent. Syncline's devices keep everything on disk and talk to a real server over loopback. The
//! peers exchange their messages with each other in memory: no server, no network, no disk.

mod syncline;

use std::path::Path;

use crate::contender::serve;
use crate::scenario::{BenchError, Block, Bound, Contender, Figure, Goal, Program, Scenario, Work};

const SYNCLINE: &str = "Syncline, server, disk";
const TINYBASE: &str = "TinyBase, in memory";
const YJS: &str = "Yjs, in memory";
const AUTOMERGE: &str = "Automerge, in memory";

const CONVERGE: &str = "until equal";
const WIRE: &str = "on the wire";

const EDITS: usize = 10_000;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "converge",
    description: "two devices with 5,000 concurrent edits each become equal",
    contenders: &[
        Contender { name: SYNCLINE, program: Program::Own("converge/syncline") },
        Contender { name: TINYBASE, program: Program::Node("converge_tinybase.mjs") },
        Contender { name: YJS, program: Program::Node("converge_yjs.mjs") },
        Contender { name: AUTOMERGE, program: Program::Node("converge_automerge.mjs") },
    ],
    blocks: &[Block {
        name: CONVERGE,
        samples: 1,
        // A sample is told as a whole.
        work: Work::Batch(EDITS),
        unit: "ms",
        also: &[Figure { name: WIRE, unit: "KiB" }],
    }],
    rounds: 3,
    goals: &[
        Goal { figure: CONVERGE, over: SYNCLINE, under: Some(YJS), bound: Bound::AtMost(10.0) },
        Goal { figure: CONVERGE, over: SYNCLINE, under: Some(AUTOMERGE), bound: Bound::AtMost(1.0) },
        Goal { figure: CONVERGE, over: SYNCLINE, under: Some(TINYBASE), bound: Bound::AtMost(1.0) },
    ],
};

/// Runs the scenario's own contender until its orders end.
pub(crate) fn contend(name: &str, directory: &Path, server: &Path) -> Result<(), BenchError> {
    match name {
        "converge/syncline" => {
            let mut contender = syncline::Contender::open(directory, server)?;
            serve(|order| contender.run(order))
        }
        _ => Err(BenchError::failed(name, "is not known")),
    }
}
