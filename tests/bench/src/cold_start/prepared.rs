//! A directory as an app leaves it, and a new process for each start.

use std::path::{Path, PathBuf};

use syncline::{ClientConfig, Command};
use syncline_protocol::Write;
use uuid::Uuid;

use super::start::{NAME, Started};
use super::{DOCUMENTS, QUEUED, ROOM, config};
use crate::contender::{Answer, Order, in_new_process};
use crate::device::{Device, fill};
use crate::document::fields;
use crate::scenario::BenchError;
use crate::server::Server;

#[derive(Debug)]
pub(super) struct Contender {
    directory: PathBuf,
}

impl Contender {
    /// The server is needed only until the documents are here.
    pub(super) fn open(directory: &Path, binary: &Path) -> Result<Self, BenchError> {
        let server = Server::start(binary, directory)?;
        fill(&server, ROOM, DOCUMENTS)?;
        let directory = directory.join("client");
        let config =
            ClientConfig { token: Some(Server::token("reader")?), ..config(server.url(), &directory)? };
        let device = Device::open(config, ROOM)?;
        device.run(Command::Connect)?;
        device.subscribe()?;
        device.until("a live room", |seen| seen.live)?;
        device.run(Command::Disconnect)?;
        device
            .write((0..QUEUED).map(|number| (Uuid::now_v7().to_string(), Write::Create(fields(number)))))?;
        device.run(Command::Close)?;
        Ok(Self { directory })
    }

    pub(super) fn run(&self, order: &Order) -> Result<Answer, BenchError> {
        let limit = order.work.operations().to_string();
        let started = |_| in_new_process::<Started>(NAME, &self.directory, &limit);
        let started = (0..order.samples).map(started).collect::<Result<Vec<_>, _>>()?;
        let values = started.iter().map(|started| started.shown_ms).collect();
        let opened = started.iter().map(|started| started.opened_ms).collect();
        Ok(Answer { values, also: vec![opened], bytes: None })
    }
}
