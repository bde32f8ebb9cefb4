//! A device that was away for so long that the server no longer knows what was deleted meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::json;
use syncline_integration::{Device, TestServer, config, server_config};
use tempfile::tempdir;

const ROOM: &str = "user:ada";

#[tokio::test]
async fn a_device_that_missed_purged_deletions_does_not_bring_them_back() {
    let (data, a_dir, b_dir) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    let mut server = server_config("127.0.0.1:0".parse().unwrap(), data.path());
    server.hub.tombstones_kept_max = 0;
    let server = TestServer::start_with(server).await;
    let a = Device::of("ada", &[], &server.url(), a_dir.path()).await;
    let mut few_at_once = config("ada", &[], &server.url(), b_dir.path());
    few_at_once.settings.page_count_max = 2;
    let b = Device::open(few_at_once).await.unwrap();
    let watches = [a.watch(ROOM).await, b.watch(ROOM).await];
    for id in ["updated late", "deleted late", "gone", "kept 1", "kept 2", "kept 3"] {
        a.write(ROOM, id, json!({"create": {"n": 1}})).await.unwrap();
    }
    a.synced(ROOM).await;
    b.until("six notes", |seen| seen.rows[&watches[1]].len() == 6).await;

    b.run(json!({"type": "disconnect"})).await.unwrap();
    for id in ["updated late", "deleted late", "gone"] {
        a.write(ROOM, id, json!("delete")).await.unwrap();
    }
    a.synced(ROOM).await;
    b.write(ROOM, "updated late", json!({"update": {"n": {"increment": 1}}})).await.unwrap();
    b.write(ROOM, "deleted late", json!("delete")).await.unwrap();
    b.write(ROOM, "made", json!({"create": {"n": 1}})).await.unwrap();
    b.run(json!({"type": "connect"})).await.unwrap();
    b.synced(ROOM).await;

    let expected = ["kept 1", "kept 2", "kept 3", "made"];
    for (device, watch) in [&a, &b].into_iter().zip(watches) {
        device.until("what is left", |seen| seen.rows[&watch].keys().eq(expected)).await;
    }
    let refused = b.seen(|seen| {
        let outcomes = seen.outcomes.iter();
        outcomes
            .map(|outcome| (outcome.request.id.to_string(), outcome.error.code.as_str()))
            .collect::<Vec<_>>()
    });
    assert_eq!(refused, [("updated late".to_owned(), "not_found")]);
}
