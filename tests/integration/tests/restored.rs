//! A server whose data comes from a backup, to clients that know more than it does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use syncline_integration::{Device, TestServer, server_config};
use syncline_server::config::StorageConfig;
use syncline_server::storage::backup;
use tempfile::tempdir;
use tokio::sync::Notify;

const ROOM: &str = "user:ada";
const LOADED: &str = "user:cy";
const ADMIN_TOKEN: &str = "an admin token of the tests, long enough";

async fn serve(listen: &str, data: &Path, token_file: &Path) -> TestServer {
    let mut config = server_config(listen.parse().unwrap(), data);
    config.operations.admin_token_file = Some(token_file.to_owned());
    TestServer::start_with(config).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_has_every_write_answered_before_and_clients_go_on_from_it() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("token"), ADMIN_TOKEN).unwrap();
    let server = serve("127.0.0.1:0", &at("data"), &at("token")).await;
    let a = Device::of("ada", &[], &server.url(), &at("a")).await;
    let b = Device::of("ada", &[], &server.url(), &at("b")).await;
    let c = Arc::new(Device::of("cy", &[], &server.url(), &at("c")).await);
    c.watch(LOADED).await;
    let watches = [a.watch(ROOM).await, b.watch(ROOM).await];
    for id in ["deleted later", "kept 1", "kept 2"] {
        a.write(ROOM, id, json!({"create": {"n": 1}})).await.unwrap();
    }
    for number in 0..200 {
        c.write(LOADED, &format!("{number:05}"), json!({"create": {"n": number}})).await.unwrap();
    }
    a.synced(ROOM).await;
    c.synced(LOADED).await;

    let is_over = Arc::new(AtomicBool::new(false));
    let has_begun = Arc::new(Notify::new());
    let load = tokio::spawn({
        let (c, is_over, has_begun) = (Arc::clone(&c), Arc::clone(&is_over), Arc::clone(&has_begun));
        async move {
            let mut number = 200;
            while !is_over.load(Ordering::Relaxed) {
                c.write(LOADED, &format!("{number:05}"), json!({"create": {"n": number}})).await.unwrap();
                number += 1;
                has_begun.notify_one();
            }
            number
        }
    });
    has_begun.notified().await;
    let summary = backup::fetch(&server.url(), None, ADMIN_TOKEN.as_bytes(), &at("backup")).await.unwrap();
    is_over.store(true, Ordering::Relaxed);
    let written = load.await.unwrap();
    assert!(summary.records > 200);

    // What only the lost server knew, and both clients.
    a.write(ROOM, "too late", json!({"create": {"n": 1}})).await.unwrap();
    a.write(ROOM, "deleted later", json!("delete")).await.unwrap();
    a.synced(ROOM).await;
    b.until("the late note", |seen| seen.rows[&watches[1]].keys().eq(["kept 1", "kept 2", "too late"])).await;
    b.run(json!({"type": "disconnect"})).await.unwrap();
    b.write(ROOM, "made offline", json!({"create": {"n": 1}})).await.unwrap();
    let address = server.stop().await.to_string();

    backup::restore(&at("backup"), &at("restored"), &StorageConfig::default()).unwrap();
    let server = serve(&address, &at("restored"), &at("token")).await;
    b.run(json!({"type": "connect"})).await.unwrap();
    a.write(ROOM, "next", json!({"create": {"n": 1}})).await.unwrap();
    let expected = ["deleted later", "kept 1", "kept 2", "made offline", "next"];
    for (device, watch) in [&a, &b].into_iter().zip(watches) {
        device
            .until("what was backed up, and what came since", |seen| seen.rows[&watch].keys().eq(expected))
            .await;
    }

    // A device that knows nothing sees what was answered before the backup, and of the rest a beginning.
    let d = Device::of("cy", &[], &server.url(), &at("d")).await;
    let watch = d.watch(LOADED).await;
    d.until("the loaded room", |seen| seen.is_live(LOADED)).await;
    let restored: Vec<String> = d.seen(|seen| seen.rows[&watch].keys().cloned().collect());
    let beginning: Vec<String> = (0..restored.len()).map(|number| format!("{number:05}")).collect();
    assert_eq!(restored, beginning);
    assert!((200..=written).contains(&restored.len()), "{} of {written}", restored.len());
    server.stop().await;
}
