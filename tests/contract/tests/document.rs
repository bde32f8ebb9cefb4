//! docs/protocol.md says what the code does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use syncline::transport::{self, DecodeLimits, Decoder, Message, Namespace, Packet, Parser, Payload};
use syncline_contract::frames::{GoldenFrame, session};
use syncline_contract::messages;
use syncline_contract::values::{ada, collection, id, shared_document, stamp, time};
use syncline_protocol::error::Retry;
use syncline_protocol::limits::VALUE_DEPTH_MAX;
use syncline_protocol::message::{Member, MutationResult, MutationStatus, Page, PresenceStatus};
use syncline_protocol::{
    Checksum, Collection, Document, DocumentId, ErrorCode, Fields, Limits, Mutation, Patch, Room, Stamps,
    VersionVector, WireError, Write,
};

const PAGE: &str = include_str!("../../../docs/protocol.md");

/// The examples: `json NAME` after the fence, and the text.
fn examples() -> Vec<(&'static str, &'static str)> {
    let blocks = PAGE.split("```json ").skip(1);
    blocks
        .map(|block| {
            let (name, rest) = block.split_once('\n').unwrap();
            (name, rest.split("```").next().unwrap())
        })
        .collect()
}

type Row = Vec<&'static str>;

/// The rows of the first table whose header starts with these cells.
fn table(header: &[&str]) -> Vec<Row> {
    fn cells(line: &'static str) -> Row {
        line.trim_matches('|').split('|').map(str::trim).collect()
    }
    let mut lines = PAGE.lines();
    let found = lines.find(|line| line.starts_with('|') && cells(line).starts_with(header));
    assert!(found.is_some(), "no table {header:?}");
    lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect()
}

/// What stands between backquotes.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_example_is_a_vector() {
    let vectors = messages::all();
    let examples = examples();
    assert!(examples.len() >= 7, "{examples:?}");
    for (name, text) in examples {
        let vector = vectors.iter().find(|vector| vector.name == name).unwrap_or_else(|| panic!("{name}"));
        let shown: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let golden: Value = serde_json::from_str(vector.encode().json.get()).unwrap();
        assert_eq!(shown, golden, "{name}");
    }
    let refused = session().into_iter().find(|step| step.name == "connect_error").unwrap();
    let [GoldenFrame::Text(frame)] = &refused.frames(Parser::Json)[..] else { panic!("one text frame") };
    assert!(PAGE.contains(&format!("```text\n{frame}\n```")), "{frame}");
}

/// The names of a map, in the order in which they are written.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamesVisitor;

        impl<'de> Visitor<'de> for NamesVisitor {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = map.next_entry()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }

        deserializer.deserialize_map(NamesVisitor)
    }
}

fn names_of(message: &impl Serialize) -> Vec<String> {
    names_in(&serde_json::to_string(message).unwrap())
}

fn names_in(json: &str) -> Vec<String> {
    serde_json::from_str::<Names>(json).unwrap().0
}

#[test]
fn every_type_is_listed_with_its_fields_in_order() {
    let rows = table(&["Type", "Fields, in order"]);
    let listed = |name: &str| -> Vec<&str> {
        let row = rows.iter().find(|row| row[0] == format!("`{name}`")).unwrap_or_else(|| panic!("{name}"));
        quoted(row[1])
    };
    for vector in messages::all() {
        let name = vector.type_name();
        if rows.iter().any(|row| row[0] == format!("`{name}`")) {
            assert_eq!(listed(name), names_in(vector.encode().json.get()), "{name}");
        } else {
            assert_eq!(vector.name, "presence_ping", "{name} is not listed");
        }
    }
    assert_eq!(listed("Limits"), names_of(&Limits::default()));
    assert_eq!(listed("Document"), names_of(&shared_document()));
    assert_eq!(listed("Stamps"), names_of(&Stamps::new(stamp(0, 0, ada()))));
    assert_eq!(listed("WireError"), names_of(&WireError::new(ErrorCode::Internal, "")));
    let mutation = Mutation {
        client_seq: 1,
        collection: collection("c"),
        id: id("d"),
        write: Write::Delete,
        time: time(0, 0),
        base: None,
    };
    assert_eq!(listed("Mutation"), names_of(&mutation));
    let status = MutationStatus::Applied;
    let result =
        MutationResult { client_seq: 1, status, seq: None, document: None, fields: None, error: None };
    assert_eq!(listed("MutationResult"), names_of(&result));
    let member = Member {
        client_id: ada(),
        user_id: String::new(),
        state: Fields::new(),
        status: PresenceStatus::Active,
        expires_ms: BTreeMap::new(),
        idle_ms: 0,
    };
    assert_eq!(listed("Member"), names_of(&member));
}

#[test]
fn every_event_is_listed_with_its_argument_and_its_answer() {
    let asked = table(&["Event, from the client"]);
    let told = table(&["Event, from the server"]);
    let row_of = |rows: &[Row], event: &str| {
        rows.iter().find(|row| quoted(row[0]).contains(&event)).cloned().unwrap_or_else(|| panic!("{event}"))
    };
    let mut listed = 0;
    for vector in messages::all() {
        let cell = match vector.event.strip_prefix("ack of ") {
            Some("any request") => continue,
            Some(event) => row_of(&asked, event)[2],
            None if vector.event == "connect" || vector.event == "presence:ping" => continue,
            None => row_of(&[&asked[..], &told[..]].concat(), &vector.event)[1],
        };
        assert_eq!(quoted(cell), [vector.type_name()], "{}", vector.name);
        listed += 1;
    }
    assert!(listed > 20, "{listed}");
}

#[test]
fn every_error_code_is_listed_with_what_to_do() {
    let rows = table(&["Code", "Retry"]);
    let mut listed = BTreeSet::new();
    for row in &rows {
        let spelled = quoted(row[0])[0];
        let code = serde_json::from_value::<ErrorCode>(spelled.into()).unwrap();
        assert_eq!(code.as_str(), spelled, "not a code");
        let retry = match code.retry() {
            Retry::Later => "later",
            Retry::AfterAuth => "after auth",
            Retry::Never => "never",
        };
        assert_eq!(row[1], retry, "{spelled}");
        listed.insert(spelled);
    }
    let vectors = messages::all();
    let sent = vectors.iter().filter_map(|vector| vector.name.strip_prefix("failure_"));
    assert_eq!(listed, sent.chain(["unknown"]).collect());
}

#[test]
fn every_limit_is_listed_with_its_default() {
    let limits = serde_json::to_value(Limits::default()).unwrap();
    let rows = table(&["Limit", "Default"]);
    assert_eq!(rows.len(), limits.as_object().unwrap().len());
    for row in rows {
        assert_eq!(limits[quoted(row[0])[0]].to_string(), row[1], "{row:?}");
    }
    for (name, bytes_max) in [
        ("Room", Room::BYTES_MAX),
        ("Collection", Collection::BYTES_MAX),
        ("Document id", DocumentId::BYTES_MAX),
    ] {
        let row = table(&["Name", "Form"]).into_iter().find(|row| row[0] == name).unwrap();
        assert!(row[1].starts_with(&format!("1 to {bytes_max} bytes")), "{row:?}");
    }
}

#[test]
fn every_operation_and_every_status_is_listed() {
    let listed: BTreeSet<&str> = table(&["Operation"]).iter().flat_map(|row| quoted(row[0])).collect();
    let operations = messages::every_op();
    assert_eq!(listed, operations.ops().map(|(_, op)| op.name()).collect());
    for row in table(&["`status`"]) {
        let status = Value::from(quoted(row[0])[0]);
        assert!(serde_json::from_value::<MutationStatus>(status).is_ok(), "{row:?}");
    }
    assert_eq!(table(&["`status`"]).len(), 4);
}

/// FNV-1a, 64 bit, as the page tells it.
fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The mix, as the page tells it.
fn mix(mut z: u64) -> u64 {
    z ^= z >> 30;
    z = z.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^= z >> 27;
    z = z.wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[test]
fn the_checksum_is_what_the_page_computes() {
    let rows = table(&["Collection", "Id", "`seq`", "Deleted"]);
    let (room, documents) = rows.split_last().unwrap();
    let mut sum = Checksum::default();
    for row in documents {
        let [name, document_id] = [quoted(row[0])[0], quoted(row[1])[0]];
        let document = Document {
            collection: collection(name),
            id: id(document_id),
            fields: Fields::new(),
            seq: row[2].parse().unwrap(),
            version: VersionVector::default(),
            stamps: Stamps::new(stamp(0, 0, ada())),
            deleted: row[3] == "yes",
        };
        if !document.deleted {
            let seq = document.seq.to_le_bytes();
            let bytes = [name.as_bytes(), b"\xff", document_id.as_bytes(), b"\xff", &seq].concat();
            assert_eq!(row[4], format!("`{:016x}`", fnv_1a(&bytes)));
            assert_eq!(row[5], format!("`{:016x}`", mix(fnv_1a(&bytes))));
        }
        assert_eq!(row[5], format!("`{}`", document.checksum()), "{name} {document_id}");
        sum = sum.replace(Checksum::default(), document.checksum());
    }
    assert!(documents.len() >= 4);
    assert_eq!(room[5], format!("`{sum}`"));
}

/// Byte counts by the rules under "Limits".
#[test]
fn bytes_are_counted_as_the_page_says() {
    let value: syncline_protocol::Value =
        serde_json::from_str(r#"{"ab":[null,true,1,2.5,"ü"],"c":{}}"#).unwrap();
    let array = 3 + (1 + 1 + 9 + 9 + (3 + 2));
    assert_eq!(value.byte_len(), 3 + (3 + 2 + array) + (3 + 1 + 3));
    let patch: Patch =
        serde_json::from_str(r#"{"a.bc":{"set":1},"d\\.e":{"union":["x"]},"f":"unset"}"#).unwrap();
    assert_eq!(patch.byte_len(), (12 + 3 + 9) + (12 + 3 + 4) + (12 + 1));
}

#[test]
fn every_relative_link_leads_somewhere() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let anchors: BTreeSet<String> = PAGE
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-"))
        .collect();
    let mut links = 0;
    for link in PAGE.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        match link.strip_prefix('#') {
            Some(anchor) => assert!(anchors.contains(anchor), "{link}"),
            None => assert!(docs.join(link).exists(), "{link}"),
        }
        links += 1;
    }
    assert!(links > 20, "{links}");
}

#[test]
fn a_plain_page_carries_a_value_as_deep_as_values_go() {
    let reads = |depth: usize| {
        let nested = (1..depth).fold(serde_json::json!([]), |inner, _| serde_json::json!([inner]));
        let fields = serde_json::from_value(serde_json::json!({"a": nested})).unwrap();
        let changes = vec![Document { fields, ..shared_document() }];
        let page = Page { changes, cursor: 12, more: false, reset: false, checksum: None, snapshot: None };
        let args = vec![Payload::encode(Parser::Json, &page).unwrap()];
        let message = Message::Socket { namespace: Namespace::ROOT, packet: Packet::Ack { id: 1, args } };
        let mut frames = transport::encode(Parser::Json, &message).unwrap();
        Decoder::new(Parser::Json, DecodeLimits::DEFAULT).feed(frames.remove(0)).is_ok()
    };
    assert!(reads(VALUE_DEPTH_MAX));
}
