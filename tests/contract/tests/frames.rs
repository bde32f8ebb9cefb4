//! The short session, frame by frame.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use syncline::transport::{DecodeLimits, Decoder, Message, Packet, Parser};
use syncline_contract::frames::{GoldenFrame, GoldenStep, Step, render_all, session};
use syncline_contract::golden;
use syncline_contract::vector::Direction;
use syncline_protocol::message::event;

const FILE: &str = "frames.json";
const PARSERS: [Parser; 2] = [Parser::Json, Parser::Msgpack];

fn steps() -> Vec<(Step, GoldenStep)> {
    let steps = session();
    let file = golden::text(FILE, &render_all(&steps));
    let entries: Vec<GoldenStep> = serde_json::from_str(&file).unwrap();
    assert_eq!(entries.len(), steps.len());
    steps.into_iter().zip(entries).collect()
}

fn frames(entry: &GoldenStep, parser: Parser) -> &[GoldenFrame] {
    match parser {
        Parser::Json => &entry.json,
        Parser::Msgpack => &entry.messagepack,
    }
}

#[test]
fn the_session_encodes_to_the_frames_in_the_file() {
    for (step, entry) in steps() {
        assert_eq!((step.name, step.direction), (entry.name.as_str(), entry.direction));
        for parser in PARSERS {
            assert_eq!(step.frames(parser), frames(&entry, parser), "{} {parser:?}", step.name);
        }
    }
    let rendered = render_all(&session());
    assert_eq!(golden::text(FILE, &rendered), rendered, "the file's layout");
}

#[test]
fn the_frames_in_the_file_read_as_the_session() {
    for parser in PARSERS {
        let mut to_server = Decoder::new(parser, DecodeLimits::DEFAULT);
        let mut to_client = Decoder::new(parser, DecodeLimits::DEFAULT);
        for (step, entry) in steps() {
            let decoder = match step.direction {
                Direction::ToServer => &mut to_server,
                Direction::ToClient => &mut to_client,
            };
            let frames = frames(&entry, parser);
            for (index, frame) in frames.iter().enumerate() {
                let read = decoder.feed(frame.to_frame()).unwrap();
                let expected = (index + 1 == frames.len()).then(|| step.message(parser));
                assert_eq!(read, expected, "{} {parser:?}, frame {index}", step.name);
            }
        }
    }
}

#[test]
fn the_session_shows_every_kind_of_packet_and_both_encodings() {
    let messages: Vec<Message> = session().iter().map(|step| step.message(Parser::Json)).collect();
    let packets = || {
        messages.iter().filter_map(|message| match message {
            Message::Socket { packet, .. } => Some(packet),
            _ => None,
        })
    };
    let is_compact = |packet: &Packet| match packet {
        Packet::Event { args, .. } | Packet::Ack { args, .. } => args[0].as_binary().is_some(),
        _ => false,
    };
    assert!(messages.iter().any(|message| matches!(message, Message::Open(_))));
    assert!(packets().any(|packet| matches!(packet, Packet::ConnectError { .. })));
    assert!(packets().any(|packet| matches!(packet, Packet::Disconnect)));
    for name in [event::SYNC_SUBSCRIBE, event::SYNC_HELLO, event::SYNC_PUSH, event::SYNC_CHANGES] {
        let named = |packet: &Packet| matches!(packet, Packet::Event { name: event, .. } if event == name);
        assert!(packets().any(named), "{name}");
    }
    assert!(packets().any(is_compact) && !packets().all(is_compact));
}
