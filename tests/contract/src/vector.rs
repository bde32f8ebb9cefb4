//! One message in all of its encodings.

use std::any::type_name;
use std::fmt::Debug;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use socketioxide::handler::Value as Packet;
use syncline::transport::{Parser, Payload};
use syncline_protocol::message::{Encoding, decode_compact, encode_compact};
use syncline_server::wire;

use crate::golden::{from_hex, quoted, render, to_hex};

/// Who sends a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    ToServer,
    ToClient,
}

impl Direction {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ToServer => "to_server",
            Self::ToClient => "to_client",
        }
    }
}

/// Whether a message is ever compact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encodings {
    PlainOnly,
    Both,
}

/// A message as a typed value, and where in the conversation it belongs.
#[derive(Debug)]
pub struct Vector {
    pub name: String,
    pub direction: Direction,
    /// The Socket.IO event, `ack of EVENT`, or `connect` for the handshake.
    pub event: String,
    pub encodings: Encodings,
    message: Box<dyn AnyMessage>,
}

/// A vector as the file holds it.
#[derive(Debug, Clone, Deserialize)]
pub struct Golden {
    pub name: String,
    pub direction: Direction,
    pub event: String,
    pub json: Box<RawValue>,
    /// Hexadecimal.
    pub messagepack: String,
    /// Hexadecimal.
    #[serde(default)]
    pub compact: Option<String>,
}

impl Golden {
    /// The plain encodings, as arguments of either parser.
    pub fn plain(&self) -> [Payload; 2] {
        [Payload::Json(self.json.get().into()), Payload::Msgpack(from_hex(&self.messagepack).into())]
    }

    /// The compact encoding.
    pub fn compact(&self) -> Option<Bytes> {
        self.compact.as_ref().map(|hex| from_hex(hex).into())
    }
}

impl Vector {
    pub fn new<T>(name: &str, direction: Direction, event: &str, encodings: Encodings, message: T) -> Self
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug + 'static,
    {
        Self {
            name: name.to_owned(),
            direction,
            event: event.to_owned(),
            encodings,
            message: Box::new(message),
        }
    }

    /// The message's Rust type, without its module.
    pub fn type_name(&self) -> &'static str {
        let name = self.message.type_name();
        name.rsplit("::").next().unwrap_or(name)
    }

    /// The message in every encoding it can have.
    pub fn encode(&self) -> Golden {
        let json = self.message.plain(Parser::Json);
        let messagepack = self.message.plain(Parser::Msgpack);
        let (Payload::Json(json), Payload::Msgpack(messagepack)) = (json, messagepack) else {
            panic!("{}: a plain message is binary", self.name);
        };
        let compact = match self.encodings {
            Encodings::PlainOnly => None,
            Encodings::Both => Some(to_hex(&self.message.compact())),
        };
        Golden {
            name: self.name.clone(),
            direction: self.direction,
            event: self.event.clone(),
            json: RawValue::from_string(json.into()).expect("JSON"),
            messagepack: to_hex(&messagepack),
            compact,
        }
    }

    /// Panics unless a plain argument reads as this message.
    pub fn assert_plain(&self, payload: &Payload) {
        self.message.assert_plain(&self.name, payload);
    }

    /// Panics unless compact bytes read as this message.
    pub fn assert_compact(&self, bytes: &[u8]) {
        self.message.assert_compact(&self.name, bytes);
    }

    /// Panics unless the server reads a request packet as this message, in this encoding.
    pub fn assert_served(&self, packet: &Packet, encoding: Encoding) {
        self.message.assert_served(&self.name, packet, encoding);
    }

    /// What the server makes of the message in the plain encoding.
    pub fn server_plain(&self) -> serde_json::Value {
        self.message.server_plain()
    }
}

/// The text of the file that holds these vectors.
pub fn render_all(vectors: &[Vector]) -> String {
    render(vectors.iter().map(|vector| {
        let golden = vector.encode();
        let mut fields = vec![
            ("name", quoted(&golden.name)),
            ("direction", quoted(golden.direction.as_str())),
            ("event", quoted(&golden.event)),
            ("json", golden.json.get().to_owned()),
            ("messagepack", quoted(&golden.messagepack)),
        ];
        fields.extend(golden.compact.map(|compact| ("compact", quoted(&compact))));
        fields
    }))
}

trait AnyMessage: Debug {
    fn type_name(&self) -> &'static str;
    fn plain(&self, parser: Parser) -> Payload;
    fn compact(&self) -> Vec<u8>;
    fn assert_plain(&self, name: &str, payload: &Payload);
    fn assert_compact(&self, name: &str, bytes: &[u8]);
    fn assert_served(&self, name: &str, packet: &Packet, encoding: Encoding);
    fn server_plain(&self) -> serde_json::Value;
}

impl<T: Serialize + DeserializeOwned + PartialEq + Debug> AnyMessage for T {
    fn type_name(&self) -> &'static str {
        type_name::<T>()
    }

    fn plain(&self, parser: Parser) -> Payload {
        Payload::encode(parser, self).expect("a plain encoding")
    }

    fn compact(&self) -> Vec<u8> {
        encode_compact(self).expect("a compact encoding")
    }

    fn assert_plain(&self, name: &str, payload: &Payload) {
        let read: T = payload.decode().unwrap_or_else(|error| panic!("{name}: {payload:?}: {error}"));
        assert_eq!(read, *self, "{name}: {payload:?}");
    }

    fn assert_compact(&self, name: &str, bytes: &[u8]) {
        let read: T = decode_compact(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(read, *self, "{name}");
    }

    fn assert_served(&self, name: &str, packet: &Packet, encoding: Encoding) {
        let (seen, read) = wire::decode::<T>(packet);
        assert_eq!((seen, read.as_ref()), (encoding, Ok(self)), "{name}");
    }

    fn server_plain(&self) -> serde_json::Value {
        match wire::encode(self, Encoding::Plain).expect("a plain encoding") {
            wire::Body::Plain(plain) => serde_json::from_str(plain.text()).expect("JSON"),
            wire::Body::Compact(_) => panic!("a plain message is binary"),
        }
    }
}
