#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod endpoint;
mod engineio;
mod hostile;
mod pins;
mod properties;
mod proxy;
mod requests;
mod system_trust;
mod tls;
mod vectors;
mod websocket;

use bytes::Bytes;

use super::{CodecError, DecodeLimits, Decoder, Frame, Message, Parser};

/// Feeds frames that are one message.
fn decode_all(parser: Parser, frames: Vec<Frame>) -> Result<Message, CodecError> {
    decode_within(parser, DecodeLimits::DEFAULT, frames)
}

fn decode_within(parser: Parser, limits: DecodeLimits, frames: Vec<Frame>) -> Result<Message, CodecError> {
    let mut decoder = Decoder::new(parser, limits);
    let mut messages = Vec::new();
    for frame in frames {
        messages.extend(decoder.feed(frame)?);
    }
    assert_eq!(messages.len(), 1, "one message from its frames");
    Ok(messages.remove(0))
}

fn from_hex(hex: &str) -> Bytes {
    assert_eq!(hex.len() % 2, 0);
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
