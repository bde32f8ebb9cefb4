//! The socket against real servers on loopback.

use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};

use super::tls::TestCa;
use crate::transport::dial::connect_first;
use crate::transport::{CloseReason, ConnectRequest, Frame, Socket, SocketEvent, SocketLimits};

/// No step of a test takes as long; only a fault does.
const STEP: Duration = Duration::from_secs(20);
/// Events that a test may leave waiting.
const EVENTS_MAX: usize = 64;
const MIB: usize = 1024 * 1024;

/// The timeouts are longer than a step may take, so that a test which passes did not wait for one.
pub(super) const LIMITS: SocketLimits =
    SocketLimits { connect_timeout_ms: 60_000, close_timeout_ms: 60_000, ..SocketLimits::DEFAULT };

/// A socket that a task of its own polls, and its events.
pub(super) struct Client {
    pub(super) socket: Owned,
    events: mpsc::Receiver<SocketEvent>,
}

/// The test's end of that task, which ends with it.
pub(super) struct Owned {
    socket: Arc<Mutex<Socket>>,
    more: Arc<Notify>,
    task: AbortHandle,
}

impl Owned {
    pub(super) fn send(&self, frames: Vec<Frame>) {
        self.socket.lock().unwrap().send(frames);
        self.more.notify_one();
    }

    pub(super) fn close(&self) {
        self.socket.lock().unwrap().close();
        self.more.notify_one();
    }

    fn queued_bytes(&self) -> usize {
        self.socket.lock().unwrap().queued_bytes()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Client {
    pub(super) fn open(request: ConnectRequest) -> Self {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let socket = Arc::new(Mutex::new(Socket::open(request)));
        let more = Arc::new(Notify::new());
        let (polled, woken) = (Arc::clone(&socket), Arc::clone(&more));
        let task = tokio::spawn(async move {
            loop {
                let event = poll_fn(|cx| polled.lock().unwrap().poll_event(cx));
                let event = tokio::select! {
                    event = event => event,
                    () = woken.notified() => continue,
                };
                let is_last = matches!(event, SocketEvent::Closed(_));
                if sender.send(event).await.is_err() || is_last {
                    return;
                }
            }
        });
        Self { socket: Owned { socket, more, task: task.abort_handle() }, events }
    }

    pub(super) async fn next(&mut self) -> SocketEvent {
        within(self.events.recv()).await.expect("an event")
    }

    /// Fails when anything follows the last event.
    async fn ends(mut self) {
        assert_eq!(within(self.events.recv()).await, None);
    }
}

async fn within<T>(step: impl Future<Output = T>) -> T {
    timeout(STEP, step).await.expect("the step takes far too long")
}

/// A listener on a free port and a request to it.
pub(super) async fn listen(scheme: &str) -> (TcpListener, ConnectRequest) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("{scheme}://{}", listener.local_addr().unwrap());
    let request = ConnectRequest::new(&url, TestCa::new().config()).unwrap().with_limits(LIMITS);
    (listener, request)
}

async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    let (tcp, _) = within(listener.accept()).await.unwrap();
    within(tokio_tungstenite::accept_async(tcp)).await.unwrap()
}

/// A client and a server, connected.
async fn connected() -> (Client, WebSocketStream<TcpStream>) {
    connected_within(LIMITS).await
}

async fn connected_within(limits: SocketLimits) -> (Client, WebSocketStream<TcpStream>) {
    let (listener, request) = listen("http").await;
    let mut client = Client::open(request.with_limits(limits));
    let server = accept(&listener).await;
    assert_eq!(client.next().await, SocketEvent::Opened);
    (client, server)
}

/// Answers one request with these bytes and closes.
pub(super) async fn answer(listener: TcpListener, response: &'static str) {
    let (mut tcp, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && tcp.read_buf(&mut request).await.unwrap() > 0 {
        if request.first() != Some(&b'G') {
            break; // not HTTP
        }
    }
    tcp.write_all(response.as_bytes()).await.unwrap();
    tcp.shutdown().await.unwrap();
    // Until the client has gone: data left unread would reset the connection under the response.
    while tcp.read_buf(&mut request).await.is_ok_and(|count| count > 0) {}
}

async fn reason_for(response: &'static str) -> CloseReason {
    let (listener, request) = listen("http").await;
    tokio::spawn(answer(listener, response));
    let mut client = Client::open(request);
    let SocketEvent::Closed(reason) = client.next().await else { panic!("it opened") };
    client.ends().await;
    reason
}

fn text(text: &str) -> Frame {
    Frame::Text(text.to_owned())
}

#[tokio::test]
async fn frames_go_both_ways_in_order_and_a_close_is_clean() {
    let (listener, request) = listen("http").await;
    let mut client = Client::open(request);
    // Queued before the socket is open.
    client.socket.send(vec![text("one"), Frame::Binary(Bytes::from_static(&[2]))]);
    client.socket.send(vec![text("three")]);
    let server = tokio::spawn(async move {
        let mut socket = accept(&listener).await;
        for _ in 0..3 {
            let message = socket.next().await.unwrap().unwrap();
            socket.send(message).await.unwrap();
        }
        let Message::Close(Some(frame)) = socket.next().await.unwrap().unwrap() else {
            panic!("no close frame");
        };
        assert!(socket.next().await.is_none());
        frame.code
    });
    assert_eq!(client.next().await, SocketEvent::Opened);
    assert!(client.next().await == SocketEvent::Frame(text("one")));
    assert!(client.next().await == SocketEvent::Frame(Frame::Binary(Bytes::from_static(&[2]))));
    assert!(client.next().await == SocketEvent::Frame(text("three")));
    assert_eq!(client.socket.queued_bytes(), 0);
    client.socket.close();
    assert_eq!(client.next().await, SocketEvent::Closed(CloseReason::Local));
    assert_eq!(within(server).await.unwrap(), CloseCode::Normal);
    client.ends().await;
}

#[tokio::test]
async fn the_upgrade_asks_for_engine_io_4_with_the_given_path_and_header() {
    let (listener, request) = listen("ws").await;
    let request = request.with_path("/sync/").unwrap().with_header("x-app", "demo").unwrap();
    let mut client = Client::open(request);
    let (tcp, _) = within(listener.accept()).await.unwrap();
    #[allow(clippy::result_large_err)]
    let check = |request: &Request, response: Response| {
        assert_eq!(request.uri().to_string(), "/sync/?EIO=4&transport=websocket");
        assert_eq!(request.headers()["x-app"], "demo");
        Ok(response)
    };
    let _server = within(tokio_tungstenite::accept_hdr_async(tcp, check)).await.unwrap();
    assert_eq!(client.next().await, SocketEvent::Opened);
}

#[tokio::test]
async fn an_http_status_in_place_of_the_upgrade_is_the_reason() {
    let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 14\r\n\r\n<h1>Login</h1>";
    let reason = reason_for(page).await;
    assert_eq!((reason.is_auth(), reason), (false, CloseReason::HttpStatus(200)));
    let reason = reason_for("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!((reason.is_auth(), reason), (true, CloseReason::HttpStatus(401)));
    let reason = reason_for("HTTP/1.1 502 Bad Gateway\r\n\r\n").await;
    assert_eq!((reason.is_auth(), reason), (false, CloseReason::HttpStatus(502)));
}

#[tokio::test]
async fn an_answer_that_no_web_socket_server_gives_is_recognized() {
    for answer in [
        "220 mail.example ESMTP\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ] {
        assert_eq!(reason_for(answer).await, CloseReason::NotWebSocket, "{answer}");
    }
}

#[tokio::test]
async fn a_connection_that_ends_before_the_answer_is_lost() {
    assert_eq!(reason_for("").await, CloseReason::Eof);
    assert_eq!(reason_for("HTTP/1.1 101 Swi").await, CloseReason::Eof);
}

#[tokio::test]
async fn a_server_that_never_answers_times_out() {
    let (listener, request) = listen("http").await;
    let mut client = Client::open(request.with_limits(SocketLimits { connect_timeout_ms: 50, ..LIMITS }));
    let _held = within(listener.accept()).await.unwrap();
    assert_eq!(client.next().await, SocketEvent::Closed(CloseReason::Timeout));
    client.ends().await;
}

#[tokio::test]
async fn a_port_where_nothing_listens_refuses() {
    let (listener, request) = listen("http").await;
    drop(listener);
    assert_eq!(Client::open(request).next().await, SocketEvent::Closed(CloseReason::Refused));
}

#[tokio::test]
async fn every_address_of_a_host_is_tried() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refusing = free.local_addr().unwrap();
    drop(free);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listening = listener.local_addr().unwrap();
    let connected = within(connect_first(&[refusing, listening], STEP)).await.unwrap();
    assert_eq!(connected.peer_addr().unwrap(), listening);
    assert_eq!(within(connect_first(&[refusing], STEP)).await.unwrap_err(), CloseReason::Refused);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_dns_failure() {
    // A label over 63 bytes cannot be asked for: no name server is needed to say so.
    let url = format!("http://{}.invalid", "x".repeat(64));
    let request = ConnectRequest::new(&url, TestCa::new().config()).unwrap();
    assert_eq!(Client::open(request).next().await, SocketEvent::Closed(CloseReason::Dns));
}

#[tokio::test]
async fn an_oversized_message_closes_the_socket() {
    let (mut client, mut server) = connected_within(SocketLimits { message_bytes_max: 1000, ..LIMITS }).await;
    server.send(Message::Binary(vec![0; 1000].into())).await.unwrap();
    assert!(matches!(client.next().await, SocketEvent::Frame(frame) if frame.byte_len() == 1000));
    server.send(Message::Binary(vec![0; 1001].into())).await.unwrap();
    assert_eq!(client.next().await, SocketEvent::Closed(CloseReason::TooLarge));
    client.ends().await;
}

#[tokio::test]
async fn an_oversized_message_in_fragments_closes_the_socket() {
    let (mut client, mut server) = connected_within(SocketLimits { message_bytes_max: 1000, ..LIMITS }).await;
    // Two fragments of 600 bytes: binary without FIN, then a continuation.
    let mut bytes = vec![0x02, 126, 0x02, 0x58];
    bytes.extend([0; 600]);
    bytes.extend([0x80, 126, 0x02, 0x58]);
    bytes.extend([0; 600]);
    server.get_mut().write_all(&bytes).await.unwrap();
    assert_eq!(client.next().await, SocketEvent::Closed(CloseReason::TooLarge));
}

#[tokio::test]
async fn a_broken_frame_is_a_protocol_error() {
    let (mut client, mut server) = connected().await;
    server.get_mut().write_all(&[0xf2, 0]).await.unwrap();
    assert!(matches!(client.next().await, SocketEvent::Closed(CloseReason::Protocol(_))));

    let (mut client, mut server) = connected().await;
    server.get_mut().write_all(&[0x81, 2, 0xc3, 0x28]).await.unwrap();
    assert!(matches!(client.next().await, SocketEvent::Closed(CloseReason::Protocol(_))));
}

#[tokio::test]
async fn an_abrupt_end_is_a_lost_connection() {
    let (mut client, server) = connected().await;
    drop(server);
    assert_eq!(client.next().await, SocketEvent::Closed(CloseReason::Eof));
    client.ends().await;
}

#[tokio::test]
async fn frames_before_a_close_frame_arrive_and_its_code_is_the_reason() {
    let (mut client, mut server) = connected().await;
    server.send(Message::text("last words")).await.unwrap();
    let frame = CloseFrame { code: CloseCode::Policy, reason: "secret".into() };
    server.close(Some(frame)).await.unwrap();
    assert!(client.next().await == SocketEvent::Frame(text("last words")));
    let SocketEvent::Closed(reason) = client.next().await else { panic!("not closed") };
    assert!(!reason.to_string().contains("secret"));
    assert_eq!(reason, CloseReason::Remote { code: 1008 });
    // The server sees its close frame answered.
    assert!(matches!(within(server.next()).await, Some(Ok(Message::Close(_)))));
    assert!(within(server.next()).await.is_none());
    client.ends().await;
}

#[tokio::test]
async fn a_web_socket_ping_is_answered() {
    let (_client, mut server) = connected().await;
    server.send(Message::Ping(Bytes::from_static(b"p"))).await.unwrap();
    assert_eq!(within(server.next()).await.unwrap().unwrap(), Message::Pong(Bytes::from_static(b"p")));
}

#[tokio::test]
async fn closing_ends_a_connection_attempt_at_once() {
    let (listener, request) = listen("http").await;
    let mut client = Client::open(request);
    let _held = within(listener.accept()).await.unwrap();
    client.socket.close();
    assert_eq!(client.next().await, SocketEvent::Closed(CloseReason::Local));
}

#[tokio::test]
async fn closing_waits_no_longer_than_its_limit_for_a_server_that_does_not_answer() {
    let (mut client, _server) = connected_within(SocketLimits { close_timeout_ms: 50, ..LIMITS }).await;
    client.socket.close();
    assert_eq!(client.next().await, SocketEvent::Closed(CloseReason::Local));
    client.ends().await;
}

#[tokio::test]
async fn closing_waits_no_longer_than_its_limit_for_a_server_that_does_not_read() {
    let (mut client, _server) = connected_within(SocketLimits { close_timeout_ms: 50, ..LIMITS }).await;
    let frame = Frame::Binary(vec![0; MIB].into());
    client.socket.send(vec![frame; 64]);
    assert!(client.socket.queued_bytes() > 0);
    client.socket.close();
    assert_eq!(client.next().await, SocketEvent::Closed(CloseReason::Local));
    assert_eq!(client.socket.queued_bytes(), 0);
}

#[tokio::test]
async fn dropping_the_handle_ends_the_connection_without_an_event() {
    let (client, mut server) = connected().await;
    let Client { socket, mut events } = client;
    drop(socket);
    assert_eq!(within(events.recv()).await, None);
    assert!(matches!(within(server.next()).await, Some(Err(_))), "no close frame");
}

/// More in each direction than the buffers of the network hold: were either end to write before it reads, both
/// would wait for ever.
#[tokio::test]
async fn two_full_directions_do_not_block_each_other() {
    const COUNT: usize = 32;
    let (mut client, mut server) = connected().await;
    client.socket.send(vec![Frame::Binary(vec![1; MIB].into()); COUNT]);
    let server = tokio::spawn(async move {
        for _ in 0..COUNT {
            server.send(Message::Binary(vec![2; MIB].into())).await.unwrap();
        }
        for _ in 0..COUNT {
            assert_eq!(server.next().await.unwrap().unwrap().len(), MIB);
        }
    });
    for _ in 0..COUNT {
        assert!(matches!(client.next().await, SocketEvent::Frame(frame) if frame.byte_len() == MIB));
    }
    within(server).await.unwrap();
}
