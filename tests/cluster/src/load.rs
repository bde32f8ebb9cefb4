//! Devices that write all the time, and what must have become of their writes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use syncline_integration::{Device, PATIENCE};
use tokio::task::JoinHandle;

/// The room that everybody writes to.
pub const ROOM: &str = "list:shared";

/// The document in which each write counts itself, under its device's name.
const COUNTERS: &str = "counters";

/// How long a device rests between two writes.
const PAUSE: Duration = Duration::from_millis(30);

/// By how much sooner this gives up than a device does, to say what is wrong.
const MARGIN: Duration = Duration::from_secs(1);

/// Devices that write until they are told to stop.
pub struct Load {
    writers: Vec<JoinHandle<(Device, u64)>>,
    stop: Arc<AtomicBool>,
}

impl Load {
    /// A device for each address, with its data below `folder`.
    pub async fn start(folder: &Path, urls: &[String]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = Vec::new();
        for (number, url) in urls.iter().enumerate() {
            let directory = folder.join(format!("writer{number}"));
            let device = Device::of(&format!("user{number}"), &[ROOM], url, &directory).await;
            if number == 0 {
                device.write(ROOM, COUNTERS, json!({"create": {}})).await.unwrap();
                device.synced(ROOM).await;
            }
            device.watch(ROOM).await;
            device
                .until("the counters", |seen| seen.rows.values().any(|rows| rows.contains_key(COUNTERS)))
                .await;
            let stop = Arc::clone(&stop);
            writers.push(tokio::spawn(async move {
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    write(&device, number, count).await;
                    count += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                (device, count)
            }));
        }
        Self { writers, stop }
    }

    /// Stops, and waits until all was delivered, and every device shows all of it: each write once. Answers how many
    /// each has made.
    pub async fn finish(self) -> Vec<u64> {
        self.stop.store(true, Ordering::Relaxed);
        let mut devices = Vec::new();
        for writer in self.writers {
            devices.push(writer.await.unwrap());
        }
        let counts: Vec<u64> = devices.iter().map(|(_, count)| *count).collect();
        for (device, _) in &devices {
            device.synced(ROOM).await;
        }
        for (device, _) in devices {
            everything_is_there(&device, &counts).await;
            device.close().await;
        }
        counts
    }
}

/// A write has two parts in one batch: its own document, and a count that a repetition would show in.
async fn write(device: &Device, number: usize, count: u64) {
    let item = |id: String, write: serde_json::Value| json!({"room": ROOM, "collection": "notes", "id": id, "write": write});
    let own = item(format!("{number}-{count}"), json!({"create": {"count": count}}));
    let counter = item(COUNTERS.to_owned(), json!({"update": {format!("w{number}"): {"increment": 1}}}));
    device.run(json!({"type": "write", "writes": [own, counter]})).await.unwrap();
}

/// Waits until the device shows exactly so many writes of each writer.
pub async fn everything_is_there(device: &Device, counts: &[u64]) {
    let documents: u64 = counts.iter().sum();
    let shown = |seen: &syncline_integration::Seen| {
        seen.rows.values().any(|rows| {
            let Some(counters) = rows.get(COUNTERS) else { return false };
            let fields = serde_json::to_value(&counters.fields).unwrap();
            let exact = |(number, count): (usize, &u64)| {
                fields.get(format!("w{number}")).map_or(0, |value| value.as_u64().unwrap()) == *count
            };
            rows.len() as u64 == documents + 1
                && counts.iter().enumerate().all(exact)
                && rows.values().all(|row| !row.pending)
        })
    };
    let waited = tokio::time::timeout(PATIENCE - MARGIN, device.until("each write once", shown)).await;
    if waited.is_err() {
        let told = device.seen(|seen| {
            seen.rows.values().map(|rows| (rows.len(), rows.get(COUNTERS).cloned())).collect::<Vec<_>>()
        });
        panic!("of {documents} documents and {counts:?} writes it shows {told:?}");
    }
}

/// A fresh device that reads from one address shows each write once.
pub async fn reads_everything(url: &str, folder: &Path, counts: &[u64]) {
    let device = Device::of("reader", &[ROOM], url, folder).await;
    device.watch(ROOM).await;
    everything_is_there(&device, counts).await;
    device.close().await;
}
