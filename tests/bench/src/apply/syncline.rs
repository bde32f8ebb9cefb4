//! The server with its documents, and a new process for each sample.

use std::path::{Path, PathBuf};

use super::pull::{NAME, Pull, Pulled, Shown};
use super::{DOCUMENTS, ROOM};
use crate::contender::{Answer, Order, in_new_process};
use crate::device::fill;
use crate::scenario::BenchError;
use crate::server::Server;

#[derive(Debug)]
pub(super) struct Contender {
    server: Server,
    directory: PathBuf,
    samples: usize,
    shown: Shown,
}

impl Contender {
    pub(super) fn open(directory: &Path, binary: &Path, shown: Shown) -> Result<Self, BenchError> {
        let server = Server::start(binary, directory)?;
        fill(&server, ROOM, DOCUMENTS)?;
        Ok(Self { server, directory: directory.to_owned(), samples: 0, shown })
    }

    pub(super) fn run(&mut self, order: &Order) -> Result<Answer, BenchError> {
        let pulled = (0..order.samples).map(|_| self.sample()).collect::<Result<Vec<_>, _>>()?;
        #[allow(clippy::cast_precision_loss)]
        let values = pulled.iter().map(|pulled| DOCUMENTS as f64 / pulled.all_s).collect();
        let first = pulled.iter().map(|pulled| pulled.first_ms).collect();
        let peak = pulled.iter().map(|pulled| pulled.peak_mib).collect();
        Ok(Answer { values, also: vec![first, peak], bytes: None })
    }

    fn sample(&mut self) -> Result<Pulled, BenchError> {
        self.samples += 1;
        let directory = self.directory.join(format!("client-{}", self.samples));
        let token = Server::token("reader")?;
        let pull = Pull { url: self.server.url().to_owned(), token, shown: self.shown };
        let pulled = in_new_process(NAME, &directory, &serde_json::to_string(&pull)?)?;
        std::fs::remove_dir_all(&directory)?;
        Ok(pulled)
    }
}
