//! A cache over its cap lets go of rooms that nobody follows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use syncline::{ClientConfig, Reply, Settings};
use syncline_integration::{Device, PATIENCE, TestServer, config};
use tempfile::TempDir;

const ROOMS: [&str; 4] = ["list:1", "list:2", "list:3", "list:4"];
const DOCUMENTS: usize = 100;
const DOCUMENT_BYTES: usize = 8 << 10;
/// Less than all rooms take with the database's overhead, and more than two of them.
const CACHE_BYTES_MAX: u64 = 5 << 20;

/// A server that has all rooms.
async fn server(data: &Path) -> TestServer {
    let server = TestServer::start(data).await;
    let directory = TempDir::new().unwrap();
    let writer = Device::of("writer", &ROOMS, &server.url(), directory.path()).await;
    for room in ROOMS {
        writer.watch(room).await;
        for number in 0..DOCUMENTS {
            // Does not compress.
            let text: String = (0..DOCUMENT_BYTES)
                .map(|at| char::from(b'a' + (at * at * (number + 7) % 26) as u8))
                .collect();
            writer.write(room, &format!("n{number:03}"), json!({"create": {"text": text}})).await.unwrap();
        }
        writer.synced(room).await;
    }
    writer.close().await;
    server
}

fn reader(server: &TestServer, directory: &Path, cache_bytes_max: u64) -> ClientConfig {
    let settings = Settings { cache_bytes_max, cache_check_ms: 1, cache_flush_ms: 1, ..Settings::default() };
    ClientConfig { settings, ..config("reader", &ROOMS, &server.url(), directory) }
}

async fn subscribe(device: &Device, room: &str) {
    device.run(json!({"type": "subscribe", "room": room})).await.unwrap();
    device.synced(room).await;
}

async fn cache_bytes(device: &Device) -> u64 {
    match device.run(json!({"type": "stats"})).await.unwrap() {
        Reply::Stats(stats) => stats.cache_bytes,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rooms_used_least_recently_go_and_come_back_when_they_are_followed_again() {
    let (data, directory) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = server(data.path()).await;
    let device = Device::open(reader(&server, directory.path(), CACHE_BYTES_MAX)).await.unwrap();
    for room in ROOMS {
        subscribe(&device, room).await;
        if room != ROOMS[3] {
            device.run(json!({"type": "unsubscribe", "room": room})).await.unwrap();
        }
    }
    device.run(json!({"type": "setAppState", "state": "background"})).await.unwrap();
    let fits = async {
        while cache_bytes(&device).await > CACHE_BYTES_MAX {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, fits).await.expect("the cache is back under its cap");
    device.run(json!({"type": "setAppState", "state": "active"})).await.unwrap();
    assert_eq!(device.row(ROOMS[0], "n000").await, None, "the oldest is gone");
    assert!(device.row(ROOMS[3], "n000").await.is_some(), "the one in use is not");

    device.run(json!({"type": "disconnect"})).await.unwrap();
    let watch = json!({"type": "watch", "room": ROOMS[0], "collection": "notes"});
    match device.run(watch).await.unwrap() {
        Reply::Watching { rows, room, .. } => assert_eq!((rows.len(), room.complete), (0, false)),
        other => panic!("{other:?}"),
    }
    device.run(json!({"type": "connect"})).await.unwrap();
    device.synced(ROOMS[0]).await;
    let last = format!("n{:03}", DOCUMENTS - 1);
    for id in ["n000", last.as_str()] {
        assert!(device.row(ROOMS[0], id).await.is_some(), "{id} was read again");
    }
    assert_eq!(device.seen(|seen| seen.errors.clone()), Vec::<String>::new());
    device.close().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_uses_more_than_the_cap_is_told_once_and_keeps_everything() {
    let (data, directory) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = server(data.path()).await;
    let device = Device::open(reader(&server, directory.path(), 1 << 20)).await.unwrap();
    for room in ROOMS {
        subscribe(&device, room).await;
    }
    device.until("that the cap does not do", |seen| seen.errors == ["storage"]).await;
    for number in 0..20 {
        device.write(ROOMS[0], &format!("own{number}"), json!({"create": {"n": number}})).await.unwrap();
        device.synced(ROOMS[0]).await;
    }
    for room in ROOMS {
        assert!(device.row(room, "n000").await.is_some(), "{room} is in use");
    }
    assert_eq!(device.seen(|seen| seen.errors.clone()), ["storage"]);
    device.close().await;
    server.stop().await;
}
