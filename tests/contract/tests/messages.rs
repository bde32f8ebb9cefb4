//! Every message, in every encoding, by both ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use serde_json::json;
use serde_json::value::RawValue;
use socketioxide::handler::Value as Packet;
use syncline::transport::{self, Frame, Message, Namespace, Parser, Payload};
use syncline_contract::golden::{self, to_hex};
use syncline_contract::vector::{Direction, Encodings, Golden, Vector, render_all};
use syncline_contract::{messages, values};
use syncline_protocol::message::{Encoding, MutationStatus, Push, PushAnswer};
use syncline_protocol::{Document, Write};

const FILE: &str = "messages.json";

/// The vectors, each beside its entry in the file.
fn vectors() -> Vec<(Vector, Golden)> {
    let vectors = messages::all();
    let file = golden::text(FILE, &render_all(&vectors));
    let entries: Vec<Golden> = serde_json::from_str(&file).unwrap();
    let names = |entries: &[Golden]| entries.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>();
    let expected: Vec<String> = vectors.iter().map(|vector| vector.name.clone()).collect();
    assert_eq!(names(&entries), expected);
    vectors.into_iter().zip(entries).collect()
}

#[test]
fn every_message_encodes_to_the_bytes_in_the_file() {
    for (vector, entry) in vectors() {
        let encoded = vector.encode();
        assert_eq!(encoded.json.get(), entry.json.get(), "{}", entry.name);
        assert_eq!(encoded.messagepack, entry.messagepack, "{}", entry.name);
        assert_eq!(encoded.compact, entry.compact, "{}", entry.name);
        assert_eq!((encoded.direction, encoded.event), (entry.direction, entry.event), "{}", entry.name);
    }
    let rendered = render_all(&messages::all());
    assert_eq!(golden::text(FILE, &rendered), rendered, "the file's layout");
}

#[test]
fn every_vector_reads_as_its_message_in_every_encoding() {
    for (vector, entry) in vectors() {
        for payload in entry.plain() {
            vector.assert_plain(&payload);
        }
        if let Some(compact) = entry.compact() {
            vector.assert_compact(&compact);
        }
    }
}

#[test]
fn names_are_given_once() {
    let vectors = messages::all();
    let names: BTreeSet<&str> = vectors.iter().map(|vector| vector.name.as_str()).collect();
    assert_eq!(names.len(), vectors.len());
}

/// A request as the server's Socket.IO layer hands it on: the event's name, then the argument.
fn packet(event: &str, argument: &Payload) -> Packet {
    match argument {
        Payload::Json(json) => Packet::Str(format!("[{},{json}]", golden::quoted(event)).into(), None),
        Payload::Msgpack(_) | Payload::Binary(_) => {
            let name = Payload::encode(Parser::Msgpack, event).unwrap();
            let (Payload::Msgpack(name), Payload::Msgpack(argument)) = (name, as_messagepack(argument))
            else {
                panic!("not MessagePack");
            };
            Packet::Bytes([&[0x92], &name[..], &argument[..]].concat().into())
        }
    }
}

fn as_messagepack(argument: &Payload) -> Payload {
    match argument.as_binary() {
        Some(bytes) => {
            let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
            Payload::Msgpack([&[0xc5], &length[..], &bytes[..]].concat().into())
        }
        None => argument.clone(),
    }
}

#[test]
fn the_server_reads_every_request_in_every_encoding() {
    let requests = vectors()
        .into_iter()
        .filter(|(vector, _)| vector.direction == Direction::ToServer && vector.encodings == Encodings::Both);
    let mut seen = 0;
    for (vector, entry) in requests {
        for argument in entry.plain() {
            vector.assert_served(&packet(&entry.event, &argument), Encoding::Plain);
        }
        let compact = entry.compact().expect("a request can be compact");
        let attached = format!("[{},{{\"_placeholder\":true,\"num\":0}}]", golden::quoted(&entry.event));
        let attached = Packet::Str(attached.into(), Some([compact.clone()].into()));
        vector.assert_served(&attached, Encoding::Compact);
        vector.assert_served(&packet(&entry.event, &Payload::Binary(compact)), Encoding::Compact);
        seen += 1;
    }
    assert!(seen > 10, "{seen} requests");
}

#[test]
fn the_server_writes_the_same_plain_maps() {
    for (vector, entry) in vectors() {
        let expected: serde_json::Value = serde_json::from_str(entry.json.get()).unwrap();
        assert_eq!(vector.server_plain(), expected, "{}", entry.name);
    }
}

/// The names between quotes in the lines of a source file that `keep` picks.
fn quoted_in(source: &str, keep: impl Fn(&str) -> bool) -> BTreeSet<&str> {
    source.lines().filter(|line| keep(line)).filter_map(|line| line.split('"').nth(1)).collect()
}

const MESSAGE_SOURCE: &str = include_str!("../../../core/protocol/src/message.rs");
const ERROR_SOURCE: &str = include_str!("../../../core/protocol/src/error.rs");

/// Types that only travel within others.
const PARTS: [&str; 7] =
    ["Encoding", "Member", "Mutation", "MutationResult", "MutationStatus", "PresenceStatus", "Write"];

#[test]
fn every_event_has_a_vector_and_every_request_an_answer() {
    let vectors = messages::all();
    let events = quoted_in(MESSAGE_SOURCE, |line| line.contains("pub const") && line.contains("&str"));
    assert!(events.len() >= 15, "{events:?}");
    for event in events {
        let of_event: Vec<&Vector> = vectors.iter().filter(|vector| vector.event == event).collect();
        assert!(!of_event.is_empty(), "{event} has no vector");
        if of_event.iter().any(|vector| vector.direction == Direction::ToServer) {
            let ack = format!("ack of {event}");
            assert!(vectors.iter().any(|vector| vector.event == ack), "{ack} has no vector");
        }
    }
}

#[test]
fn every_message_type_has_a_vector() {
    let typed: BTreeSet<&str> = messages::all().iter().map(Vector::type_name).collect();
    let declared: BTreeSet<&str> = MESSAGE_SOURCE
        .lines()
        .filter_map(|line| line.strip_prefix("pub struct ").or(line.strip_prefix("pub enum ")))
        .filter_map(|rest| rest.split([' ', '(', '<']).next())
        .collect();
    assert!(declared.len() > 20, "{declared:?}");
    for name in declared.iter().filter(|name| !PARTS.contains(name)) {
        assert!(typed.contains(name), "{name} has no vector");
    }
    for part in PARTS {
        assert!(declared.contains(part), "{part} is no part of a message any more");
    }
}

#[test]
fn every_error_code_has_a_vector() {
    let codes =
        quoted_in(ERROR_SOURCE, |line| line.trim_start().starts_with("Self::") && line.contains("=> \""));
    assert!(codes.contains("unknown") && codes.len() >= 12, "{codes:?}");
    let names: BTreeSet<String> = messages::all().into_iter().map(|vector| vector.name).collect();
    for code in codes.into_iter().filter(|code| *code != "unknown") {
        assert!(names.contains(&format!("failure_{code}")), "{code} has no vector");
    }
}

fn read<T: serde::de::DeserializeOwned>(prefix: &str) -> Vec<T> {
    let wanted = vectors().into_iter().filter(|(vector, _)| vector.name.starts_with(prefix));
    wanted.filter_map(|(_, entry)| serde_json::from_str(entry.json.get()).ok()).collect()
}

#[test]
fn every_operation_every_kind_of_write_and_every_status_is_in_a_vector() {
    let mut operations = BTreeSet::new();
    let mut writes = BTreeSet::new();
    for mutation in read::<Push>("push_").into_iter().flat_map(|push| push.mutations) {
        // No wildcard: a new kind of write must be put here and into a vector.
        writes.insert(match &mutation.write {
            Write::Create(_) => "create",
            Write::Update(patch) => {
                operations.extend(patch.ops().map(|(_, op)| op.name()));
                "update"
            }
            Write::Delete => "delete",
        });
    }
    assert_eq!(writes, BTreeSet::from(["create", "delete", "update"]));
    let source = include_str!("../../../core/protocol/src/patch.rs");
    let named = quoted_in(source, |line| line.trim_start().starts_with("Self::") && line.contains("=> \""));
    assert_eq!(operations, named);

    let statuses: BTreeSet<&str> = read::<PushAnswer>("push_answer")
        .into_iter()
        .flat_map(|answer| answer.results)
        .map(|result| match result.status {
            MutationStatus::Applied => "applied",
            MutationStatus::Duplicate => "duplicate",
            MutationStatus::Conflict => "conflict",
            MutationStatus::Rejected => "rejected",
        })
        .collect();
    assert_eq!(statuses.len(), 4);
}

#[test]
fn the_order_of_a_maps_names_does_not_matter() {
    let document = values::shared_document();
    let sorted = serde_json::to_value(&document).unwrap();
    let raw = RawValue::from_string(sorted.to_string()).unwrap();
    let written = serde_json::to_string(&document).unwrap();
    assert_ne!(raw.get(), written, "a JSON value sorts its names, the encoder does not");
    assert_eq!(serde_json::from_str::<Document>(raw.get()).unwrap(), document);
}

/// A compact message in the JSON parser is one attachment.
#[test]
fn a_compact_message_is_one_binary_argument() {
    let (_, entry) = vectors().into_iter().find(|(vector, _)| vector.name == "pull").unwrap();
    let compact = entry.compact().unwrap();
    let args = vec![Payload::Binary(compact.clone())];
    let packet = transport::Packet::Event { name: entry.event, args, ack: Some(1) };
    let message = Message::Socket { namespace: Namespace::ROOT, packet };
    let frames = transport::encode(Parser::Json, &message).unwrap();
    let head = format!("451-1[\"sync:pull\",{}]", json!({"_placeholder": true, "num": 0}));
    assert_eq!(frames, [Frame::Text(head), Frame::Binary(compact.clone())]);
    assert_eq!(to_hex(&compact), entry.compact.unwrap());
}
