//! A server that moves from the embedded database to Postgres, to clients that were there before.

use std::path::Path;

use serde_json::json;
use syncline_cluster::nodes::server;
use syncline_cluster::services::Postgres;
use syncline_integration::{Device, TestServer, server_config};

const ROOM: &str = "list:moved";

fn migrate(from: &Path, to: &str) -> std::process::Output {
    server().arg("migrate").arg("--from").arg(from).args(["--to", to]).output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_go_on_from_where_they_were_and_each_write_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let postgres = Postgres::start(&at("postgres"));
    let before = TestServer::start(&at("data")).await;
    let device = async |name: &str, url: &str| Device::of(name, &[ROOM], url, &at(name)).await;
    let (writer, reader) = (device("writer", &before.url()).await, device("reader", &before.url()).await);
    let watches = [writer.watch(ROOM).await, reader.watch(ROOM).await];
    for id in ["counter", "witness", "deleted"] {
        writer.write(ROOM, id, json!({"create": {"n": 0}})).await.unwrap();
    }
    writer.write(ROOM, "counter", json!({"update": {"n": {"increment": 1}}})).await.unwrap();
    writer.synced(ROOM).await;
    reader.until("what was written", |seen| seen.rows[&watches[1]].len() == 3).await;
    reader.synced(ROOM).await;
    reader.run(json!({"type": "disconnect"})).await.unwrap();
    // The reader misses this, and counts by itself.
    writer.write(ROOM, "deleted", json!("delete")).await.unwrap();
    writer.write(ROOM, "missed", json!({"create": {"n": 0}})).await.unwrap();
    writer.synced(ROOM).await;
    reader.write(ROOM, "counter", json!({"update": {"n": {"increment": 10}}})).await.unwrap();
    let address = before.stop().await;
    // Nobody answers this one.
    writer.write(ROOM, "counter", json!({"update": {"n": {"increment": 100}}})).await.unwrap();

    let moved = migrate(&at("data"), &postgres.url());
    assert!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stderr));
    assert!(String::from_utf8_lossy(&moved.stdout).starts_with("moved "));
    let again = migrate(&at("data"), &postgres.url());
    assert!(
        !again.status.success() && String::from_utf8_lossy(&again.stderr).contains("in the database already")
    );
    // What a client holds, and is not sent again: whoever read the room anew would lose it.
    let (database, connection) =
        tokio_postgres::connect(&postgres.url(), tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let taken = database.execute("DELETE FROM syncline_documents WHERE id = 'witness'", &[]).await.unwrap();
    assert_eq!(taken, 1);
    drop(database);
    connection.await.unwrap().unwrap();

    let mut config = server_config(address, &at("after"));
    config.storage.location = postgres.url().parse().unwrap();
    let after = TestServer::start_with(config).await;
    reader.run(json!({"type": "connect"})).await.unwrap();
    for (device, watch) in [&writer, &reader].into_iter().zip(watches) {
        let counted = json!({"n": 111});
        let is_there = |seen: &syncline_integration::Seen| {
            let rows = &seen.rows[&watch];
            let counter = rows.get("counter").map(|row| serde_json::to_value(&row.fields).unwrap());
            rows.keys().eq(["counter", "missed", "witness"]) && counter.as_ref() == Some(&counted)
        };
        device.until("each write once, and what was there", is_there).await;
        device.synced(ROOM).await;
        assert!(device.seen(|seen| seen.outcomes.is_empty() && is_there(seen)));
    }
    writer.close().await;
    reader.close().await;
    after.stop().await;
}
