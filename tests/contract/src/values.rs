//! The names, documents and stamps that the vectors are made of.

use serde_json::json;
use syncline_protocol::{
    ClientId, Collection, Document, DocumentId, Fields, HybridTime, Path, Room, Stamp, Stamps, VersionVector,
};

/// 2026-01-02T03:04:05.678Z.
pub const START_MS: u64 = 1_767_323_045_678;

/// The client of the vectors.
pub fn ada() -> ClientId {
    ClientId::parse("019b7c1e-8a2e-7000-8000-00000000ada0").unwrap()
}

/// Another client.
pub fn bob() -> ClientId {
    ClientId::parse("019b7c1e-8a2e-7000-8000-000000000b0b").unwrap()
}

pub fn room(name: &str) -> Room {
    Room::new(name).unwrap()
}

pub fn collection(name: &str) -> Collection {
    Collection::new(name).unwrap()
}

pub fn id(name: &str) -> DocumentId {
    DocumentId::new(name).unwrap()
}

/// A path in its dotted spelling.
pub fn path(spelling: &str) -> Path {
    Path::parse(spelling).unwrap()
}

/// A JSON object as fields.
pub fn fields(object: serde_json::Value) -> Fields {
    serde_json::from_value(object).unwrap()
}

/// Milliseconds after [`START_MS`], and the counter.
pub fn time(after_ms: u64, counter: u32) -> HybridTime {
    HybridTime { wall_ms: START_MS + after_ms, counter }
}

pub fn stamp(after_ms: u64, counter: u32, writer: ClientId) -> Stamp {
    Stamp { time: time(after_ms, counter), writer }
}

pub fn version(entries: &[(ClientId, u64)]) -> VersionVector {
    entries.iter().copied().collect()
}

/// A live document written by both clients, with nested and escaped names in its stamps.
pub fn shared_document() -> Document {
    let mut stamps = Stamps::new(stamp(0, 0, ada()));
    stamps.fields.insert(path("address.city"), stamp(20, 3, bob()));
    stamps.fields.insert(path(r"v1\.0"), stamp(10, 0, ada()));
    Document {
        collection: collection("places"),
        id: id("019b7c1e-8a2e-7000-8000-000000000001"),
        fields: fields(json!({
            "address": {"city": "Zürich", "zip": 8001},
            "rating": 4.5,
            "tags": ["lake", "🏔️"],
            "v1.0": true,
        })),
        seq: 12,
        version: version(&[(ada(), 7), (bob(), 3)]),
        stamps,
        deleted: false,
    }
}

/// A document that was deleted.
pub fn deleted_document() -> Document {
    Document {
        collection: collection("todos"),
        id: id("second"),
        fields: Fields::new(),
        seq: 13,
        version: version(&[(ada(), 5)]),
        stamps: Stamps::new(stamp(30, 1, ada())),
        deleted: true,
    }
}
