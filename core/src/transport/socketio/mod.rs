//! Socket.IO v5: the packets of the application and their two notations.
//!
//! - `payload`: one argument, still encoded.
//! - `json`: the default parser: text, with binary attachments in frames of their own.
//! - `msgpack`: npm `socket.io-msgpack-parser`: the whole packet is one MessagePack map in one binary frame.
//! - `placeholder`: puts attachments back where a JSON argument refers to them.

use std::borrow::Cow;
use std::fmt;

use super::codec::DecodeLimits;
use super::error::CodecError;

pub(super) mod json;
pub(super) mod msgpack;
mod payload;
mod placeholder;

pub use payload::{Parser, Payload};

/// The largest ack id JavaScript can hold exactly, 2^53 - 1.
pub const ACK_ID_MAX: u64 = (1 << 53) - 1;

/// Names the other end uses for its own events; official servers close the connection on them.
const RESERVED_NAMES: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// Which of the sockets that share a connection a packet is for. The default is `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Cow<'static, str>);

impl Namespace {
    /// The default namespace, `/`.
    pub const ROOT: Self = Self(Cow::Borrowed("/"));

    /// Fails with [`CodecError::Namespace`] without a leading `/` or with a comma.
    pub fn new(name: &str) -> Result<Self, CodecError> {
        if name == "/" {
            return Ok(Self::ROOT);
        }
        if !name.starts_with('/') || name.contains(',') {
            return Err(CodecError::Namespace);
        }
        Ok(Self(Cow::Owned(name.to_owned())))
    }

    /// The name, with its leading `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the default namespace.
    pub fn is_root(&self) -> bool {
        self.0 == "/"
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::ROOT
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One Socket.IO packet. Event names are text: the numbers that JavaScript would also allow are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Client: joins the namespace, with the auth object. Server: joined, with `{sid}`.
    Connect { data: Option<Payload> },
    /// Either end leaves the namespace; the connection can go on.
    Disconnect,
    /// A named event. With an ack id it asks for an answer.
    Event { name: String, args: Vec<Payload>, ack: Option<u64> },
    /// The answer to the event with this id.
    Ack { id: u64, args: Vec<Payload> },
    /// The namespace refused the client: an object with `message`, or text.
    ConnectError { data: Option<Payload> },
}

/// A packet type of either notation, by its number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Connect = 0,
    Disconnect = 1,
    Event = 2,
    Ack = 3,
    ConnectError = 4,
}

impl Kind {
    fn from_number(number: u64) -> Option<Self> {
        [Self::Connect, Self::Disconnect, Self::Event, Self::Ack, Self::ConnectError]
            .into_iter()
            .find(|kind| kind.number() == number)
    }

    fn of(packet: &Packet) -> Self {
        match packet {
            Packet::Connect { .. } => Self::Connect,
            Packet::Disconnect => Self::Disconnect,
            Packet::Event { .. } => Self::Event,
            Packet::Ack { .. } => Self::Ack,
            Packet::ConnectError { .. } => Self::ConnectError,
        }
    }

    fn number(self) -> u64 {
        self as u64
    }
}

/// What a notation found in a packet, before the rules that both share are applied.
struct Parts {
    kind: Kind,
    ack: Option<u64>,
    content: Content,
}

enum Content {
    Absent,
    /// The data of a connect or connect-error packet.
    Value(Payload),
    /// The data of an event or ack: the name is present for an event.
    Args {
        name: Option<String>,
        args: Vec<Payload>,
    },
}

impl Parts {
    fn into_packet(self, limits: &DecodeLimits) -> Result<Packet, CodecError> {
        if self.ack.is_some_and(|id| id > ACK_ID_MAX) {
            return Err(CodecError::AckId);
        }
        match (self.kind, self.content) {
            (Kind::Connect, Content::Absent) => Ok(Packet::Connect { data: None }),
            (Kind::Connect, Content::Value(data)) => {
                check_connect(&data)?;
                Ok(Packet::Connect { data: Some(data) })
            }
            (Kind::Disconnect, Content::Absent) => Ok(Packet::Disconnect),
            (Kind::ConnectError, Content::Absent) => Ok(Packet::ConnectError { data: None }),
            (Kind::ConnectError, Content::Value(data)) => {
                check_connect_error(&data)?;
                Ok(Packet::ConnectError { data: Some(data) })
            }
            (Kind::Event, Content::Args { name: Some(name), args }) => {
                check_event_name(&name, limits.name_bytes_max)?;
                Ok(Packet::Event { name, args, ack: self.ack })
            }
            (Kind::Ack, Content::Args { name: None, args }) => {
                Ok(Packet::Ack { id: self.ack.ok_or(CodecError::AckId)?, args })
            }
            _ => Err(CodecError::Malformed("data does not fit the packet type")),
        }
    }
}

/// Refuses what the other end would refuse, with the loss of the connection, if it were sent.
fn check_outgoing(packet: &Packet) -> Result<(), CodecError> {
    match packet {
        Packet::Connect { data: Some(data) } => check_connect(data),
        Packet::ConnectError { data: Some(data) } => check_connect_error(data),
        Packet::Connect { data: None } | Packet::ConnectError { data: None } | Packet::Disconnect => Ok(()),
        Packet::Event { name, ack, .. } => {
            check_event_name(name, usize::MAX)?;
            if ack.is_some_and(|id| id > ACK_ID_MAX) { Err(CodecError::AckId) } else { Ok(()) }
        }
        Packet::Ack { id, .. } if *id > ACK_ID_MAX => Err(CodecError::AckId),
        Packet::Ack { .. } => Ok(()),
    }
}

/// Refuses the name of an event that the other end would take for its own, or one longer than `max` bytes.
pub fn check_event_name(name: &str, max: usize) -> Result<(), CodecError> {
    if name.len() > max {
        return Err(CodecError::NameTooLong { bytes: name.len(), max });
    }
    if RESERVED_NAMES.contains(&name) { Err(CodecError::ReservedName) } else { Ok(()) }
}

fn check_connect(data: &Payload) -> Result<(), CodecError> {
    if data.is_object() { Ok(()) } else { Err(CodecError::Malformed("connect data is not an object")) }
}

fn check_connect_error(data: &Payload) -> Result<(), CodecError> {
    if data.is_object() || data.is_text() {
        Ok(())
    } else {
        Err(CodecError::Malformed("connect error is neither an object nor text"))
    }
}
