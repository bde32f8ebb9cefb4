//! A server, and clients that push to it side by side.

use std::path::Path;
use std::time::Instant;

use syncline::{ClientConfig, Command, Settings, StoreKind};
use syncline_protocol::Write;
use uuid::Uuid;

use super::ONE_ROOM;
use crate::contender::{Answer, Order};
use crate::device::Device;
use crate::document::fields;
use crate::scenario::{BenchError, Work};
use crate::server::Server;

/// Clients side by side.
const CLIENTS: usize = 100;
/// Writes in one call, which are one push.
const CALL_WRITES: usize = 10;

#[derive(Debug)]
pub(super) struct Contender {
    server: Server,
}

impl Contender {
    pub(super) fn open(directory: &Path, binary: &Path, storage: &str) -> Result<Self, BenchError> {
        let options = ["--storage", storage];
        Ok(Self { server: Server::start_with(binary, directory, &options)? })
    }

    pub(super) fn run(&self, order: &Order) -> Result<Answer, BenchError> {
        let sample = |_| self.sample(order);
        let values = (0..order.samples).map(sample).collect::<Result<Vec<_>, _>>()?;
        Ok(Answer { values, also: Vec::new(), bytes: None })
    }

    /// Mutations a second.
    fn sample(&self, order: &Order) -> Result<f64, BenchError> {
        let clients = if matches!(order.work, Work::Concurrent(_)) { CLIENTS } else { 1 };
        // Rooms that nobody used before.
        let sample = Uuid::now_v7();
        let room = |client| format!("list:{sample}-{}", if order.block == ONE_ROOM { 0 } else { client });
        let devices: Vec<Device> =
            (0..clients).map(|client| self.connected(&room(client))).collect::<Result<_, _>>()?;
        let calls = order.work.operations() / clients / CALL_WRITES;
        let begin = Instant::now();
        std::thread::scope(|scope| {
            let writers: Vec<_> = devices.iter().map(|device| scope.spawn(|| push(device, calls))).collect();
            writers.into_iter().try_for_each(|writer| {
                writer.join().map_err(|_| BenchError::failed("push", "a client panicked"))?
            })
        })?;
        let elapsed = begin.elapsed();
        devices.iter().try_for_each(|device| device.run(Command::Close).map(drop))?;
        Ok((calls * clients * CALL_WRITES) as f64 / elapsed.as_secs_f64())
    }

    /// A client that has nothing to do yet.
    fn connected(&self, room: &str) -> Result<Device, BenchError> {
        let config = ClientConfig {
            store: StoreKind::Memory,
            token: Some(Server::token("writer")?),
            settings: Settings { push_debounce_ms: 0, ..Settings::default() },
            ..ClientConfig::new(self.server.url())
        };
        let device = Device::open(config, room)?;
        device.run(Command::Connect)?;
        // The first push comes after all that a connection begins with.
        push(&device, 1)?;
        Ok(device)
    }
}

/// Writes so many times ten documents, each time when the ones before are confirmed.
fn push(device: &Device, calls: usize) -> Result<(), BenchError> {
    for _ in 0..calls {
        device.write(
            (0..CALL_WRITES).map(|number| (Uuid::now_v7().to_string(), Write::Create(fields(number)))),
        )?;
        device.run(Command::Flush)?;
    }
    Ok(())
}
