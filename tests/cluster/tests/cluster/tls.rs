//! A Redis that speaks TLS.

use serde_json::Value as Json;
use syncline_cluster::nodes::Node;
use syncline_cluster::services::{Postgres, Redis};

fn knows_another(health: &Json) -> bool {
    health["cluster"]["state"] == "ok" && health["cluster"]["peers"] == 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_meet_over_a_redis_whose_authority_they_know_and_over_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let postgres = Postgres::start(&at("postgres"));
    let redis = Redis::start_with_tls(&at("redis"));
    // It believes the system's authorities, which know nothing of this Redis.
    let stranger = Node::start_believing(&at("stranger"), &postgres.url(), &redis, None);
    let nodes = ["first", "second"].map(|name| Node::start(&at(name), &postgres.url(), &redis));
    for node in &nodes {
        node.until_health("two nodes that know each other", knows_another).await;
    }
    let health = stranger.health().await;
    assert_eq!(health["cluster"]["state"], "degraded", "{health}");
    assert_eq!(health["cluster"]["peers"], 0, "{health}");
}
