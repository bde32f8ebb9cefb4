//! The server, the filled queues, and a new process for each sample.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use syncline_protocol::Write;
use uuid::Uuid;

use super::client::{NAME, config};
use crate::backend::Backend;
use crate::contender::{Answer, Order, in_new_process};
use crate::device::Device;
use crate::document::fields;
use crate::scenario::BenchError;

pub(super) const ROOM: &str = "list:bench";
const CALL_WRITES: usize = 1000;

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
        let sample = |_| in_new_process(NAME, &directory, self.server.url());
        let values = (0..order.samples).map(sample).collect::<Result<Vec<_>, _>>()?;
        Ok(Answer { values, also: Vec::new(), bytes: None })
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
