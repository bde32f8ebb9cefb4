//! Records and documents for tests.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use syncline_protocol::{
    ClientId, Collection, ConflictKind, Document, DocumentId, ErrorCode, Fields, HybridTime, Mutation, Room,
    Stamp, Stamps, Value, VersionVector, WireError, Write,
};

use super::{Conflict, DocumentKey, Entry, Identity, Outcome, Parked, RoomState};

pub(super) const CLIENT: ClientId = ClientId::from_bytes([7; 16]);
pub(super) const OTHER_CLIENT: ClientId = ClientId::from_bytes([9; 16]);

pub(super) fn room(name: &str) -> Room {
    Room::new(name).unwrap()
}

pub(super) fn collection(name: &str) -> Collection {
    Collection::new(name).unwrap()
}

pub(super) fn identity(last_client_seq: u64) -> Identity {
    Identity {
        client_id: CLIENT,
        last_client_seq,
        last_time: time(last_client_seq),
        schema_version: None,
        installation: None,
    }
}

pub(super) fn time(wall_ms: u64) -> HybridTime {
    HybridTime { wall_ms, counter: 0 }
}

/// An entry of about 200 bytes.
pub(super) fn entry(client_seq: u64) -> Entry {
    entry_with(client_seq, &"x".repeat(120))
}

pub(super) fn entry_with(client_seq: u64, text: &str) -> Entry {
    let fields = Fields::from([("text".into(), Value::from(text))]);
    Entry {
        room: room("user:42"),
        mutation: Mutation {
            client_seq,
            collection: collection("tasks"),
            id: DocumentId::new(format!("task-{client_seq}")).unwrap(),
            write: Write::Create(fields),
            time: time(client_seq),
            base: None,
        },
        queued_at_ms: 1_800_000_000_000 + client_seq,
        accepted: None,
    }
}

/// The entry accepted under one number, sent again under another.
pub(super) fn resent(accepted: u64, client_seq: u64) -> Entry {
    let mut entry = entry(accepted);
    entry.accepted = Some(entry.accepted());
    entry.mutation.client_seq = client_seq;
    entry.mutation.base = Some(VersionVector::from_iter([(OTHER_CLIENT, 5)]));
    entry
}

pub(super) fn parked(entry: Entry) -> Parked {
    let conflict =
        Conflict { kind: ConflictKind::UpdateUpdate, fields: vec![syncline_protocol::Path::field("text")] };
    Parked { entry, conflict, document: Some(document("task-1", 4, "theirs")) }
}

pub(super) fn outcome(client_seq: u64) -> Outcome {
    let error = WireError::new(ErrorCode::Forbidden, "not yours");
    Outcome { entry: entry(client_seq), error, conflict: None }
}

pub(super) fn document(id: &str, seq: u64, text: &str) -> Document {
    Document {
        collection: collection("tasks"),
        id: DocumentId::new(id).unwrap(),
        fields: Fields::from([("text".into(), Value::from(text))]),
        seq,
        version: VersionVector::default(),
        stamps: Stamps::new(Stamp { time: time(seq), writer: CLIENT }),
        deleted: false,
    }
}

pub(super) fn deleted(id: &str, seq: u64) -> Document {
    Document { fields: Fields::new(), deleted: true, ..document(id, seq, "") }
}

pub(super) fn key(room_name: &str, id: &str) -> DocumentKey {
    DocumentKey { room: room(room_name), collection: collection("tasks"), id: DocumentId::new(id).unwrap() }
}

pub(super) fn state(cursor: u64) -> RoomState {
    RoomState { cursor, ..RoomState::default() }
}

/// What a crash of the process would leave.
pub(super) fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy_directory(&item.path(), &target);
        } else {
            std::fs::copy(item.path(), target).unwrap();
        }
    }
}

/// A random sequence that is the same for the same seed (SplitMix64).
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
