//! Engine.IO v4 on a WebSocket: one packet per frame.
//!
//! A text frame is a digit, then data. A binary frame is the payload of a message packet and never comes here.

use serde::{Deserialize, Serialize};

use super::error::CodecError;

/// The longest heartbeat interval or timeout that is believed, in milliseconds: a day.
pub const HEARTBEAT_MS_MAX: u64 = 24 * 60 * 60 * 1000;
/// The longest session id that is accepted, in bytes.
pub const SESSION_ID_BYTES_MAX: usize = 256;

/// What the server says when the connection opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handshake {
    /// The session id of this connection.
    pub sid: String,
    /// Transports the connection could move to. None, when it is a WebSocket already.
    #[serde(default)]
    pub upgrades: Vec<String>,
    /// How often the server sends a ping, in milliseconds.
    #[serde(rename = "pingInterval")]
    pub ping_interval_ms: u64,
    /// How long after a ping is due the connection counts as dead, in milliseconds.
    #[serde(rename = "pingTimeout")]
    pub ping_timeout_ms: u64,
    /// The largest message the server takes, in bytes. Servers before Socket.IO 4.3 do not say.
    #[serde(rename = "maxPayload", default, skip_serializing_if = "Option::is_none")]
    pub max_payload_bytes: Option<u64>,
}

/// One Engine.IO packet in a text frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The first packet of a connection, from the server.
    Open(Handshake),
    /// The other end is about to close the connection.
    Close,
    /// The server's heartbeat.
    Ping,
    /// The answer to a ping.
    Pong,
    /// The text is a Socket.IO packet or the head of one.
    Message(&'a str),
    /// The end of a move from polling.
    Upgrade,
    /// Nothing: it ends a pending poll.
    Noop,
}

/// Reads the packet of a text frame.
///
/// A ping with data is refused: only the upgrade from polling, which we never begin, probes with data.
pub fn decode(text: &str) -> Result<Packet<'_>, CodecError> {
    let mut rest = text.chars();
    let kind = rest.next().ok_or(CodecError::EmptyFrame)?;
    let data = rest.as_str();
    let bare = |packet| if data.is_empty() { Ok(packet) } else { Err(CodecError::TrailingBytes) };
    match kind {
        '0' => decode_handshake(data).map(Packet::Open),
        '1' => bare(Packet::Close),
        '2' => bare(Packet::Ping),
        '3' => bare(Packet::Pong),
        '4' => Ok(Packet::Message(data)),
        '5' => bare(Packet::Upgrade),
        '6' => bare(Packet::Noop),
        other => Err(CodecError::EngineType(other)),
    }
}

/// Writes the text frame of a packet.
pub fn encode(packet: &Packet<'_>) -> Result<String, CodecError> {
    Ok(match packet {
        Packet::Open(handshake) => {
            let json =
                serde_json::to_string(handshake).map_err(|error| CodecError::Encode(error.to_string()))?;
            format!("0{json}")
        }
        Packet::Close => "1".to_owned(),
        Packet::Ping => "2".to_owned(),
        Packet::Pong => "3".to_owned(),
        Packet::Message(text) => format!("4{text}"),
        Packet::Upgrade => "5".to_owned(),
        Packet::Noop => "6".to_owned(),
    })
}

fn decode_handshake(json: &str) -> Result<Handshake, CodecError> {
    let handshake: Handshake = serde_json::from_str(json).map_err(|error| CodecError::json(&error))?;
    if handshake.sid.is_empty() || handshake.sid.len() > SESSION_ID_BYTES_MAX {
        return Err(CodecError::Handshake("length of sid"));
    }
    let believable = 1..=HEARTBEAT_MS_MAX;
    if !believable.contains(&handshake.ping_interval_ms) {
        return Err(CodecError::Handshake("range of pingInterval"));
    }
    if !believable.contains(&handshake.ping_timeout_ms) {
        return Err(CodecError::Handshake("range of pingTimeout"));
    }
    Ok(handshake)
}
