//! What is written on one node is told on the others.

use serde_json::json;
use syncline_cluster::agent::Agent;
use syncline_cluster::nodes::server;
use syncline_cluster::{Cluster, NODES};
use syncline_integration::{Device, SECRET};

const ROOM: &str = "list:1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_on_one_node_are_told_on_the_others_in_their_order() {
    let cluster = Cluster::start().await;
    let mut agent = Agent::start();
    agent.connect("reader", &cluster.url(2), &[ROOM]).await;
    let page = agent.ask("reader", "sync:subscribe", json!({"room": ROOM, "cursor": 0})).await;
    assert_eq!(page["cursor"], 0, "{page}");
    let mut devices = Vec::new();
    for node in 0..NODES {
        let folder = cluster.folder().join(format!("device{node}"));
        let device = Device::of(&format!("user{node}"), &[ROOM], &cluster.url(node), &folder).await;
        device.watch(ROOM).await;
        device.synced(ROOM).await;
        devices.push(device);
    }
    let mut written = 0;
    for round in 0..5 {
        for (node, device) in devices.iter().enumerate() {
            device
                .write(ROOM, &format!("{node}-{round}"), json!({"create": {"round": round}}))
                .await
                .unwrap();
            written += 1;
        }
    }
    for device in &devices {
        device
            .until("the writes of all nodes", |seen| {
                seen.rows.values().any(|rows| rows.len() == written && rows.values().all(|row| !row.pending))
            })
            .await;
    }
    // npm's client did nothing but listen: it was told everything, without a gap.
    let mut cursor = 0;
    let mut told = 0;
    while cursor < written as u64 {
        let changes = agent.next("reader", "sync:changes").await;
        let (from, to) = (changes["from_seq"].as_u64().unwrap(), changes["to_seq"].as_u64().unwrap());
        if to <= cursor {
            continue;
        }
        assert_eq!(from, cursor + 1, "a gap: {changes}");
        told += changes["changes"].as_array().unwrap().len();
        cursor = to;
    }
    assert_eq!(told, written);
    for node in &cluster.nodes {
        let health = node.health().await;
        assert_eq!(health["storage"]["kind"], "postgres", "{health}");
        assert_eq!(health["cluster"]["kind"], "redis", "{health}");
        assert_eq!(health["cluster"]["state"], "ok", "{health}");
        assert_eq!(health["cluster"]["peers"], NODES - 1, "{health}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_for_a_message_is_told_all_the_same() {
    let cluster = Cluster::start().await;
    let writer = Device::of("writer", &[ROOM], &cluster.url(0), &cluster.folder().join("writer")).await;
    let reader = Device::of("reader", &[ROOM], &cluster.url(1), &cluster.folder().join("reader")).await;
    reader.watch(ROOM).await;
    reader.synced(ROOM).await;
    writer.watch(ROOM).await;
    let text = "x".repeat(100_000);
    for id in ["one", "two", "three"] {
        writer.write(ROOM, id, json!({"create": {"text": text}})).await.unwrap();
    }
    reader.until("three large documents", |seen| seen.rows.values().any(|rows| rows.len() == 3)).await;
}

#[test]
fn nodes_that_share_no_storage_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    for (cluster, word) in [("redis://user:hunter2@127.0.0.1:1", "storage"), ("http://hunter2", "Redis")] {
        let mut command = server();
        command.args(["--listen", "127.0.0.1:0", "--cluster", cluster]).arg("--jwt-secret-file").arg(&secret);
        command.arg("--data").arg(folder.path().join("data"));
        if word == "Redis" {
            command.args(["--storage", "postgres://nobody@127.0.0.1:1/none"]);
        }
        let output = command.output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(word), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}
