//! The way through a real HTTP proxy.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::KeyPair;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::tls::{TestCa, certificate_for, echo_server};
use super::websocket::{Client, LIMITS, answer, listen};
use crate::transport::{CloseReason, ConnectRequest, Frame, Proxy, SocketEvent};

/// `ada:secret`.
const CREDENTIALS: &str = "Proxy-Authorization: Basic YWRhOnNlY3JldA==\r\n";

/// A proxy that lets those through who know the password; returns its port, and how many it let through.
pub(super) async fn connect_proxy() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tunnels = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tunnels);
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                if !head.contains(CREDENTIALS) {
                    let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
                    return client.write_all(refusal).await.unwrap();
                }
                let target = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap();
                let mut server = TcpStream::connect(target).await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                client.write_all(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n").await.unwrap();
                // Either end may reset the connection.
                let _ended = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (port, tunnels)
}

fn proxied(request: ConnectRequest, user: &str, port: u16) -> ConnectRequest {
    request.with_proxy(Proxy::parse(&format!("http://{user}127.0.0.1:{port}")).unwrap()).with_limits(LIMITS)
}

#[tokio::test]
async fn a_socket_over_tls_goes_through_the_proxy() {
    let (proxy, tunnels) = connect_proxy().await;
    let ca = TestCa::new();
    let key = KeyPair::generate().unwrap();
    let port = echo_server(ca.server_with(&key, &certificate_for("localhost"))).await;
    let request = ConnectRequest::new(&format!("https://localhost:{port}"), ca.config()).unwrap();
    let mut client = Client::open(proxied(request, "ada:secret@", proxy));
    assert_eq!(client.next().await, SocketEvent::Opened);
    let frame = Frame::Binary(vec![7; 50_000].into());
    client.socket.send(vec![frame.clone()]);
    assert_eq!(client.next().await, SocketEvent::Frame(frame));
    assert_eq!(tunnels.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_the_reason() {
    let (proxy, tunnels) = connect_proxy().await;
    for user in ["", "ada:wrong@"] {
        let (_listener, request) = listen("http").await;
        let event = Client::open(proxied(request, user, proxy)).next().await;
        assert_eq!(event, SocketEvent::Closed(CloseReason::Proxy(407)));
    }
    assert_eq!(tunnels.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_is_no_proxy_is_given_up() {
    let endless: &'static str = Box::leak("x".repeat(9_000).into_boxed_str());
    for text in ["SSH-2.0-server\r\n\r\n", endless] {
        let (listener, _) = listen("http").await;
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let _refused = tcp.write_all(text.as_bytes()).await;
            let mut rest = Vec::new();
            let _ended = tcp.read_to_end(&mut rest).await;
        });
        let (_server, request) = listen("http").await;
        let event = Client::open(proxied(request, "", port)).next().await;
        assert_eq!(event, SocketEvent::Closed(CloseReason::NotProxy));
    }
}

#[tokio::test]
async fn a_server_that_is_busy_says_when_to_come_back() {
    let table = [
        ("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", Some(7_000)),
        ("HTTP/1.1 429 Slow down\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", Some(1_000)),
        (
            "HTTP/1.1 503 Busy\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Retry-After: Sun, 06 Nov 1994 08:49:42 GMT\r\nContent-Length: 0\r\n\r\n",
            Some(5_000),
        ),
        (
            "HTTP/1.1 503 Busy\r\nRetry-After: Sun, 06 Nov 1994 08:49:42 GMT\r\nContent-Length: 0\r\n\r\n",
            None,
        ),
        ("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", None),
        ("HTTP/1.1 503 Busy\r\nRetry-After: tomorrow\r\nContent-Length: 0\r\n\r\n", None),
    ];
    for (response, retry_after_ms) in table {
        let (listener, request) = listen("http").await;
        tokio::spawn(answer(listener, response));
        let SocketEvent::Closed(reason) = Client::open(request).next().await else { panic!("it opened") };
        assert_eq!(reason.retry_after_ms(), retry_after_ms, "{response}");
    }
}
