//! The rounds of a scenario: in each, every contender runs every block once, in shuffled order.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::contender::{Order, Process, Programs};
use crate::scenario::{BenchError, Scenario};
use crate::statistics::{Shuffle, median};

/// Per contender and figure, in the order of the scenario: one value per round.
#[derive(Debug)]
pub(crate) struct Samples(Vec<Vec<Vec<f64>>>);

impl Samples {
    pub(crate) fn new(contenders: usize, figures: usize) -> Self {
        Self(vec![vec![Vec::new(); figures]; contenders])
    }

    pub(crate) fn push(&mut self, contender: usize, figure: usize, value: f64) {
        self.0[contender][figure].push(value);
    }

    /// The value of each round.
    pub(crate) fn of(&self, contender: usize, figure: usize) -> &[f64] {
        &self.0[contender][figure]
    }
}

/// Runs a scenario. The first contender goes first in the round that warms up, and tells for each block how many bytes
/// the others write.
pub(crate) fn rounds(
    scenario: &Scenario,
    rounds: u32,
    data: &Path,
    programs: &Programs,
) -> Result<Samples, BenchError> {
    std::fs::create_dir_all(data)?;
    let data = tempfile::Builder::new().prefix("bench-").tempdir_in(data)?;
    let mut processes = Vec::new();
    for (index, contender) in scenario.contenders.iter().enumerate() {
        let directory = data.path().join(index.to_string());
        std::fs::create_dir(&directory)?;
        processes.push(Process::start(contender, &directory, programs)?);
    }
    let mut turns: Vec<(usize, usize)> = (0..processes.len())
        .flat_map(|contender| (0..scenario.blocks.len()).map(move |block| (contender, block)))
        .collect();
    let mut bytes = vec![0; scenario.blocks.len()];
    for &(contender, block) in &turns {
        let answer = processes[contender].run(&order(scenario, block, bytes[block]))?;
        bytes[block] = answer.bytes.unwrap_or(bytes[block]);
    }
    let mut samples = Samples::new(processes.len(), scenario.figures().count());
    let mut shuffle = Shuffle::new(seed());
    for _ in 0..rounds {
        shuffle.shuffle(&mut turns);
        for &(contender, block) in &turns {
            let answer = processes[contender].run(&order(scenario, block, bytes[block]))?;
            let also = &scenario.blocks[block].also;
            if answer.also.len() != also.len() {
                let reason = format!("{} further figures of {}", answer.also.len(), also.len());
                return Err(BenchError::failed(scenario.contenders[contender].name, reason));
            }
            for (figure, values) in
                (scenario.figure_of(block)..).zip([answer.values].iter().chain(&answer.also))
            {
                samples.push(contender, figure, median(values));
            }
        }
    }
    Ok(samples)
}

fn order(scenario: &Scenario, block: usize, bytes: usize) -> Order {
    let block = &scenario.blocks[block];
    Order { block: block.name.to_owned(), samples: block.samples, work: block.work, bytes }
}

/// Another one each time: no order is special.
fn seed() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(since_epoch.subsec_nanos()) ^ since_epoch.as_secs()
}
