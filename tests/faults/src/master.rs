//! The directories that are damaged, copy by copy. Made once, by the real client.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;

use serde_json::{Value as Json, json};
use syncline::ClientConfig;
use syncline::store::{EncryptionKey, KEY_BYTES};
use syncline_integration::{Device, token};

use crate::damage::copy;
use crate::drained;

/// Begins every record of a journal.
const RECORD_MARKER: [u8; 4] = [0xF5, 0xC1, 0xFE, 0xA7];
/// Kept in many parts by the cache.
const LARGE_BYTES: usize = 100 << 10;
/// Enough, written and confirmed, to make the journal worth a compaction.
const CHURN_BYTES: usize = 300 << 10;

/// What a directory holds, and how it was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Never connected: everything is in the journal.
    Queued,
    /// Confirmed documents in the cache, then writes that were not sent; closed and opened a few times.
    Mixed,
    /// Large documents, and a journal that was compacted.
    Large,
    /// As `Mixed`, but copied while the client had it open: as a killed process leaves it.
    Killed,
    /// As `Mixed`, but encrypted.
    Sealed,
}

impl Variant {
    pub const ALL: [Self; 5] = [Self::Queued, Self::Mixed, Self::Large, Self::Killed, Self::Sealed];

    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Mixed => "mixed",
            Self::Large => "large",
            Self::Killed => "killed",
            Self::Sealed => "sealed",
        }
    }

    /// How many documents the server has confirmed.
    pub fn confirmed(self) -> u64 {
        match self {
            Self::Queued => 0,
            Self::Mixed | Self::Killed | Self::Sealed => 60,
            Self::Large => 30,
        }
    }

    /// How many documents were written and not sent.
    pub fn unsent(self) -> u64 {
        40
    }

    pub fn room(self) -> String {
        format!("master:{}", self.name())
    }

    /// The fields of a document that is confirmed.
    pub fn confirmed_fields(self, number: u64) -> Json {
        let bytes = if self == Self::Large && number.is_multiple_of(5) { LARGE_BYTES } else { 200 };
        json!({"number": number, "text": format!("confirmed {number:04} ").repeat(bytes / 15)})
    }

    fn config(self, directory: &Path, url: &str) -> ClientConfig {
        ClientConfig {
            directory: Some(directory.to_path_buf()),
            token: Some(token("ada", &["master:*", "after:*"])),
            auto_connect: false,
            encryption_key: (self == Self::Sealed).then(|| EncryptionKey::from_bytes([5; KEY_BYTES])),
            ..ClientConfig::new(url)
        }
    }

    /// Opens a directory of this variant, offline.
    pub async fn open(self, directory: &Path, url: &str) -> Device {
        Device::open(self.config(directory, url)).await.unwrap_or_else(|error| panic!("not opened: {error}"))
    }

    fn create(self, collection: &str, numbers: Range<u64>, fields: impl Fn(u64) -> Json) -> Json {
        let write = |number: u64| {
            json!({
                "room": self.room(), "collection": collection, "id": id(number),
                "write": {"create": fields(number)},
            })
        };
        json!({"type": "write", "writes": numbers.map(write).collect::<Vec<_>>()})
    }

    /// Makes the directory, with the server's share of the work.
    pub async fn make(self, directory: &Path, url: &str) {
        let device = self.open(directory, url).await;
        if self.confirmed() > 0 {
            device.run(json!({"type": "subscribe", "room": self.room()})).await.unwrap();
            device.run(json!({"type": "connect"})).await.unwrap();
            for from in (0..self.confirmed()).step_by(10) {
                let command =
                    self.create("confirmed", from..from + 10, |number| self.confirmed_fields(number));
                device.run(command).await.unwrap();
            }
            if self == Self::Large {
                for _ in 0..6 {
                    let churn = json!({"text": "x".repeat(CHURN_BYTES)});
                    device.run(self.create("churn", 0..1, |_| churn.clone())).await.unwrap();
                    drained(&device, &[&self.room()]).await;
                }
            }
            drained(&device, &[&self.room()]).await;
        }
        device.close().await;
        self.write_unsent(directory, url).await;
    }

    /// Half of them alone, half in batches of five.
    async fn write_unsent(self, directory: &Path, url: &str) {
        let open = directory.with_extension("open");
        let work = if self == Self::Killed { &open } else { directory };
        if self == Self::Killed {
            fs::rename(directory, work).unwrap();
        }
        let half = self.unsent() / 2;
        let mut device = self.open(work, url).await;
        for number in 0..half {
            device.run(self.create("unsent", number..number + 1, unsent_fields)).await.unwrap();
            if number % 8 == 7 {
                device.close().await;
                device = self.open(work, url).await;
            }
        }
        for from in (half..self.unsent()).step_by(5) {
            device.run(self.create("unsent", from..from + 5, unsent_fields)).await.unwrap();
        }
        if self == Self::Killed {
            copy(work, directory);
        }
        device.close().await;
    }
}

impl FromStr for Variant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|variant| variant.name() == text)
            .ok_or(format!("no variant is called {text}"))
    }
}

pub fn id(number: u64) -> String {
    format!("d{number:04}")
}

/// The fields of a document that was written and not sent.
pub fn unsent_fields(number: u64) -> Json {
    json!({"text": format!("unsent {number:04} "), "filler": "y".repeat(usize::try_from(number * 7).unwrap())})
}

/// Where in a journal the record of each unsent write stands.
pub fn unsent_records(variant: Variant, journal: &[u8]) -> Vec<Range<usize>> {
    let starts: Vec<usize> =
        journal.windows(4).enumerate().filter(|(_, four)| *four == RECORD_MARKER).map(|(at, _)| at).collect();
    let end = journal.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    if variant == Variant::Sealed {
        // Nothing can be read; but they were written last, half of them alone, half in batches of five.
        let half = usize::try_from(variant.unsent() / 2).unwrap();
        let first = starts.len() - half - half / 5;
        let start = |number| if number < half { first + number } else { first + half + (number - half) / 5 };
        let record = |at| starts[at]..starts.get(at + 1).copied().unwrap_or(end);
        return (0..2 * half).map(|number| record(start(number))).collect();
    }
    let record = |number: u64| {
        let text = format!("unsent {number:04} ");
        let at = journal.windows(text.len()).position(|bytes| bytes == text.as_bytes());
        let at = at.expect("the journal holds every unsent write");
        let next = starts.partition_point(|&start| start <= at);
        starts[next - 1]..starts.get(next).copied().unwrap_or(end)
    };
    (0..variant.unsent()).map(record).collect()
}
