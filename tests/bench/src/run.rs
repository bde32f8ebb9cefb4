//! The rounds of a scenario: in each, every contender runs every block once, in shuffled order.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::contender::{Order, Process};
use crate::scenario::{BenchError, Scenario};
use crate::statistics::{Shuffle, median};

/// Per contender and block, in the order of the scenario: one value per round.
#[derive(Debug)]
pub(crate) struct Samples(Vec<Vec<Vec<f64>>>);

impl Samples {
    pub(crate) fn new(contenders: usize, blocks: usize) -> Self {
        Self(vec![vec![Vec::new(); blocks]; contenders])
    }

    pub(crate) fn push(&mut self, contender: usize, block: usize, value: f64) {
        self.0[contender][block].push(value);
    }

    /// The value of each round.
    pub(crate) fn of(&self, contender: usize, block: usize) -> &[f64] {
        &self.0[contender][block]
    }
}

/// Runs a scenario. The first contender goes first in the round that warms up, and tells for each block how many bytes
/// the others write.
pub(crate) fn rounds(
    scenario: &Scenario,
    rounds: u32,
    data: &Path,
    peers: &Path,
) -> Result<Samples, BenchError> {
    std::fs::create_dir_all(data)?;
    let data = tempfile::Builder::new().prefix("bench-").tempdir_in(data)?;
    let mut processes = Vec::new();
    for (index, contender) in scenario.contenders.iter().enumerate() {
        let directory = data.path().join(index.to_string());
        std::fs::create_dir(&directory)?;
        processes.push(Process::start(contender, &directory, peers)?);
    }
    let mut turns: Vec<(usize, usize)> = (0..processes.len())
        .flat_map(|contender| (0..scenario.blocks.len()).map(move |block| (contender, block)))
        .collect();
    let mut bytes = vec![0; scenario.blocks.len()];
    for &(contender, block) in &turns {
        let answer = processes[contender].run(&order(scenario, block, bytes[block]))?;
        bytes[block] = answer.bytes.unwrap_or(bytes[block]);
    }
    let mut samples = Samples::new(processes.len(), scenario.blocks.len());
    let mut shuffle = Shuffle::new(seed());
    for _ in 0..rounds {
        shuffle.shuffle(&mut turns);
        for &(contender, block) in &turns {
            let answer = processes[contender].run(&order(scenario, block, bytes[block]))?;
            samples.push(contender, block, median(&answer.values));
        }
    }
    Ok(samples)
}

fn order(scenario: &Scenario, block: usize, bytes: usize) -> Order {
    let block = &scenario.blocks[block];
    Order { samples: block.samples, work: block.work, bytes }
}

/// Another one each time: no order is special.
fn seed() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(since_epoch.subsec_nanos()) ^ since_epoch.as_secs()
}
