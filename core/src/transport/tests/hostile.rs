//! Input made to break the decoder: each a typed error, and none a panic.

use bytes::Bytes;

use super::{decode_all, decode_within, from_hex};
use crate::transport::{
    CodecError, DecodeLimits, Decoder, Frame, Message, Namespace, Packet, Parser, Payload, encode,
};

fn text(text: &str) -> Frame {
    Frame::Text(text.to_owned())
}

fn binary(hex: &str) -> Frame {
    Frame::Binary(from_hex(hex))
}

#[test]
fn hostile_json_packets_are_refused() {
    let malformed = CodecError::Malformed;
    let table: &[(&str, CodecError)] = &[
        ("4", CodecError::Truncated),
        ("4x", malformed("packet type is not a digit")),
        ("47[]", CodecError::SocketType(7)),
        ("42", CodecError::Truncated),
        ("42/ns", CodecError::Truncated),
        ("42[]", malformed("data does not fit the packet type")),
        ("42[1]", malformed("event name is not text")),
        ("42[null]", malformed("event name is not text")),
        ("42[\"a\"", CodecError::Json { line: 1, column: 4 }),
        ("42[\"a\"]x", CodecError::Json { line: 1, column: 6 }),
        ("42[\"a\"][]", CodecError::Json { line: 1, column: 6 }),
        ("42{\"a\":1}", CodecError::Json { line: 1, column: 0 }),
        ("42[\"disconnect\"]", CodecError::ReservedName),
        ("42[\"newListener\"]", CodecError::ReservedName),
        ("42/a\u{0},99999999999999999999[\"a\"]", CodecError::AckId),
        ("429007199254740992[\"a\"]", CodecError::AckId),
        ("42-1[\"a\"]", CodecError::Json { line: 1, column: 2 }),
        ("43[]", CodecError::AckId),
        ("431{}", CodecError::Json { line: 1, column: 0 }),
        ("40[]", malformed("connect data is not an object")),
        ("40\"text\"", malformed("connect data is not an object")),
        ("40{", CodecError::Json { line: 1, column: 1 }),
        ("40{}{}", CodecError::Json { line: 1, column: 3 }),
        ("41{}", malformed("data does not fit the packet type")),
        ("44[]", malformed("connect error is neither an object nor text")),
        ("45", CodecError::Truncated),
        ("451[\"a\"]", CodecError::Truncated),
        ("45-[\"a\"]", malformed("attachment count is not a number")),
        ("45+1-[\"a\"]", malformed("attachment count is not a number")),
        ("451.5-[\"a\"]", malformed("attachment count is not a number")),
        ("450-[\"a\"]", malformed("a binary packet without attachments")),
        ("4565-[\"a\"]", CodecError::TooManyAttachments { max: 64 }),
        ("451000000000-[\"a\"]", CodecError::TooManyAttachments { max: 64 }),
        ("4599999999999999999999999-[\"a\"]", CodecError::TooManyAttachments { max: 64 }),
    ];
    for (packet, error) in table {
        let result = decode_all(Parser::Json, vec![text(packet)]);
        assert_eq!(result.unwrap_err(), *error, "{packet}");
    }
}

#[test]
fn placeholders_that_do_not_match_the_attachments_are_refused() {
    let packets = [
        r#"451-["a",{"_placeholder":true,"num":1}]"#,
        r#"451-["a",{"_placeholder":true,"num":-1}]"#,
        r#"451-["a",{"_placeholder":true,"num":"0"}]"#,
        r#"451-["a",{"_placeholder":true}]"#,
        r#"451-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]"#,
        r#"451-["a",[{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]]"#,
        r#"451-["a",{"x":{"_placeholder":true,"num":1e300}}]"#,
        r#"451-["a"]"#,
        r#"451-["a","_placeholder"]"#,
        r#"451-["a",{"_placeholder":false,"num":0}]"#,
    ];
    for packet in packets {
        let result = decode_all(Parser::Json, vec![text(packet), binary("01")]);
        assert_eq!(result.unwrap_err(), CodecError::Placeholder, "{packet}");
    }
}

#[test]
fn a_message_in_place_of_an_attachment_is_refused_and_the_packet_dropped() {
    let mut decoder = Decoder::new(Parser::Json, DecodeLimits::DEFAULT);
    assert_eq!(decoder.feed(text(r#"451-["a",{"_placeholder":true,"num":0}]"#)), Ok(None));
    assert_eq!(decoder.feed(text(r#"42["b"]"#)), Err(CodecError::AttachmentMissing));
    assert_eq!(decoder.feed(binary("01")), Err(CodecError::AttachmentUnexpected));
}

#[test]
fn the_heartbeat_goes_on_between_attachments() {
    let mut decoder = Decoder::new(Parser::Json, DecodeLimits::DEFAULT);
    assert_eq!(decoder.feed(text(r#"451-["a",{"_placeholder":true,"num":0}]"#)), Ok(None));
    assert_eq!(decoder.feed(text("2")), Ok(Some(Message::Ping)));
    assert!(matches!(decoder.feed(binary("01")), Ok(Some(Message::Socket { .. }))));
}

#[test]
fn a_binary_frame_without_announcement_is_refused() {
    assert_eq!(decode_all(Parser::Json, vec![binary("01")]), Err(CodecError::AttachmentUnexpected));
}

#[test]
fn a_server_with_the_json_parser_is_recognized() {
    assert_eq!(decode_all(Parser::Msgpack, vec![text(r#"40{"sid":"a"}"#)]), Err(CodecError::ParserMismatch));
}

#[test]
fn attachments_count_against_the_size_of_the_message() {
    let packet = r#"452-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
    let limits = DecodeLimits { message_bytes_max: 100, ..DecodeLimits::DEFAULT };
    let part = Frame::Binary(Bytes::from(vec![0; 20]));
    let result = decode_within(Parser::Json, limits, vec![text(packet), part.clone(), part]);
    assert_eq!(result, Err(CodecError::TooLarge { bytes: packet.len() + 40, max: 100 }));
}

#[test]
fn a_frame_over_the_size_is_refused_by_either_parser() {
    let limits = DecodeLimits { message_bytes_max: 4, ..DecodeLimits::DEFAULT };
    for parser in [Parser::Json, Parser::Msgpack] {
        for frame in [text("42[\"a\"]"), binary("8080808080")] {
            let bytes = frame.byte_len();
            assert_eq!(
                decode_within(parser, limits, vec![frame]),
                Err(CodecError::TooLarge { bytes, max: 4 })
            );
        }
    }
}

#[test]
fn nesting_is_limited_to_the_named_depth() {
    let max = DecodeLimits::DEFAULT.depth_max;
    for depth in [max, max + 1, 1_000_000] {
        let expected = if depth > max { Some(CodecError::TooDeep { max }) } else { None };
        let json = format!("42[\"a\",{}{}]", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(decode_all(Parser::Json, vec![text(&json)]).err(), expected, "JSON, {depth}");

        // {type: 2, nsp: "/", data: ["a", [[...]]]}
        let mut msgpack = from_hex("83a47479706502a36e7370a12fa46461746192a161").to_vec();
        msgpack.extend(std::iter::repeat_n(0x91, depth - 1));
        msgpack.push(0x90);
        let result = decode_all(Parser::Msgpack, vec![Frame::Binary(msgpack.into())]);
        assert_eq!(result.err(), expected, "MessagePack, {depth}");
    }
}

#[test]
fn brackets_in_text_are_not_nesting() {
    let json = format!(r#"42["a","{}\"{}\\"]"#, "[".repeat(100), "{".repeat(100));
    assert!(decode_all(Parser::Json, vec![text(&json)]).is_ok());
}

#[test]
fn names_and_namespaces_are_limited() {
    let long = "x".repeat(257);
    let too_long = |bytes| CodecError::NameTooLong { bytes, max: 256 };
    let event = format!("42[\"{long}\"]");
    assert_eq!(decode_all(Parser::Json, vec![text(&event)]), Err(too_long(257)));
    let namespace = format!("40/{long},");
    assert_eq!(decode_all(Parser::Json, vec![text(&namespace)]), Err(too_long(258)));

    let limits = DecodeLimits { name_bytes_max: 1, ..DecodeLimits::DEFAULT };
    let too_long = |bytes| CodecError::NameTooLong { bytes, max: 1 };
    // {type: 2, nsp: "/", data: ["ab"]} and {type: 1, nsp: "/a"}
    for (hex, bytes) in
        [("83a47479706502a36e7370a12fa46461746191a26162", 2), ("82a47479706501a36e7370a22f61", 2)]
    {
        assert_eq!(decode_within(Parser::Msgpack, limits, vec![binary(hex)]), Err(too_long(bytes)));
    }
}

#[test]
fn arguments_are_limited() {
    let max = DecodeLimits::DEFAULT.args_max;
    let json = format!("42[\"a\"{}]", ",0".repeat(max + 1));
    assert_eq!(decode_all(Parser::Json, vec![text(&json)]), Err(CodecError::TooManyArgs { max }));
    let json = format!("42[\"a\"{}]", ",0".repeat(max));
    assert!(decode_all(Parser::Json, vec![text(&json)]).is_ok());

    let mut msgpack = from_hex("83a47479706502a36e7370a12fa464617461dc0082a161").to_vec();
    msgpack.extend(vec![0; max + 1]);
    let result = decode_all(Parser::Msgpack, vec![Frame::Binary(msgpack.into())]);
    assert_eq!(result, Err(CodecError::TooManyArgs { max }));
}

#[test]
fn hostile_msgpack_packets_are_refused() {
    let malformed = CodecError::Malformed;
    let table: &[(&str, &str, CodecError)] = &[
        ("empty", "", CodecError::Truncated),
        ("not a map", "93010203", malformed("not a map")),
        ("key is not text", "810101", malformed("key is not text")),
        ("reserved type", "81a474797065c1", malformed("reserved MessagePack type")),
        ("map of 2^32 - 1 pairs", "dfffffffff", CodecError::Truncated),
        ("array of 2^32 - 1", "81a464617461ddffffffff", CodecError::Truncated),
        ("text of 4 GiB", "81a464617461dbffffffff61", CodecError::Truncated),
        ("bytes of 4 GiB", "81a464617461c6ffffffff61", CodecError::Truncated),
        ("extension of 4 GiB", "81a464617461c9ffffffff0061", CodecError::Truncated),
        ("cut in a number", "81a474797065ce0000", CodecError::Truncated),
        ("text is not UTF-8", "81a464617461a2c328", CodecError::InvalidUtf8),
        ("trailing byte", "82a47479706501a36e7370a12f00", CodecError::TrailingBytes),
        ("no type", "81a36e7370a12f", malformed("type is missing")),
        ("no namespace", "81a47479706501", CodecError::Namespace),
        ("namespace is a number", "82a47479706501a36e737001", CodecError::Namespace),
        ("namespace without slash", "82a47479706501a36e7370a161", CodecError::Namespace),
        ("type 5", "82a47479706505a36e7370a12f", CodecError::SocketType(5)),
        ("type -1", "82a474797065ffa36e7370a12f", malformed("type or id is not a whole number")),
        ("type is text", "82a474797065a130a36e7370a12f", malformed("type or id is not a whole number")),
        ("type twice", "82a47479706501a47479706501", malformed("a field is there twice")),
        ("data is no array", "83a47479706502a36e7370a12fa46461746180", malformed("data is not an array")),
        (
            "event without a name",
            "83a47479706502a36e7370a12fa46461746190",
            malformed("data does not fit the packet type"),
        ),
        ("name is a number", "83a47479706502a36e7370a12fa4646174619101", malformed("event name is not text")),
        ("event without data", "82a47479706502a36e7370a12f", malformed("data does not fit the packet type")),
        ("reserved name", "83a47479706502a36e7370a12fa46461746191a7636f6e6e656374", CodecError::ReservedName),
        ("ack without id", "83a47479706503a36e7370a12fa46461746190", CodecError::AckId),
        ("id 2^53", "84a47479706503a36e7370a12fa46461746190a26964cf0020000000000000", CodecError::AckId),
        (
            "disconnect with data",
            "83a47479706501a36e7370a12fa46461746180",
            malformed("data does not fit the packet type"),
        ),
        (
            "connect with an array",
            "83a47479706500a36e7370a12fa46461746190",
            malformed("connect data is not an object"),
        ),
        (
            "connect error with a number",
            "83a47479706504a36e7370a12fa46461746101",
            malformed("connect error is neither an object nor text"),
        ),
    ];
    for (name, hex, error) in table {
        let result = decode_all(Parser::Msgpack, vec![binary(hex)]);
        assert_eq!(result.unwrap_err(), *error, "{name}");
    }
}

#[test]
fn every_prefix_of_a_packet_is_refused() {
    let packet = from_hex(
        "84a47479706502a36e7370a62f61646d696ea46461746192a361736b82a171a5225cc3a90aa164d7000000018bcfe5687ba269640c",
    );
    for end in 0..packet.len() {
        let result = decode_all(Parser::Msgpack, vec![Frame::Binary(packet.slice(..end))]);
        assert!(result.is_err(), "{end} bytes");
    }
    assert!(decode_all(Parser::Msgpack, vec![Frame::Binary(packet)]).is_ok());
}

#[test]
fn what_the_other_end_would_close_the_connection_for_is_not_written() {
    let event = |name: &str, args, ack| Packet::Event { name: name.to_owned(), args, ack };
    for parser in [Parser::Json, Parser::Msgpack] {
        let list = Payload::encode(parser, &[1]).unwrap();
        let foreign = match parser {
            Parser::Json => {
                let data = Payload::encode(Parser::Msgpack, &serde_json::json!({})).unwrap();
                Packet::Connect { data: Some(data) }
            }
            Parser::Msgpack => event("a", vec![Payload::encode(Parser::Json, &1).unwrap()], None),
        };
        let table = [
            (event("disconnect", vec![], None), CodecError::ReservedName),
            (event("a", vec![], Some(1 << 53)), CodecError::AckId),
            (Packet::Ack { id: 1 << 53, args: vec![] }, CodecError::AckId),
            (foreign, CodecError::PayloadMismatch),
            (
                Packet::Connect { data: Some(list.clone()) },
                CodecError::Malformed("connect data is not an object"),
            ),
            (
                Packet::ConnectError { data: Some(list) },
                CodecError::Malformed("connect error is neither an object nor text"),
            ),
        ];
        for (packet, error) in table {
            let message = Message::Socket { namespace: Namespace::ROOT, packet };
            assert_eq!(encode(parser, &message), Err(error));
        }
    }
}

#[test]
fn a_namespace_that_would_end_early_on_the_wire_is_refused() {
    for name in ["", "admin", "/a,b"] {
        assert_eq!(Namespace::new(name), Err(CodecError::Namespace), "{name}");
    }
}

#[test]
fn a_payload_of_another_shape_is_a_typed_error() {
    for parser in [Parser::Json, Parser::Msgpack] {
        let payload = Payload::encode(parser, "text").unwrap();
        assert!(matches!(payload.decode::<u32>(), Err(CodecError::Shape(_))));
    }
    let binary = Payload::Binary(Bytes::from_static(b"1"));
    assert_eq!(binary.decode::<u32>(), Err(CodecError::IsBinary));
    let two = Payload::Msgpack(Bytes::from_static(&[1, 2]));
    assert_eq!(two.decode::<u32>(), Err(CodecError::TrailingBytes));
}

#[test]
fn debug_output_shows_no_content() {
    let payload = Payload::encode(Parser::Json, &serde_json::json!({"token": "secret"})).unwrap();
    let message =
        Message::Socket { namespace: Namespace::ROOT, packet: Packet::Connect { data: Some(payload) } };
    let frames = encode(Parser::Json, &message).unwrap();
    for shown in [format!("{message:?}"), format!("{frames:?}")] {
        assert!(!shown.contains("secret"), "{shown}");
    }
}
