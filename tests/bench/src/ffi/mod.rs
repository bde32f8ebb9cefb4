//! `ffi`: what the boundary costs: a call, an event, and 1,000 changed rows delivered in one batch.
//!
//! Each contender opens a client in memory that never connects, and watches a collection of 1,000 documents. A call asks for
//! the queue. An event is a write of one document, until its changed row is there. The batch is one call that changes all
//! documents, until all changed rows are there and read. The client's typed API in Rust crosses nothing; the façade is
//! the same with strings, still in Rust; Node, Kotlin and Swift carry those strings. What a language adds is its figure less
//! the client's.
//!
//! "Reading" is what the rows of a batch take of the host's own time: the parsing of the text, and in Node everything
//! that keeps the JavaScript thread busy from the call on.

mod client;
mod facade;
mod rows;

use crate::contender::serve;
use crate::scenario::{BenchError, Block, Bound, Contender, Figure, Goal, Program, Scenario, Work};

const NODE: &str = "Node";

const CALL: &str = "a call";
const EVENT: &str = "a write and its event";
const BATCH: &str = "1,000 changed rows";
const EVENT_READING: Figure = Figure { name: "a write and its event, reading", unit: "µs" };
const READING: Figure = Figure { name: "1,000 changed rows, reading", unit: "µs per row" };

/// Names the program that is the Kotlin contender.
const KOTLIN: &str = "SYNCLINE_BENCH_KOTLIN";
/// And the Swift one.
const SWIFT: &str = "SYNCLINE_BENCH_SWIFT";

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "ffi",
    description: "a call, an event and 1,000 changed rows, through each host",
    contenders: &[
        Contender { name: "the client, in Rust", program: Program::Own("ffi/client") },
        Contender { name: "the façade, in Rust", program: Program::Own("ffi/facade") },
        Contender { name: NODE, program: Program::Node("ffi_node.mjs") },
        Contender { name: "Kotlin", program: Program::Given(KOTLIN) },
        Contender { name: "Swift", program: Program::Given(SWIFT) },
    ],
    blocks: &[
        Block { name: CALL, samples: 2_000, work: Work::One, unit: "µs", also: &[] },
        Block { name: EVENT, samples: 500, work: Work::Batch(1), unit: "µs", also: &[EVENT_READING] },
        Block {
            name: BATCH,
            samples: 20,
            work: Work::Batch(rows::COUNT),
            unit: "µs per row",
            also: &[READING],
        },
    ],
    rounds: 10,
    goals: &[Goal { figure: READING.name, over: NODE, under: None, bound: Bound::AtMost(1.5) }],
};

/// Runs one of the scenario's own contenders until its orders end.
pub(crate) fn contend(name: &str) -> Result<(), BenchError> {
    match name {
        "ffi/client" => {
            let mut contender = client::Contender::open()?;
            serve(|order| rows::run(&mut contender, order))
        }
        "ffi/facade" => {
            let mut contender = facade::Contender::open()?;
            serve(|order| rows::run(&mut contender, order))
        }
        _ => Err(BenchError::failed(name, "is not known")),
    }
}
