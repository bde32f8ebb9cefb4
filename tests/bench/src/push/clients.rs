//! A storage, and clients that push to it side by side.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::try_join_all;
use syncline_protocol::message::Push;
use syncline_protocol::{ClientId, Collection, DocumentId, HybridTime, Mutation, Room, Write};
use syncline_server::hub::Author;
use syncline_server::storage::{self, Storage};
use syncline_server::{Config, Mode};
use uuid::Uuid;

use super::ONE_ROOM;
use crate::contender::{Answer, Order};
use crate::document::fields;
use crate::scenario::{BenchError, Work};

/// Clients side by side.
const CLIENTS: usize = 100;
/// Mutations of one push.
const PUSH_MUTATIONS: usize = 10;

pub(super) struct Contender {
    runtime: tokio::runtime::Runtime,
    storage: Arc<dyn Storage>,
}

impl Contender {
    pub(super) fn open(directory: &Path, location: &str) -> Result<Self, BenchError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut config = Config::new(listen, directory.join("data"), Mode::Development { jwt_secret: None });
        config.storage.location = location.parse().map_err(failed)?;
        let storage = runtime.block_on(storage::open(&config, Arc::new(drop))).map_err(failed)?;
        Ok(Self { runtime, storage })
    }

    pub(super) fn run(&self, order: &Order) -> Result<Answer, BenchError> {
        let sample = |_| self.runtime.block_on(self.sample(order));
        let values = (0..order.samples).map(sample).collect::<Result<Vec<_>, _>>()?;
        Ok(Answer { values, also: Vec::new(), bytes: None })
    }

    /// Mutations a second.
    async fn sample(&self, order: &Order) -> Result<f64, BenchError> {
        let clients = if matches!(order.work, Work::Concurrent(_)) { CLIENTS } else { 1 };
        let pushes = order.work.operations() / clients / PUSH_MUTATIONS;
        // Rooms that nobody used before.
        let sample = Uuid::now_v7();
        let room = |client| format!("list:{sample}-{}", if order.block == ONE_ROOM { 0 } else { client });
        let begin = Instant::now();
        let working = (0..clients).map(|client| {
            let (storage, room) = (Arc::clone(&self.storage), room(client));
            tokio::spawn(async move { push(&*storage, &room, pushes).await })
        });
        for done in try_join_all(working).await.map_err(failed)? {
            done?;
        }
        Ok((pushes * clients * PUSH_MUTATIONS) as f64 / begin.elapsed().as_secs_f64())
    }
}

/// One client: pushes so many times, each time when the one before is durable.
async fn push(storage: &dyn Storage, room: &str, pushes: usize) -> Result<(), BenchError> {
    let room = Room::new(room).map_err(failed)?;
    let author = Author::client("writer", ClientId::from_bytes(Uuid::now_v7().into_bytes()));
    let collection = Collection::new("notes").map_err(failed)?;
    let mutation = |client_seq: usize| {
        Ok::<_, BenchError>(Mutation {
            client_seq: client_seq as u64,
            collection: collection.clone(),
            id: DocumentId::new(Uuid::now_v7().to_string()).map_err(failed)?,
            write: Write::Create(fields(client_seq)),
            time: HybridTime { wall_ms: client_seq as u64, counter: 0 },
            base: None,
        })
    };
    for first in (0..pushes).map(|push| 1 + push * PUSH_MUTATIONS) {
        let mutations = (first..first + PUSH_MUTATIONS).map(mutation).collect::<Result<_, _>>()?;
        let answer = storage.push(Push { room: room.clone(), after: None, mutations }, author.clone()).await;
        if let Some(error) = answer.map_err(failed)?.error {
            return Err(failed(error));
        }
    }
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> BenchError {
    BenchError::failed("the storage", error)
}
