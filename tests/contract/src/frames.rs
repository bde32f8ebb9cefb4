//! A short session, frame by frame: what travels on the WebSocket, in both parsers.

use serde::{Deserialize, Serialize};
use serde_json::json;
use syncline::transport::{self, Frame, Handshake, Message, Namespace, Packet, Parser, Payload};

use crate::golden::{from_hex, quoted, render, to_hex};
use crate::messages;
use crate::vector::{Direction, Golden};

/// One packet of the session.
#[derive(Debug)]
pub struct Step {
    pub name: &'static str,
    pub direction: Direction,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Open,
    Ping,
    Pong,
    /// The connect packet, with the vector of this name.
    Connect(&'static str),
    Connected,
    /// An event with the vector of this name as its argument.
    Event {
        vector: &'static str,
        body: Body,
        ack: Option<u64>,
    },
    Ack {
        id: u64,
        vector: &'static str,
        body: Body,
    },
    Disconnect,
    ConnectError(&'static str),
}

#[derive(Debug, Clone, Copy)]
enum Body {
    Plain,
    Compact,
}

/// A step as the file holds it: the frames of each parser, in order.
#[derive(Debug, Deserialize)]
pub struct GoldenStep {
    pub name: String,
    pub direction: Direction,
    pub json: Vec<GoldenFrame>,
    pub messagepack: Vec<GoldenFrame>,
}

/// One WebSocket message.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GoldenFrame {
    Text(String),
    /// Hexadecimal.
    Binary(String),
}

impl GoldenFrame {
    pub fn to_frame(&self) -> Frame {
        match self {
            Self::Text(text) => Frame::Text(text.clone()),
            Self::Binary(hex) => Frame::Binary(from_hex(hex).into()),
        }
    }

    fn of(frame: &Frame) -> Self {
        match frame {
            Frame::Text(text) => Self::Text(text.clone()),
            Frame::Binary(bytes) => Self::Binary(to_hex(bytes)),
        }
    }
}

/// A client subscribes before it has heard hello, and so in plain; it pushes compact after that. The second
/// connection is refused.
pub fn session() -> Vec<Step> {
    use Body::{Compact, Plain};
    use Direction::{ToClient, ToServer};
    let step = |name, direction, content| Step { name, direction, content };
    let asks = |vector, body, id| Content::Event { vector, body, ack: Some(id) };
    let tells = |vector, body| Content::Event { vector, body, ack: None };
    let answers = |id, vector, body| Content::Ack { id, vector, body };
    vec![
        step("engine_open", ToClient, Content::Open),
        step("connect", ToServer, Content::Connect("auth")),
        step("connected", ToClient, Content::Connected),
        step("subscribe", ToServer, asks("subscribe", Plain, 1)),
        step("hello", ToClient, tells("hello", Plain)),
        step("page", ToClient, answers(1, "page_up_to_date", Plain)),
        step("push", ToServer, asks("push_create", Compact, 2)),
        step("next_push", ToServer, asks("push_update", Compact, 3)),
        step("push_answer", ToClient, answers(2, "push_answer_applied", Compact)),
        step("changes", ToClient, tells("changes", Compact)),
        step("next_push_refused", ToClient, answers(3, "failure_rate_limited", Plain)),
        step("presence_ping", ToServer, asks("presence_ping", Compact, 4)),
        step("presence_pong", ToClient, answers(4, "presence_pong", Compact)),
        step("engine_ping", ToClient, Content::Ping),
        step("engine_pong", ToServer, Content::Pong),
        step("disconnect", ToClient, Content::Disconnect),
        step("connect_error", ToClient, Content::ConnectError("unauthorized: the token has expired")),
    ]
}

impl Step {
    /// The packet, its payloads in the notation of a parser.
    pub fn message(&self, parser: Parser) -> Message {
        let packet = match &self.content {
            Content::Open => return Message::Open(opened()),
            Content::Ping => return Message::Ping,
            Content::Pong => return Message::Pong,
            Content::Connect(vector) => {
                Packet::Connect { data: Some(argument(vector, Body::Plain, parser).1) }
            }
            Content::Connected => {
                Packet::Connect { data: Some(encode(parser, &json!({"sid": "Zk0iRgCYQWqPTb2kAAAB"}))) }
            }
            Content::Event { vector, body, ack } => {
                let (name, argument) = argument(vector, *body, parser);
                Packet::Event { name, args: vec![argument], ack: *ack }
            }
            Content::Ack { id, vector, body } => {
                Packet::Ack { id: *id, args: vec![argument(vector, *body, parser).1] }
            }
            Content::Disconnect => Packet::Disconnect,
            Content::ConnectError(message) => {
                Packet::ConnectError { data: Some(encode(parser, &json!({"message": message}))) }
            }
        };
        Message::Socket { namespace: Namespace::ROOT, packet }
    }

    /// The frames, as the file holds them.
    pub fn frames(&self, parser: Parser) -> Vec<GoldenFrame> {
        let frames = transport::encode(parser, &self.message(parser)).expect("frames");
        frames.iter().map(GoldenFrame::of).collect()
    }
}

/// The text of the file that holds the session.
pub fn render_all(steps: &[Step]) -> String {
    let frames = |step: &Step, parser| serde_json::to_string(&step.frames(parser)).expect("JSON");
    render(steps.iter().map(|step| {
        vec![
            ("name", quoted(step.name)),
            ("direction", quoted(step.direction.as_str())),
            ("json", frames(step, Parser::Json)),
            ("messagepack", frames(step, Parser::Msgpack)),
        ]
    }))
}

fn opened() -> Handshake {
    Handshake {
        sid: "Gq3fT0nYQWqPTb2kAAAA".to_owned(),
        upgrades: vec![],
        ping_interval_ms: 25_000,
        ping_timeout_ms: 20_000,
        max_payload_bytes: Some(8 << 20),
    }
}

fn encode(parser: Parser, value: &serde_json::Value) -> Payload {
    Payload::encode(parser, value).expect("a payload")
}

/// A vector's event, and its encoding for a parser.
fn argument(vector: &str, body: Body, parser: Parser) -> (String, Payload) {
    let vector = messages::all().into_iter().find(|candidate| candidate.name == vector).expect("a vector");
    let golden: Golden = vector.encode();
    let [json, messagepack] = golden.plain();
    let argument = match (body, parser) {
        (Body::Plain, Parser::Json) => json,
        (Body::Plain, Parser::Msgpack) => messagepack,
        (Body::Compact, _) => Payload::Binary(golden.compact().expect("a compact encoding")),
    };
    (golden.event, argument)
}
