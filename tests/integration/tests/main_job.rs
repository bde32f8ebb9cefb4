//! Edit offline, be closed or refused, come back, converge.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::json;
use syncline_integration::{Device, TestServer};
use tempfile::tempdir;

const ROOM: &str = "user:ada";

#[tokio::test]
async fn a_write_on_one_device_appears_on_the_other() {
    let (data, a_dir, b_dir) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    let server = TestServer::start(data.path()).await;
    let a = Device::of("ada", &[], &server.url(), a_dir.path()).await;
    let b = Device::of("ada", &[], &server.url(), b_dir.path()).await;
    a.watch(ROOM).await;
    let watch = b.watch(ROOM).await;

    a.write(ROOM, "n1", json!({"create": {"title": "hello", "likes": 1}})).await.unwrap();

    b.until("the new row", |seen| {
        seen.rows[&watch].get("n1").is_some_and(|row| row.fields["title"] == "hello".into() && !row.pending)
    })
    .await;
    a.synced(ROOM).await;
    assert_eq!(a.row(ROOM, "n1").await.unwrap(), (json!({"title": "hello", "likes": 1}), false));
}

#[tokio::test]
async fn offline_writes_are_visible_at_once_survive_a_restart_and_converge() {
    let (data, a_dir, b_dir) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    let server = TestServer::start(data.path()).await;
    let a = Device::of("ada", &[], &server.url(), a_dir.path()).await;
    let b = Device::of("ada", &[], &server.url(), b_dir.path()).await;
    a.watch(ROOM).await;
    b.watch(ROOM).await;
    a.write(ROOM, "counter", json!({"create": {"count": 10}})).await.unwrap();
    a.write(ROOM, "gone", json!({"create": {}})).await.unwrap();
    a.synced(ROOM).await;

    a.run(json!({"type": "disconnect"})).await.unwrap();
    a.write(ROOM, "counter", json!({"update": {"count": {"increment": 5}}})).await.unwrap();
    a.write(ROOM, "gone", json!("delete")).await.unwrap();
    a.write(ROOM, "new", json!({"create": {"by": "a"}})).await.unwrap();
    assert_eq!(a.row(ROOM, "counter").await.unwrap(), (json!({"count": 15}), true));
    a.close().await;
    b.until("the counter", |seen| seen.rows.values().any(|rows| rows.contains_key("counter"))).await;
    b.write(ROOM, "counter", json!({"update": {"count": {"increment": 100}}})).await.unwrap();
    b.synced(ROOM).await;

    let mut config = syncline_integration::config("ada", &[], &server.url(), a_dir.path());
    config.auto_connect = false;
    let a = Device::open(config).await.unwrap();
    assert_eq!(a.row(ROOM, "counter").await.unwrap(), (json!({"count": 15}), true));
    assert_eq!(a.row(ROOM, "gone").await, None);
    a.watch(ROOM).await;
    a.run(json!({"type": "connect"})).await.unwrap();
    a.synced(ROOM).await;
    let settled = (json!({"count": 115}), false);
    assert_eq!(a.row(ROOM, "counter").await.unwrap(), settled);
    b.until("what a did", |seen| {
        let rows = seen.rows.values().next().unwrap();
        rows.contains_key("new")
            && !rows.contains_key("gone")
            && rows["counter"].fields["count"] == 115.into()
    })
    .await;
    assert_eq!(b.row(ROOM, "counter").await.unwrap(), settled);
}

#[tokio::test]
async fn concurrent_edits_of_different_fields_both_stay() {
    let (data, a_dir, b_dir) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    let server = TestServer::start(data.path()).await;
    let a = Device::of("ada", &[], &server.url(), a_dir.path()).await;
    let b = Device::of("ada", &[], &server.url(), b_dir.path()).await;
    b.watch(ROOM).await;
    a.write(ROOM, "n", json!({"create": {"title": "x", "body": "y"}})).await.unwrap();
    b.until("the row", |seen| seen.rows.values().any(|rows| rows.contains_key("n"))).await;

    for device in [&a, &b] {
        device.run(json!({"type": "disconnect"})).await.unwrap();
    }
    a.write(ROOM, "n", json!({"update": {"title": {"set": "from a"}}})).await.unwrap();
    b.write(ROOM, "n", json!({"update": {"body": {"set": "from b"}}})).await.unwrap();
    for device in [&a, &b] {
        device.watch(ROOM).await;
        device.run(json!({"type": "connect"})).await.unwrap();
    }
    let both = json!({"title": "from a", "body": "from b"});
    for device in [&a, &b] {
        device
            .until("both edits", |seen| {
                let rows = seen.rows.values().last().unwrap();
                rows.get("n")
                    .is_some_and(|row| serde_json::to_value(&row.fields).unwrap() == both && !row.pending)
            })
            .await;
    }
}

#[tokio::test]
async fn a_server_that_restarts_gets_what_was_written_meanwhile() {
    let (data, dir) = (tempdir().unwrap(), tempdir().unwrap());
    let server = TestServer::start(data.path()).await;
    let a = Device::of("ada", &[], &server.url(), dir.path()).await;
    a.watch(ROOM).await;
    a.until("a live room", |seen| seen.is_live(ROOM)).await;
    let addr = server.stop().await;
    a.until("no connection", |seen| !seen.is_open()).await;
    let writes: Vec<_> = (0..300)
        .map(|n| {
            let id = format!("n{n}");
            json!({"room": ROOM, "collection": "notes", "id": id, "write": {"create": {"n": n}}})
        })
        .collect();
    a.run(json!({"type": "write", "writes": writes})).await.unwrap();
    let server = TestServer::start_at(addr, data.path()).await;
    a.synced(ROOM).await;
    server.stop().await;
    assert_eq!(a.row(ROOM, "n299").await.unwrap(), (json!({"n": 299}), false));
}

#[tokio::test]
async fn a_rejected_write_is_rolled_back_alone_and_reported_until_acknowledged() {
    let (data, a_dir, b_dir) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    let server = TestServer::start(data.path()).await;
    let mut config = syncline_integration::config("ada", &[], &server.url(), a_dir.path());
    config.auto_connect = false;
    let a = Device::open(config).await.unwrap();
    let b = Device::of("ada", &[], &server.url(), b_dir.path()).await;
    drop(b);

    // Nobody ever created the document: the room is not loaded yet, so only the server can tell.
    let refused = a.write(ROOM, "ghost", json!({"update": {"x": {"set": 1}}})).await.unwrap();
    a.write(ROOM, "real", json!({"create": {"x": 2}})).await.unwrap();
    a.watch(ROOM).await;
    a.run(json!({"type": "connect"})).await.unwrap();
    a.synced(ROOM).await;

    assert_eq!(a.seen(|seen| seen.outcomes.len()), 1);
    assert_eq!(a.row(ROOM, "ghost").await, None);
    assert_eq!(a.row(ROOM, "real").await.unwrap(), (json!({"x": 2}), false));
    a.close().await;

    let a = Device::of("ada", &[], &server.url(), a_dir.path()).await;
    let outcomes = serde_json::to_value(a.run(json!({"type": "outcomes"})).await.unwrap()).unwrap();
    assert_eq!(outcomes["outcomes"][0]["clientSeq"], refused);
    assert_eq!(outcomes["outcomes"][0]["error"]["code"], "not_found");
    a.run(json!({"type": "acknowledgeOutcome", "clientSeq": refused})).await.unwrap();
    a.close().await;

    let a = Device::of("ada", &[], &server.url(), a_dir.path()).await;
    let outcomes = serde_json::to_value(a.run(json!({"type": "outcomes"})).await.unwrap()).unwrap();
    assert_eq!(outcomes["outcomes"], json!([]));
}

#[tokio::test]
async fn presence_shows_both_devices_then_one() {
    let (data, a_dir, b_dir) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    let server = TestServer::start(data.path()).await;
    let a = Device::of("ada", &["room:1"], &server.url(), a_dir.path()).await;
    let b = Device::of("bob", &["room:1"], &server.url(), b_dir.path()).await;
    for (device, name) in [(&a, "a"), (&b, "b")] {
        device.run(json!({"type": "presenceJoin", "room": "room:1", "state": {"name": name}})).await.unwrap();
    }
    for device in [&a, &b] {
        device.until("both", |seen| seen.members.get("room:1").is_some_and(|m| m.len() == 2)).await;
    }
    b.close().await;
    a.until("one", |seen| seen.members["room:1"].len() == 1).await;
    assert!(a.seen(|seen| seen.members["room:1"][0].me));
}
