//! What a scenario is: contenders, the kinds of blocks they run, and the goals between them.

use serde::{Deserialize, Serialize};

/// One comparison.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) contenders: &'static [Contender],
    pub(crate) blocks: &'static [Block],
    /// How many rounds to measure unless asked otherwise.
    pub(crate) rounds: u32,
    pub(crate) goals: &'static [Goal],
}

/// Who takes part.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
}

/// How a contender is started.
#[derive(Debug)]
pub(crate) enum Program {
    /// This program, with `--contender`.
    Own(&'static str),
    /// A script in the folder of peers.
    Node(&'static str),
    /// What a variable of the environment names; left out where it names nothing.
    Given(&'static str),
}

/// A kind of work, measured as one value per round: the median over its samples.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) name: &'static str,
    /// How many samples a contender takes in one block.
    pub(crate) samples: usize,
    /// What makes one sample; a sample is given per operation.
    pub(crate) work: Work,
    pub(crate) unit: &'static str,
    /// What else the same samples tell.
    pub(crate) also: &'static [Figure],
}

/// Something measured along with a block, as one value per sample too.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
}

impl Scenario {
    /// What is measured, in the order of the report: each block, then what it tells besides.
    pub(crate) fn figures(&self) -> impl Iterator<Item = Figure> {
        self.blocks.iter().flat_map(|block| {
            let also = block.also.iter().map(|figure| Figure { ..*figure });
            std::iter::once(Figure { name: block.name, unit: block.unit }).chain(also)
        })
    }

    /// The place of a block among the [figures](Self::figures).
    pub(crate) fn figure_of(&self, block: usize) -> usize {
        self.blocks[..block].iter().map(|block| 1 + block.also.len()).sum()
    }
}

/// How many operations, and how they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Work {
    One,
    /// By as many callers at the same time, where the contender can have several.
    Concurrent(usize),
    /// In one call, all or nothing.
    Batch(usize),
}

impl Work {
    pub(crate) fn operations(self) -> usize {
        match self {
            Self::One => 1,
            Self::Concurrent(operations) | Self::Batch(operations) => operations,
        }
    }
}

/// A ratio of two contenders in one figure, `over` divided by `under`; without `under`, the figure itself.
#[derive(Debug)]
pub(crate) struct Goal {
    /// The name of a block, or of something that a block tells besides.
    pub(crate) figure: &'static str,
    pub(crate) over: &'static str,
    pub(crate) under: Option<&'static str>,
    pub(crate) bound: Bound,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    pub(crate) fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(bound) => ratio <= bound,
            Self::AtLeast(bound) => ratio >= bound,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(bound) => write!(f, "<= {bound}"),
            Self::AtLeast(bound) => write!(f, ">= {bound}"),
        }
    }
}

/// Why a benchmark did not come to an end.
#[derive(Debug)]
pub(crate) enum BenchError {
    UnknownScenario { name: String, known: String },
    Contender { name: String, reason: String },
    Io(std::io::Error),
    Json(serde_json::Error),
}

impl BenchError {
    /// A contender's failure.
    pub(crate) fn failed(name: &str, reason: impl std::fmt::Display) -> Self {
        Self::Contender { name: name.to_owned(), reason: reason.to_string() }
    }
}

impl std::fmt::Display for BenchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownScenario { name, known } => write!(f, "unknown scenario {name}; there are: {known}"),
            Self::Contender { name, reason } => write!(f, "{name}: {reason}"),
            Self::Io(error) => write!(f, "{error}"),
            Self::Json(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for BenchError {}

impl From<std::io::Error> for BenchError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<serde_json::Error> for BenchError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}
