//! Agreement, byte for byte, with what npm `socket.io-parser` 4.2.7 and `socket.io-msgpack-parser` 3.0.2 write.

use bytes::Bytes as Buffer;
use serde_json::{Value as Json, json};

use super::{decode_all, from_hex, to_hex};
use crate::transport::{Frame, Message, Namespace, Packet, Parser, Payload, encode};

struct Vector {
    name: &'static str,
    case: fn() -> Case,
    json: &'static str,
    attachments: &'static [&'static str],
    msgpack: &'static str,
}

/// A packet of either notation.
struct Case {
    namespace: &'static str,
    kind: Kind,
}

enum Kind {
    Connect(Option<Json>),
    Disconnect,
    Event(&'static str, Vec<Arg>, Option<u64>),
    Ack(u64, Vec<Arg>),
    Error(Json),
}

enum Arg {
    Value(Json),
    Bytes(&'static [u8]),
}
use Arg::{Bytes, Value};

fn connect(namespace: &'static str, data: Option<Json>) -> Case {
    Case { namespace, kind: Kind::Connect(data) }
}

fn event(namespace: &'static str, name: &'static str, args: Vec<Arg>, ack: Option<u64>) -> Case {
    Case { namespace, kind: Kind::Event(name, args, ack) }
}

fn ack(namespace: &'static str, id: u64, args: Vec<Arg>) -> Case {
    Case { namespace, kind: Kind::Ack(id, args) }
}

fn error(namespace: &'static str, data: Json) -> Case {
    Case { namespace, kind: Kind::Error(data) }
}

fn big_value() -> Json {
    let list: Vec<u32> = (0..17).map(|i| i * 1000).collect();
    json!({"f": 1.5, "list": list, "n": null, "neg": -129, "s": "x".repeat(40), "t": true})
}

impl Case {
    fn message(&self, parser: Parser) -> Message {
        let value = |json: &Json| Payload::encode(parser, json).unwrap();
        let args = |args: &[Arg]| {
            args.iter()
                .map(|arg| match arg {
                    Value(json) => value(json),
                    Bytes(bytes) => Payload::Binary(Buffer::from_static(bytes)),
                })
                .collect()
        };
        let packet = match &self.kind {
            Kind::Connect(data) => Packet::Connect { data: data.as_ref().map(value) },
            Kind::Disconnect => Packet::Disconnect,
            Kind::Event(name, list, ack) => {
                Packet::Event { name: (*name).to_owned(), args: args(list), ack: *ack }
            }
            Kind::Ack(id, list) => Packet::Ack { id: *id, args: args(list) },
            Kind::Error(data) => Packet::ConnectError { data: Some(value(data)) },
        };
        Message::Socket { namespace: Namespace::new(self.namespace).unwrap(), packet }
    }
}

const VECTORS: &[Vector] = &[
    Vector {
        name: "connect_bare",
        case: || connect("/", None),
        json: r#"40"#,
        attachments: &[],
        msgpack: "82a47479706500a36e7370a12f",
    },
    Vector {
        name: "connect_auth",
        case: || connect("/", Some(json!({"protocol": 1, "token": "t"}))),
        json: r#"40{"protocol":1,"token":"t"}"#,
        attachments: &[],
        msgpack: "83a47479706500a36e7370a12fa46461746182a870726f746f636f6c01a5746f6b656ea174",
    },
    Vector {
        name: "connect_nsp",
        case: || connect("/admin", Some(json!({"token": "t"}))),
        json: r#"40/admin,{"token":"t"}"#,
        attachments: &[],
        msgpack: "83a47479706500a36e7370a62f61646d696ea46461746181a5746f6b656ea174",
    },
    Vector {
        name: "disconnect",
        case: || Case { namespace: "/", kind: Kind::Disconnect },
        json: r#"41"#,
        attachments: &[],
        msgpack: "82a47479706501a36e7370a12f",
    },
    Vector {
        name: "disconnect_nsp",
        case: || Case { namespace: "/admin", kind: Kind::Disconnect },
        json: r#"41/admin,"#,
        attachments: &[],
        msgpack: "82a47479706501a36e7370a62f61646d696e",
    },
    Vector {
        name: "event",
        case: || {
            event(
                "/",
                "hello",
                vec![Value(json!(1)), Value(json!("two")), Value(json!({"three": [3]})), Value(json!(null))],
                None,
            )
        },
        json: r#"42["hello",1,"two",{"three":[3]},null]"#,
        attachments: &[],
        msgpack: "83a47479706502a36e7370a12fa46461746195a568656c6c6f01a374776f81a574687265659103c0",
    },
    Vector {
        name: "event_no_args",
        case: || event("/", "tick", vec![], None),
        json: r#"42["tick"]"#,
        attachments: &[],
        msgpack: "83a47479706502a36e7370a12fa46461746191a47469636b",
    },
    Vector {
        name: "event_ack",
        case: || event("/admin", "ask", vec![Value(json!({"q": "\"\\é\n"}))], Some(12)),
        json: r#"42/admin,12["ask",{"q":"\"\\é\n"}]"#,
        attachments: &[],
        msgpack: "84a47479706502a36e7370a62f61646d696ea46461746192a361736b81a171a5225cc3a90aa269640c",
    },
    Vector {
        name: "event_big_id",
        case: || event("/", "ask", vec![], Some(9_007_199_254_740_991)),
        json: r#"429007199254740991["ask"]"#,
        attachments: &[],
        msgpack: "84a47479706502a36e7370a12fa46461746191a361736ba26964cf001fffffffffffff",
    },
    Vector {
        name: "event_big",
        case: || event("/", "sync:push", vec![Value(big_value())], Some(300)),
        json: r#"42300["sync:push",{"f":1.5,"list":[0,1000,2000,3000,4000,5000,6000,7000,8000,9000,10000,11000,12000,13000,14000,15000,16000],"n":null,"neg":-129,"s":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","t":true}]"#,
        attachments: &[],
        msgpack: "84a47479706502a36e7370a12fa46461746192a973796e633a7075736886a166cb3ff8000000000000a46c697374dc001100cd03e8cd07d0cd0bb8cd0fa0cd1388cd1770cd1b58cd1f40cd2328cd2710cd2af8cd2ee0cd32c8cd36b0cd3a98cd3e80a16ec0a36e6567d1ff7fa173d92878787878787878787878787878787878787878787878787878787878787878787878787878787878a174c3a26964cd012c",
    },
    Vector {
        name: "ack",
        case: || ack("/", 0, vec![Value(json!({"ok": true}))]),
        json: r#"430[{"ok":true}]"#,
        attachments: &[],
        msgpack: "84a47479706503a36e7370a12fa4646174619181a26f6bc3a2696400",
    },
    Vector {
        name: "ack_empty",
        case: || ack("/admin", 456, vec![]),
        json: r#"43/admin,456[]"#,
        attachments: &[],
        msgpack: "84a47479706503a36e7370a62f61646d696ea46461746190a26964cd01c8",
    },
    Vector {
        name: "error_object",
        case: || error("/", json!({"message": "unauthorized"})),
        json: r#"44{"message":"unauthorized"}"#,
        attachments: &[],
        msgpack: "83a47479706504a36e7370a12fa46461746181a76d657373616765ac756e617574686f72697a6564",
    },
    Vector {
        name: "error_text",
        case: || error("/admin", json!("no")),
        json: r#"44/admin,"no""#,
        attachments: &[],
        msgpack: "83a47479706504a36e7370a62f61646d696ea464617461a26e6f",
    },
    Vector {
        name: "binary_event",
        case: || event("/", "blob", vec![Bytes(&[1, 2, 3]), Value(json!({"a": 1})), Bytes(&[])], None),
        json: r#"452-["blob",{"_placeholder":true,"num":0},{"a":1},{"_placeholder":true,"num":1}]"#,
        attachments: &["010203", ""],
        msgpack: "83a47479706502a36e7370a12fa46461746194a4626c6f62c40301020381a16101c400",
    },
    Vector {
        name: "binary_ack",
        case: || ack("/admin", 7, vec![Bytes(&[0xff])]),
        json: r#"461-/admin,7[{"_placeholder":true,"num":0}]"#,
        attachments: &["ff"],
        msgpack: "84a47479706503a36e7370a62f61646d696ea46461746191c401ffa2696407",
    },
];

fn json_frames(vector: &Vector) -> Vec<Frame> {
    let attachments = vector.attachments.iter().map(|hex| Frame::Binary(from_hex(hex)));
    std::iter::once(Frame::Text(vector.json.to_owned())).chain(attachments).collect()
}

#[test]
fn json_is_written_as_socket_io_parser_writes_it() {
    for vector in VECTORS {
        let frames = encode(Parser::Json, &(vector.case)().message(Parser::Json)).unwrap();
        assert_eq!(frames, json_frames(vector), "{}: {:?}", vector.name, text(&frames));
    }
}

#[test]
fn json_of_socket_io_parser_is_read() {
    for vector in VECTORS {
        let message = decode_all(Parser::Json, json_frames(vector)).unwrap();
        assert_eq!(message, (vector.case)().message(Parser::Json), "{}", vector.name);
    }
}

#[test]
fn msgpack_is_written_as_socket_io_msgpack_parser_writes_it() {
    for vector in VECTORS {
        let frames = encode(Parser::Msgpack, &(vector.case)().message(Parser::Msgpack)).unwrap();
        let [Frame::Binary(bytes)] = frames.as_slice() else { panic!("{}: {frames:?}", vector.name) };
        assert_eq!(to_hex(bytes), vector.msgpack, "{}", vector.name);
    }
}

#[test]
fn msgpack_of_socket_io_msgpack_parser_is_read() {
    for vector in VECTORS {
        let message = decode_all(Parser::Msgpack, vec![Frame::Binary(from_hex(vector.msgpack))]).unwrap();
        assert_eq!(message, (vector.case)().message(Parser::Msgpack), "{}", vector.name);
    }
}

fn text(frames: &[Frame]) -> Option<&str> {
    match frames.first() {
        Some(Frame::Text(text)) => Some(text),
        _ => None,
    }
}

fn args(message: Message) -> Vec<Payload> {
    match message {
        Message::Socket { packet: Packet::Event { args, .. } | Packet::Ack { args, .. }, .. } => args,
        other => panic!("{other:?}"),
    }
}

fn msgpack_frame(hex: &str) -> Vec<Frame> {
    vec![Frame::Binary(from_hex(hex))]
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct File {
    name: String,
    parts: Vec<serde_bytes::ByteBuf>,
}

/// `socket.emit("file", {name: "a", parts: [<01>, <02 03>]}, <04>, ack)`
#[test]
fn binary_nested_in_an_argument_is_the_same_value_with_either_parser() {
    let json = vec![
        Frame::Text(
            r#"453-1["file",{"name":"a","parts":[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]},{"_placeholder":true,"num":2}]"#
                .to_owned(),
        ),
        Frame::Binary(from_hex("01")),
        Frame::Binary(from_hex("0203")),
        Frame::Binary(from_hex("04")),
    ];
    let msgpack = "84a47479706502a36e7370a12fa46461746193a466696c6582a46e616d65a161a5706172747392c40101c4020203c40104a2696401";
    let expected = File { name: "a".to_owned(), parts: vec![vec![1].into(), vec![2, 3].into()] };
    for message in [
        decode_all(Parser::Json, json).unwrap(),
        decode_all(Parser::Msgpack, msgpack_frame(msgpack)).unwrap(),
    ] {
        let args = args(message);
        assert_eq!(args[0].decode::<File>().unwrap(), expected);
        assert_eq!(args[1].as_binary().unwrap().as_ref(), [4]);
    }
}

/// `socket.io-client` names an `auth` that was not given.
#[test]
fn a_field_that_is_undefined_is_absent() {
    let message =
        decode_all(Parser::Msgpack, msgpack_frame("83a47479706500a464617461d40000a36e7370a12f")).unwrap();
    assert_eq!(message, connect("/", None).message(Parser::Msgpack));
}

/// Python servers write `data: None`.
#[test]
fn a_field_that_is_nil_is_absent() {
    let message =
        decode_all(Parser::Msgpack, msgpack_frame("83a47479706501a464617461c0a36e7370a12f")).unwrap();
    assert_eq!(message, Case { namespace: "/", kind: Kind::Disconnect }.message(Parser::Msgpack));
}

/// `socket.io-client` sends its own options along.
#[test]
fn unknown_fields_are_passed_over() {
    let hex = "85a47479706502a46461746192a568656c6c6f81a16101a76f7074696f6e7381a8636f6d7072657373c3a2696405a36e7370a12f";
    let message = decode_all(Parser::Msgpack, msgpack_frame(hex)).unwrap();
    assert_eq!(message, event("/", "hello", vec![Value(json!({"a": 1}))], Some(5)).message(Parser::Msgpack));
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct JavaScriptValues {
    u: Option<u32>,
    d: String,
    b: serde_bytes::ByteBuf,
}

/// `emit("v", undefined, {u: undefined, d: new Date(1700000000123), b: new Uint8Array([9, 8])}, new Date(-1),
/// new Uint8Array([1, 2]).buffer)`
#[test]
fn values_only_javascript_has_are_read_as_json_would_show_them() {
    let hex = "83a47479706502a46461746195a176d4000083a175d40000a164d7000000018bcfe5687ba162c702000908d700ffffffffffffffffc702000102a36e7370a12f";
    let args = args(decode_all(Parser::Msgpack, msgpack_frame(hex)).unwrap());
    assert_eq!(args[0].decode::<Option<u32>>().unwrap(), None);
    let expected =
        JavaScriptValues { u: None, d: "2023-11-14T22:13:20.123Z".to_owned(), b: vec![9, 8].into() };
    assert_eq!(args[1].decode::<JavaScriptValues>().unwrap(), expected);
    assert_eq!(args[2].decode::<String>().unwrap(), "1969-12-31T23:59:59.999Z");
    assert_eq!(args[3].as_binary().unwrap().as_ref(), [1, 2]);
}

#[test]
fn dates_follow_the_gregorian_calendar_over_their_whole_range() {
    let hex = "84a47479706503a46461746196d700000000dd9aa6e000d700fffffdfeddd90fffd700001eb208c2dc0000d700ffe14df73d240000d70000000c5ebade7400d700000003bc5c9b0c00a2696401a36e7370a12f";
    let args = args(decode_all(Parser::Msgpack, msgpack_frame(hex)).unwrap());
    let dates: Vec<String> = args.iter().map(|arg| arg.decode().unwrap()).collect();
    assert_eq!(
        dates,
        [
            "2000-02-29T00:00:00.000Z",
            "1900-02-28T23:59:59.999Z",
            "+275760-09-13T00:00:00.000Z",
            "-271821-04-20T00:00:00.000Z",
            "2400-12-31T00:00:00.000Z",
            "2100-03-01T00:00:00.000Z",
        ]
    );
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Typed {
    id: uuid::Uuid,
    kind: TypedKind,
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum TypedKind {
    LikeJson,
}

#[test]
fn typed_values_are_maps_with_names_and_readable_forms_with_either_parser() {
    let id = uuid::Uuid::from_u128(1);
    let typed = Typed { id, kind: TypedKind::LikeJson };
    let plain = json!({"id": id.to_string(), "kind": "like_json"});
    for parser in [Parser::Json, Parser::Msgpack] {
        let payload = Payload::encode(parser, &typed).unwrap();
        assert_eq!(payload.decode::<Json>().unwrap(), plain);
        assert_eq!(payload.decode::<Typed>().unwrap(), typed);
    }
}
