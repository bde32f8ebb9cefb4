//! For all input: decoding never panics, and what was encoded is decoded again.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::Value;

use super::decode_all;
use crate::transport::engineio::HEARTBEAT_MS_MAX;
use crate::transport::socketio::ACK_ID_MAX;
use crate::transport::{
    DecodeLimits, Decoder, Frame, Handshake, Message, Namespace, Packet, Parser, Payload, encode,
};

fn any_parser() -> impl Strategy<Value = Parser> {
    prop_oneof![Just(Parser::Json), Just(Parser::Msgpack)]
}

/// Values that both notations can hold exactly.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::from),
            proptest::collection::hash_map(".{0,8}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[derive(Debug, Clone)]
enum Arg {
    Value(Value),
    Binary(Vec<u8>),
}

impl Arg {
    fn payload(&self, parser: Parser) -> Payload {
        match self {
            Self::Value(value) => Payload::encode(parser, value).unwrap(),
            Self::Binary(bytes) => Payload::Binary(bytes.clone().into()),
        }
    }
}

fn any_args() -> impl Strategy<Value = Vec<Arg>> {
    let arg = prop_oneof![
        3 => any_value().prop_map(Arg::Value),
        1 => vec(any::<u8>(), 0..300).prop_map(Arg::Binary),
    ];
    vec(arg, 0..20)
}

fn any_object() -> impl Strategy<Value = Value> {
    proptest::collection::hash_map(".{0,8}", any_value(), 0..4)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

fn any_packet(parser: Parser) -> impl Strategy<Value = Packet> {
    let payloads = move |args: Vec<Arg>| args.iter().map(|arg| arg.payload(parser)).collect::<Vec<Payload>>();
    let payload = move |value: Value| Payload::encode(parser, &value).unwrap();
    prop_oneof![
        option::of(any_object()).prop_map(move |data| Packet::Connect { data: data.map(payload) }),
        Just(Packet::Disconnect),
        // Longer than any reserved name, which would be refused.
        (".{15,40}", any_args(), option::of(0..=ACK_ID_MAX))
            .prop_map(move |(name, args, ack)| Packet::Event { name, args: payloads(args), ack }),
        (0..=ACK_ID_MAX, any_args()).prop_map(move |(id, args)| Packet::Ack { id, args: payloads(args) }),
        option::of(any_object()).prop_map(move |data| Packet::ConnectError { data: data.map(payload) }),
    ]
}

fn any_message(parser: Parser) -> impl Strategy<Value = Message> {
    let handshake = ("[a-zA-Z0-9_-]{1,40}", 1..=HEARTBEAT_MS_MAX, option::of(any::<u64>())).prop_map(
        |(sid, interval, max_payload_bytes)| Handshake {
            sid,
            upgrades: Vec::new(),
            ping_interval_ms: interval,
            ping_timeout_ms: interval,
            max_payload_bytes,
        },
    );
    let namespace = prop_oneof![Just("/".to_owned()), "/[^,]{0,30}"];
    prop_oneof![
        1 => handshake.prop_map(Message::Open),
        1 => prop_oneof![
            Just(Message::Close), Just(Message::Ping), Just(Message::Pong), Just(Message::Upgrade),
            Just(Message::Noop)
        ],
        8 => (namespace, any_packet(parser)).prop_map(|(namespace, packet)| Message::Socket {
            namespace: Namespace::new(&namespace).unwrap(),
            packet,
        }),
    ]
}

fn any_frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        vec(any::<u8>(), 0..200).prop_map(|bytes| Frame::Binary(bytes.into())),
        ".{0,60}".prop_map(Frame::Text),
        // Near misses of the text notation.
        r#"4[0-6][0-9]{0,3}-?(/[a-z]{0,3},?)?[0-9]{0,3}[\[\{"a-z:,\\0-9\]\}]{0,30}"#.prop_map(Frame::Text),
        (r#"[0-3]"#, vec(any_value(), 0..4)).prop_map(|(count, values)| {
            let mut list = vec![Value::from("event")];
            list.extend(values);
            list.push(serde_json::json!([{"_placeholder": true, "num": 0}]));
            Frame::Text(format!("45{count}-{}", Value::from(list)))
        }),
    ]
}

/// A frame of a real message with a few bytes changed or cut.
fn any_damaged_frame() -> impl Strategy<Value = (Parser, Frame)> {
    let message = any_parser().prop_flat_map(|parser| (Just(parser), any_message(parser)));
    (message, vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), any::<prop::sample::Index>()).prop_map(
        |((parser, message), changes, cut)| {
            let frame = encode(parser, &message).unwrap().remove(0);
            let (mut bytes, is_text) = match frame {
                Frame::Text(text) => (text.into_bytes(), true),
                Frame::Binary(bytes) => (bytes.to_vec(), false),
            };
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(cut.index(bytes.len() * 2) + 1);
            match String::from_utf8(bytes) {
                Ok(text) if is_text => (parser, Frame::Text(text)),
                Ok(text) => (parser, Frame::Binary(text.into_bytes().into())),
                Err(error) => (parser, Frame::Binary(Bytes::from(error.into_bytes()))),
            }
        },
    )
}

/// Decodes, and reads every argument: nothing in here may panic.
fn exercise(decoder: &mut Decoder, frame: Frame) {
    let Ok(Some(Message::Socket { packet, .. })) = decoder.feed(frame) else { return };
    if let Packet::Event { args, .. } | Packet::Ack { args, .. } = packet {
        for arg in args {
            let _ = arg.decode::<Value>();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn decoding_what_was_encoded_gives_the_same_message(
        (parser, message) in any_parser().prop_flat_map(|parser| (Just(parser), any_message(parser)))
    ) {
        let frames = encode(parser, &message).unwrap();
        prop_assert_eq!(decode_all(parser, frames).unwrap(), message);
    }

    #[test]
    fn a_value_is_the_same_through_either_parser(value in any_value()) {
        for parser in [Parser::Json, Parser::Msgpack] {
            let payload = Payload::encode(parser, &value).unwrap();
            prop_assert_eq!(&payload.decode::<Value>().unwrap(), &value);
        }
    }

    #[test]
    fn arbitrary_frames_never_panic(parser in any_parser(), frames in vec(any_frame(), 1..8)) {
        let mut decoder = Decoder::new(parser, DecodeLimits::DEFAULT);
        for frame in frames {
            exercise(&mut decoder, frame);
        }
    }

    #[test]
    fn damaged_frames_never_panic((parser, frame) in any_damaged_frame()) {
        exercise(&mut Decoder::new(parser, DecodeLimits::DEFAULT), frame);
    }
}
