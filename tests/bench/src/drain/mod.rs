//! `drain`: how long 10,000 queued writes take until the server has answered all.
//!
//! Syncline's are in its journal, and their server puts them on disk; what is measured begins with the connection being
//! asked for, and ends when each write is confirmed in the cache. The peers send as many documents of the same size to an
//! npm server that only counts; they are connected before, and keep nothing.

mod syncline;

use std::path::Path;

use crate::contender::serve;
use crate::scenario::{BenchError, Block, Bound, Contender, Goal, Program, Scenario, Work};

const SYNCLINE: &str = "Syncline";
const ONE_BY_ONE: &str = "socket.io-client, one by one";
const PIPELINED: &str = "socket.io-client, pipelined";
const BATCHES: &str = "socket.io-client, batches of 500";

const DRAIN: &str = "writes";

const WRITES: usize = 10_000;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "drain",
    description: "10,000 queued writes sent to a server on loopback",
    contenders: &[
        Contender { name: SYNCLINE, program: Program::Own("drain/syncline") },
        Contender { name: ONE_BY_ONE, program: Program::Node("drain_one_by_one.mjs") },
        Contender { name: PIPELINED, program: Program::Node("drain_pipelined.mjs") },
        Contender { name: BATCHES, program: Program::Node("drain_batches.mjs") },
    ],
    blocks: &[Block { name: DRAIN, samples: 1, work: Work::Batch(WRITES), unit: "ms", also: &[] }],
    rounds: 10,
    goals: &[
        Goal { figure: DRAIN, over: SYNCLINE, under: None, bound: Bound::AtMost(30.0) },
        Goal { figure: DRAIN, over: ONE_BY_ONE, under: Some(SYNCLINE), bound: Bound::AtLeast(1.0) },
        Goal { figure: DRAIN, over: PIPELINED, under: Some(SYNCLINE), bound: Bound::AtLeast(1.0) },
        Goal { figure: DRAIN, over: BATCHES, under: Some(SYNCLINE), bound: Bound::AtLeast(1.0) },
    ],
};

/// Runs the scenario's own contender until its orders end.
pub(crate) fn contend(name: &str, directory: &Path, server: &Path) -> Result<(), BenchError> {
    match name {
        "drain/syncline" => {
            let mut contender = syncline::Contender::open(directory, server)?;
            serve(|order| contender.run(order))
        }
        _ => Err(BenchError::failed(name, "is not known")),
    }
}
