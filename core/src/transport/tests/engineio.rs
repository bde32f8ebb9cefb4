use super::decode_all;
use crate::transport::engineio::{HEARTBEAT_MS_MAX, SESSION_ID_BYTES_MAX};
use crate::transport::{CodecError, Frame, Handshake, Message, Parser, encode};

fn decode(text: &str) -> Result<Message, CodecError> {
    decode_all(Parser::Msgpack, vec![Frame::Text(text.to_owned())])
}

/// Written by npm `engine.io` 6.6.
const OPEN: &str = r#"0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

#[test]
fn the_handshake_is_read_and_written_as_engine_io_does() {
    let handshake = Handshake {
        sid: "lv_VI97HAXpY6yYWAAAC".to_owned(),
        upgrades: Vec::new(),
        ping_interval_ms: 25_000,
        ping_timeout_ms: 20_000,
        max_payload_bytes: Some(1_000_000),
    };
    assert_eq!(decode(OPEN).unwrap(), Message::Open(handshake.clone()));
    let frames = encode(Parser::Msgpack, &Message::Open(handshake)).unwrap();
    assert!(frames == [Frame::Text(OPEN.to_owned())]);
}

#[test]
fn a_handshake_of_an_older_server_has_no_largest_payload() {
    let Message::Open(handshake) = decode(r#"0{"sid":"a","pingInterval":1,"pingTimeout":2}"#).unwrap() else {
        panic!("not a handshake");
    };
    assert_eq!(handshake.max_payload_bytes, None);
}

#[test]
fn the_packets_without_data_are_one_digit() {
    let packets = [
        ("1", Message::Close),
        ("2", Message::Ping),
        ("3", Message::Pong),
        ("5", Message::Upgrade),
        ("6", Message::Noop),
    ];
    for (text, message) in packets {
        assert_eq!(decode(text).unwrap(), message);
        let frames = encode(Parser::Json, &message).unwrap();
        assert!(frames == [Frame::Text(text.to_owned())], "{message:?}");
    }
}

#[test]
fn what_is_not_an_engine_io_packet_is_refused() {
    let sid = "s".repeat(SESSION_ID_BYTES_MAX + 1);
    let table = [
        (String::new(), CodecError::EmptyFrame),
        ("7".to_owned(), CodecError::EngineType('7')),
        ("bAQID".to_owned(), CodecError::EngineType('b')),
        ("é".to_owned(), CodecError::EngineType('é')),
        ("2probe".to_owned(), CodecError::TrailingBytes),
        ("1 ".to_owned(), CodecError::TrailingBytes),
        ("0".to_owned(), CodecError::Json { line: 1, column: 0 }),
        ("0{".to_owned(), CodecError::Json { line: 1, column: 1 }),
        (
            r#"0{"sid":"","pingInterval":1,"pingTimeout":1}"#.to_owned(),
            CodecError::Handshake("length of sid"),
        ),
        (
            format!(r#"0{{"sid":"{sid}","pingInterval":1,"pingTimeout":1}}"#),
            CodecError::Handshake("length of sid"),
        ),
        (
            r#"0{"sid":"a","pingInterval":0,"pingTimeout":1}"#.to_owned(),
            CodecError::Handshake("range of pingInterval"),
        ),
        (
            format!(r#"0{{"sid":"a","pingInterval":1,"pingTimeout":{}}}"#, HEARTBEAT_MS_MAX + 1),
            CodecError::Handshake("range of pingTimeout"),
        ),
    ];
    for (text, error) in table {
        assert_eq!(decode(&text).unwrap_err(), error, "{text}");
    }
    assert!(matches!(
        decode(r#"0{"sid":"a","pingInterval":-1,"pingTimeout":1}"#),
        Err(CodecError::Json { .. })
    ));
}
