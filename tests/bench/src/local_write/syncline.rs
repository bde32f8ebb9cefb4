//! Syncline through the client that an app holds.

use std::path::{Path, PathBuf};
use std::time::Instant;

use futures_util::future::try_join_all;
use syncline::engine::io::WriteRequest;
use syncline::store::EncryptionKey;
use syncline::{Client, ClientConfig, Command, Settings};
use syncline_protocol::{Collection, DocumentId, Room, Write};
use uuid::Uuid;

use crate::contender::{Answer, Order};
use crate::document::fields;
use crate::scenario::{BenchError, Work};

/// More than a run queues: nothing is sent here, so nothing leaves the queue.
const QUEUE_COUNT_MAX: u64 = 100_000_000;
const QUEUE_BYTES_MAX: u64 = 64 << 30;

#[derive(Debug)]
pub(crate) struct Contender {
    runtime: tokio::runtime::Runtime,
    client: Client,
    directory: PathBuf,
    written: usize,
}

impl Contender {
    pub(crate) fn open(directory: &Path, key: Option<EncryptionKey>) -> Result<Self, BenchError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let config = ClientConfig { encryption_key: key, ..config(directory) };
        let client = runtime.block_on(Client::open(config, |_| {})).map_err(failed)?;
        Ok(Self { runtime, client, directory: directory.to_owned(), written: 0 })
    }

    /// Queues so many documents, and closes.
    pub(crate) fn fill(mut self, count: usize) -> Result<(), BenchError> {
        const DOCUMENTS_PER_CALL: usize = 1000;
        for from in (0..count).step_by(DOCUMENTS_PER_CALL) {
            let writes = (from..count.min(from + DOCUMENTS_PER_CALL)).map(|_| self.next_write());
            let command = Command::Write { writes: writes.collect::<Result<_, _>>()? };
            self.runtime.block_on(self.client.execute(command)).map_err(failed)?;
        }
        self.runtime.block_on(self.client.execute(Command::Close)).map_err(failed)?;
        Ok(())
    }

    pub(crate) fn run(&mut self, order: &Order) -> Result<Answer, BenchError> {
        let operations = order.work.operations();
        let bytes_before = journal_bytes(&self.directory)?;
        let mut values = Vec::with_capacity(order.samples);
        for _ in 0..order.samples {
            let writes = (0..operations).map(|_| self.next_write()).collect::<Result<Vec<_>, _>>()?;
            let commands = match order.work {
                Work::Batch(_) => vec![Command::Write { writes }],
                Work::One | Work::Concurrent(_) => {
                    writes.into_iter().map(|write| Command::Write { writes: vec![write] }).collect()
                }
            };
            let begin = Instant::now();
            let client = &self.client;
            let accepted =
                async { try_join_all(commands.into_iter().map(|command| client.execute(command))).await };
            self.runtime.block_on(accepted).map_err(failed)?;
            #[allow(clippy::cast_precision_loss)]
            values.push(begin.elapsed().as_secs_f64() * 1e6 / operations as f64);
        }
        let grown = journal_bytes(&self.directory)?.saturating_sub(bytes_before);
        Ok(Answer { values, also: Vec::new(), bytes: Some(grown / (order.samples * operations)) })
    }

    fn next_write(&mut self) -> Result<WriteRequest, BenchError> {
        self.written += 1;
        Ok(WriteRequest {
            room: Room::new("user:bench").map_err(failed)?,
            collection: Collection::new("notes").map_err(failed)?,
            id: DocumentId::new(Uuid::now_v7().to_string()).map_err(failed)?,
            write: Write::Create(fields(self.written)),
        })
    }
}

/// A client that is never asked to connect.
pub(crate) fn config(directory: &Path) -> ClientConfig {
    let settings = Settings {
        queue_count_max: QUEUE_COUNT_MAX,
        queue_bytes_max: QUEUE_BYTES_MAX,
        ..Settings::default()
    };
    ClientConfig {
        directory: Some(directory.to_owned()),
        auto_connect: false,
        settings,
        ..ClientConfig::new("http://127.0.0.1:1")
    }
}

/// Where the journal's records end: it is filled with zeros ahead of them.
fn journal_bytes(directory: &Path) -> Result<usize, BenchError> {
    let journal = std::fs::read(directory.join("journal"))?;
    Ok(journal.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1))
}

fn failed(error: impl std::fmt::Display) -> BenchError {
    BenchError::Contender { name: "Syncline".to_owned(), reason: error.to_string() }
}
