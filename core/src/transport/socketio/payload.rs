use std::fmt;

use bytes::Bytes;
use rmp::Marker;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use syncline_protocol::messagepack;

use crate::transport::error::CodecError;

/// What most arguments take at most, encoded.
const ENCODED_BYTES: usize = 256;

/// The notation of Socket.IO packets. Both ends must be configured with the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Parser {
    /// The parser a Socket.IO server has unless told otherwise.
    Json,
    /// npm `socket.io-msgpack-parser`: smaller, and binary data anywhere.
    #[default]
    Msgpack,
}

/// One argument, still encoded.
///
/// A JSON argument with binary data nested in it is decoded as the equal MessagePack, the one of the two
/// notations that can hold it, so [`Payload::decode`] gives the same value whichever parser is in use.
#[derive(Clone, PartialEq, Eq)]
pub enum Payload {
    /// One JSON value.
    Json(Box<str>),
    /// One MessagePack value that is not bytes.
    Msgpack(Bytes),
    /// Bytes that are an argument on their own.
    Binary(Bytes),
}

impl Payload {
    /// Encodes a value, with field names and human-readable forms, since backends are mostly JavaScript.
    ///
    /// For MessagePack, a value that is itself bytes becomes [`Payload::Binary`]. JSON has no bytes: serde
    /// writes them as a list of numbers, so bytes for the JSON parser are made as `Payload::Binary`.
    pub fn encode<T: Serialize + ?Sized>(parser: Parser, value: &T) -> Result<Self, CodecError> {
        match parser {
            Parser::Json => {
                let json =
                    serde_json::to_string(value).map_err(|error| CodecError::Encode(error.to_string()))?;
                Ok(Self::Json(json.into_boxed_str()))
            }
            Parser::Msgpack => {
                let mut out = Vec::with_capacity(ENCODED_BYTES);
                let mut serializer =
                    rmp_serde::Serializer::new(&mut out).with_struct_map().with_human_readable();
                value.serialize(&mut serializer).map_err(|error| CodecError::Encode(error.to_string()))?;
                Ok(Self::from_msgpack(out.into()))
            }
        }
    }

    /// Decodes the value. Fails with [`CodecError::Shape`] when it is not a `T`, and with
    /// [`CodecError::IsBinary`] for raw bytes, which have no shape.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, CodecError> {
        match self {
            Self::Json(text) => {
                serde_json::from_str(text).map_err(|error| CodecError::Shape(error.to_string()))
            }
            Self::Msgpack(bytes) => messagepack::from_named(bytes).map_err(|error| {
                if error.is_trailing_bytes() {
                    CodecError::TrailingBytes
                } else {
                    CodecError::Shape(error.to_string())
                }
            }),
            Self::Binary(_) => Err(CodecError::IsBinary),
        }
    }

    /// The bytes of an argument that is binary data.
    pub fn as_binary(&self) -> Option<&Bytes> {
        match self {
            Self::Binary(bytes) => Some(bytes),
            Self::Json(_) | Self::Msgpack(_) => None,
        }
    }

    /// The encoded size, in bytes.
    pub fn byte_len(&self) -> usize {
        match self {
            Self::Json(text) => text.len(),
            Self::Msgpack(bytes) | Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Takes one complete MessagePack value; bytes at its root become `Binary`.
    pub(super) fn from_msgpack(value: Bytes) -> Self {
        let header_bytes = match value.first().copied().map(Marker::from_u8) {
            Some(Marker::Bin8) => 2,
            Some(Marker::Bin16) => 3,
            Some(Marker::Bin32) => 5,
            _ => return Self::Msgpack(value),
        };
        if value.len() < header_bytes {
            return Self::Msgpack(value);
        }
        Self::Binary(value.slice(header_bytes..))
    }

    pub(super) fn is_object(&self) -> bool {
        match self {
            Self::Json(text) => text.trim_start().starts_with('{'),
            Self::Msgpack(bytes) => matches!(
                bytes.first().copied().map(Marker::from_u8),
                Some(Marker::FixMap(_) | Marker::Map16 | Marker::Map32)
            ),
            Self::Binary(_) => false,
        }
    }

    /// Whether the value is text.
    pub fn is_text(&self) -> bool {
        match self {
            Self::Json(text) => text.trim_start().starts_with('"'),
            Self::Msgpack(bytes) => matches!(
                bytes.first().copied().map(Marker::from_u8),
                Some(Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32)
            ),
            Self::Binary(_) => false,
        }
    }
}

impl fmt::Debug for Payload {
    /// The size only: payloads carry tokens and the app's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let notation = match self {
            Self::Json(_) => "Json",
            Self::Msgpack(_) => "Msgpack",
            Self::Binary(_) => "Binary",
        };
        write!(f, "{notation}({} bytes)", self.byte_len())
    }
}
