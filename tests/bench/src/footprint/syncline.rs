//! The server, the filled queues, and two new processes for each sample.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use syncline::ClientConfig;
use syncline_bench_client::Memory;
use syncline_protocol::Write;
use uuid::Uuid;

use super::{SYNCLINE, growth_mib};
use crate::backend::Backend;
use crate::contender::{Answer, Order};
use crate::device::Device;
use crate::document::fields;
use crate::scenario::BenchError;

pub(super) const ROOM: &str = "list:bench";
const CALL_WRITES: usize = 1000;
/// Names the folder of the two programs, which are built as apps are.
const PROGRAMS_VARIABLE: &str = "SYNCLINE_APP_DIR";

#[derive(Debug)]
pub(super) struct Contender {
    server: Backend,
    directory: PathBuf,
    filled: BTreeSet<usize>,
}

impl Contender {
    pub(super) fn open(directory: &Path, peers: &Path) -> Result<Self, BenchError> {
        let server = Backend::npm(peers, "msgpack")?;
        Ok(Self { server, directory: directory.to_owned(), filled: BTreeSet::new() })
    }

    pub(super) fn run(&mut self, order: &Order) -> Result<Answer, BenchError> {
        let queued = order.work.operations();
        let directory = self.directory.join(format!("queued-{queued}"));
        if self.filled.insert(queued) {
            self.fill(&directory, queued)?;
        }
        let samples: Vec<_> =
            (0..order.samples).map(|_| self.sample(&directory)).collect::<Result<_, BenchError>>()?;
        Ok(Answer {
            values: samples.iter().map(|[own, mapped]| own + mapped).collect(),
            also: vec![
                samples.iter().map(|[own, _]| *own).collect(),
                samples.iter().map(|[_, mapped]| *mapped).collect(),
            ],
            bytes: None,
        })
    }

    /// What is its own, and what is mapped from files, in MiB.
    fn sample(&self, directory: &Path) -> Result<[f64; 2], BenchError> {
        let idle = memory_of(&mut Command::new(program("syncline-bench-idle")))?;
        let mut connected = Command::new(program("syncline-bench-connected"));
        let connected = memory_of(connected.arg(directory).arg(self.server.url()))?;
        Ok([growth_mib(connected.anonymous, idle.anonymous), growth_mib(connected.mapped, idle.mapped)])
    }

    fn fill(&self, directory: &Path, queued: usize) -> Result<(), BenchError> {
        let device = Device::open(config(directory, self.server.url()), ROOM)?;
        for first in (0..queued).step_by(CALL_WRITES) {
            let write = |number| (Uuid::now_v7().to_string(), Write::Create(fields(number)));
            device.write((first..queued.min(first + CALL_WRITES)).map(write))?;
        }
        device.run(syncline::Command::Close).map(drop)
    }
}

fn config(directory: &Path, url: &str) -> ClientConfig {
    let mut config = ClientConfig { directory: Some(directory.to_owned()), ..ClientConfig::new(url) };
    config.settings.token_required = false;
    config
}

fn program(name: &str) -> PathBuf {
    std::env::var_os(PROGRAMS_VARIABLE).map_or_else(|| "target/app".into(), PathBuf::from).join(name)
}

fn memory_of(command: &mut Command) -> Result<Memory, BenchError> {
    let output = command.output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    Memory::parse(&told).ok_or_else(|| {
        let error = String::from_utf8_lossy(&output.stderr);
        BenchError::failed(SYNCLINE, format!("{command:?}: {}, {}", output.status, error.trim()))
    })
}
