//! Who is there, in the whole cluster.

use std::time::{Duration, Instant};

use serde_json::json;
use syncline_cluster::agent::Agent;
use syncline_cluster::{Cluster, LEASE_MS};
use syncline_integration::{Device, Seen};

const ROOM: &str = "list:1";

/// What a busy machine may add to any time.
const SLACK: Duration = Duration::from_secs(3);

async fn present(cluster: &Cluster, node: usize, user: &str) -> Device {
    let folder = cluster.folder().join(format!("{user}{node}"));
    let device = Device::of(user, &[ROOM], &cluster.url(node), &folder).await;
    device.watch(ROOM).await;
    device.run(json!({"type": "presenceJoin", "room": ROOM, "state": {"on": node}})).await.unwrap();
    device.synced(ROOM).await;
    device
}

fn users(seen: &Seen) -> Vec<String> {
    let members = seen.members.get(ROOM).into_iter().flatten();
    let mut users: Vec<String> = members.map(|member| member.user_id.clone()).collect();
    users.sort();
    users
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_those_of_all_nodes_and_those_of_a_killed_node_go_with_its_lease() {
    let mut cluster = Cluster::start().await;
    let ada = present(&cluster, 0, "ada").await;
    let bob = present(&cluster, 1, "bob").await;
    let eve = present(&cluster, 2, "eve").await;
    for device in [&ada, &bob, &eve] {
        device.until("all three", |seen| users(seen) == ["ada", "bob", "eve"]).await;
    }
    let mut agent = Agent::start();
    agent.connect("watcher", &cluster.url(0), &[ROOM]).await;
    agent.ask("watcher", "sync:subscribe", json!({"room": ROOM, "cursor": 0})).await;
    cluster.nodes[2].kill();
    let killed = Instant::now();
    ada.until("eve gone", |seen| users(seen) == ["ada", "bob"]).await;
    assert_eq!(agent.next("watcher", "user:offline").await["userId"], "eve");
    let took = killed.elapsed();
    assert!(took < Duration::from_millis(LEASE_MS) + SLACK, "it took {took:?}");
    cluster.nodes[2].resume();
    bob.until("eve back", |seen| users(seen) == ["ada", "bob", "eve"]).await;
    assert_eq!(agent.next("watcher", "user:online").await["userId"], "eve");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_devices_on_two_nodes_is_one_user() {
    let cluster = Cluster::start().await;
    let mut agent = Agent::start();
    agent.connect("watcher", &cluster.url(0), &[ROOM]).await;
    agent.ask("watcher", "sync:subscribe", json!({"room": ROOM, "cursor": 0})).await;
    let phone = present(&cluster, 1, "ada").await;
    assert_eq!(agent.next("watcher", "user:online").await["userId"], "ada");
    let tablet = present(&cluster, 2, "ada").await;
    tablet
        .until("both devices", |seen| seen.members.get(ROOM).is_some_and(|members| members.len() == 2))
        .await;
    phone.close().await;
    tablet.until("one device", |seen| seen.members.get(ROOM).is_some_and(|members| members.len() == 1)).await;
    // Everything is told in its order: had she been told offline, or online again, it would come before this.
    let other = present(&cluster, 1, "bob").await;
    assert_eq!(agent.next("watcher", "user:online").await["userId"], "bob");
    tablet.close().await;
    assert_eq!(agent.next("watcher", "user:offline").await["userId"], "ada");
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_presence_goes_on_here_and_comes_together_after_it() {
    let mut cluster = Cluster::start().await;
    let ada = present(&cluster, 0, "ada").await;
    let bob = present(&cluster, 1, "bob").await;
    ada.until("both", |seen| users(seen) == ["ada", "bob"]).await;
    cluster.redis.fail();
    cluster.nodes[0].until_health("degraded", |health| health["cluster"]["state"] == "degraded").await;
    // On the same node, she is seen at once; on the other one, later.
    let eve = present(&cluster, 0, "eve").await;
    ada.until("eve", |seen| users(seen) == ["ada", "bob", "eve"]).await;
    assert_eq!(bob.seen(users), ["ada", "bob"]);
    cluster.redis.resume();
    for device in [&ada, &bob, &eve] {
        device.until("all three", |seen| users(seen) == ["ada", "bob", "eve"]).await;
    }
}
