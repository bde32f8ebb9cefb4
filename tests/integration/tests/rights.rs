//! Rights that end, and tokens that are replaced and taken back, while the app runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;
use syncline::engine::io::{ConnectionState, RoomPhase};
use syncline::{ClientConfig, Code, Reply};
use syncline_integration::{Device, SECRET, Seen, TestServer, config, token};
use syncline_server::auth::Revocation;
use tempfile::tempdir;

const ROOM: &str = "list:1";
const OTHER: &str = "list:2";

/// How often a session was opened.
async fn sessions(device: &Device) -> u64 {
    match device.run(json!({"type": "stats"})).await.unwrap() {
        Reply::Stats(stats) => stats.reconnects,
        other => panic!("{other:?}"),
    }
}

async fn set_token(device: &Device, token: String) {
    device.run(json!({"type": "setToken", "token": token})).await.unwrap();
}

fn is_denied(seen: &Seen, room: &str) -> bool {
    let status = seen.rooms.get(room);
    status.is_some_and(|status| {
        let code = status.error.as_ref().map(|error| error.code);
        status.state == RoomPhase::Denied && code == Some(Code::Forbidden)
    })
}

#[tokio::test]
async fn a_refreshed_token_takes_and_gives_rights_on_the_connection_that_there_is() {
    let folder = tempdir().unwrap();
    let server = TestServer::start(&folder.path().join("server")).await;
    let device = Device::of("ada", &[ROOM, OTHER], &server.url(), &folder.path().join("ada")).await;
    let watch = device.watch(ROOM).await;
    device.watch(OTHER).await;
    device.run(json!({"type": "presenceJoin", "room": ROOM, "state": {}})).await.unwrap();
    device.write(ROOM, "n", json!({"create": {"n": 1}})).await.unwrap();
    device.synced(ROOM).await;
    device.synced(OTHER).await;
    device
        .until("this client in the room", |seen| seen.members.get(ROOM).is_some_and(|all| all.len() == 1))
        .await;

    set_token(&device, token("ada", &[OTHER])).await;
    device
        .until("the room that was lost", |seen| is_denied(seen, ROOM) && seen.members[ROOM].is_empty())
        .await;
    device.seen(|seen| assert!(seen.rows[&watch].contains_key("n"), "what is here stays"));
    device.write(OTHER, "n", json!({"create": {"n": 1}})).await.unwrap();
    device.synced(OTHER).await;
    device.write(ROOM, "n", json!({"update": {"n": {"set": 2}}})).await.unwrap();
    device.until("the refusal of the write", |seen| seen.errors.contains(&"forbidden".to_owned())).await;
    device.until("the write in the queue", |seen| seen.queue.count == 1).await;

    set_token(&device, token("ada", &[ROOM, OTHER])).await;
    device.synced(ROOM).await;
    device.until("this client in the room again", |seen| seen.members[ROOM].len() == 1).await;
    assert_eq!(device.row(ROOM, "n").await, Some((json!({"n": 2}), false)));
    assert_eq!(sessions(&device).await, 1);
    device.seen(|seen| assert!(seen.outcomes.is_empty(), "nothing that was written is refused for good"));
    device.close().await;
    server.stop().await;
}

#[tokio::test]
async fn another_users_token_takes_another_connection() {
    let folder = tempdir().unwrap();
    let server = TestServer::start(&folder.path().join("server")).await;
    let device = Device::of("ada", &[], &server.url(), &folder.path().join("ada")).await;
    device.run(json!({"type": "connect"})).await.unwrap();
    set_token(&device, token("eve", &[])).await;
    let is_eve = |seen: &Seen| {
        seen.is_open()
            && seen.connection.as_ref().is_some_and(|status| status.user_id.as_deref() == Some("eve"))
    };
    device.until("a session of the other user", is_eve).await;
    assert_eq!(sessions(&device).await, 2);
    device.close().await;
    server.stop().await;
}

/// A token that was issued then.
fn issued(at_s: u64) -> String {
    let claims = json!({"sub": "ada", "iat": at_s, "exp": at_s + 3600});
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET)).unwrap()
}

fn with_token(token: String, server: &str, folder: &Path) -> ClientConfig {
    ClientConfig { token: Some(token), ..config("ada", &[], server, folder) }
}

#[tokio::test]
async fn a_user_whose_tokens_are_taken_back_keeps_what_was_written_until_there_is_a_newer_one() {
    let folder = tempdir().unwrap();
    let server = TestServer::start(&folder.path().join("server")).await;
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let old = with_token(issued(now_s - 60), &server.url(), &folder.path().join("ada"));
    let device = Device::open(old).await.unwrap();
    device.watch("user:ada").await;
    device.synced("user:ada").await;
    server.handle.revoke(Revocation::User("ada".to_owned())).await.unwrap();
    let is_unauthorized = |seen: &Seen| {
        seen.connection.as_ref().is_some_and(|status| status.state == ConnectionState::Unauthorized)
    };
    device
        .until("that another token is needed", |seen| is_unauthorized(seen) && seen.tokens_needed > 0)
        .await;
    device.write("user:ada", "n", json!({"create": {"n": 1}})).await.unwrap();
    device.until("the write in the queue", |seen| seen.queue.count == 1).await;
    set_token(&device, issued(now_s + 60)).await;
    device.synced("user:ada").await;
    assert_eq!(device.row("user:ada", "n").await, Some((json!({"n": 1}), false)));
    device.close().await;
    server.stop().await;
}
