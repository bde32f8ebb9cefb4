//! The façade, called from Rust: text, but no other language.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

use serde::Deserialize;
use serde_json::Value as Json;
use syncline_ffi::json::{self as facade, EventSink, Parcel};

use super::rows::{COUNT, EVENTS_MAX, Host, config, creation, watch};
use crate::scenario::BenchError;

pub(super) struct Contender {
    runtime: tokio::runtime::Runtime,
    client: u64,
    /// How many rows changed, of each batch of events, and how long the text took to read, in microseconds.
    changed: Receiver<(usize, f64)>,
    position: usize,
}

struct Sink(SyncSender<(usize, f64)>);

impl EventSink for Sink {
    fn events(&self, _: u64, events: Parcel) {
        let begin = Instant::now();
        let Ok(Json::Array(events)) = serde_json::from_str(&events.text) else { return };
        let rows = events.iter().filter_map(|event| event["upserted"].as_array()).map(Vec::len).sum();
        // Nobody listens any more at the end.
        let _unheard = self.0.send((rows, begin.elapsed().as_secs_f64() * 1e6));
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Envelope {
    Ok(Json),
    Error(Json),
}

impl Contender {
    pub(super) fn open() -> Result<Self, BenchError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let (tell, changed) = sync_channel(EVENTS_MAX);
        let reply = runtime.block_on(facade::open(config().to_string(), Arc::new(Sink(tell))));
        let client = opened(&reply)?["client"].as_u64().ok_or_else(|| failed("no client"))?;
        let contender = Self { runtime, client, changed, position: COUNT };
        contender.run(creation().to_string())?;
        contender.run(watch().to_string())?;
        Ok(contender)
    }

    fn run(&self, command: String) -> Result<(), BenchError> {
        opened(&self.runtime.block_on(facade::call(self.client, command.into())).text).map(drop)
    }
}

impl Host for Contender {
    fn next_position(&mut self) -> usize {
        self.position += 1;
        self.position
    }

    fn call(&mut self) -> Result<(), BenchError> {
        self.run(r#"{"type":"queue"}"#.to_owned())
    }

    fn change(&mut self, write: &Json, rows: usize) -> Result<f64, BenchError> {
        self.run(write.to_string())?;
        let (mut left, mut reading_us) = (rows, 0.0);
        while left > 0 {
            let (changed, us) = self.changed.recv().map_err(failed)?;
            left = left.saturating_sub(changed);
            reading_us += us;
        }
        Ok(reading_us)
    }
}

/// What is in the envelope.
fn opened(reply: &str) -> Result<Json, BenchError> {
    match serde_json::from_str(reply)? {
        Envelope::Ok(ok) => Ok(ok),
        Envelope::Error(error) => Err(failed(error)),
    }
}

fn failed(error: impl std::fmt::Display) -> BenchError {
    BenchError::failed("the façade", error)
}
