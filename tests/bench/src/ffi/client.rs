//! The client's typed API: nothing crosses a boundary.

use std::sync::mpsc::{Receiver, sync_channel};

use serde_json::Value as Json;
use syncline::{Client, Command, Event};

use super::rows::{COUNT, EVENTS_MAX, Host, config, creation, watch};
use crate::scenario::BenchError;

pub(super) struct Contender {
    runtime: tokio::runtime::Runtime,
    client: Client,
    /// How many rows changed, of each event.
    changed: Receiver<usize>,
    position: usize,
}

impl Contender {
    pub(super) fn open() -> Result<Self, BenchError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let (tell, changed) = sync_channel(EVENTS_MAX);
        let sink = move |events: Vec<Event>| {
            for event in events {
                if let Event::Rows { upserted, .. } = event {
                    // Nobody listens any more at the end.
                    let _unheard = tell.send(upserted.len());
                }
            }
        };
        let config = serde_json::from_value(config())?;
        let client = runtime.block_on(Client::open(config, sink)).map_err(failed)?;
        let contender = Self { runtime, client, changed, position: COUNT };
        contender.run(creation())?;
        contender.run(watch())?;
        Ok(contender)
    }

    fn run(&self, command: Json) -> Result<(), BenchError> {
        let command: Command = serde_json::from_value(command)?;
        self.runtime.block_on(self.client.execute(command)).map(drop).map_err(failed)
    }
}

impl Host for Contender {
    fn next_position(&mut self) -> usize {
        self.position += 1;
        self.position
    }

    fn call(&mut self) -> Result<(), BenchError> {
        self.runtime.block_on(self.client.execute(Command::Queue)).map(drop).map_err(failed)
    }

    fn change(&mut self, write: &Json, rows: usize) -> Result<f64, BenchError> {
        self.run(write.clone())?;
        let mut left = rows;
        while left > 0 {
            left = left.saturating_sub(self.changed.recv().map_err(failed)?);
        }
        Ok(0.0)
    }
}

fn failed(error: impl std::fmt::Display) -> BenchError {
    BenchError::failed("the client", error)
}
