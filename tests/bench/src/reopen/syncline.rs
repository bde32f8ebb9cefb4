//! Syncline's client, and its store without the rest.

use std::path::Path;
use std::time::Instant;

use ::syncline::store::{DiskStore, EncryptionKey, KEY_BYTES};
use ::syncline::{Client, ClientConfig, Command};
use syncline_protocol::ClientId;

use crate::contender::{Answer, Order};
use crate::local_write::syncline::{Contender, config};
use crate::scenario::BenchError;

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Client { sealed: bool },
    Store,
}

/// Opens a directory with so many entries, again and again; makes it first where it is not there.
pub(super) fn run(kind: Kind, directory: &Path, order: &Order) -> Result<Answer, BenchError> {
    let entries = order.work.operations();
    let directory = directory.join(entries.to_string());
    let is_sealed = matches!(kind, Kind::Client { sealed: true });
    let key = is_sealed.then(|| EncryptionKey::from_bytes([1; KEY_BYTES]));
    if !directory.exists() {
        Contender::open(&directory, key.clone())?.fill(entries)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut values = Vec::with_capacity(order.samples);
    for _ in 0..order.samples {
        let begin = Instant::now();
        let ms = || begin.elapsed().as_secs_f64() * 1e3;
        match kind {
            Kind::Client { .. } => {
                let config = ClientConfig { encryption_key: key.clone(), ..config(&directory) };
                let client = runtime.block_on(Client::open(config, |_| {})).map_err(failed)?;
                values.push(ms());
                runtime.block_on(client.execute(Command::Close)).map_err(failed)?;
            }
            Kind::Store => {
                let opened = DiskStore::open(&directory, ClientId::from_bytes([0; 16])).map_err(failed)?;
                values.push(ms());
                if opened.1.queued.len() != entries {
                    return Err(failed("entries are missing"));
                }
            }
        }
    }
    Ok(Answer { also: vec![values.clone()], values, bytes: None })
}

fn failed(error: impl std::fmt::Display) -> BenchError {
    BenchError::failed("Syncline", error)
}
