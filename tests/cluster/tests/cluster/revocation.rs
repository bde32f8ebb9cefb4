//! Tokens that are taken back on one node are refused on all.

use serde_json::json;
use syncline_cluster::Cluster;
use syncline_cluster::agent::Agent;

/// The node answers to the user's token that it was taken back: soon, if it has only just started.
async fn is_refused(agent: &mut Agent, user: &str, url: &str) {
    let mut answer = agent.try_to_connect(user, url, &[]).await;
    if answer["connected"] == true {
        assert_eq!(agent.next(user, "$disconnect").await, "io server disconnect");
        answer = agent.try_to_connect(user, url, &[]).await;
    }
    assert_eq!(answer["message"], "unauthorized: the token was revoked", "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_revoked_on_one_node_is_disconnected_from_another_and_refused_by_one_that_starts_later() {
    let mut cluster = Cluster::start().await;
    let mut agent = Agent::start();
    cluster.nodes[2].kill();
    agent.connect("ann", &cluster.url(1), &[]).await;
    agent.connect("bob", &cluster.url(1), &[]).await;
    cluster.nodes[0].revoke(&json!({"user": "ann"})).await;
    assert_eq!(agent.next("ann", "$disconnect").await, "io server disconnect");
    is_refused(&mut agent, "ann", &cluster.url(1)).await;
    tokio::task::block_in_place(|| cluster.nodes[2].resume());
    is_refused(&mut agent, "ann", &cluster.url(2)).await;
    assert_eq!(agent.ask("bob", "presence:ping", json!({})).await["heads"], json!({}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_revoked_while_redis_is_away_is_told_when_it_is_back_empty() {
    let mut cluster = Cluster::start().await;
    let mut agent = Agent::start();
    agent.connect("bob", &cluster.url(1), &[]).await;
    agent.connect("cy", &cluster.url(2), &[]).await;
    cluster.nodes[0].revoke(&json!({"user": "ann"})).await;
    is_refused(&mut agent, "ann", &cluster.url(2)).await;
    cluster.redis.fail();
    cluster.nodes[0].revoke(&json!({"user": "bob"})).await;
    cluster.nodes[1].revoke(&json!({"user": "cy"})).await;
    cluster.nodes[0].kill();
    tokio::task::block_in_place(|| {
        cluster.redis.resume();
        cluster.nodes[0].resume();
    });
    for user in ["bob", "cy"] {
        assert_eq!(agent.next(user, "$disconnect").await, "io server disconnect");
        for node in 0..3 {
            is_refused(&mut agent, user, &cluster.url(node)).await;
        }
    }
}
