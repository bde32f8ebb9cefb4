//! A node that is to stop sends its clients to the others.

use serde_json::json;
use syncline_cluster::Cluster;
use syncline_cluster::agent::Agent;
use syncline_integration::Device;

const ROOM: &str = "list:1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_move_to_another_node_and_are_never_seen_to_leave() {
    let mut cluster = Cluster::start().await;
    let mut agent = Agent::start();
    agent.connect("watcher", &cluster.url(0), &[ROOM]).await;
    agent.ask("watcher", "sync:subscribe", json!({"room": ROOM, "cursor": 0})).await;
    // Connections go to the nodes in turn: these have one on each.
    let mut devices = Vec::new();
    for number in 0..3 {
        let folder = cluster.folder().join(format!("device{number}"));
        let url = cluster.balancer.url();
        let device = Device::of(&format!("user{number}"), &[ROOM], &url, &folder).await;
        device.watch(ROOM).await;
        device.synced(ROOM).await;
        agent.next("watcher", "user:online").await;
        devices.push(device);
    }
    let mut stock = Agent::start();
    stock.connect("stock", &cluster.balancer.url(), &[ROOM]).await;
    for node in [1, 2] {
        let exit_code = tokio::task::block_in_place(|| cluster.nodes[node].terminate());
        assert_eq!(exit_code, Some(0));
    }
    // All are on the one node that is left.
    cluster.nodes[0].until_health("all clients here", |health| health["connected_clients"] == 5).await;
    devices[0].write(ROOM, "after", json!({"create": {}})).await.unwrap();
    for device in &devices {
        device.until("the write", |seen| seen.rows.values().any(|rows| rows.contains_key("after"))).await;
    }
    // Had anybody been told offline or online meanwhile, it would come before this.
    for device in devices {
        device.close().await;
        agent.next("watcher", "user:offline").await;
    }
    let unread = agent.call("unread", json!({"name": "watcher"})).await;
    let statuses: Vec<_> = unread
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event.as_str().unwrap().starts_with("user:"))
        .collect();
    assert!(statuses.is_empty(), "{statuses:?}");
}
