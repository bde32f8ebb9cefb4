//! Webhooks of several nodes: one of them tells, and hears at once of what is written on the others.

use serde_json::{Value as Json, json};
use syncline_cluster::receiver::Receiver;
use syncline_cluster::{Cluster, NODES};
use syncline_integration::Device;

const ROOM: &str = "list:hooked";

async fn device(cluster: &Cluster, node: usize, name: &str) -> Device {
    let folder = cluster.folder().join(name);
    Device::of(name, &[ROOM], &cluster.url(node), &folder).await
}

/// Waits until all nodes hear each other.
async fn joined(cluster: &Cluster) {
    let others = NODES as u64 - 1;
    for node in &cluster.nodes {
        let hears_all = |health: &Json| health["cluster"]["peers"].as_u64() >= Some(others);
        node.until_health("nodes that hear each other", hears_all).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_on_any_node_is_told_by_the_one_that_tells() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    let cluster = Cluster::start_with(&receiver.settings(folder.path(), "")).await;
    joined(&cluster).await;
    let mut devices = Vec::new();
    for node in 0..NODES {
        devices.push(device(&cluster, node, &format!("user{node}")).await);
    }
    // The first search is over when this is told.
    devices[0].write(ROOM, "first", json!({"create": {}})).await.unwrap();
    receiver.wait_for("first").await;
    for round in 0..3 {
        for (node, device) in devices.iter().enumerate() {
            let id = format!("{round}-{node}");
            device.write(ROOM, &id, json!({"create": {}})).await.unwrap();
            receiver.wait_for(&id).await;
        }
    }
    for device in devices {
        device.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_leaves_the_telling_to_another_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    let mut cluster = Cluster::start_with(&receiver.settings(folder.path(), "")).await;
    joined(&cluster).await;
    // Whichever tells, it is stopped once, long before its lease would end.
    for stopped in 0..NODES {
        let other = (stopped + 1) % NODES;
        let writer = device(&cluster, other, &format!("writer{stopped}")).await;
        writer.write(ROOM, &format!("before {stopped}"), json!({"create": {}})).await.unwrap();
        receiver.wait_for(&format!("before {stopped}")).await;
        assert_eq!(cluster.nodes[stopped].terminate(), Some(0));
        writer.write(ROOM, &format!("after {stopped}"), json!({"create": {}})).await.unwrap();
        receiver.wait_for(&format!("after {stopped}")).await;
        writer.close().await;
        cluster.nodes[stopped].resume();
        joined(&cluster).await;
    }
}
