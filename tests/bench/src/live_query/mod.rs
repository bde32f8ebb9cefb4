//! `live-query`: how long one change takes to reach an ordered window over 100,000 documents.
//!
//! Syncline's engine takes in a write that puts a document first in the window, and tells the difference. The other
//! contender makes the same change to plain rows and evaluates the query anew, sorting no more than the window.

mod scan;
mod syncline;

use std::path::Path;

use syncline_protocol::{Fields, Value};

use crate::contender::serve;
use crate::scenario::{BenchError, Block, Bound, Contender, Goal, Program, Scenario, Work};

const SYNCLINE: &str = "Syncline's engine";
const SCAN: &str = "evaluation anew";

const CHANGE: &str = "one change";

const DOCUMENTS: usize = 100_000;
const WINDOW: usize = 50;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "live-query",
    description: "one change in an ordered window over 100,000 documents",
    contenders: &[
        Contender { name: SYNCLINE, program: Program::Own("live-query/syncline") },
        Contender { name: SCAN, program: Program::Own("live-query/scan") },
    ],
    blocks: &[Block { name: CHANGE, samples: 50, work: Work::One, unit: "µs", also: &[] }],
    rounds: 20,
    goals: &[Goal { figure: CHANGE, over: SCAN, under: Some(SYNCLINE), bound: Bound::AtLeast(20.0) }],
};

/// Runs one of the scenario's own contenders until its orders end.
pub(crate) fn contend(name: &str, _directory: &Path) -> Result<(), BenchError> {
    match name {
        "live-query/syncline" => {
            let mut contender = syncline::Contender::open()?;
            serve(|order| contender.run(order))
        }
        "live-query/scan" => {
            let mut contender = scan::Contender::new();
            serve(|order| contender.run(order))
        }
        _ => Err(BenchError::Contender { name: name.to_owned(), reason: "is not known".to_owned() }),
    }
}

/// Which documents change, and where they go: each to the front, spread over all of them.
#[derive(Debug, Default)]
struct Changes {
    made: usize,
}

impl Changes {
    /// The number of the next document, and its new position.
    fn next(&mut self) -> (usize, i64) {
        /// Prime to the number of documents, so that each has its turn.
        const STRIDE: usize = 61_803;
        self.made += 1;
        let position = i64::try_from(self.made).unwrap_or(i64::MAX);
        (self.made.wrapping_mul(STRIDE) % DOCUMENTS, -position)
    }
}

fn document_name(number: usize) -> String {
    format!("document-{number:06}")
}

fn fields(number: usize) -> Fields {
    Fields::from([
        ("done".into(), Value::Bool(number.is_multiple_of(2))),
        ("position".into(), Value::Int(i64::try_from(number).unwrap_or(i64::MAX))),
        ("text".into(), Value::String("x".repeat(100))),
    ])
}
