//! What nodes tell each other.

use serde::{Deserialize, Serialize};
use syncline_protocol::Room;

use crate::hub::LiveChanges;
use crate::presence::{NodeId, Report};

/// A message and who sent it: maps with names in MessagePack, so that nodes of neighbouring versions understand each
/// other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Envelope {
    pub(super) node: NodeId,
    pub(super) message: Message,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Message {
    /// What was committed in a room, or where its log ends.
    Changes(LiveChanges),
    /// A connection of the sender's has changed.
    Report(Box<Report>),
    /// Who is in the room? Answered to the sender alone.
    Ask { room: Room },
    /// Some of the sender's connections in a room, as they are.
    Snapshot { reports: Vec<Report> },
    /// All of the sender's connections in a room, by their numbers.
    Roll { room: Room, connections: Vec<u64> },
    /// The sender has written down what was revoked.
    Revoked,
    /// The sender lives.
    Beat,
    /// The sender has ended, and its clients have moved.
    Gone,
    /// Something was committed in a room of which a webhook is to be told.
    News { room: Room },
    /// The sender tells no webhook any more.
    Freed,
}

/// Whom a message is for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Channel {
    Everybody,
    Node(NodeId),
    Room(Room),
    /// Those that may tell webhooks.
    Tellers,
}

impl Channel {
    pub(super) fn name(&self, prefix: &str) -> String {
        match self {
            Self::Everybody => format!("{prefix}:nodes"),
            Self::Node(node) => format!("{prefix}:node:{node}"),
            Self::Room(room) => format!("{prefix}:room:{room}"),
            Self::Tellers => format!("{prefix}:webhooks"),
        }
    }
}

/// The key that is there for as long as a node lives.
pub(super) fn lease_key(prefix: &str, node: NodeId) -> String {
    format!("{prefix}:lease:{node}")
}

/// The key that holds what was revoked, as JSON.
pub(super) fn revocations_key(prefix: &str) -> String {
    format!("{prefix}:revocations")
}

pub(super) fn encode(envelope: &Envelope) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    rmp_serde::to_vec_named(envelope)
}

pub(super) fn decode(bytes: &[u8]) -> Result<Envelope, rmp_serde::decode::Error> {
    rmp_serde::from_slice(bytes)
}

/// Reads a message, also as JSON, and writes and reads it again, for `tests/fuzz`.
#[cfg(fuzzing)]
#[allow(clippy::expect_used)]
pub fn fuzz_message(bytes: &[u8]) {
    for envelope in [decode(bytes).ok(), serde_json::from_slice(bytes).ok()].into_iter().flatten() {
        let written = encode(&envelope).expect("what was read can be written");
        assert_eq!(decode(&written).expect("what was written reads"), envelope);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::collections::BTreeMap;

    use syncline_protocol::message::{Member, PresenceStatus};
    use syncline_protocol::{ClientId, Document};

    use super::*;
    use crate::presence::Place;

    #[test]
    fn a_message_arrives_as_it_was_sent() {
        let room = Room::new("list:9").unwrap();
        let client_id = ClientId::from_bytes([7; 16]);
        let document: Document = serde_json::from_value(serde_json::json!({
            "collection": "notes", "id": "first", "seq": 5, "deleted": false,
            "fields": {"count": 1, "share": 0.5, "big": u64::MAX, "deep": {"list": [null, true, "ü"]}},
            "version": {"07070707-0707-0707-0707-070707070707": 3},
            "stamps": {"base": [1, 0, "07070707-0707-0707-0707-070707070707"], "fields": {}},
        }))
        .unwrap();
        let member = Member {
            client_id,
            user_id: "ada".to_owned(),
            state: document.fields.clone(),
            status: PresenceStatus::Away,
            expires_ms: BTreeMap::from([("count".to_owned(), 4000)]),
            idle_ms: 3,
        };
        let report = Report {
            room: room.clone(),
            connection: u64::MAX,
            user: "ada".to_owned(),
            client: Some(client_id),
            place: Place::Inside { lost: true, member: Some(Box::new(member)) },
        };
        let changes =
            LiveChanges { room: room.clone(), from_seq: 5, to_seq: 5, changes: vec![document.into()] };
        for message in [
            Message::Changes(changes),
            Message::Report(Box::new(report.clone())),
            Message::Ask { room: room.clone() },
            Message::Snapshot { reports: vec![report] },
            Message::Roll { room: room.clone(), connections: vec![1, u64::MAX] },
            Message::Revoked,
            Message::Beat,
            Message::Gone,
            Message::News { room },
            Message::Freed,
        ] {
            let envelope = Envelope { node: NodeId(u64::MAX), message };
            assert_eq!(decode(&encode(&envelope).unwrap()).unwrap(), envelope);
        }
    }
}
