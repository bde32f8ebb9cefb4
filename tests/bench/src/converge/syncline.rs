//! Two clients with stores on disk, and a real server between them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use syncline::engine::query::selection::Selection;
use syncline::{ClientConfig, Command};
use syncline_protocol::{Fields, Op, Patch, Value, Write};

use crate::contender::{Answer, Order};
use crate::device::{Device, Seen};
use crate::scenario::BenchError;
use crate::server::Server;

const DOCUMENTS: usize = 1000;
const FIELDS: usize = 8;
/// Edits in one call, while offline.
const CALL_EDITS: usize = 50;

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
        let mut values = Vec::with_capacity(order.samples);
        let mut kib = Vec::with_capacity(order.samples);
        for _ in 0..order.samples {
            let (elapsed, bytes) = self.sample(order.work.operations())?;
            values.push(elapsed.as_secs_f64() * 1e3);
            #[allow(clippy::cast_precision_loss)]
            kib.push(bytes as f64 / 1024.0);
        }
        Ok(Answer { values, also: vec![kib], bytes: None })
    }

    /// How long the devices took, and what both sent and received, in bytes.
    fn sample(&mut self, edits: usize) -> Result<(Duration, u64), BenchError> {
        self.samples += 1;
        let room = format!("list:{}", self.samples);
        let devices = [self.device("a", &room)?, self.device("b", &room)?];
        devices[0].write((0..DOCUMENTS).map(|number| (document_name(number), Write::Create(fields()))))?;
        for device in &devices {
            device.watch(Selection::default())?;
            device.run(Command::Connect)?;
        }
        for device in &devices {
            device.until("the documents of both", |seen| seen.rows.len() == DOCUMENTS && is_settled(seen))?;
            device.run(Command::Disconnect)?;
        }
        // The second device writes later, so its edits win.
        let mut expected: BTreeMap<_, _> =
            (0..DOCUMENTS).map(|number| (document_name(number), fields())).collect();
        for (device, writer) in devices.iter().zip(1..) {
            edit(device, writer, edits / devices.len(), &mut expected)?;
            device.until("its own edits", |seen| !seen.live && seen.queue.count > 0)?;
        }
        let bytes_before = bytes(&devices)?;
        let begin = Instant::now();
        for device in &devices {
            device.run(Command::Connect)?;
        }
        for device in &devices {
            device.until("what both wrote", |seen| is_settled(seen) && seen.rows == expected)?;
        }
        let elapsed = begin.elapsed();
        let bytes = bytes(&devices)? - bytes_before;
        for device in &devices {
            device.run(Command::Close)?;
        }
        Ok((elapsed, bytes))
    }

    fn device(&self, name: &str, room: &str) -> Result<Device, BenchError> {
        let config = ClientConfig {
            directory: Some(self.directory.join(format!("{name}-{}", self.samples))),
            token: Some(Server::token(name)?),
            ..ClientConfig::new(self.server.url())
        };
        Device::open(config, room)
    }
}

/// Sets one field per edit, over all documents in turn; `expected` follows.
fn edit(
    device: &Device,
    writer: usize,
    edits: usize,
    expected: &mut BTreeMap<String, Fields>,
) -> Result<(), BenchError> {
    for first in (0..edits).step_by(CALL_EDITS) {
        let mut one = |edit: usize| {
            let (document, field) =
                (document_name(edit % DOCUMENTS), field_name((edit / DOCUMENTS + writer) % FIELDS));
            let value = Value::Int(i64::try_from(writer * edits + edit).unwrap_or(i64::MAX));
            expected.entry(document.clone()).or_default().insert(field.as_str().into(), value.clone());
            let patch = Patch::new().with(syncline_protocol::Path::field(field), Op::Set(value));
            (document, Write::Update(patch))
        };
        device.write((first..edits.min(first + CALL_EDITS)).map(&mut one))?;
    }
    Ok(())
}

fn is_settled(seen: &Seen) -> bool {
    seen.live && seen.queue.count == 0
}

fn bytes(devices: &[Device; 2]) -> Result<u64, BenchError> {
    devices.iter().try_fold(0, |sum, device| {
        let stats = device.stats()?;
        Ok(sum + stats.bytes_sent + stats.bytes_received)
    })
}

fn fields() -> Fields {
    (0..FIELDS).map(|number| (field_name(number).into(), Value::Int(0))).collect()
}

fn document_name(number: usize) -> String {
    format!("document-{number:06}")
}

fn field_name(number: usize) -> String {
    format!("field-{number}")
}
