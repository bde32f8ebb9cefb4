//! The default notation: `type[attachments-][namespace,][id][json]`.
//!
//! Types 5 and 6 are an event and an ack with attachments, whose count comes first (`51-["name",...]`) and which
//! follow in binary frames. An argument that is nothing but a placeholder becomes [`Payload::Binary`].

use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::placeholder::Attachments;
use super::{Content, Kind, Namespace, Packet, Parts, Payload, check_outgoing};
use crate::argument::Argument;
use crate::transport::codec::DecodeLimits;
use crate::transport::error::CodecError;

/// Everything before the JSON.
#[derive(Debug)]
pub(in crate::transport) struct Head<'a> {
    kind: Kind,
    /// How many binary frames follow.
    pub(in crate::transport) attachments: usize,
    namespace: &'a str,
    ack: Option<u64>,
    json: &'a str,
}

/// Reads the start of a packet, enough to know whether attachments follow.
pub(in crate::transport) fn decode_head<'a>(
    text: &'a str,
    limits: &DecodeLimits,
) -> Result<Head<'a>, CodecError> {
    let mut rest = text.chars();
    let digit = rest.next().ok_or(CodecError::Truncated)?;
    let number = digit.to_digit(10).ok_or(CodecError::Malformed("packet type is not a digit"))?;
    let (kind, binary) = match number {
        5 => (Kind::Event, true),
        6 => (Kind::Ack, true),
        other => {
            let other = u64::from(other);
            (Kind::from_number(other).ok_or(CodecError::SocketType(other))?, false)
        }
    };
    let mut rest = rest.as_str();
    let mut attachments = 0;
    if binary {
        let (count, after) = rest.split_once('-').ok_or(CodecError::Truncated)?;
        attachments = decode_attachments(count, limits)?;
        rest = after;
    }
    let mut namespace = "/";
    if rest.starts_with('/') {
        (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
        if namespace.len() > limits.name_bytes_max {
            return Err(CodecError::NameTooLong { bytes: namespace.len(), max: limits.name_bytes_max });
        }
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (id, json) = rest.split_at(digits);
    let ack = match id {
        "" => None,
        id => Some(id.parse().map_err(|_| CodecError::AckId)?),
    };
    Ok(Head { kind, attachments, namespace, ack, json })
}

fn decode_attachments(count: &str, limits: &DecodeLimits) -> Result<usize, CodecError> {
    if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(CodecError::Malformed("attachment count is not a number"));
    }
    // Digits that overflow are a count over any limit.
    match count.parse::<usize>() {
        Ok(0) => Err(CodecError::Malformed("a binary packet without attachments")),
        Ok(count) if count <= limits.attachments_max => Ok(count),
        _ => Err(CodecError::TooManyAttachments { max: limits.attachments_max }),
    }
}

/// Reads a whole packet: its text and as many attachments as its head announced.
pub(in crate::transport) fn decode(
    text: &str,
    attachments: Vec<Bytes>,
    limits: &DecodeLimits,
) -> Result<(Namespace, Packet), CodecError> {
    let head = decode_head(text, limits)?;
    if head.attachments != attachments.len() {
        return Err(CodecError::Placeholder);
    }
    let content = match head.kind {
        Kind::Connect | Kind::Disconnect | Kind::ConnectError if head.json.is_empty() => Content::Absent,
        Kind::Connect | Kind::Disconnect | Kind::ConnectError => {
            let raw: &RawValue = serde_json::from_str(head.json).map_err(|error| CodecError::json(&error))?;
            check_depth(raw.get(), limits.depth_max)?;
            Content::Value(Payload::Json(raw.get().into()))
        }
        Kind::Event | Kind::Ack => decode_args(&head, attachments, limits)?,
    };
    let namespace = Namespace::new(head.namespace)?;
    let packet = Parts { kind: head.kind, ack: head.ack, content }.into_packet(limits)?;
    Ok((namespace, packet))
}

fn decode_args(
    head: &Head<'_>,
    attachments: Vec<Bytes>,
    limits: &DecodeLimits,
) -> Result<Content, CodecError> {
    if head.json.is_empty() {
        return Err(CodecError::Truncated);
    }
    let named = head.kind == Kind::Event;
    let mut raw = RawArgs { max: limits.args_max + usize::from(named), values: Vec::new(), over: false };
    let mut deserializer = serde_json::Deserializer::from_str(head.json);
    let read = raw.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    if raw.over {
        return Err(CodecError::TooManyArgs { max: limits.args_max });
    }
    read.map_err(|error| CodecError::json(&error))?;

    let mut values = raw.values.into_iter();
    let name = if named { values.next().map(decode_name).transpose()? } else { None };
    let mut attachments = Attachments::new(attachments);
    let args = values
        .map(|raw| {
            check_depth(raw.get(), limits.depth_max)?;
            attachments.restore(raw.get())
        })
        .collect::<Result<Vec<_>, _>>()?;
    attachments.finish()?;
    Ok(Content::Args { name, args })
}

fn decode_name(raw: &RawValue) -> Result<String, CodecError> {
    serde_json::from_str(raw.get()).map_err(|_| CodecError::Malformed("event name is not text"))
}

/// Collects the elements of the outer array, unread, up to a limit.
struct RawArgs<'de> {
    max: usize,
    values: Vec<&'de RawValue>,
    over: bool,
}

impl<'de> DeserializeSeed<'de> for &mut RawArgs<'de> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for &mut RawArgs<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of arguments")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(raw) = seq.next_element()? {
            if self.values.len() == self.max {
                self.over = true;
                return Err(A::Error::custom("too many arguments"));
            }
            self.values.push(raw);
        }
        Ok(())
    }
}

/// Counts brackets outside of strings: serde skips over raw values without a limit on nesting.
fn check_depth(json: &str, max: usize) -> Result<(), CodecError> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > max {
                    return Err(CodecError::TooDeep { max });
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Writes a packet: the text, and the attachments that follow it.
pub(in crate::transport) fn encode(
    namespace: &Namespace,
    packet: &Packet,
) -> Result<(String, Vec<Bytes>), CodecError> {
    check_outgoing(packet)?;
    let mut attachments = Vec::new();
    let (id, json) = match packet {
        Packet::Disconnect => (None, String::new()),
        Packet::Connect { data } | Packet::ConnectError { data } => match data {
            None => (None, String::new()),
            Some(Payload::Json(json)) => (None, json.clone().into_string()),
            Some(_) => return Err(CodecError::PayloadMismatch),
        },
        Packet::Event { name, args, ack } => {
            (*ack, encode_args(Some(&to_json(name)?), args, &mut attachments)?)
        }
        Packet::Ack { id, args } => (Some(*id), encode_args(None, args, &mut attachments)?),
    };
    let mut text = String::with_capacity(json.len() + namespace.as_str().len() + 24);
    let kind = Kind::of(packet).number();
    if attachments.is_empty() {
        text.push_str(&kind.to_string());
    } else {
        // Events and acks with attachments are three further on: 2 -> 5, 3 -> 6.
        text.push_str(&format!("{}{}-", kind + 3, attachments.len()));
    }
    if !namespace.is_root() {
        text.push_str(namespace.as_str());
        text.push(',');
    }
    if let Some(id) = id {
        text.push_str(&id.to_string());
    }
    text.push_str(&json);
    Ok((text, attachments))
}

/// The JSON array of the arguments, with placeholders for binary ones, which go to `attachments`.
fn encode_args(
    name: Option<&str>,
    args: &[Payload],
    attachments: &mut Vec<Bytes>,
) -> Result<String, CodecError> {
    let bytes = args.iter().map(Payload::byte_len).sum::<usize>();
    let mut json = String::with_capacity(bytes + 2 + name.map_or(0, str::len) + args.len());
    json.push('[');
    if let Some(name) = name {
        json.push_str(name);
    }
    for (index, arg) in args.iter().enumerate() {
        if index > 0 || name.is_some() {
            json.push(',');
        }
        match arg {
            Payload::Json(value) => json.push_str(value),
            Payload::Binary(bytes) => attach(&mut json, bytes, attachments),
            Payload::Msgpack(_) => write_with_placeholders(&mut json, &arg.decode()?, attachments)?,
        }
    }
    json.push(']');
    Ok(json)
}

/// A placeholder for bytes that go to `attachments`.
fn attach(json: &mut String, bytes: &Bytes, attachments: &mut Vec<Bytes>) {
    json.push_str(&format!("{{\"_placeholder\":true,\"num\":{}}}", attachments.len()));
    attachments.push(bytes.clone());
}

/// An argument with bytes within, as JSON around placeholders.
fn write_with_placeholders(
    json: &mut String,
    arg: &Argument,
    attachments: &mut Vec<Bytes>,
) -> Result<(), CodecError> {
    match arg {
        Argument::Bytes(bytes) => attach(json, bytes, attachments),
        Argument::Array(items) => {
            json.push('[');
            for (index, item) in items.iter().enumerate() {
                json.push_str(if index > 0 { "," } else { "" });
                write_with_placeholders(json, item, attachments)?;
            }
            json.push(']');
        }
        Argument::Object(fields) => {
            json.push('{');
            for (index, (name, value)) in fields.iter().enumerate() {
                json.push_str(if index > 0 { "," } else { "" });
                json.push_str(&to_json(name)?);
                json.push(':');
                write_with_placeholders(json, value, attachments)?;
            }
            json.push('}');
        }
        scalar => json.push_str(&to_json(scalar)?),
    }
    Ok(())
}

fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, CodecError> {
    serde_json::to_string(value).map_err(|error| CodecError::Encode(error.to_string()))
}
