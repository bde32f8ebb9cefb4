//! Requests of the queue over TLS, to a real HTTP server, by the rules of the socket.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::KeyPair;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::http::{Request, Response, Version};

use super::pins::pin_of;
use super::proxy::connect_proxy;
use super::tls::{TestCa, certificate_for};
use crate::engine::queue::http::{HttpRequest, HttpResponse};
use crate::error::{Code, Error};
use crate::transport::tls::PROTOCOL_VERSIONS;
use crate::transport::{ConnectRequest, HttpClient, Pins, Proxy, Tls};

/// Longer than any step takes: what passes did not wait for it.
const TIMEOUT_MS: u64 = 60_000;

/// A server that answers with what it was sent, and what it has seen.
#[derive(Default)]
struct Backend {
    connections: AtomicUsize,
    versions: Mutex<Vec<Version>>,
}

/// Starts a server that speaks HTTP/1.1 and HTTP/2, whichever its TLS agrees on; returns its port.
async fn serve(acceptor: TlsAcceptor) -> (u16, Arc<Backend>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let backend = Arc::new(Backend::default());
    let seen = Arc::clone(&backend);
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            // The client may refuse the certificate.
            let Ok(stream) = acceptor.accept(tcp).await else { continue };
            seen.connections.fetch_add(1, Ordering::SeqCst);
            let seen = Arc::clone(&seen);
            let echo = service_fn(move |request: Request<Incoming>| {
                let seen = Arc::clone(&seen);
                async move {
                    seen.versions.lock().unwrap().push(request.version());
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    Ok::<_, Infallible>(Response::new(Full::new(body)))
                }
            });
            tokio::spawn(async move {
                // It ends with the client.
                let _ended = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), echo)
                    .await;
            });
        }
    });
    (port, backend)
}

fn client(tls: Tls, proxy: Option<&str>) -> HttpClient {
    let mut endpoint = ConnectRequest::new("https://sync.example", tls).unwrap();
    if let Some(proxy) = proxy {
        endpoint = endpoint.with_proxy(Proxy::parse(proxy).unwrap());
    }
    HttpClient::new("https://sync.example", endpoint.dialer().clone(), TIMEOUT_MS).unwrap()
}

async fn post(client: &HttpClient, url: String) -> Result<HttpResponse, Error> {
    let request = HttpRequest {
        method: "POST".to_owned(),
        url,
        headers: BTreeMap::new(),
        body: b"item 7".to_vec(),
        token: None,
        timeout_ms: TIMEOUT_MS,
        response_bytes_max: 1_000,
    };
    client.send(request).await
}

#[tokio::test]
async fn a_server_that_speaks_http_2_is_spoken_to_in_it_on_one_connection() {
    let ca = TestCa::new();
    let acceptor = ca.server_with(&KeyPair::generate().unwrap(), &certificate_for("localhost"));
    let (port, backend) = serve(acceptor).await;
    let client = client(ca.config(), None);
    for _ in 0..3 {
        let response = post(&client, format!("https://localhost:{port}/orders")).await.unwrap();
        assert_eq!((response.status, response.body.as_slice()), (200, &b"item 7"[..]));
    }
    assert_eq!(*backend.versions.lock().unwrap(), [Version::HTTP_2; 3]);
    assert_eq!(backend.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_server_that_does_not_is_spoken_to_in_http_1_1() {
    let ca = TestCa::new();
    let key = KeyPair::generate().unwrap();
    let acceptor = ca.server_of(&key, &certificate_for("localhost"), PROTOCOL_VERSIONS, &["http/1.1"]);
    let (port, backend) = serve(acceptor).await;
    let response = post(&client(ca.config(), None), format!("https://localhost:{port}/")).await.unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(*backend.versions.lock().unwrap(), [Version::HTTP_11]);
}

#[tokio::test]
async fn tls_1_3_and_1_2_are_spoken() {
    let ca = TestCa::new();
    for version in [&TLS13, &TLS12] {
        let key = KeyPair::generate().unwrap();
        let acceptor = ca.server_of(&key, &certificate_for("localhost"), &[version], &["h2"]);
        let (port, _backend) = serve(acceptor).await;
        let response = post(&client(ca.config(), None), format!("https://localhost:{port}/")).await;
        assert_eq!(response.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_server_that_speaks_tls_1_1_at_most_is_refused() {
    /// Handshake, "server hello" for TLS 1.1, with a cipher suite of that time.
    const SERVER_HELLO: [u8; 47] = {
        let mut hello = [0; 47];
        let head = [22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
        let mut at = 0;
        while at < head.len() {
            hello[at] = head[at];
            at += 1;
        }
        // No session; TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA; no compression.
        hello[44] = 0xc0;
        hello[45] = 0x13;
        hello
    };
    /// An alert, fatal, `protocol_version`: RFC 5246, section 7.2.
    const REFUSAL: [u8; 2] = [2, 70];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut header = [0; 5];
        tcp.read_exact(&mut header).await.unwrap();
        let mut hello = vec![0; u16::from_be_bytes([header[3], header[4]]).into()];
        tcp.read_exact(&mut hello).await.unwrap();
        tcp.write_all(&SERVER_HELLO).await.unwrap();
        let mut answer = Vec::new();
        tcp.read_to_end(&mut answer).await.unwrap();
        answer
    });
    let error = post(&client(TestCa::new().config(), None), format!("https://localhost:{port}/")).await;
    assert_eq!(error.unwrap_err().code, Code::Unreachable);
    assert!(server.await.unwrap().ends_with(&REFUSAL));
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused() {
    let acceptor = TestCa::new().server_with(&KeyPair::generate().unwrap(), &certificate_for("localhost"));
    let (port, backend) = serve(acceptor).await;
    let error = post(&client(TestCa::new().config(), None), format!("https://localhost:{port}/")).await;
    let error = error.unwrap_err();
    assert_eq!(error.code, Code::Unreachable);
    assert_eq!(error.message, "TLS: certificate of an unknown authority");
    assert!(backend.versions.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_request_goes_to_a_server_with_a_pinned_key_and_to_no_other() {
    let ca = TestCa::new();
    let [used, reserve, other] = [(); 3].map(|()| KeyPair::generate().unwrap());
    let pins = Pins::parse(&[pin_of(&used), pin_of(&reserve)]).unwrap();
    let client = client(ca.config_with(pins), None);
    let (pinned, _backend) = serve(ca.server_with(&used, &certificate_for("localhost"))).await;
    assert_eq!(post(&client, format!("https://localhost:{pinned}/")).await.unwrap().status, 200);
    let (unpinned, backend) = serve(ca.server_with(&other, &certificate_for("localhost"))).await;
    let error = post(&client, format!("https://localhost:{unpinned}/")).await.unwrap_err();
    assert_eq!(error.code, Code::TlsPinMismatch);
    assert!(backend.versions.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_request_goes_through_the_proxy_to_a_server_with_or_without_tls() {
    let (proxy, tunnels) = connect_proxy().await;
    let ca = TestCa::new();
    let client = client(ca.config(), Some(&format!("http://ada:secret@127.0.0.1:{proxy}")));
    let acceptor = ca.server_with(&KeyPair::generate().unwrap(), &certificate_for("localhost"));
    let (port, backend) = serve(acceptor).await;
    assert_eq!(post(&client, format!("https://localhost:{port}/")).await.unwrap().status, 200);
    assert_eq!(*backend.versions.lock().unwrap(), [Version::HTTP_2]);
    let (listener, _) = super::websocket::listen("http").await;
    let plain = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(super::websocket::answer(listener, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(post(&client, plain).await.unwrap().status, 202);
    assert_eq!(tunnels.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_proxy_that_refuses_a_request_is_the_reason() {
    let (proxy, tunnels) = connect_proxy().await;
    let client = client(TestCa::new().config(), Some(&format!("http://127.0.0.1:{proxy}")));
    let error = post(&client, "https://localhost:1/".to_owned()).await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (Code::Unreachable, "HTTP status 407 from the proxy"));
    assert_eq!(tunnels.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_server_that_does_not_answer_the_handshake_is_given_up() {
    let (listener, _) = super::websocket::listen("https").await;
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let endpoint = ConnectRequest::new("https://sync.example", TestCa::new().config()).unwrap();
    let client = HttpClient::new("https://sync.example", endpoint.dialer().clone(), 50).unwrap();
    assert_eq!(post(&client, url).await.unwrap_err().code, Code::Timeout);
}
