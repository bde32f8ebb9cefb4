//! All clients come at once to a server that takes few at a time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::path::Path;

use serde_json::json;
use syncline_integration::{Device, TestServer, server_config};
use syncline_server::config::Rate;
use tempfile::tempdir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const DEVICES: usize = 8;
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

async fn write_and_sync(user: String, url: String, directory: impl AsRef<Path>) {
    let room = format!("user:{user}");
    let device = Device::of(&user, &[], &url, directory.as_ref()).await;
    device.watch(&room).await;
    device.write(&room, "note", json!({"create": {"n": 1}})).await.unwrap();
    device.synced(&room).await;
    device.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_come_at_once_are_told_when_to_come_back_and_all_get_in() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("token"), ADMIN_TOKEN).unwrap();
    let mut config = server_config("127.0.0.1:0".parse().unwrap(), &at("data"));
    config.operations.admin_token_file = Some(at("token"));
    config.door.handshakes = Rate { per_s: 2, burst: 1 };
    let server = TestServer::start_with(config).await;

    let mut herd = JoinSet::new();
    for number in 0..DEVICES {
        let user = format!("user{number}");
        herd.spawn(write_and_sync(user.clone(), server.url(), at(&user)));
    }
    herd.join_all().await;

    let refused = counted(server.addr, "syncline_handshakes_refused_total{reason=\"unavailable\"}").await;
    assert!(refused >= 1.0, "{refused} were refused");
    assert_eq!(counted(server.addr, "syncline_mutations_total{status=\"applied\"}").await, 8.0);
    server.stop().await;
}
