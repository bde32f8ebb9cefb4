//! An app that is updated while its writes are still on the device.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Value as Json, json};
use syncline::{ClientConfig, Code, Schema};
use syncline_integration::{Device, TestServer, config};
use tempfile::TempDir;

const ROOM: &str = "list:1";

/// The app's second version calls the field `text` of a note `title`, and knows no `draft`.
fn second() -> Schema {
    let steps = json!([
        {"renameField": {"collection": "notes", "from": "text", "to": "title"}},
        {"removeField": {"collection": "notes", "path": "draft"}},
    ]);
    serde_json::from_value(json!({"version": 2, "migrations": [{"to": 2, "steps": steps}]})).unwrap()
}

struct World {
    server: TestServer,
    directory: TempDir,
    _server_data: TempDir,
}

impl World {
    async fn new() -> Self {
        let (server_data, directory) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let server = TestServer::start(server_data.path()).await;
        Self { server, directory, _server_data: server_data }
    }

    fn config(&self, schema: Schema) -> ClientConfig {
        // Every write stays one of its own.
        let collections = serde_json::from_value(json!({"notes": {"coalesce": false}})).unwrap();
        let base = config("ann", &[ROOM], &self.server.url(), self.directory.path());
        ClientConfig { schema, collections, ..base }
    }

    async fn offline(&self, schema: Schema) -> Device {
        Device::open(ClientConfig { auto_connect: false, ..self.config(schema) }).await.unwrap()
    }
}

fn fields(row: Option<(Json, bool)>) -> Json {
    row.expect("the document").0
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_offline_reaches_others_in_the_new_shape() {
    let world = World::new().await;
    let before = world.offline(Schema::default()).await;
    before.write(ROOM, "1", json!({"create": {"text": "a", "draft": true}})).await.unwrap();
    before
        .write(ROOM, "1", json!({"update": {"text": {"set": "b"}, "draft": {"set": false}}}))
        .await
        .unwrap();
    before.close().await;

    let updated = world.offline(second()).await;
    updated.watch(ROOM).await;
    assert_eq!(fields(updated.row(ROOM, "1").await), json!({"title": "b"}), "while it is still offline");
    updated.run(json!({"type": "connect"})).await.unwrap();
    updated.synced(ROOM).await;

    let elsewhere = TempDir::new().unwrap();
    let other = Device::of("bob", &[ROOM], &world.server.url(), elsewhere.path()).await;
    other.watch(ROOM).await;
    other.synced(ROOM).await;
    assert_eq!(fields(other.row(ROOM, "1").await), json!({"title": "b"}));
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_before_has_the_new_shape_until_the_server_is_asked_again() {
    let world = World::new().await;
    let before = Device::open(world.config(Schema::default())).await.unwrap();
    before.watch(ROOM).await;
    before.write(ROOM, "1", json!({"create": {"text": "a", "draft": true}})).await.unwrap();
    before.synced(ROOM).await;
    before.close().await;

    let updated = world.offline(second()).await;
    let watch = updated.watch(ROOM).await;
    assert_eq!(fields(updated.row(ROOM, "1").await), json!({"title": "a"}));
    assert!(updated.seen(|seen| seen.rooms[ROOM].complete), "all of it is still there");
    updated.write(ROOM, "1", json!({"update": {"title": {"set": "b"}}})).await.unwrap();
    assert_eq!(fields(updated.row(ROOM, "1").await), json!({"title": "b"}));
    updated.run(json!({"type": "connect"})).await.unwrap();
    updated.synced(ROOM).await;
    // What the server has is the truth; bringing that to the new shape is the backend's part.
    let merged = json!({"text": "a", "draft": true, "title": "b"});
    updated
        .until("what the server has", |seen| {
            seen.rows[&watch].get("1").is_some_and(|row| serde_json::to_value(&row.fields).unwrap() == merged)
        })
        .await;
    assert_eq!(updated.seen(|seen| seen.errors.clone()), Vec::<String>::new());
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_the_new_shape_has_no_place_for_is_told() {
    let world = World::new().await;
    let before = world.offline(Schema::default()).await;
    let kept = before.write(ROOM, "1", json!({"create": {"text": "a"}})).await.unwrap();
    let emptied = before.write(ROOM, "another", json!({"update": {"draft": {"set": true}}})).await.unwrap();
    before.close().await;
    assert!(kept < emptied);

    let updated = world.offline(second()).await;
    let outcomes = updated.run(json!({"type": "outcomes"})).await.unwrap();
    let outcomes = serde_json::to_value(outcomes).unwrap();
    assert_eq!(outcomes["outcomes"].as_array().map(Vec::len), Some(1), "{outcomes}");
    assert_eq!(outcomes["outcomes"][0]["clientSeq"], json!(emptied));
    let later = updated.write(ROOM, "2", json!({"create": {"title": "b"}})).await.unwrap();
    assert!(later > emptied, "its number is used up");
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_set_back_is_refused() {
    let world = World::new().await;
    let updated = world.offline(second()).await;
    updated.write(ROOM, "1", json!({"create": {"title": "a"}})).await.unwrap();
    updated.close().await;

    let Err(error) = Device::open(world.config(Schema::default())).await else { panic!("it opened") };
    assert_eq!(error.code, Code::SchemaTooNew);
    assert!(!error.retryable());

    let again = world.offline(second()).await;
    assert_eq!(fields(again.row(ROOM, "1").await), json!({"title": "a"}));
    world.server.stop().await;
}
