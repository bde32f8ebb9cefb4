//! A cluster of real processes: nodes, Postgres, Redis, and a balancer before the nodes. Each can be killed and started
//! again where it was.
//!
//! - [`process`]: one process, its address, its end.
//! - [`services`]: Postgres and Redis.
//! - [`nodes`]: the servers.
//! - [`balancer`]: one address for all nodes.
//! - [`load`]: devices that write, and what must have become of it.
//! - [`agent`]: npm's client.
//! - [`receiver`]: who webhooks are told to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_debug_implementations)]
#![allow(
    clippy::disallowed_methods,
    clippy::doc_nested_refdefs,
    reason = "a process tells nobody when it listens or ends: it is asked, with a bound; its folders lie among temporary files"
)]

pub mod agent;
pub mod balancer;
pub mod load;
pub mod nodes;
pub mod process;
pub mod receiver;
pub mod services;

use std::path::Path;

use tempfile::TempDir;

use crate::balancer::Balancer;
use crate::nodes::Node;
use crate::services::{Postgres, Redis};

/// How many servers a cluster has.
pub const NODES: usize = 3;

/// How long a node that died still counts, in the tests.
pub const LEASE_MS: u64 = 3_000;

/// How long a client whose connection was lost is still there, in the tests.
pub const GRACE_MS: u64 = 6_000;

/// Three servers, their database and what connects them.
pub struct Cluster {
    pub nodes: Vec<Node>,
    pub redis: Redis,
    pub postgres: Postgres,
    pub balancer: Balancer,
    // Last, so that the processes end before their folder is removed.
    folder: TempDir,
}

impl Cluster {
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// Starts with more settings for each node, as a file of settings has them.
    pub async fn start_with(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let postgres = Postgres::start(&folder.path().join("postgres"));
        let redis = Redis::start(&folder.path().join("redis"));
        let nodes: Vec<Node> = (0..NODES)
            .map(|number| {
                let data = folder.path().join(format!("node{number}"));
                std::fs::create_dir_all(&data).unwrap();
                std::fs::write(data.join(nodes::SETTINGS), settings).unwrap();
                Node::start(&data, &postgres.url(), &redis)
            })
            .collect();
        let balancer = Balancer::start(nodes.iter().map(|node| node.address).collect()).await;
        Self { nodes, redis, postgres, balancer, folder }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn url(&self, node: usize) -> String {
        self.nodes[node].url()
    }
}
