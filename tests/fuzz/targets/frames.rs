//! What a peer sends over a WebSocket, to either parser: frames that [`SEPARATOR`] divides. What is understood is
//! written, and read back as the same.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use syncline::transport::{DecodeLimits, Decoder, Frame, Parser, encode};

/// Two bytes that no UTF-8 holds.
const SEPARATOR: [u8; 2] = [0xff, 0xfe];

fn frames_in(input: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut rest = input;
    while let Some(at) = rest.windows(SEPARATOR.len()).position(|window| window == SEPARATOR) {
        frames.push(frame_of(&rest[..at]));
        rest = &rest[at + SEPARATOR.len()..];
    }
    frames.push(frame_of(rest));
    frames
}

fn frame_of(bytes: &[u8]) -> Frame {
    match str::from_utf8(bytes) {
        Ok(text) => Frame::Text(text.to_owned()),
        Err(_) => Frame::Binary(Bytes::copy_from_slice(bytes)),
    }
}

fuzz_target!(|input: &[u8]| {
    for parser in [Parser::Json, Parser::Msgpack] {
        let mut decoder = Decoder::new(parser, DecodeLimits::DEFAULT);
        for frame in frames_in(input) {
            let message = match decoder.feed(frame) {
                Ok(Some(message)) => message,
                Ok(None) => continue,
                Err(_) => break,
            };
            let written = encode(parser, &message).expect("what was read can be written");
            let mut again = Decoder::new(parser, DecodeLimits::DEFAULT);
            let read =
                written.into_iter().find_map(|frame| again.feed(frame).expect("what was written reads"));
            assert_eq!(read, Some(message));
        }
    }
});
