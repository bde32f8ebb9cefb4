//! All clients come at once to a server that takes few at a time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;

use serde_json::json;
use syncline::{ClientConfig, Command};
use syncline_integration::{Device, TestServer, config, server_config};
use syncline_server::config::Rate;
use tempfile::tempdir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DEVICES: usize = 4;
const ADMIN_TOKEN: &str = "an admin token of the tests, long enough";

/// A number of the server's own count.
async fn counted(addr: SocketAddr, metric: &str) -> f64 {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let head =
        format!("GET /metrics HTTP/1.0\r\nhost: {addr}\r\nauthorization: Bearer {ADMIN_TOKEN}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(metric)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {metric} in {text}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_come_at_once_are_told_when_to_come_back_and_all_get_in() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("token"), ADMIN_TOKEN).unwrap();
    let mut settings = server_config("127.0.0.1:0".parse().unwrap(), &at("data"));
    settings.operations.admin_token_file = Some(at("token"));
    settings.door.handshakes = Rate { per_s: 1, burst: 1 };
    let server = TestServer::start_with(settings).await;

    let users: [String; DEVICES] = std::array::from_fn(|number| format!("user{number}"));
    let room = |user: &str| format!("user:{user}");
    let mut herd = Vec::new();
    for user in &users {
        let offline = ClientConfig { auto_connect: false, ..config(user, &[], &server.url(), &at(user)) };
        let device = Device::open(offline).await.unwrap();
        device.watch(&room(user)).await;
        device.write(&room(user), "note", json!({"create": {"n": 1}})).await.unwrap();
        herd.push(device);
    }
    for device in &herd {
        device.client.post(Command::Connect).unwrap();
    }
    for (device, user) in herd.iter().zip(&users) {
        device.synced(&room(user)).await;
    }

    let refused = counted(server.addr, "syncline_handshakes_refused_total{reason=\"unavailable\"}").await;
    assert!(refused >= 1.0, "{refused} were refused");
    assert_eq!(counted(server.addr, "syncline_mutations_total{status=\"applied\"}").await, 4.0);
    server.stop().await;
}
