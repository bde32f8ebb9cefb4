//! One argument of an event, of its answer or of a queued job: JSON's data model, with bytes anywhere in it.
//!
//! On the wire and in the journal bytes are bytes. In JSON text, [`portable`] writes them as `{"$bytes": "<base64>"}`, or leaves them
//! to what lies beside the text ([`crate::attachments`]).

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use syncline_protocol::Value;
use syncline_protocol::gather::Gather as _;
use syncline_protocol::limits::VALUE_DEPTH_MAX;

use crate::transport::{CodecError, Parser, Payload};

/// A number that is whole and within ±2^53 is always `Int`; a `Float` is always finite: as in [`Value`].
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(String),
    Bytes(Bytes),
    Array(Vec<Argument>),
    Object(BTreeMap<String, Argument>),
}

impl Argument {
    /// What the argument takes in memory and, roughly, on the wire, in bytes. Used for caps.
    pub fn byte_len(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) => 1,
            Self::Int(_) | Self::Float(_) => 9,
            Self::String(text) => 3 + text.len(),
            Self::Bytes(bytes) => 3 + bytes.len(),
            Self::Array(items) => 3 + items.iter().map(Self::byte_len).sum::<usize>(),
            Self::Object(fields) => {
                3 + fields.iter().map(|(name, value)| 3 + name.len() + value.byte_len()).sum::<usize>()
            }
        }
    }

    /// Whether there are bytes anywhere in it.
    pub fn has_bytes(&self) -> bool {
        match self {
            Self::Bytes(_) => true,
            Self::Array(items) => items.iter().any(Self::has_bytes),
            Self::Object(fields) => fields.values().any(Self::has_bytes),
            _ => false,
        }
    }

    /// For a packet in this notation.
    pub fn to_payload(&self, parser: Parser) -> Result<Payload, CodecError> {
        match self {
            Self::Bytes(bytes) => Ok(Payload::Binary(bytes.clone())),
            // JSON cannot hold them: the packet's encoder moves them out of the MessagePack.
            nested if nested.has_bytes() => Payload::encode(Parser::Msgpack, nested),
            plain => Payload::encode(parser, plain),
        }
    }

    /// Reads an argument of a packet.
    pub fn from_payload(payload: &Payload) -> Result<Self, CodecError> {
        match payload.as_binary() {
            Some(bytes) => Ok(Self::Bytes(bytes.clone())),
            None => payload.decode(),
        }
    }
}

impl From<Value> for Argument {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(flag),
            Value::Int(number) => Self::Int(number),
            Value::Float(number) => Self::Float(number),
            Value::String(text) => Self::String(text),
            Value::Array(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            Value::Object(fields) => {
                Self::Object(fields.into_iter().map(|(name, value)| (name.into(), value.into())).gather())
            }
        }
    }
}

impl Serialize for Argument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::String(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::Array(items) => items.serialize(serializer),
            Self::Object(fields) => fields.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Argument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        AtDepth(0).deserialize(deserializer)
    }
}

/// Carries the nesting depth down, so that hostile input cannot exhaust the stack.
struct AtDepth(usize);

impl<'de> DeserializeSeed<'de> for AtDepth {
    type Value = Argument;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Argument, D::Error> {
        if self.0 > VALUE_DEPTH_MAX {
            return Err(D::Error::custom(format_args!("nested deeper than {VALUE_DEPTH_MAX}")));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AtDepth {
    type Value = Argument;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value or bytes")
    }

    fn visit_unit<E>(self) -> Result<Argument, E> {
        Ok(Argument::Null)
    }

    fn visit_none<E>(self) -> Result<Argument, E> {
        Ok(Argument::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Argument, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Argument, E> {
        Ok(Argument::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Argument, E> {
        Ok(Argument::Int(number))
    }

    #[allow(clippy::cast_precision_loss)]
    fn visit_u64<E>(self, number: u64) -> Result<Argument, E> {
        Ok(i64::try_from(number).map_or(Argument::Float(number as f64), Argument::Int))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Argument, E> {
        Value::number(number).map(Argument::from).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Argument, E> {
        Ok(Argument::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Argument, E> {
        Ok(Argument::String(text))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Argument, E> {
        Ok(Argument::Bytes(Bytes::copy_from_slice(bytes)))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Argument, E> {
        Ok(Argument::Bytes(bytes.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Argument, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(AtDepth(self.0 + 1))? {
            items.push(item);
        }
        Ok(Argument::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Argument, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            fields.insert(name, map.next_value_seed(AtDepth(self.0 + 1))?);
        }
        Ok(Argument::Object(fields))
    }
}

/// Arguments as JSON text holds them: for `#[serde(with = "portable")]` on a `Vec<Argument>`.
///
/// Bytes are `{"$bytes": "<base64>"}`, or `{"$attachment": index}` where they lie beside the text. An object that has no other
/// key than one of these or `$object` is `{"$object": {...}}`, so that nothing else is ever taken for bytes.
pub mod portable {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::ser::{SerializeMap, SerializeSeq};

    use super::{Argument, BTreeMap, Deserialize, Deserializer, Serialize, Serializer};
    use crate::attachments;

    const ATTACHMENT: &str = "$attachment";
    const BYTES: &str = "$bytes";
    const OBJECT: &str = "$object";

    pub fn serialize<S: Serializer>(args: &[Argument], serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(args.len()))?;
        for arg in args {
            seq.serialize_element(&Portable(arg))?;
        }
        seq.end()
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Argument>, D::Error> {
        let args = Vec::<Argument>::deserialize(deserializer)?;
        args.into_iter().map(|arg| restore(arg).map_err(serde::de::Error::custom)).collect()
    }

    /// For one argument that may be absent.
    pub fn serialize_option<S: Serializer>(arg: &Option<Argument>, serializer: S) -> Result<S::Ok, S::Error> {
        arg.as_ref().map(Portable).serialize(serializer)
    }

    /// A single argument, as it stands among others.
    pub fn serialize_one<S: Serializer>(arg: &Argument, serializer: S) -> Result<S::Ok, S::Error> {
        Portable(arg).serialize(serializer)
    }

    /// The other way round.
    pub fn deserialize_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Argument, D::Error> {
        restore(Argument::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }

    struct Portable<'a>(&'a Argument);

    struct PortableFields<'a>(&'a BTreeMap<String, Argument>);

    impl Serialize for Portable<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self.0 {
                Argument::Bytes(bytes) => {
                    let mut map = serializer.serialize_map(Some(1))?;
                    match attachments::put(bytes) {
                        Some(index) => map.serialize_entry(ATTACHMENT, &index)?,
                        None => map.serialize_entry(BYTES, &STANDARD.encode(bytes))?,
                    }
                    map.end()
                }
                Argument::Array(items) => serialize(items, serializer),
                Argument::Object(fields) if reserved(fields).is_some() => {
                    let mut map = serializer.serialize_map(Some(1))?;
                    map.serialize_entry(OBJECT, &PortableFields(fields))?;
                    map.end()
                }
                Argument::Object(fields) => PortableFields(fields).serialize(serializer),
                scalar => scalar.serialize(serializer),
            }
        }
    }

    impl Serialize for PortableFields<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().map(|(name, value)| (name, Portable(value))))
        }
    }

    /// The reserved key that is the object's only one.
    fn reserved(fields: &BTreeMap<String, Argument>) -> Option<&'static str> {
        let (name, _) = fields.first_key_value().filter(|_| fields.len() == 1)?;
        [ATTACHMENT, BYTES, OBJECT].into_iter().find(|reserved| reserved == name)
    }

    fn restore(arg: Argument) -> Result<Argument, &'static str> {
        match arg {
            Argument::Array(items) => {
                Ok(Argument::Array(items.into_iter().map(restore).collect::<Result<_, _>>()?))
            }
            Argument::Object(mut fields) => {
                let Some(name) = reserved(&fields) else { return restore_fields(fields) };
                match (name, fields.remove(name)) {
                    (BYTES, Some(Argument::String(text))) => STANDARD
                        .decode(text)
                        .map(|bytes| Argument::Bytes(bytes.into()))
                        .map_err(|_| "$bytes is not base64"),
                    (BYTES, _) => Err("$bytes is not text"),
                    (ATTACHMENT, Some(Argument::Int(index))) => {
                        attachments::get(index).map(Argument::Bytes).ok_or("$attachment names none")
                    }
                    (ATTACHMENT, _) => Err("$attachment is not a whole number"),
                    (_, Some(Argument::Object(inner))) => restore_fields(inner),
                    _ => Err("$object is not an object"),
                }
            }
            scalar => Ok(scalar),
        }
    }

    fn restore_fields(fields: BTreeMap<String, Argument>) -> Result<Argument, &'static str> {
        let mut restored = BTreeMap::new();
        for (name, value) in fields {
            restored.insert(name, restore(value)?);
        }
        Ok(Argument::Object(restored))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Args(#[serde(with = "portable")] Vec<Argument>);

    fn object(fields: &[(&str, Argument)]) -> Argument {
        Argument::Object(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    }

    fn samples() -> Vec<Argument> {
        let bytes = Argument::Bytes(Bytes::from_static(b"\x00\xffab"));
        vec![
            Argument::Null,
            Argument::Int(-7),
            Argument::Float(0.5),
            Argument::String("ü".to_owned()),
            bytes.clone(),
            object(&[("file", bytes.clone()), ("name", Argument::String("a".to_owned()))]),
            Argument::Array(vec![bytes.clone(), Argument::Bool(true)]),
            object(&[("$bytes", Argument::String("not base64".to_owned()))]),
            object(&[("$object", object(&[("$bytes", bytes)]))]),
        ]
    }

    #[test]
    fn arguments_survive_the_way_through_json_text() {
        let args = Args(samples());
        let json = serde_json::to_string(&args).unwrap();
        assert_eq!(serde_json::from_str::<Args>(&json).unwrap(), args, "{json}");
    }

    #[test]
    fn bytes_and_objects_that_look_like_them_are_told_apart_in_json_text() {
        let json = serde_json::to_string(&Args(samples())).unwrap();
        assert!(json.contains(r#"{"$bytes":"AP9hYg=="}"#), "{json}");
        assert!(json.contains(r#"{"$object":{"$bytes":"not base64"}}"#), "{json}");
        for broken in [r#"[{"$bytes":"?"}]"#, r#"[{"$bytes":1}]"#, r#"[{"$object":1}]"#] {
            assert!(serde_json::from_str::<Args>(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn arguments_survive_a_packet_in_both_notations() {
        for parser in [Parser::Json, Parser::Msgpack] {
            let args = samples().iter().map(|arg| arg.to_payload(parser).unwrap()).collect();
            let packet = crate::transport::Packet::Event { name: "e".to_owned(), args, ack: Some(1) };
            let namespace = crate::transport::Namespace::ROOT;
            let message = crate::transport::Message::Socket { namespace, packet };
            let mut decoder = crate::transport::Decoder::new(parser, crate::transport::DecodeLimits::DEFAULT);
            let mut read = None;
            for frame in crate::transport::encode(parser, &message).unwrap() {
                read = decoder.feed(frame).unwrap();
            }
            let Some(crate::transport::Message::Socket {
                packet: crate::transport::Packet::Event { args, .. },
                ..
            }) = read
            else {
                panic!("no event came out");
            };
            let args: Vec<Argument> =
                args.iter().map(|payload| Argument::from_payload(payload).unwrap()).collect();
            assert_eq!(args, samples(), "{parser:?}");
        }
    }
}
