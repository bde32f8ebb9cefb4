//! Arguments and answers as they travel: a map in the plain encoding, one binary in the compact one.
//!
//! Both are read here from the raw packet rather than by socketioxide's extractors: those read maps through the
//! packet's own format, in which a MessagePack client's plain map would have binary client ids, and they refuse a
//! map whose first name needs an escape.

use std::fmt;
use std::marker::PhantomData;
use std::sync::OnceLock;

use bytes::Bytes;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use socketioxide::handler::Value;
use syncline_protocol::message::{Encoding, Failure, decode_compact, encode_compact};
use syncline_protocol::{ErrorCode, WireError};

/// A payload ready for any of the two packet formats, however many it is sent to.
#[derive(Debug, Clone)]
pub enum Body {
    Plain(Plain),
    Compact(Bytes),
}

/// A payload of maps: JSON text, which the packets of text carry as it is.
#[derive(Debug, Clone)]
pub struct Plain {
    text: Box<RawValue>,
    /// The same for packets of MessagePack, made when first needed.
    tree: OnceLock<serde_json::Value>,
}

impl Plain {
    fn new<T: Serialize>(message: &T) -> Result<Self, serde_json::Error> {
        Ok(Self { text: to_raw_value(message)?, tree: OnceLock::new() })
    }

    /// The JSON text.
    pub fn text(&self) -> &str {
        self.text.get()
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(plain) if serializer.is_human_readable() => plain.text.serialize(serializer),
            Self::Plain(plain) => match plain.tree.get() {
                Some(tree) => tree.serialize(serializer),
                None => {
                    let tree = serde_json::from_str(plain.text()).map_err(S::Error::custom)?;
                    plain.tree.get_or_init(|| tree).serialize(serializer)
                }
            },
            Self::Compact(bytes) => bytes.serialize(serializer),
        }
    }
}

/// A payload could not be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error(transparent)]
    Plain(#[from] serde_json::Error),
    #[error(transparent)]
    Compact(#[from] rmp_serde::encode::Error),
}

/// Encodes a message.
pub fn encode<T: Serialize>(message: &T, encoding: Encoding) -> Result<Body, EncodeError> {
    Ok(match encoding {
        Encoding::Plain => Body::Plain(Plain::new(message)?),
        Encoding::Compact => Body::Compact(encode_compact(message)?.into()),
    })
}

/// Encodes an answer; an error is always plain.
pub fn encode_answer<T: Serialize>(answer: Result<T, WireError>, encoding: Encoding) -> Body {
    let encoded = answer.and_then(|answer| {
        encode(&answer, encoding).map_err(|error| {
            tracing::error!(%error, "an answer cannot be encoded");
            WireError::new(ErrorCode::Internal, "the answer cannot be encoded")
        })
    });
    encoded.unwrap_or_else(failure)
}

/// An error as it is answered.
pub fn failure(error: WireError) -> Body {
    let text = to_raw_value(&Failure { error }).unwrap_or_default();
    Body::Plain(Plain { text, tree: OnceLock::new() })
}

/// Reads the first argument of a request, and how it was encoded.
pub fn decode<T: DeserializeOwned>(packet: &Value) -> (Encoding, Result<T, WireError>) {
    let argument = match packet {
        Value::Str(text, attachments) => match attachments.as_ref().and_then(|parts| parts.front()) {
            Some(part) => serde_json::from_str::<Second<Placeholder>>(text)
                .map(|_| Argument::Compact(decode_compact(part).map_err(|error| error.to_string())))
                .map_err(|error| error.to_string()),
            None => serde_json::from_str::<Second<Argument<T>>>(text)
                .map(|second| second.0)
                .map_err(|error| error.to_string()),
        },
        Value::Bytes(bytes) => {
            let mut deserializer =
                rmp_serde::Deserializer::from_read_ref(bytes.as_ref()).with_human_readable();
            Second::<Argument<T>>::deserialize(&mut deserializer)
                .map(|second| second.0)
                .map_err(|error| error.to_string())
        }
    };
    let invalid =
        |reason: String| WireError::new(ErrorCode::Invalid, format!("the request is malformed: {reason}"));
    match argument {
        Ok(Argument::Plain(message)) => (Encoding::Plain, Ok(message)),
        Ok(Argument::Compact(message)) => (Encoding::Compact, message.map_err(invalid)),
        Err(reason) => (Encoding::Plain, Err(invalid(reason))),
    }
}

/// Reads a handshake's auth payload; an absent one reads as an empty map.
pub fn decode_auth<T: DeserializeOwned>(packet: Option<&Value>) -> Result<T, WireError> {
    let read = match packet {
        None => serde_json::from_str("{}").map_err(|error| error.to_string()),
        Some(Value::Str(text, _)) if text.is_empty() => {
            serde_json::from_str("{}").map_err(|error| error.to_string())
        }
        Some(Value::Str(text, _)) => serde_json::from_str(text).map_err(|error| error.to_string()),
        Some(Value::Bytes(bytes)) => {
            let mut deserializer =
                rmp_serde::Deserializer::from_read_ref(bytes.as_ref()).with_human_readable();
            T::deserialize(&mut deserializer).map_err(|error| error.to_string())
        }
    };
    read.map_err(|reason| WireError::new(ErrorCode::Invalid, format!("the handshake is malformed: {reason}")))
}

/// How a request that says nothing was encoded.
pub fn encoding(packet: &Value) -> Encoding {
    decode::<IgnoredMap>(packet).0
}

/// What a packet takes in memory.
pub fn byte_len(packet: &Value) -> usize {
    let attachments = match packet {
        Value::Str(_, Some(parts)) => parts.iter().map(Bytes::len).sum(),
        _ => 0,
    };
    packet.len() + attachments
}

/// The MessagePack extension by which the JavaScript parser marks a typed array.
const EXTENSION_TYPED_ARRAY: i8 = 0;

#[derive(Deserialize)]
struct IgnoredMap {}

/// Where Socket.IO's own parser puts an attachment.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Placeholder {
    #[serde(rename = "_placeholder")]
    _placeholder: bool,
    #[serde(rename = "num")]
    _num: u64,
}

/// The element after the event's name; further ones are ignored.
struct Second<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Second<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SecondVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for SecondVisitor<T> {
            type Value = Second<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event with an argument")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Second<T>, A::Error> {
                seq.next_element::<IgnoredAny>()?;
                let second =
                    seq.next_element()?.ok_or_else(|| A::Error::custom("the argument is missing"))?;
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Second(second))
            }
        }

        deserializer.deserialize_seq(SecondVisitor(PhantomData))
    }
}

/// A plain or compact argument.
enum Argument<T> {
    Plain(T),
    Compact(Result<T, String>),
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Argument<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ArgumentVisitor<T>(PhantomData<T>);

        impl<'de, T: DeserializeOwned> Visitor<'de> for ArgumentVisitor<T> {
            type Value = Argument<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map or a binary")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Argument<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Argument::Plain)
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Argument<T>, E> {
                Ok(Argument::Compact(decode_compact(bytes).map_err(|error| error.to_string())))
            }

            // How the JavaScript parser sends a typed array, where a `Buffer` is a plain binary.
            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                extension: D,
            ) -> Result<Argument<T>, D::Error> {
                let (kind, bytes) = <(i8, serde_bytes::ByteBuf)>::deserialize(extension)?;
                if kind == EXTENSION_TYPED_ARRAY {
                    self.visit_bytes(&bytes)
                } else {
                    Err(D::Error::custom(format_args!("extension {kind} is not known")))
                }
            }
        }

        deserializer.deserialize_any(ArgumentVisitor(PhantomData))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use syncline_protocol::message::RoomRequest;
    use syncline_protocol::{ClientId, Room};

    use super::*;

    fn text(text: &'static str, attachments: &[&[u8]]) -> Value {
        let parts = attachments.iter().map(|part| Bytes::copy_from_slice(part)).collect();
        Value::Str(text.into(), (!attachments.is_empty()).then_some(parts))
    }

    fn packed(argument: &[u8]) -> Value {
        Value::Bytes([b"\x92\xa1e", argument].concat().into())
    }

    fn request() -> RoomRequest {
        RoomRequest { room: Room::new("r").unwrap() }
    }

    #[test]
    fn a_request_reads_the_same_in_every_form() {
        let compact = encode_compact(&request()).unwrap();
        let binary = [&[0xc4, u8::try_from(compact.len()).unwrap()], compact.as_slice()].concat();
        let typed_array = [&[0xc7, u8::try_from(compact.len()).unwrap(), 0], compact.as_slice()].concat();
        for (packet, encoding) in [
            (text(r#"["e",{"room":"r"}]"#, &[]), Encoding::Plain),
            (text(r#"["e",{"room":"r","new":[1]},"more"]"#, &[]), Encoding::Plain),
            (text(r#"["e",{"_placeholder":true,"num":0}]"#, &[&compact]), Encoding::Compact),
            (packed(&rmp_serde::to_vec_named(&request()).unwrap()), Encoding::Plain),
            (packed(&binary), Encoding::Compact),
            (packed(&typed_array), Encoding::Compact),
        ] {
            assert_eq!(decode::<RoomRequest>(&packet), (encoding, Ok(request())), "{packet:?}");
        }
    }

    #[test]
    fn what_does_not_read_is_invalid() {
        let compact = encode_compact(&request()).unwrap();
        let nested = [vec![0x91; 10_000], vec![0xc0]].concat();
        for packet in [
            text("", &[]),
            text(r#"["e"]"#, &[]),
            text(r#"["e",null]"#, &[]),
            text(r#"["e",{"room":1}]"#, &[]),
            text(r#"["e",{"room":{"_placeholder":true,"num":0}}]"#, &[&compact]),
            text(r#"["e",{"_placeholder":true,"num":0}]"#, &[b"\x91"]),
            text(r#"["e",{"_placeholder":true,"num":0}]"#, &[&[compact.as_slice(), b"\xc0"].concat()]),
            Value::Bytes(Bytes::new()),
            Value::Bytes(Bytes::from_static(b"\x91\xa1e")),
            packed(b"\xc0"),
            packed(b"\xc4\xff"),
            packed(b"\xc7\x01\x05\x00"),
            packed(b"\xdf\xff\xff\xff\xff"),
            packed(&nested),
        ] {
            let (_, request) = decode::<RoomRequest>(&packet);
            assert_eq!(request.unwrap_err().code, ErrorCode::Invalid, "{packet:?}");
        }
    }

    #[test]
    fn a_plain_map_has_client_ids_as_text_over_either_parser() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Named {
            client: ClientId,
        }
        let named = Named { client: ClientId::from_bytes([7; 16]) };
        let Body::Plain(body) = encode(&named, Encoding::Plain).unwrap() else { panic!("a map") };
        assert_eq!(body.text(), r#"{"client":"07070707-0707-0707-0707-070707070707"}"#);
        let packet = packed(&rmp_serde::to_vec_named(&Body::Plain(body)).unwrap());
        assert_eq!(decode(&packet), (Encoding::Plain, Ok(named)));
    }

    #[test]
    fn an_absent_auth_payload_reads_as_empty() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Empty {}
        for packet in
            [None, Some(text("", &[])), Some(text("{}", &[])), Some(Value::Bytes(b"\x80"[..].into()))]
        {
            assert_eq!(decode_auth(packet.as_ref()), Ok(Empty {}));
        }
    }
}
