//! Attachments put back into JSON arguments: `{"_placeholder":true,"num":0}` stands for the first of them.

use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::Payload;
use crate::transport::error::CodecError;
use crate::transport::messagepack::{write_bin, write_str};

const MARK: &str = "_placeholder";
const NUMBER: &str = "num";

/// MessagePack's array and map with a length of 32 bits, which can be set when the elements are counted.
const ARRAY_32: u8 = 0xdd;
const MAP_32: u8 = 0xdf;

/// The attachments of one packet, each to be used exactly once: an attachment repeated many times would let a
/// small packet fill the memory.
pub(super) struct Attachments {
    parts: Vec<Option<Bytes>>,
}

#[derive(Deserialize)]
struct Placeholder {
    #[serde(rename = "_placeholder")]
    is_placeholder: bool,
    num: usize,
}

impl Attachments {
    pub(super) fn new(parts: Vec<Bytes>) -> Self {
        Self { parts: parts.into_iter().map(Some).collect() }
    }

    /// The argument with its placeholders replaced, if it has any.
    pub(super) fn restore(&mut self, json: &str) -> Result<Payload, CodecError> {
        if self.parts.is_empty() || !json.contains(MARK) {
            return Ok(Payload::Json(json.into()));
        }
        if let Ok(Placeholder { is_placeholder: true, num }) = serde_json::from_str(json) {
            return self.take(num).map(Payload::Binary).ok_or(CodecError::Placeholder);
        }
        let mut transcoder = Transcoder { out: Vec::new(), attachments: self, restored: 0, broken: false };
        let read = transcoder.deserialize(&mut serde_json::Deserializer::from_str(json));
        if transcoder.broken {
            return Err(CodecError::Placeholder);
        }
        read.map_err(|error| CodecError::json(&error))?;
        match transcoder.restored {
            0 => Ok(Payload::Json(json.into())),
            _ => Ok(Payload::from_msgpack(transcoder.out.into())),
        }
    }

    /// Fails when an attachment was left over: it would be lost.
    pub(super) fn finish(self) -> Result<(), CodecError> {
        if self.parts.iter().any(Option::is_some) { Err(CodecError::Placeholder) } else { Ok(()) }
    }

    fn take(&mut self, number: usize) -> Option<Bytes> {
        self.parts.get_mut(number)?.take()
    }
}

/// Writes a JSON value as MessagePack with the attachments in it. Its depth was checked before.
struct Transcoder<'a> {
    out: Vec<u8>,
    attachments: &'a mut Attachments,
    restored: usize,
    broken: bool,
}

impl Transcoder<'_> {
    fn scalar<T: Serialize, E: serde::de::Error>(&mut self, value: T) -> Result<Scalar, E> {
        rmp_serde::encode::write(&mut self.out, &value).map_err(E::custom)?;
        Ok(Scalar::Other)
    }

    /// Starts a container of unknown length; returns where the length goes.
    fn open(&mut self, marker: u8) -> usize {
        self.out.push(marker);
        self.out.extend_from_slice(&[0; 4]);
        self.out.len() - 4
    }

    fn set_len<E: serde::de::Error>(&mut self, at: usize, count: usize) -> Result<(), E> {
        let count = u32::try_from(count).map_err(E::custom)?;
        if let Some(length) = self.out.get_mut(at..at + 4) {
            length.copy_from_slice(&count.to_be_bytes());
        }
        Ok(())
    }
}

/// What a map needs to know of its values to tell whether it is a placeholder.
#[derive(Clone, Copy, PartialEq)]
enum Scalar {
    True,
    Number(u64),
    Other,
}

impl<'de> DeserializeSeed<'de> for &mut Transcoder<'_> {
    type Value = Scalar;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Scalar, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Transcoder<'_> {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Scalar, E> {
        self.scalar(())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Scalar, E> {
        self.scalar(value)?;
        Ok(if value { Scalar::True } else { Scalar::Other })
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Scalar, E> {
        self.scalar(value)?;
        Ok(Scalar::Number(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Scalar, E> {
        self.scalar(value)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Scalar, E> {
        self.scalar(value)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Scalar, E> {
        self.scalar(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
        let length_at = self.open(ARRAY_32);
        let mut count = 0;
        while seq.next_element_seed(&mut *self)?.is_some() {
            count += 1;
        }
        self.set_len(length_at, count)?;
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        let start = self.out.len();
        let length_at = self.open(MAP_32);
        let (mut count, mut marked, mut number) = (0, false, None);
        while let Some(key) = map.next_key::<String>()? {
            write_str(&mut self.out, &key).map_err(A::Error::custom)?;
            let value = map.next_value_seed(&mut *self)?;
            match (key.as_str(), value) {
                (MARK, value) => marked = value == Scalar::True,
                (NUMBER, Scalar::Number(value)) => number = Some(value),
                _ => {}
            }
            count += 1;
        }
        if !marked {
            self.set_len(length_at, count)?;
            return Ok(Scalar::Other);
        }
        let attachment = number.and_then(|n| usize::try_from(n).ok()).and_then(|n| self.attachments.take(n));
        let Some(attachment) = attachment else {
            self.broken = true;
            return Err(A::Error::custom("no such attachment"));
        };
        self.restored += 1;
        self.out.truncate(start);
        write_bin(&mut self.out, &attachment).map_err(A::Error::custom)?;
        Ok(Scalar::Other)
    }
}
