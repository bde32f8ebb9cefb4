//! Nodes, Redis and Postgres fail in the middle of a load: no write that was accepted is lost, and none is doubled.

use std::time::Duration;

use syncline_cluster::load::{Load, ROOM, reads_everything};
use syncline_cluster::{Cluster, NODES};

/// Writers: one on each node, and others through the balancer.
const BALANCED_WRITERS: usize = 3;

/// How long the load goes on between two faults.
const BETWEEN: Duration = Duration::from_millis(1500);

/// How often each fault is done.
fn rounds() -> usize {
    let is_full = std::env::var("SYNCLINE_FULL").is_ok_and(|value| !value.is_empty());
    if is_full { 12 } else { 2 }
}

async fn start(cluster: &Cluster) -> Load {
    let mut urls: Vec<String> = (0..NODES).map(|node| cluster.url(node)).collect();
    urls.extend((0..BALANCED_WRITERS).map(|_| cluster.balancer.url()));
    Load::start(&cluster.folder().join("load"), &urls).await
}

async fn verify(cluster: &Cluster, load: Load) {
    let counts = load.finish().await;
    assert!(counts.iter().sum::<u64>() > 0);
    for node in 0..NODES {
        reads_everything(&cluster.url(node), &cluster.folder().join(format!("reader{node}")), &counts).await;
    }
    println!("{ROOM}: {} writes, each there once on every node", counts.iter().sum::<u64>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_are_killed_lose_and_double_nothing() {
    let mut cluster = Cluster::start().await;
    let load = start(&cluster).await;
    for round in 0..rounds() {
        tokio::time::sleep(BETWEEN).await;
        let node = round % NODES;
        cluster.nodes[node].kill();
        tokio::time::sleep(BETWEEN).await;
        cluster.nodes[node].resume();
    }
    verify(&cluster, load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_fails_loses_and_doubles_nothing() {
    let mut cluster = Cluster::start().await;
    let load = start(&cluster).await;
    for _ in 0..rounds() {
        tokio::time::sleep(BETWEEN).await;
        cluster.redis.fail();
        tokio::time::sleep(BETWEEN).await;
        cluster.redis.resume();
    }
    verify(&cluster, load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_fails_loses_and_doubles_nothing() {
    let mut cluster = Cluster::start().await;
    let load = start(&cluster).await;
    for _ in 0..rounds() {
        tokio::time::sleep(BETWEEN).await;
        cluster.postgres.fail();
        tokio::time::sleep(BETWEEN).await;
        cluster.postgres.resume();
    }
    verify(&cluster, load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_are_restarted_one_after_the_other_lose_and_double_nothing() {
    let mut cluster = Cluster::start().await;
    let load = start(&cluster).await;
    for node in 0..NODES {
        tokio::time::sleep(BETWEEN).await;
        let exit_code = tokio::task::block_in_place(|| cluster.nodes[node].terminate());
        assert_eq!(exit_code, Some(0));
        tokio::task::block_in_place(|| cluster.nodes[node].resume());
    }
    verify(&cluster, load).await;
}
