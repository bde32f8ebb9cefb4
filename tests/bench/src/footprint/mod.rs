//! `footprint`: what a connected client adds to the memory of an empty process.
//!
//! Each sample is two new processes of one kind, of which one holds the client and the other nothing, and the difference is
//! what an app pays: its own memory, and what is mapped from files, which is code above all. Syncline's have nothing
//! but the client in them and are built as apps are (profile `app`); socket.io-client's run in Node. The server is npm
//! `socket.io` on loopback. With 100,000 queued entries of 206 bytes the server answers nothing, so that they stay.

mod syncline;

use std::path::Path;

use crate::contender::serve;
use crate::scenario::{BenchError, Block, Bound, Contender, Figure, Goal, Program, Scenario, Work};

const SYNCLINE: &str = "Syncline";
const SOCKET_IO: &str = "socket.io-client";

const CONNECTED: &str = "connected";
const QUEUED: &str = "100,000 queued";

const CONNECTED_PARTS: &[Figure] = &[
    Figure { name: "connected, its own", unit: "MiB" },
    Figure { name: "connected, mapped from files", unit: "MiB" },
];
const QUEUED_PARTS: &[Figure] = &[
    Figure { name: "100,000 queued, its own", unit: "MiB" },
    Figure { name: "100,000 queued, mapped from files", unit: "MiB" },
];

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
        Block { name: CONNECTED, samples: 1, work: Work::Batch(FEW), unit: "MiB", also: CONNECTED_PARTS },
        Block { name: QUEUED, samples: 1, work: Work::Batch(MANY), unit: "MiB", also: QUEUED_PARTS },
    ],
    rounds: 5,
    goals: &[
        Goal { figure: CONNECTED, over: SYNCLINE, under: None, bound: Bound::AtMost(2.0) },
        Goal { figure: QUEUED, over: SYNCLINE, under: None, bound: Bound::AtMost(16.0) },
        Goal { figure: CONNECTED, over: SOCKET_IO, under: Some(SYNCLINE), bound: Bound::AtLeast(4.0) },
        Goal { figure: QUEUED, over: SOCKET_IO, under: Some(SYNCLINE), bound: Bound::AtLeast(2.0) },
    ],
};

/// What one process has more than the other, each in KiB.
#[allow(clippy::cast_precision_loss)]
fn growth_mib(more: u64, less: u64) -> f64 {
    (more as f64 - less as f64) / 1024.0
}

/// Runs the scenario's own contender until its orders end.
pub(crate) fn contend(name: &str, directory: &Path, peers: &Path) -> Result<(), BenchError> {
    match name {
        "footprint/syncline" => {
            let mut contender = syncline::Contender::open(directory, peers)?;
            serve(|order| contender.run(order))
        }
        _ => Err(BenchError::failed(name, "is not known")),
    }
}
