//! `drain`: how long 10,000 queued writes, or events, take until the server has answered all.
//!
//! Syncline's are in its journal; what is measured begins with the connection being asked for. Writes go to a server that
//! puts them on disk, and end when each is confirmed in the cache. Events go to an npm server that only counts, in one
//! lane: each when the one before is acknowledged, or streamed. The peers send as many documents of the same size to such a
//! server, in every block; they are connected before, and keep nothing.

mod events;
mod syncline;

use std::path::Path;
use std::time::Instant;

use ::syncline::Command;
use ::syncline::job::LanePolicy;

use crate::contender::serve;
use crate::device::Device;
use crate::scenario::{BenchError, Block, Bound, Contender, Goal, Program, Scenario, Work};

const SYNCLINE: &str = "Syncline";
const ONE_BY_ONE: &str = "socket.io-client, one by one";
const PIPELINED: &str = "socket.io-client, pipelined";
const BATCHES: &str = "socket.io-client, batches of 500";

const WRITES: &str = "writes";
const EVENTS: &str = "events, one after the other";
const STREAMED: &str = "events, streamed";

const QUEUED: Work = Work::Batch(10_000);

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "drain",
    description: "10,000 queued writes, and as many events, sent to a server on loopback",
    contenders: &[
        Contender { name: SYNCLINE, program: Program::Own("drain/syncline") },
        Contender { name: ONE_BY_ONE, program: Program::Node("drain_one_by_one.mjs") },
        Contender { name: PIPELINED, program: Program::Node("drain_pipelined.mjs") },
        Contender { name: BATCHES, program: Program::Node("drain_batches.mjs") },
    ],
    blocks: &[
        Block { name: WRITES, samples: 1, work: QUEUED, unit: "ms", also: &[] },
        Block { name: EVENTS, samples: 1, work: QUEUED, unit: "ms", also: &[] },
        Block { name: STREAMED, samples: 1, work: QUEUED, unit: "ms", also: &[] },
    ],
    rounds: 10,
    goals: &[
        Goal { figure: WRITES, over: SYNCLINE, under: None, bound: Bound::AtMost(30.0) },
        Goal { figure: WRITES, over: ONE_BY_ONE, under: Some(SYNCLINE), bound: Bound::AtLeast(1.0) },
        Goal { figure: WRITES, over: PIPELINED, under: Some(SYNCLINE), bound: Bound::AtLeast(1.0) },
        Goal { figure: WRITES, over: BATCHES, under: Some(SYNCLINE), bound: Bound::AtLeast(1.0) },
        Goal { figure: EVENTS, over: ONE_BY_ONE, under: Some(SYNCLINE), bound: Bound::AtLeast(1.0) },
        Goal { figure: STREAMED, over: PIPELINED, under: Some(SYNCLINE), bound: Bound::AtLeast(1.0) },
    ],
};

/// How long a device that holds so much in its queue takes to be rid of it, in milliseconds, with the connection. Closes it.
fn drain_ms(device: &Device, queued: usize) -> Result<f64, BenchError> {
    device.until("a full queue", |seen| seen.queue.count == queued as u64)?;
    let begin = Instant::now();
    device.run(Command::Connect)?;
    device.until("an empty queue", |seen| seen.queue.count == 0)?;
    let elapsed = begin.elapsed();
    device.run(Command::Close)?;
    Ok(elapsed.as_secs_f64() * 1e3)
}

/// Runs the scenario's own contender until its orders end.
pub(crate) fn contend(name: &str, directory: &Path, server: &Path, peers: &Path) -> Result<(), BenchError> {
    match name {
        "drain/syncline" => {
            let mut writes = syncline::Contender::open(directory, server)?;
            let mut events = events::Contender::open(directory, peers)?;
            serve(|order| match order.block.as_str() {
                EVENTS => events.run(order, LanePolicy::Continue),
                STREAMED => events.run(order, LanePolicy::Stream),
                _ => writes.run(order),
            })
        }
        _ => Err(BenchError::failed(name, "is not known")),
    }
}
