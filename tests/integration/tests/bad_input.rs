//! Bad input has a typed error; nothing is lost and nothing hangs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::json;
use syncline::engine::io::{ConnectionState, RoomPhase};
use syncline::{ClientConfig, Code};
use syncline_integration::{Device, TestServer, config, token};
use tempfile::tempdir;

const ROOM: &str = "user:ada";

fn offline(directory: &std::path::Path) -> ClientConfig {
    ClientConfig { auto_connect: false, ..config("ada", &[], "http://127.0.0.1:9", directory) }
}

#[tokio::test]
async fn a_wrong_token_is_unauthorized_until_a_good_one_is_set() {
    let (data, dir) = (tempdir().unwrap(), tempdir().unwrap());
    let server = TestServer::start(data.path()).await;
    let mut config = config("ada", &[], &server.url(), dir.path());
    config.token = Some("not a token".to_owned());
    config.auto_connect = false;
    let device = Device::open(config).await.unwrap();
    device.watch(ROOM).await;
    device.write(ROOM, "kept", json!({"create": {}})).await.unwrap();

    let error = device.run(json!({"type": "connect"})).await.unwrap_err();
    assert_eq!(error.code, Code::Unauthorized);
    device.until("a request for a token", |seen| seen.tokens_needed == 1).await;
    let state = device.seen(|seen| seen.connection.as_ref().unwrap().state);
    assert_eq!(state, ConnectionState::Unauthorized);

    device.run(json!({"type": "setToken", "token": token("ada", &[])})).await.unwrap();
    device.synced(ROOM).await;
}

#[tokio::test]
async fn no_token_has_its_own_code() {
    let dir = tempdir().unwrap();
    let device = Device::open(ClientConfig { token: None, ..offline(dir.path()) }).await.unwrap();
    let error = device.run(json!({"type": "connect"})).await.unwrap_err();
    assert_eq!(error.code, Code::NoAuthToken);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable_and_tried_again() {
    let dir = tempdir().unwrap();
    let device = Device::open(offline(dir.path())).await.unwrap();
    let error = device.run(json!({"type": "connect"})).await.unwrap_err();
    assert_eq!(error.code, Code::Unreachable);
    assert!(error.retryable());
    device.until("a second attempt", |seen| seen.connection.as_ref().is_some_and(|c| c.attempts >= 2)).await;
}

#[tokio::test]
async fn no_network_is_offline_without_an_attempt() {
    let dir = tempdir().unwrap();
    let device = Device::open(offline(dir.path())).await.unwrap();
    let network = json!({"available": false, "expensive": false, "kind": "none"});
    device.run(json!({"type": "setNetwork", "network": network})).await.unwrap();
    let error = device.run(json!({"type": "connect"})).await.unwrap_err();
    assert_eq!(error.code, Code::Offline);
}

#[tokio::test]
async fn a_wrong_url_is_refused_at_once() {
    let dir = tempdir().unwrap();
    for url in ["", "example.com", "ftp://example.com", "http://user:secret@example.com"] {
        let config = ClientConfig { url: url.to_owned(), ..offline(dir.path()) };
        let Err(error) = Device::open(config).await else { panic!("{url} was accepted") };
        assert_eq!(error.code, Code::InvalidUrl, "{url}");
        assert!(!error.message.contains("secret"));
    }
}

#[tokio::test]
async fn an_oversized_document_is_refused_by_its_named_limit() {
    let dir = tempdir().unwrap();
    let device = Device::open(offline(dir.path())).await.unwrap();
    let text = "x".repeat((1 << 20) + 1);
    let error = device.write(ROOM, "big", json!({"create": {"text": text}})).await.unwrap_err();
    assert_eq!(error.code, Code::TooLarge);
    assert_eq!(device.row(ROOM, "big").await, None);
}

#[tokio::test]
async fn a_malformed_write_is_refused_whole() {
    let dir = tempdir().unwrap();
    let device = Device::open(offline(dir.path())).await.unwrap();
    device.write(ROOM, "n", json!({"create": {"title": "text"}})).await.unwrap();
    let good = json!({"room": ROOM, "collection": "notes", "id": "good", "write": {"create": {}}});
    let bad = json!({"room": ROOM, "collection": "notes", "id": "n",
        "write": {"update": {"title": {"increment": 1}}}});
    let error = device.run(json!({"type": "write", "writes": [good, bad]})).await.unwrap_err();
    assert_eq!(error.code, Code::Invalid);
    assert_eq!(device.row(ROOM, "good").await, None, "all or nothing");
    assert_eq!(device.row(ROOM, "n").await.unwrap().0, json!({"title": "text"}));
}

#[tokio::test]
async fn a_room_that_is_not_allowed_is_denied_and_its_writes_are_kept() {
    let (data, dir) = (tempdir().unwrap(), tempdir().unwrap());
    let server = TestServer::start(data.path()).await;
    let device = Device::of("ada", &[], &server.url(), dir.path()).await;
    device.watch("user:bob").await;
    device.until("denial", |seen| seen.rooms["user:bob"].state == RoomPhase::Denied).await;
    device.write("user:bob", "n", json!({"create": {}})).await.unwrap();
    device.until("the refusal", |seen| seen.errors.contains(&"forbidden".to_owned())).await;
    device.until("the write", |seen| seen.queue.count == 1 && !seen.queue.processing).await;

    let allowed = token("ada", &["user:bob"]);
    device.run(json!({"type": "setToken", "token": allowed})).await.unwrap();
    device.synced("user:bob").await;
}

#[tokio::test]
async fn a_full_outbox_refuses_and_keeps_what_it_has() {
    let dir = tempdir().unwrap();
    let mut config = offline(dir.path());
    config.settings.queue_count_max = 2;
    let device = Device::open(config).await.unwrap();
    for id in ["a", "b"] {
        device.write(ROOM, id, json!({"create": {}})).await.unwrap();
    }
    let error = device.write(ROOM, "c", json!({"create": {}})).await.unwrap_err();
    assert_eq!(error.code, Code::QueueFull);
    device.until("two writes", |seen| seen.queue.count == 2).await;
}

#[tokio::test]
async fn a_directory_in_use_is_refused_and_free_after_close() {
    let dir = tempdir().unwrap();
    let device = Device::open(offline(dir.path())).await.unwrap();
    let Err(error) = Device::open(offline(dir.path())).await else { panic!("opened twice") };
    assert_eq!(error.code, Code::InUse);
    device.close().await;
    Device::open(offline(dir.path())).await.unwrap();
}

#[tokio::test]
async fn a_closed_client_says_so() {
    let dir = tempdir().unwrap();
    let device = Device::open(offline(dir.path())).await.unwrap();
    let client = device.client.clone();
    device.close().await;
    let error = client.execute(syncline::Command::Connect).await.unwrap_err();
    assert_eq!(error.code, Code::Closed);
}
