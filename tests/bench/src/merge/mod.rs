//! `merge`: how many field updates of other writers a replica takes in per second.
//!
//! An update sets one field of one of 1,000 documents with 10 fields each; what is merged was received and decoded
//! before. Syncline runs the function that its client and its server run: it keeps a stamp per field, and the newer
//! one wins. The plain map keeps nothing and overwrites. Yjs and Automerge take in the same updates as another replica
//! made them, 1,000 in a transaction: they decode them while they do, which is part of how they merge.

mod map;
mod syncline;

use syncline_protocol::Value;

use crate::contender::serve;
use crate::scenario::{BenchError, Block, Bound, Contender, Goal, Program, Scenario, Work};

const SYNCLINE: &str = "Syncline's merge";
const MAP: &str = "HashMap of BTreeMap";
const YJS: &str = "Yjs";
const AUTOMERGE: &str = "Automerge";

const UPDATES: &str = "updates";

const DOCUMENTS: usize = 1000;
const FIELDS: usize = 10;
/// Updates in one sample, each peer's in as many transactions as it takes to keep them at 1,000.
const SAMPLE_UPDATES: usize = 10_000;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "merge",
    description: "updates of single fields by other writers",
    contenders: &[
        Contender { name: SYNCLINE, program: Program::Own("merge/syncline") },
        Contender { name: MAP, program: Program::Own("merge/map") },
        Contender { name: YJS, program: Program::Node("merge_yjs.mjs") },
        Contender { name: AUTOMERGE, program: Program::Node("merge_automerge.mjs") },
    ],
    blocks: &[Block {
        name: UPDATES,
        samples: 5,
        work: Work::Batch(SAMPLE_UPDATES),
        unit: "million per second",
        also: &[],
    }],
    rounds: 10,
    goals: &[
        Goal { figure: UPDATES, over: SYNCLINE, under: None, bound: Bound::AtLeast(10.0) },
        Goal { figure: UPDATES, over: SYNCLINE, under: Some(MAP), bound: Bound::AtLeast(0.5) },
        Goal { figure: UPDATES, over: SYNCLINE, under: Some(YJS), bound: Bound::AtLeast(10.0) },
        Goal { figure: UPDATES, over: SYNCLINE, under: Some(AUTOMERGE), bound: Bound::AtLeast(100.0) },
    ],
};

/// Runs one of the scenario's own contenders until its orders end.
pub(crate) fn contend(name: &str) -> Result<(), BenchError> {
    match name {
        "merge/syncline" => {
            let mut contender = syncline::Contender::new()?;
            serve(|order| contender.run(order))
        }
        "merge/map" => {
            let mut contender = map::Contender::new();
            serve(|order| contender.run(order))
        }
        _ => Err(BenchError::failed(name, "is not known")),
    }
}

/// Which field of which document is set to what; spread over all of them.
#[derive(Debug, Default)]
struct Updates {
    made: usize,
}

impl Updates {
    /// The document, the field, and the value.
    fn next(&mut self) -> (usize, usize, Value) {
        /// Prime to the number of fields of all documents, so that each has its turn.
        const STRIDE: usize = 6_181;
        self.made += 1;
        let place = self.made.wrapping_mul(STRIDE) % (DOCUMENTS * FIELDS);
        (place / FIELDS, place % FIELDS, Value::Int(i64::try_from(self.made).unwrap_or(i64::MAX)))
    }
}

fn document_name(number: usize) -> String {
    format!("document-{number:06}")
}

fn field_name(number: usize) -> String {
    format!("field-{number}")
}

/// Millions of operations per second.
fn rate(operations: usize, seconds: f64) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let operations = operations as f64;
    operations / seconds / 1e6
}
