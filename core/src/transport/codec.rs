//! Engine.IO and Socket.IO joined: frames of the WebSocket in, one [`Message`] per packet out, and back.

use bytes::Bytes;
use syncline_protocol::limits::VALUE_DEPTH_MAX;

use super::engineio::{self, Handshake};
use super::error::CodecError;
use super::socketio::{Namespace, Packet, Parser, json, msgpack};

/// One WebSocket message.
#[derive(Clone, PartialEq, Eq)]
pub enum Frame {
    /// UTF-8 text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

impl Frame {
    /// The size of the payload, in bytes.
    pub fn byte_len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

impl std::fmt::Debug for Frame {
    /// Sizes only: frames carry tokens and the app's data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Binary(bytes) => write!(f, "Binary({} bytes)", bytes.len()),
        }
    }
}

/// A packet of either layer. The two ends of the wire share the type; a client never sends `Open`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The first packet of a connection, from the server.
    Open(Handshake),
    /// The other end is about to close the connection.
    Close,
    /// The server's heartbeat, to be answered with `Pong`.
    Ping,
    /// The answer to `Ping`.
    Pong,
    /// The end of a move from polling, which is never begun here.
    Upgrade,
    /// Nothing: it ends a pending poll.
    Noop,
    /// A Socket.IO packet.
    Socket { namespace: Namespace, packet: Packet },
}

/// What a decoder accepts. The memory it holds stays within a small multiple of `message_bytes_max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// One packet with all of its attachments, in bytes.
    pub message_bytes_max: usize,
    /// Attachments of one packet (JSON parser).
    pub attachments_max: usize,
    /// Arguments of one event or ack.
    pub args_max: usize,
    /// Nesting of arrays and objects within one argument.
    pub depth_max: usize,
    /// An event name or a namespace, in bytes.
    pub name_bytes_max: usize,
}

/// How deep our messages nest around a document's values, with room for later ones.
const MESSAGE_DEPTH_MAX: usize = 16;

impl DecodeLimits {
    /// What servers and clients of this project need at most.
    pub const DEFAULT: Self = Self {
        message_bytes_max: 8 * 1024 * 1024,
        attachments_max: 64,
        args_max: 128,
        depth_max: VALUE_DEPTH_MAX + MESSAGE_DEPTH_MAX,
        name_bytes_max: 256,
    };
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Reads the frames of one connection.
///
/// It remembers only a packet whose attachments have not all come. There is no timeout for them: the heartbeat
/// of the connection goes on meanwhile, and what is held is bounded by the limits.
#[derive(Debug)]
pub struct Decoder {
    parser: Parser,
    limits: DecodeLimits,
    pending: Option<Pending>,
}

impl Decoder {
    /// A decoder for a connection on which nothing was received yet.
    pub fn new(parser: Parser, limits: DecodeLimits) -> Self {
        Self { parser, limits, pending: None }
    }

    /// Takes the next frame. `None`: the packet is not complete, its attachments follow.
    ///
    /// After an error the connection is to be closed: the rest of what it carries has no known meaning.
    pub fn feed(&mut self, frame: Frame) -> Result<Option<Message>, CodecError> {
        check_size(frame.byte_len(), &self.limits)?;
        match frame {
            Frame::Text(text) => self.handle_text(text),
            Frame::Binary(bytes) => self.handle_binary(bytes),
        }
    }

    fn handle_text(&mut self, text: String) -> Result<Option<Message>, CodecError> {
        let body = match engineio::decode(&text)? {
            engineio::Packet::Open(handshake) => return Ok(Some(Message::Open(handshake))),
            engineio::Packet::Close => return Ok(Some(Message::Close)),
            engineio::Packet::Ping => return Ok(Some(Message::Ping)),
            engineio::Packet::Pong => return Ok(Some(Message::Pong)),
            engineio::Packet::Upgrade => return Ok(Some(Message::Upgrade)),
            engineio::Packet::Noop => return Ok(Some(Message::Noop)),
            engineio::Packet::Message(body) => body,
        };
        if self.pending.take().is_some() {
            return Err(CodecError::AttachmentMissing);
        }
        if self.parser == Parser::Msgpack {
            return Err(CodecError::ParserMismatch);
        }
        let missing = json::decode_head(body, &self.limits)?.attachments;
        if missing > 0 {
            // Only the head is read so far: the arguments need the attachments.
            let bytes = text.len();
            self.pending = Some(Pending { text, missing, attachments: Vec::new(), bytes });
            return Ok(None);
        }
        let (namespace, packet) = json::decode(body, Vec::new(), &self.limits)?;
        Ok(Some(Message::Socket { namespace, packet }))
    }

    fn handle_binary(&mut self, bytes: Bytes) -> Result<Option<Message>, CodecError> {
        if self.parser == Parser::Msgpack {
            let (namespace, packet) = msgpack::decode(&bytes, &self.limits)?;
            return Ok(Some(Message::Socket { namespace, packet }));
        }
        let mut pending = self.pending.take().ok_or(CodecError::AttachmentUnexpected)?;
        pending.bytes = pending.bytes.saturating_add(bytes.len());
        check_size(pending.bytes, &self.limits)?;
        pending.attachments.push(bytes);
        pending.missing -= 1;
        if pending.missing > 0 {
            self.pending = Some(pending);
            return Ok(None);
        }
        let engineio::Packet::Message(body) = engineio::decode(&pending.text)? else {
            return Err(CodecError::AttachmentUnexpected);
        };
        let (namespace, packet) = json::decode(body, pending.attachments, &self.limits)?;
        Ok(Some(Message::Socket { namespace, packet }))
    }
}

/// A packet that waits for its attachments.
#[derive(Debug)]
struct Pending {
    /// The whole text frame.
    text: String,
    missing: usize,
    attachments: Vec<Bytes>,
    /// Text and attachments so far.
    bytes: usize,
}

fn check_size(bytes: usize, limits: &DecodeLimits) -> Result<(), CodecError> {
    let max = limits.message_bytes_max;
    if bytes > max { Err(CodecError::TooLarge { bytes, max }) } else { Ok(()) }
}

/// Writes the frames of a message. They must be sent in this order, with no other message between them.
pub fn encode(parser: Parser, message: &Message) -> Result<Vec<Frame>, CodecError> {
    let packet = match message {
        Message::Open(handshake) => engineio::Packet::Open(handshake.clone()),
        Message::Close => engineio::Packet::Close,
        Message::Ping => engineio::Packet::Ping,
        Message::Pong => engineio::Packet::Pong,
        Message::Upgrade => engineio::Packet::Upgrade,
        Message::Noop => engineio::Packet::Noop,
        Message::Socket { namespace, packet } => {
            return match parser {
                Parser::Json => encode_json(namespace, packet),
                Parser::Msgpack => {
                    let bytes = msgpack::encode(namespace, packet)?;
                    Ok(vec![Frame::Binary(bytes)])
                }
            };
        }
    };
    Ok(vec![Frame::Text(engineio::encode(&packet)?)])
}

fn encode_json(namespace: &Namespace, packet: &Packet) -> Result<Vec<Frame>, CodecError> {
    let (text, attachments) = json::encode(namespace, packet)?;
    let mut frames = Vec::with_capacity(1 + attachments.len());
    frames.push(Frame::Text(engineio::encode(&engineio::Packet::Message(&text))?));
    frames.extend(attachments.into_iter().map(Frame::Binary));
    Ok(frames)
}
