//! `rtt`: from an event to its answer on loopback, with the MessagePack parser.
//!
//! Syncline is asked through the client that an app holds; npm `socket.io-client` in its own process by
//! `emitWithAck`. One at a time, each event waits for the answer to the one before; with 100 in flight, as many callers
//! do that side by side, on a backend on npm `socket.io`, and on a native one: npm's needs about 11 µs for an answer itself,
//! so that with 100 in flight everybody waits for it, and a client that costs nothing would be 2.0 times as fast there.
//!
//! What is measured is what whoever awaits the answer waits. For Syncline that is another thread than the core's, as an app's
//! JavaScript is. With one at a time the caller sends its event itself, and the answer crosses back to it: one wake-up more than
//! npm's client needs, which has its socket on the thread of its caller in Node, though not in React Native. A thread that
//! writes, blocks in its read and does nothing else is 1.75 times as fast as npm's client. With many in flight one wake-up
//! serves many, on either way.

mod native;
mod syncline;

use std::path::Path;

use crate::contender::serve;
use crate::scenario::{BenchError, Block, Bound, Contender, Figure, Goal, Program, Scenario, Work};

const SYNCLINE: &str = "Syncline";
const SOCKET_IO: &str = "socket.io-client";

const SINGLE: &str = "one at a time";
const SINGLE_P99: &str = "one at a time, p99";
const MANY: &str = "100 in flight";
const CPU: &str = "client CPU, 100 in flight";
const MANY_NATIVE: &str = "100 in flight, native backend";
const CPU_NATIVE: &str = "client CPU, 100 in flight, native backend";

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "rtt",
    description: "an event and its answer, one at a time and 100 in flight",
    contenders: &[
        Contender { name: SYNCLINE, program: Program::Own("rtt/syncline") },
        Contender { name: SOCKET_IO, program: Program::Node("rtt_socketio.mjs") },
    ],
    blocks: &[
        Block {
            name: SINGLE,
            samples: 1,
            work: Work::Batch(2_000),
            unit: "µs per answer",
            also: &[Figure { name: SINGLE_P99, unit: "µs" }],
        },
        Block {
            name: MANY,
            samples: 1,
            work: Work::Concurrent(10_000),
            unit: "µs per answer",
            also: &[Figure { name: CPU, unit: "µs per answer" }],
        },
        Block {
            name: MANY_NATIVE,
            samples: 1,
            work: Work::Concurrent(10_000),
            unit: "µs per answer",
            also: &[Figure { name: CPU_NATIVE, unit: "µs per answer" }],
        },
    ],
    rounds: 10,
    goals: &[
        Goal { figure: SINGLE, over: SOCKET_IO, under: Some(SYNCLINE), bound: Bound::AtLeast(1.6) },
        Goal { figure: SINGLE_P99, over: SYNCLINE, under: Some(SOCKET_IO), bound: Bound::AtMost(0.6) },
        Goal { figure: MANY, over: SOCKET_IO, under: Some(SYNCLINE), bound: Bound::AtLeast(3.0) },
        Goal { figure: MANY_NATIVE, over: SOCKET_IO, under: Some(SYNCLINE), bound: Bound::AtLeast(3.0) },
        Goal { figure: CPU, over: SOCKET_IO, under: Some(SYNCLINE), bound: Bound::AtLeast(3.0) },
        Goal { figure: CPU_NATIVE, over: SOCKET_IO, under: Some(SYNCLINE), bound: Bound::AtLeast(3.0) },
    ],
};

/// Runs the scenario's own contender until its orders end.
pub(crate) fn contend(name: &str, directory: &Path, peers: &Path) -> Result<(), BenchError> {
    match name {
        "rtt/syncline" => {
            let mut contender = syncline::Contender::open(directory, peers)?;
            serve(|order| contender.run(order))
        }
        native::NAME => native::run(),
        _ => Err(BenchError::failed(name, "is not known")),
    }
}
