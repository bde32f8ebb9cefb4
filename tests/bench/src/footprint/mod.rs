//! `footprint`: what a connected client adds to the memory of an empty process.
//!
//! Each sample is a new process: it notes what it holds before anything is done, opens its client, connects to an npm
//! socket.io server on loopback, and notes the growth. With 100,000 queued entries of 206 bytes the server answers
//! nothing, so that they stay; SQLite has as many rows, keeps them on disk, and has no connection.

mod client;
mod syncline;

use std::path::Path;

use crate::contender::serve;
use crate::scenario::{BenchError, Block, Bound, Contender, Goal, Program, Scenario, Work};

const SYNCLINE: &str = "Syncline";
const SOCKET_IO: &str = "socket.io-client";

const CONNECTED: &str = "connected";
const QUEUED: &str = "100,000 queued";

/// Entries in the queue, with one for "none": a block has at least one operation.
const FEW: usize = 1;
const MANY: usize = 100_000;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "footprint",
    description: "memory of a connected client over an empty process",
    contenders: &[
        Contender { name: SYNCLINE, program: Program::Own("footprint/syncline") },
        Contender { name: SOCKET_IO, program: Program::Node("footprint_socketio.mjs") },
    ],
    blocks: &[
        Block { name: CONNECTED, samples: 1, work: Work::Batch(FEW), unit: "MiB", also: &[] },
        Block { name: QUEUED, samples: 1, work: Work::Batch(MANY), unit: "MiB", also: &[] },
    ],
    rounds: 5,
    goals: &[
        Goal { figure: CONNECTED, over: SYNCLINE, under: None, bound: Bound::AtMost(2.0) },
        Goal { figure: QUEUED, over: SYNCLINE, under: None, bound: Bound::AtMost(16.0) },
        Goal { figure: CONNECTED, over: SOCKET_IO, under: Some(SYNCLINE), bound: Bound::AtLeast(4.0) },
        Goal { figure: QUEUED, over: SOCKET_IO, under: Some(SYNCLINE), bound: Bound::AtLeast(2.0) },
    ],
};

/// Runs the scenario's own contender until its orders end, or one of its samples.
pub(crate) fn contend(name: &str, directory: &Path, peers: &Path) -> Result<(), BenchError> {
    match name {
        "footprint/syncline" => {
            let mut contender = syncline::Contender::open(directory, peers)?;
            serve(|order| contender.run(order))
        }
        client::NAME => client::run(directory),
        _ => Err(BenchError::failed(name, "is not known")),
    }
}
