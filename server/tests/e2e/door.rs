//! What strangers may do: connections, bytes, handshakes, origins; and TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use syncline_server::config::Rate;
use syncline_server::{Config, Mode};

use crate::support::{Agent, EmbeddedServer, SECRET, STEP_TIMEOUT, client_id, create, http, push, token};

fn config(folder: &tempfile::TempDir) -> Config {
    let mode = Mode::Production { jwt_secret: SECRET.into() };
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), folder.path().join("data"), mode);
    config.door.limit_loopback = true;
    config
}

fn open(server: &EmbeddedServer) -> TcpStream {
    let stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(STEP_TIMEOUT)).unwrap();
    stream
}

/// Whether the server has closed it.
fn is_closed(mut stream: &TcpStream, wait: Duration) -> bool {
    stream.set_read_timeout(Some(wait)).unwrap();
    match stream.read(&mut [0; 1024]) {
        Ok(count) => count == 0,
        Err(error) => !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
    }
}

#[test]
fn strangers_of_one_address_are_bounded_and_those_who_are_known_do_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.door.strangers_per_address_max = 2;
    let server = EmbeddedServer::start(config);
    let agent = Agent::start();
    for name in ["a", "b", "c"] {
        let auth = json!({"token": token("ann", &[])});
        let connect = json!({"name": name, "url": server.url, "auth": auth, "transports": ["websocket"]});
        assert_eq!(agent.call("connect", connect)["connected"], true, "{name}");
    }
    let silent = [open(&server), open(&server)];
    assert!(is_closed(&open(&server), STEP_TIMEOUT), "a third stranger is turned away");
    assert!(silent.iter().all(|stream| !is_closed(stream, Duration::from_millis(50))));
    agent.ask("a", "presence:ping", json!({}));
    drop(silent);
}

#[test]
fn a_stranger_that_says_nothing_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.door.request_head_timeout_ms = 200;
    config.connection.connect_timeout_ms = 200;
    let server = EmbeddedServer::start(config);
    let silent = open(&server);
    assert!(is_closed(&silent, STEP_TIMEOUT), "no request");
    let mut slow = open(&server);
    slow.write_all(b"GET /health HTTP/1.1\r\nhost: a\r\n").unwrap();
    assert!(is_closed(&slow, STEP_TIMEOUT), "half a request");
}

#[test]
fn a_stranger_may_send_little_and_who_is_known_may_send_much() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.door.stranger_bytes_max = 20_000;
    let server = EmbeddedServer::start(config);
    let mut stranger = open(&server);
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    write!(
        stranger,
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: \
         websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\r\n"
    )
    .unwrap();
    let mut head = [0; 12];
    stranger.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    // A text frame of 60,000 bytes, masked with zeros.
    let mut frame = vec![0x81, 0xfe, 0xea, 0x60, 0, 0, 0, 0];
    frame.extend([b'4'; 60_000]);
    let _ = stranger.write_all(&frame);
    stranger.set_read_timeout(Some(STEP_TIMEOUT)).unwrap();
    let mut rest = Vec::new();
    // The end, or a reset because of what was not read.
    if let Err(error) = stranger.read_to_end(&mut rest) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    let agent = Agent::start();
    for transports in [json!(["websocket"]), json!(["polling"]), json!(["polling", "websocket"])] {
        let auth = json!({"token": token("ann", &[]), "client_id": client_id(1)});
        let connect = json!({"name": "a", "url": server.url, "auth": auth, "transports": transports});
        assert_eq!(agent.call("connect", connect)["connected"], true, "{transports}");
        for _ in 0..2 {
            let large = create(1, "d", "x".repeat(100_000));
            let answer = agent.ask("a", "sync:push", push("user:ann", None, &[large]));
            assert!(answer["results"].is_array(), "{transports} {answer}");
        }
        agent.call("disconnect", json!({"name": "a"}));
    }
}

#[test]
fn handshakes_of_one_address_have_a_rate() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.door.handshakes_per_address = Rate { per_s: 1, burst: 2 };
    let server = EmbeddedServer::start(config);
    let handshake = || http(&server.url, "GET", "/socket.io/?EIO=4&transport=polling", None, "");
    let answers: Vec<u16> = (0..4).map(|_| handshake().0).collect();
    assert_eq!((answers[0], answers.contains(&429)), (200, true), "{answers:?}");
    let (status, head, body) = handshake();
    assert_eq!(status, 429);
    assert!(head.to_lowercase().contains("retry-after: 1"), "{head}");
    assert!(body.contains("\"code\":\"rate_limited\""), "{body}");
    assert_eq!(http(&server.url, "GET", "/health", None, "").0, 200);
}

#[test]
fn a_herd_is_let_in_at_the_nodes_rate_and_the_rest_is_told_when_to_come() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.door.handshakes = Rate { per_s: 1, burst: 2 };
    config.door.handshake_wait_ms_max = 9_000;
    let server = EmbeddedServer::start(config);
    let handshake = || http(&server.url, "GET", "/socket.io/?EIO=4&transport=polling", None, "");
    assert_eq!(handshake().0, 200);
    let answers: Vec<_> = (0..30).map(|_| handshake()).collect();
    let mut waits_ms = Vec::new();
    for (_, head, body) in answers.iter().filter(|(status, ..)| *status == 503) {
        let error = serde_json::from_str::<Value>(body).unwrap()["error"].clone();
        assert_eq!(error["code"], "unavailable");
        let wait_ms = error["retry_after_ms"].as_u64().unwrap();
        let header = format!("\r\nretry-after: {}", wait_ms.div_ceil(1000));
        assert!(head.to_lowercase().contains(&header), "{head}");
        waits_ms.push(wait_ms);
    }
    assert!(waits_ms.iter().max() > waits_ms.iter().min(), "{waits_ms:?}");
    assert!(waits_ms.iter().all(|wait_ms| (1..=9_000).contains(wait_ms)), "{waits_ms:?}");
    assert_eq!(http(&server.url, "GET", "/health", None, "").0, 200);
}

#[test]
fn a_user_has_one_rate_over_all_connections_and_one_for_an_event() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.door.requests_per_user = Rate { per_s: 1, burst: 10 };
    config.door.events.insert("sync:pull".to_owned(), Rate { per_s: 1, burst: 2 });
    let server = EmbeddedServer::start(config);
    let agent = Agent::start();
    for (name, user) in [("a1", "ann"), ("a2", "ann"), ("b", "bob")] {
        agent.connect(name, &server.url, json!({"token": token(user, &[])}));
    }
    let pull = json!({"room": "user:bob", "cursor": 0, "limit": 1});
    let pulls = agent.call("burst", json!({"name": "b", "event": "sync:pull", "plains": vec![pull; 4]}));
    let refused =
        pulls.as_array().unwrap().iter().filter(|it| it["value"]["error"]["code"] == "rate_limited");
    assert!(refused.count() >= 1, "{pulls}");
    assert_eq!(agent.ask("b", "presence:ping", json!({}))["heads"], json!({}), "other events go on");

    for name in ["a1", "a2"] {
        let pings = vec![json!({}); 8];
        agent.call("burst", json!({"name": name, "event": "presence:ping", "plains": pings}));
    }
    let error = agent.ask("a2", "presence:ping", json!({}))["error"].clone();
    assert_eq!(error["code"], "rate_limited", "{error}");
    assert!(error["retry_after_ms"].as_u64().is_some_and(|wait| (1..=1000).contains(&wait)), "{error}");
    assert_eq!(agent.ask("b", "presence:ping", json!({}))["heads"], json!({}), "another user goes on");
}

#[test]
fn a_page_of_an_origin_that_is_not_listed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.door.origins = vec!["https://app.example".to_owned()];
    let server = EmbeddedServer::start(config);
    let status = |origin: &str| {
        let mut stream = open(&server);
        write!(
            stream,
            "GET /socket.io/?EIO=4&transport=polling HTTP/1.0\r\nhost: a\r\norigin: {origin}\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!([status("https://app.example"), status("https://evil.example")], ["200", "403"]);
    let agent = Agent::start();
    assert_eq!(agent.connect("a", &server.url, json!({"token": token("ann", &[])}))["connected"], true);
}

/// Sends a request on a connection that goes on; answers the status.
fn ask(mut stream: &TcpStream, path: &str, token: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n").unwrap();
    let mut answer = [0; 4096];
    let count = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..count]).chars().skip(9).take(3).collect()
}

#[test]
fn only_a_token_that_holds_makes_a_stranger_known() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.door.strangers_per_address_max = 2;
    let server = EmbeddedServer::start(config);
    let document = "/v1/rooms/user:ann/collections/todos/documents/none";
    let connect = |path: &str, token: &str| {
        let stream = open(&server);
        let status = ask(&stream, path, token);
        (stream, status)
    };
    let known = [(); 3].map(|()| connect(document, &token("ann", &[])));
    assert!(known.iter().all(|(_, status)| status == "404"));
    let strangers = [(); 2].map(|()| connect("/health", "x"));
    assert!(strangers.iter().all(|(_, status)| status == "200"));
    assert!(is_closed(&open(&server), STEP_TIMEOUT), "a third stranger is turned away");
}

#[test]
fn a_user_has_so_many_connections_and_is_told_to_come_later_with_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.connection.connections_per_user_max = 2;
    let server = EmbeddedServer::start(config);
    let agent = Agent::start();
    let connect = |name: &str, user: &str| {
        let auth = json!({"token": token(user, &[])});
        let connect = json!({"name": name, "url": server.url, "auth": auth, "transports": ["websocket"]});
        agent.call("connect", connect)
    };
    for name in ["a", "b"] {
        assert_eq!(connect(name, "ann")["connected"], true, "{name}");
    }
    let refusal = connect("c", "ann")["message"].clone();
    assert_eq!(refusal, "unavailable: the user has all the connections that one may have");
    assert_eq!(connect("d", "bob")["connected"], true);
    agent.call("disconnect", json!({"name": "a"}));
    // The server learns of it a moment later.
    assert!((0..1000).any(|_| connect("e", "ann")["connected"] == true));
}

/// A text message in a frame whose mask changes nothing.
fn frame(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend_from_slice(&length);
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// Reads until this comes, or the server closes: whether it came.
fn comes(mut stream: &TcpStream, text: &str) -> bool {
    let (mut seen, mut bytes) = (String::new(), [0; 1024]);
    while !seen.contains(text) {
        match stream.read(&mut bytes).unwrap() {
            0 => return false,
            count => seen.push_str(&String::from_utf8_lossy(&bytes[..count])),
        }
    }
    true
}

#[test]
fn a_transport_whose_session_is_over_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    // No heartbeat closes it while this waits.
    config.connection.ping_interval_ms = 600_000;
    let server = EmbeddedServer::start(config);
    let mut stream = open(&server);
    let upgrade = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\n\
                   upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).unwrap();
    assert!(comes(&stream, "pingInterval"));
    stream.write_all(&frame(&format!("40{}", json!({"token": token("ann", &[])})))).unwrap();
    assert!(comes(&stream, "40{"));
    stream.write_all(&frame("41")).unwrap();
    assert!(!comes(&stream, "what never comes"), "it is read until the server closes it");
}
