//! What every contender does, whichever API it has.

use std::time::Instant;

use serde_json::{Value as Json, json};

use crate::contender::{Answer, Order};
use crate::scenario::{BenchError, Work};

/// Documents that are watched.
pub(super) const COUNT: usize = 1_000;
/// Events that may wait to be looked at.
pub(super) const EVENTS_MAX: usize = 1_024;
/// As much as the documents of the other scenarios hold.
const TEXT_BYTES: usize = 164;

/// A client that watches, through one API.
pub(super) trait Host {
    /// Never what a document holds already: that would change nothing.
    fn next_position(&mut self) -> usize;
    /// Asks for the queue.
    fn call(&mut self) -> Result<(), BenchError>;
    /// Writes, and waits until as many changed rows are there and read. Returns the microseconds that reading took.
    fn change(&mut self, write: &Json, rows: usize) -> Result<f64, BenchError>;
}

#[allow(clippy::cast_precision_loss)]
pub(super) fn run(host: &mut impl Host, order: &Order) -> Result<Answer, BenchError> {
    let Work::Batch(rows) = order.work else {
        let calls = (0..order.samples).map(|_| timed(|| host.call()).map(|((), us)| us));
        return Ok(Answer { values: calls.collect::<Result<_, _>>()?, also: Vec::new(), bytes: None });
    };
    let (mut values, mut reading) = (Vec::new(), Vec::new());
    for _ in 0..order.samples {
        let change = changes(rows, host.next_position());
        let (read_us, us) = timed(|| host.change(&change, rows))?;
        values.push(us / rows as f64);
        reading.push(read_us / rows as f64);
    }
    Ok(Answer { values, also: vec![reading], bytes: None })
}

/// What something came to, and the microseconds that it took.
fn timed<T>(work: impl FnOnce() -> Result<T, BenchError>) -> Result<(T, f64), BenchError> {
    let begin = Instant::now();
    let done = work()?;
    Ok((done, begin.elapsed().as_secs_f64() * 1e6))
}

/// The command that makes the documents.
pub(super) fn creation() -> Json {
    writes(
        COUNT,
        |number| json!({ "create": { "done": false, "position": number, "text": "x".repeat(TEXT_BYTES) } }),
    )
}

/// Each becomes part of the write before, so that the queue does not grow.
fn changes(rows: usize, position: usize) -> Json {
    writes(rows, |_| json!({ "update": { "position": { "set": position } } }))
}

fn writes(count: usize, write: impl Fn(usize) -> Json) -> Json {
    let write = |number| json!({ "room": "list:ffi", "collection": "notes", "id": format!("n{number:04}"), "write": write(number) });
    json!({ "type": "write", "writes": (0..count).map(write).collect::<Vec<_>>() })
}

/// The command that watches them.
pub(super) fn watch() -> Json {
    json!({ "type": "watch", "room": "list:ffi", "collection": "notes" })
}

/// The configuration of the client.
pub(super) fn config() -> Json {
    json!({ "url": "http://127.0.0.1:1", "store": "memory", "autoConnect": false })
}
