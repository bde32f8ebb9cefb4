//! A server that sends what no server should: the client closes the connection with a typed reason, applies nothing,
//! keeps its queue, and needs no memory for it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use syncline::engine::io::ConnectionState;
use syncline::transport::Parser;
use syncline::{Code, Reply};
use syncline_faults::cycles::Footprint;
use syncline_integration::{Device, PATIENCE, config};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

const ROOM: &str = "user:ada";
const PING_INTERVAL_MS: u64 = 200;
const PING_TIMEOUT_MS: u64 = 2_000;
/// What a bad message may cost at most: the largest that is read, its decoded form, and what others allocate meanwhile.
const MEMORY_KIB_MAX: u64 = 64 << 10;

/// What the server is told to do with the open session.
enum Order {
    Send(Message),
}

/// What the server saw.
#[derive(Debug, PartialEq)]
enum Saw {
    Session,
    Pong,
    Gone,
}

struct Hostile {
    orders: mpsc::Sender<Order>,
    saw: mpsc::Receiver<Saw>,
    device: Device,
    _directory: TempDir,
}

/// Serves one client at a time: the handshake, pings, and what it is ordered to send.
async fn serve(
    listener: TcpListener,
    parser: Parser,
    mut orders: mpsc::Receiver<Order>,
    saw: mpsc::Sender<Saw>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { continue };
        let open = json!({"sid": "s", "upgrades": [], "pingInterval": PING_INTERVAL_MS, "pingTimeout": PING_TIMEOUT_MS});
        let _gone = socket.send(Message::text(format!("0{open}"))).await;
        let _greeting = socket.next().await;
        let connected = match parser {
            Parser::Json => Message::text(r#"40{"sid":"y"}"#),
            // {type: 0, data: {sid: "y"}, nsp: "/"}
            Parser::Msgpack => {
                Message::binary(b"\x83\xa4type\x00\xa4data\x81\xa3sid\xa1y\xa3nsp\xa1/".to_vec())
            }
        };
        let _gone = socket.send(connected).await;
        saw.send(Saw::Session).await.unwrap();
        let mut pings = tokio::time::interval(Duration::from_millis(PING_INTERVAL_MS));
        loop {
            tokio::select! {
                _ = pings.tick() => {
                    let _gone = socket.send(Message::text("2")).await;
                }
                order = orders.recv() => match order {
                    Some(Order::Send(message)) => drop(socket.send(message).await),
                    None => return,
                },
                heard = socket.next() => match heard {
                    Some(Ok(Message::Text(text))) if text.as_str() == "3" => drop(saw.try_send(Saw::Pong)),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                    Some(Ok(_)) => {}
                },
            }
        }
        saw.send(Saw::Gone).await.unwrap();
    }
}

impl Hostile {
    /// A client with a write in its queue, connected to the server.
    async fn start(parser: Parser) -> Self {
        let directory = TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (orders, inbox) = mpsc::channel(4);
        let (saw, seen) = mpsc::channel(256);
        tokio::spawn(serve(listener, parser, inbox, saw));
        let mut config = config("ada", &[], &url, directory.path());
        config.parser = parser;
        config.settings.reconnect_delay_ms = 60_000;
        config.settings.reconnect_delay_ms_max = 60_000;
        let device = Device::open(config).await.unwrap();
        device.write(ROOM, "kept", json!({"create": {"n": 1}})).await.unwrap();
        let mut hostile = Self { orders, saw: seen, device, _directory: directory };
        hostile.until(&Saw::Session).await;
        hostile.device.until("a session", |seen| seen.is_open()).await;
        hostile
    }

    async fn until(&mut self, wanted: &Saw) {
        let saw = async { while self.saw.recv().await.as_ref() != Some(wanted) {} };
        timeout(PATIENCE, saw).await.unwrap_or_else(|_| panic!("the server never saw: {wanted:?}"));
    }

    async fn send(&self, message: Message) {
        self.orders.send(Order::Send(message)).await.unwrap();
    }

    /// The client gives the connection up for this reason, and is otherwise as before.
    async fn is_given_up(&mut self, what: &str, code: Code) {
        self.device
            .until(what, |seen| {
                seen.connection.as_ref().is_some_and(|status| {
                    status.state == ConnectionState::Backoff
                        && status.reason.as_ref().is_some_and(|reason| reason.code == code)
                })
            })
            .await;
        self.until(&Saw::Gone).await;
        self.is_unharmed().await;
    }

    async fn is_unharmed(&self) {
        let Reply::Queue(queue) = self.device.run(json!({"type": "queue"})).await.unwrap() else { panic!() };
        assert_eq!(queue.count, 1, "the queue is kept");
        assert_eq!(self.device.row(ROOM, "kept").await, Some((json!({"n": 1}), true)));
        assert_eq!(self.device.row(ROOM, "evil").await, None, "nothing is applied");
    }
}

/// A text frame of any bytes.
fn text_frame(bytes: &[u8]) -> Message {
    Message::Frame(Frame::message(Bytes::copy_from_slice(bytes), OpCode::Data(Data::Text), true))
}

async fn each_is_given_up(parser: Parser, messages: Vec<(&str, Message)>) {
    let before = Footprint::now().resident_kib;
    for (what, message) in messages {
        let mut hostile = Hostile::start(parser).await;
        hostile.send(message).await;
        hostile.is_given_up(what, Code::Protocol).await;
        hostile.device.close().await;
    }
    let grown = Footprint::now().resident_kib.saturating_sub(before);
    assert!(grown < MEMORY_KIB_MAX, "{grown} KiB more");
}

fn nested(depth: usize) -> String {
    format!(r#"42["x",{}{}]"#, "[".repeat(depth), "]".repeat(depth))
}

#[tokio::test]
async fn messages_that_break_the_json_notation_end_the_connection_and_nothing_else() {
    let evil = r#"42["sync:changes",{"room":"user:ada","from_seq":1,"to_seq":1,"changes":[{"id":"evil"}]}]"#;
    each_is_given_up(
        Parser::Json,
        vec![
            ("a billion attachments", Message::text(r#"451000000000-["x",{"_placeholder":true,"num":0}]"#)),
            ("attachments beyond any number", Message::text(format!("45{}-[]", "9".repeat(40)))),
            ("deep nesting", Message::text(nested(100_000))),
            ("text that is not UTF-8", text_frame(b"42[\"x\",\"\xff\xfe\"]")),
            ("a truncated packet", Message::text(r#"42["x",{"a":"#)),
            ("an empty frame", Message::text("")),
            ("a packet without its type", Message::text("4")),
            ("an event without a name", Message::text("42[]")),
            ("an unknown packet type", Message::text("49")),
            ("an unknown Engine.IO type", Message::text("x")),
            ("bytes that nothing announced", Message::binary(vec![0; 16])),
            ("changes that make no sense", Message::text(evil)),
        ],
    )
    .await;
}

#[tokio::test]
async fn messages_that_break_the_messagepack_notation_end_the_connection_and_nothing_else() {
    let mut deep = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1x".to_vec();
    deep.extend(std::iter::repeat_n(0x91, 100_000));
    deep.push(0xc0);
    each_is_given_up(
        Parser::Msgpack,
        vec![
            ("deep nesting", Message::binary(deep)),
            // An array that says it holds four billion values.
            (
                "a length beyond the message",
                Message::binary(b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\xdd\xff\xff\xff\xff".to_vec()),
            ),
            ("a truncated packet", Message::binary(b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1".to_vec())),
            (
                "a name that is not UTF-8",
                Message::binary(b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa2\xff\xfe".to_vec()),
            ),
            ("an empty frame", Message::binary(Vec::new())),
            ("a value that is no packet", Message::binary(b"\x01".to_vec())),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_message_over_the_limit_is_not_read_to_its_end() {
    each_is_given_up(
        Parser::Json,
        vec![("nine mebibytes", Message::text(format!(r#"42["x","{}"]"#, "x".repeat(9 << 20))))],
    )
    .await;
}

#[tokio::test]
async fn attachments_that_never_come_hold_up_neither_the_heartbeat_nor_the_memory() {
    let mut hostile = Hostile::start(Parser::Json).await;
    let before = Footprint::now().resident_kib;
    hostile.send(Message::text(r#"4510-["x",{"_placeholder":true,"num":0}]"#)).await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(PING_TIMEOUT_MS + PING_INTERVAL_MS * 2) {
        hostile.until(&Saw::Pong).await;
    }
    hostile.device.until("an open session", |seen| seen.is_open()).await;
    assert!(Footprint::now().resident_kib.saturating_sub(before) < MEMORY_KIB_MAX);
    hostile.send(Message::text(r#"42["another",1]"#)).await;
    hostile.is_given_up("a packet in the place of an attachment", Code::Protocol).await;
}

#[tokio::test]
async fn unknown_events_fields_and_namespaces_are_passed_over() {
    let mut hostile = Hostile::start(Parser::Json).await;
    for text in [
        r#"42["whatever",{"a":1},"more"]"#,
        r#"42["user:online",{"userId":"eve","since":"a newer version"}]"#,
        r#"42["user:online","in the shape of another backend"]"#,
        r#"42/elsewhere,["sync:changes","nonsense"]"#,
        r#"4399[{"nobody":"asked"}]"#,
        "6",
    ] {
        hostile.send(Message::text(text)).await;
    }
    for _ in 0..3 {
        hostile.until(&Saw::Pong).await;
    }
    hostile.device.until("an open session", |seen| seen.is_open()).await;
    hostile.is_unharmed().await;
}

#[tokio::test]
async fn a_server_of_another_version_is_refused_with_its_own_code() {
    let mut hostile = Hostile::start(Parser::Json).await;
    let hello =
        json!({"protocol": 99, "encoding": "plain", "limits": {}, "server_time_ms": 1, "user_id": "ada"});
    hostile.send(Message::text(format!("42{}", json!(["sync:hello", hello])))).await;
    hostile.is_given_up("another version", Code::UnsupportedProtocol).await;
}

#[tokio::test]
async fn a_server_that_pings_no_more_is_given_up_without_any_probe_of_ours() {
    let directory = TempDir::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // Opens a session, and then neither says nor closes anything.
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let open = json!({"sid": "s", "upgrades": [], "pingInterval": PING_INTERVAL_MS, "pingTimeout": 300});
        socket.send(Message::text(format!("0{open}"))).await.unwrap();
        socket.next().await.unwrap().unwrap();
        socket.send(Message::text(r#"40{"sid":"y"}"#)).await.unwrap();
        while let Some(Ok(_)) = socket.next().await {}
    });
    let mut config = config("ada", &[], &url, directory.path());
    config.parser = Parser::Json;
    config.settings.reconnect_delay_ms = 60_000;
    config.settings.reconnect_delay_ms_max = 60_000;
    let device = Device::open(config).await.unwrap();
    device.until("a session", |seen| seen.is_open()).await;
    let opened = Instant::now();
    device
        .until("the end of it", |seen| {
            let reason = seen.connection.as_ref().and_then(|status| status.reason.as_ref());
            reason.is_some_and(|reason| reason.code == Code::Timeout)
        })
        .await;
    assert!(opened.elapsed() < Duration::from_millis(PING_INTERVAL_MS + 300 + 2_000));
}
