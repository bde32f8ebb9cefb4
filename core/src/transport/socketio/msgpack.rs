//! The notation of npm `socket.io-msgpack-parser`: `{type, nsp, data?, id?}` as one MessagePack map.
//!
//! Types are 0 to 4: binary data is written in place, so there are no types for it. Keys come in any order, and
//! keys of no meaning here (the official client adds `options`) are passed over. `undefined` is an absent field;
//! nil is too, since Python servers write it for one.

use std::ops::Range;

use bytes::Bytes;

use super::{Content, Kind, Namespace, Packet, Parts, Payload, check_outgoing};
use crate::transport::codec::DecodeLimits;
use crate::transport::error::CodecError;
use crate::transport::messagepack::{
    Head, Reader, without_js_ext, write_array_len, write_bin, write_map_len, write_str, write_uint,
};

/// The array around the arguments: what `data` nests beyond an argument.
const ARGS_DEPTH: usize = 1;
/// Room for everything but the arguments, in bytes: keys, type, id and the lengths.
const OVERHEAD_BYTES: usize = 48;
/// The longest header of a binary argument, in bytes.
const BIN_HEADER_BYTES_MAX: usize = 5;

/// Where the packet's fields lie in the frame.
#[derive(Default)]
struct Fields {
    kind: Option<Range<usize>>,
    namespace: Option<Range<usize>>,
    data: Option<Range<usize>>,
    id: Option<Range<usize>>,
}

/// Reads the packet of a binary frame.
pub(in crate::transport) fn decode(
    frame: &Bytes,
    limits: &DecodeLimits,
) -> Result<(Namespace, Packet), CodecError> {
    let fields = locate(frame, limits)?;
    let kind = match read_uint(frame, fields.kind)? {
        Some(number) => Kind::from_number(number).ok_or(CodecError::SocketType(number))?,
        None => return Err(CodecError::Malformed("type is missing")),
    };
    let namespace = read_namespace(frame, fields.namespace, limits)?;
    let ack = read_uint(frame, fields.id)?;
    let content = match fields.data {
        None => Content::Absent,
        Some(range) => match kind {
            Kind::Event | Kind::Ack => read_args(frame, range, kind, limits)?,
            Kind::Connect | Kind::Disconnect | Kind::ConnectError => {
                let has_js_ext = Reader::new(slice(frame, range.clone())?).skip(limits.depth_max)?;
                Content::Value(payload(frame, range, has_js_ext)?)
            }
        },
    };
    Ok((namespace, Parts { kind, ack, content }.into_packet(limits)?))
}

fn locate(frame: &[u8], limits: &DecodeLimits) -> Result<Fields, CodecError> {
    let mut reader = Reader::new(frame);
    let Head::Map(count) = reader.head()? else {
        return Err(CodecError::Malformed("not a map"));
    };
    let mut fields = Fields::default();
    for _ in 0..count {
        let Head::Str(length) = reader.head()? else {
            return Err(CodecError::Malformed("key is not text"));
        };
        let key = reader.take_str(length)?;
        let start = reader.position();
        let head = reader.clone().head()?;
        reader.skip(limits.depth_max.saturating_add(ARGS_DEPTH)).map_err(|error| match error {
            CodecError::TooDeep { .. } => CodecError::TooDeep { max: limits.depth_max },
            error => error,
        })?;
        let slot = match key {
            "type" => &mut fields.kind,
            "nsp" => &mut fields.namespace,
            "data" => &mut fields.data,
            "id" => &mut fields.id,
            _ => continue,
        };
        let absent = matches!(head, Head::Nil | Head::Undefined);
        if !absent && slot.replace(start..reader.position()).is_some() {
            return Err(CodecError::Malformed("a field is there twice"));
        }
    }
    if reader.is_at_end() { Ok(fields) } else { Err(CodecError::TrailingBytes) }
}

fn slice(frame: &[u8], range: Range<usize>) -> Result<&[u8], CodecError> {
    frame.get(range).ok_or(CodecError::Truncated)
}

fn read_uint(frame: &[u8], range: Option<Range<usize>>) -> Result<Option<u64>, CodecError> {
    let Some(range) = range else { return Ok(None) };
    match Reader::new(slice(frame, range)?).head()? {
        Head::UInt(value) => Ok(Some(value)),
        _ => Err(CodecError::Malformed("type or id is not a whole number")),
    }
}

fn read_namespace(
    frame: &[u8],
    range: Option<Range<usize>>,
    limits: &DecodeLimits,
) -> Result<Namespace, CodecError> {
    let mut reader = Reader::new(slice(frame, range.ok_or(CodecError::Namespace)?)?);
    let Head::Str(length) = reader.head()? else {
        return Err(CodecError::Namespace);
    };
    if length > limits.name_bytes_max {
        return Err(CodecError::NameTooLong { bytes: length, max: limits.name_bytes_max });
    }
    Namespace::new(reader.take_str(length)?)
}

fn read_args(
    frame: &Bytes,
    range: Range<usize>,
    kind: Kind,
    limits: &DecodeLimits,
) -> Result<Content, CodecError> {
    let start = range.start;
    let mut reader = Reader::new(slice(frame, range)?);
    let Head::Array(count) = reader.head()? else {
        return Err(CodecError::Malformed("data is not an array"));
    };
    let mut count = count;
    let mut name = None;
    if kind == Kind::Event && count > 0 {
        let Head::Str(length) = reader.head()? else {
            return Err(CodecError::Malformed("event name is not text"));
        };
        if length > limits.name_bytes_max {
            return Err(CodecError::NameTooLong { bytes: length, max: limits.name_bytes_max });
        }
        name = Some(reader.take_str(length)?.to_owned());
        count -= 1;
    }
    if count > limits.args_max {
        return Err(CodecError::TooManyArgs { max: limits.args_max });
    }
    let mut args = Vec::with_capacity(count);
    for _ in 0..count {
        let from = start + reader.position();
        let has_js_ext = reader.skip(limits.depth_max)?;
        args.push(payload(frame, from..start + reader.position(), has_js_ext)?);
    }
    Ok(Content::Args { name, args })
}

/// One value as a slice of the frame; it is copied only to replace values that JavaScript alone knows.
fn payload(frame: &Bytes, range: Range<usize>, has_js_ext: bool) -> Result<Payload, CodecError> {
    let value = if has_js_ext { without_js_ext(slice(frame, range)?)?.into() } else { frame.slice(range) };
    Ok(Payload::from_msgpack(value))
}

/// Writes the packet as one binary frame.
pub(in crate::transport) fn encode(namespace: &Namespace, packet: &Packet) -> Result<Bytes, CodecError> {
    check_outgoing(packet)?;
    let (data, id) = match packet {
        Packet::Connect { data } | Packet::ConnectError { data } => (data.is_some(), None),
        Packet::Disconnect => (false, None),
        Packet::Event { ack, .. } => (true, *ack),
        Packet::Ack { id, .. } => (true, Some(*id)),
    };
    let mut out = Vec::with_capacity(encoded_bytes_max(namespace, packet));
    write_map_len(&mut out, 2 + usize::from(data) + usize::from(id.is_some()))?;
    write_str(&mut out, "type")?;
    write_uint(&mut out, Kind::of(packet).number())?;
    write_str(&mut out, "nsp")?;
    write_str(&mut out, namespace.as_str())?;
    if data {
        write_str(&mut out, "data")?;
        write_data(&mut out, packet)?;
    }
    if let Some(id) = id {
        write_str(&mut out, "id")?;
        write_uint(&mut out, id)?;
    }
    Ok(out.into())
}

fn encoded_bytes_max(namespace: &Namespace, packet: &Packet) -> usize {
    let payload_bytes = |payload: &Payload| payload.byte_len() + BIN_HEADER_BYTES_MAX;
    let content = match packet {
        Packet::Connect { data } | Packet::ConnectError { data } => data.as_ref().map_or(0, payload_bytes),
        Packet::Disconnect => 0,
        Packet::Event { name, args, .. } => name.len() + args.iter().map(payload_bytes).sum::<usize>(),
        Packet::Ack { args, .. } => args.iter().map(payload_bytes).sum(),
    };
    OVERHEAD_BYTES + namespace.as_str().len() + content
}

fn write_data(out: &mut Vec<u8>, packet: &Packet) -> Result<(), CodecError> {
    match packet {
        Packet::Disconnect => Ok(()),
        Packet::Connect { data } | Packet::ConnectError { data } => {
            data.iter().try_for_each(|data| write_payload(out, data))
        }
        Packet::Event { name, args, .. } => {
            write_array_len(out, 1 + args.len())?;
            write_str(out, name)?;
            args.iter().try_for_each(|arg| write_payload(out, arg))
        }
        Packet::Ack { args, .. } => {
            write_array_len(out, args.len())?;
            args.iter().try_for_each(|arg| write_payload(out, arg))
        }
    }
}

fn write_payload(out: &mut Vec<u8>, payload: &Payload) -> Result<(), CodecError> {
    match payload {
        Payload::Msgpack(value) => {
            out.extend_from_slice(value);
            Ok(())
        }
        Payload::Binary(bytes) => write_bin(out, bytes),
        Payload::Json(_) => Err(CodecError::PayloadMismatch),
    }
}
