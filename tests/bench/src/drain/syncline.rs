//! A client with a store on disk and a real server.

use std::path::{Path, PathBuf};

use syncline::ClientConfig;
use syncline_protocol::Write;
use uuid::Uuid;

use super::drain_ms;
use crate::contender::{Answer, Order};
use crate::device::Device;
use crate::document::fields;
use crate::scenario::BenchError;
use crate::server::Server;

/// Writes in one call, while offline.
const CALL_WRITES: usize = 500;

#[derive(Debug)]
pub(super) struct Contender {
    server: Server,
    directory: PathBuf,
    samples: usize,
}

impl Contender {
    pub(super) fn open(directory: &Path, binary: &Path) -> Result<Self, BenchError> {
        Ok(Self { server: Server::start(binary, directory)?, directory: directory.to_owned(), samples: 0 })
    }

    pub(super) fn run(&mut self, order: &Order) -> Result<Answer, BenchError> {
        let sample = |_| self.sample(order.work.operations());
        let values = (0..order.samples).map(sample).collect::<Result<Vec<_>, _>>()?;
        Ok(Answer { values, also: Vec::new(), bytes: None })
    }

    /// In milliseconds.
    fn sample(&mut self, writes: usize) -> Result<f64, BenchError> {
        self.samples += 1;
        let directory = self.directory.join(format!("client-{}", self.samples));
        let config = ClientConfig {
            directory: Some(directory.clone()),
            token: Some(Server::token("writer")?),
            ..ClientConfig::new(self.server.url())
        };
        let device = Device::open(config, &format!("list:{}", self.samples))?;
        for first in (0..writes).step_by(CALL_WRITES) {
            let write = |number| (Uuid::now_v7().to_string(), Write::Create(fields(number)));
            device.write((first..writes.min(first + CALL_WRITES)).map(write))?;
        }
        let elapsed_ms = drain_ms(&device, writes)?;
        std::fs::remove_dir_all(&directory)?;
        Ok(elapsed_ms)
    }
}
