//! What an older or a newer peer may say.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use syncline::transport::{Parser, Payload};
use syncline_contract::messages;
use syncline_contract::values::{ada, collection, id, room, shared_document, time};
use syncline_protocol::message::{
    Auth, Encoding, Failure, Hello, Member, MutationResult, MutationStatus, Page, Presence, PresencePong,
    PresenceStatus, Push, PushAnswer, Subscribe, decode_compact, event,
};
use syncline_protocol::{ErrorCode, Fields, Limits, Mutation, WireError, Write};

/// What a map of today reads as, whichever parser carried it.
fn assert_plain<T: DeserializeOwned + PartialEq + Debug>(map: &Value, expected: &T) {
    for parser in [Parser::Json, Parser::Msgpack] {
        let read: T = Payload::encode(parser, map).unwrap().decode().unwrap();
        assert_eq!(read, *expected, "{map} by {parser:?}");
    }
}

fn assert_compact<T: DeserializeOwned + PartialEq + Debug>(elements: &impl Serialize, expected: &T) {
    let bytes = rmp_serde::to_vec(elements).unwrap();
    assert_eq!(decode_compact::<T>(&bytes).unwrap(), *expected);
}

/// Puts a field of a newer protocol into an object and all objects within that are made of named fields.
fn with_unknown_fields(message: &Value) -> Value {
    /// Objects whose names are data.
    const MAPS: [&str; 8] = ["fields", "version", "base", "state", "expires_ms", "heads", "create", "update"];
    let mut message = message.clone();
    match &mut message {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                match name.as_str() {
                    "stamps" => value["of_tomorrow"] = json!([1]),
                    // An enum, where a name that is not known is refused.
                    "write" => {}
                    name if MAPS.contains(&name) && value.is_object() => {}
                    _ => *value = with_unknown_fields(value),
                }
            }
            fields.insert("of_tomorrow".to_owned(), json!({"a": [1, null, "x"]}));
        }
        Value::Array(items) => {
            for item in items {
                *item = with_unknown_fields(item);
            }
        }
        _ => {}
    }
    message
}

#[test]
fn a_field_that_is_not_known_is_passed_over_wherever_a_plain_message_has_fields() {
    // A ping says nothing, in a map that may hold anything.
    for vector in messages::all().iter().filter(|vector| vector.event != event::PRESENCE_PING) {
        let message: Value = serde_json::from_str(vector.encode().json.get()).unwrap();
        let newer = with_unknown_fields(&message);
        assert_ne!(newer, message, "{}", vector.name);
        for parser in [Parser::Json, Parser::Msgpack] {
            vector.assert_plain(&Payload::encode(parser, &newer).unwrap());
        }
    }
}

#[test]
fn a_field_that_has_a_default_may_be_absent_from_a_plain_message() {
    assert_plain(
        &json!({}),
        &Auth { token: None, client_id: None, protocol: None, encoding: Encoding::Plain },
    );
    assert_plain(
        &json!({"protocol": 1, "encoding": "plain", "limits": {"push_count_max": 7},
                "server_time_ms": 1, "user_id": "u"}),
        &Hello {
            protocol: 1,
            encoding: Encoding::Plain,
            limits: Limits { push_count_max: 7, ..Limits::default() },
            server_time_ms: 1,
            user_id: "u".to_owned(),
            offers: vec![],
        },
    );
    assert_plain(&json!({"room": "r", "cursor": 7}), &subscribe());
    assert_plain(&json!({"changes": [], "cursor": 7, "more": false}), &page());
    assert_plain(
        &json!({"room": "r", "mutations": []}),
        &Push { room: room("r"), after: None, mutations: vec![] },
    );
    assert_plain(
        &json!({"client_seq": 3, "collection": "c", "id": "d", "write": "delete",
                "time": [time(0, 2).wall_ms, 2]}),
        &mutation(),
    );
    assert_plain(&json!({"results": []}), &PushAnswer { results: vec![], error: None });
    assert_plain(&json!({"client_seq": 3, "status": "applied"}), &result());
    assert_plain(&json!({"room": "r", "state": {}}), &presence());
    assert_plain(&json!({"heads": {}}), &PresencePong::default());
    assert_plain(&json!({"client_id": ada(), "user_id": "u", "state": {}, "status": "away"}), &member());
    assert_plain(&json!({"code": "internal", "message": ""}), &WireError::new(ErrorCode::Internal, ""));
}

#[test]
fn trailing_elements_that_have_a_default_may_be_absent_from_a_compact_message() {
    assert_compact(&("r", 7), &subscribe());
    assert_compact(&([(); 0], 7, false), &page());
    assert_compact(&([(); 0], 7, false, false), &page());
    assert_compact(&(3, "c", "d", "delete", (time(0, 2).wall_ms, 2)), &mutation());
    assert_compact(&([(); 0],), &PushAnswer { results: vec![], error: None });
    assert_compact(&(3, "applied"), &result());
    assert_compact(&(3, "applied", 12), &MutationResult { seq: Some(12), ..result() });
    assert_compact(&("r", Fields::new()), &presence());
    assert_compact(&(BTreeMap::<String, u64>::new(),), &PresencePong::default());
    assert_compact(&(ada(), "u", Fields::new(), "away"), &member());
    assert_compact(&("internal", ""), &WireError::new(ErrorCode::Internal, ""));
}

#[test]
fn an_element_that_has_no_default_must_be_there() {
    assert!(decode_compact::<Subscribe>(&rmp_serde::to_vec(&("r",)).unwrap()).is_err());
    assert!(decode_compact::<Push>(&rmp_serde::to_vec(&("r", 8)).unwrap()).is_err());
    assert!(serde_json::from_value::<Subscribe>(json!({"room": "r"})).is_err());
}

/// Compact messages cannot grow within a version: a reader takes the elements it knows, and no more.
#[test]
fn a_compact_message_with_more_elements_than_are_known_is_refused() {
    let longer = rmp_serde::to_vec(&("r", 7, (), (), "of tomorrow")).unwrap();
    assert!(decode_compact::<Subscribe>(&longer).is_err());
}

#[test]
fn bytes_after_a_compact_message_are_refused() {
    let mut bytes = rmp_serde::to_vec(&("r", 7)).unwrap();
    bytes.push(0xc0);
    assert!(decode_compact::<Subscribe>(&bytes).is_err());
}

#[test]
fn an_error_code_that_is_not_known_reads_as_unknown() {
    let error = WireError::new(ErrorCode::Unknown, "from tomorrow");
    let map = json!({"code": "teapot", "message": "from tomorrow"});
    assert_plain(&map, &error);
    assert_plain(&json!({"error": map}), &Failure { error: error.clone() });
    assert_compact(&("teapot", "from tomorrow"), &error);
    let rejected = (3, "rejected", (), (), (), ("teapot", "from tomorrow"));
    let expected = MutationResult { status: MutationStatus::Rejected, error: Some(error), ..result() };
    assert_compact(&rejected, &expected);
}

#[test]
fn an_operation_a_write_or_a_status_that_is_not_known_is_refused() {
    let mutation =
        |write: Value| json!({"client_seq": 1, "collection": "c", "id": "d", "write": write, "time": [0, 0]});
    assert!(serde_json::from_value::<Mutation>(mutation(json!({"update": {"a": "unset"}}))).is_ok());
    for write in [json!({"update": {"a": {"multiply": 2}}}), json!({"replace": {}}), json!("archive")] {
        assert!(serde_json::from_value::<Mutation>(mutation(write.clone())).is_err(), "{write}");
    }
    assert!(serde_json::from_value::<MutationResult>(json!({"client_seq": 1, "status": "later"})).is_err());
}

#[test]
fn bytes_and_numbers_that_are_not_finite_are_no_values() {
    let document = rmp_serde::to_vec_named(&json!({"a": 1})).unwrap();
    assert!(rmp_serde::from_slice::<Fields>(&document).is_ok());
    assert!(rmp_serde::from_slice::<Fields>(&[0x81, 0xa1, b'a', 0xc4, 0x01, 0x00]).is_err());
    let infinite = [&[0x81, 0xa1, b'a', 0xcb][..], &f64::INFINITY.to_be_bytes()].concat();
    assert!(rmp_serde::from_slice::<Fields>(&infinite).is_err());
}

#[test]
fn a_client_id_reads_as_text_in_plain_and_as_16_bytes_in_compact() {
    let map = Payload::encode(Parser::Msgpack, &shared_document()).unwrap();
    let Payload::Msgpack(map) = map else { panic!("not a map") };
    let text = ada().to_string();
    assert!(map.windows(text.len()).any(|window| window == text.as_bytes()));
    let compact = syncline_protocol::message::encode_compact(&shared_document()).unwrap();
    assert!(compact.windows(16).any(|window| window == ada().as_bytes()));
}

fn subscribe() -> Subscribe {
    Subscribe { room: room("r"), cursor: 7, collections: None, snapshot: None }
}

fn page() -> Page {
    Page { changes: vec![], cursor: 7, more: false, reset: false, checksum: None, snapshot: None }
}

fn mutation() -> Mutation {
    let time = time(0, 2);
    Mutation {
        client_seq: 3,
        collection: collection("c"),
        id: id("d"),
        write: Write::Delete,
        time,
        base: None,
    }
}

fn result() -> MutationResult {
    let status = MutationStatus::Applied;
    MutationResult { client_seq: 3, status, seq: None, document: None, fields: None, error: None }
}

fn member() -> Member {
    Member {
        client_id: ada(),
        user_id: "u".to_owned(),
        state: Fields::new(),
        status: PresenceStatus::Away,
        expires_ms: BTreeMap::new(),
        idle_ms: 0,
    }
}

fn presence() -> Presence {
    Presence {
        room: room("r"),
        state: Fields::new(),
        status: PresenceStatus::Active,
        expires_ms: BTreeMap::new(),
        background_lease_ms: None,
    }
}
