//! Faults done to the real client: with real processes, files and sockets, through its public API.
//!
//! - [`ledger`]: what a process that will be killed writes, and how to tell afterwards what became of it.
//! - [`errands`]: the same of queued requests.
//! - [`damage`]: damage done to files. [`master`]: the directories it is done to. [`rescue`]: what must be left.
//! - [`cycles`]: a client opened and closed again and again.
//! - [`proxy`]: a TCP proxy that breaks connections in every way the tests need.
//! - [`random`]: numbers that follow from a seed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_debug_implementations)]

pub mod cycles;
pub mod damage;
pub mod errands;
pub mod ledger;
pub mod master;
pub mod proxy;
pub mod random;
pub mod rescue;

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use syncline::{Code, Reply};
use syncline_integration::{Device, PATIENCE};

/// How many cases a run goes through: `cases` as a rule, `full` under `scripts/test --full`.
pub fn cases(cases: u64, full: u64) -> u64 {
    let is_full = std::env::var("SYNCLINE_FULL").is_ok_and(|value| !value.is_empty());
    if is_full { full } else { cases }
}

/// A document as an app sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    pub fields: Json,
    pub pending: bool,
}

/// The documents of a collection as the device sees them now. A cache that is found broken answers once that it is
/// unavailable, and starts empty.
pub async fn rows(device: &Device, room: &str, collection: &str) -> BTreeMap<String, Shown> {
    let command = json!({"type": "watch", "room": room, "collection": collection});
    let reply = match device.run(command.clone()).await {
        Err(error) if error.code == Code::Unavailable => device.run(command).await,
        reply => reply,
    };
    let Reply::Watching { watch, rows, .. } = reply.unwrap() else {
        panic!("a watch is answered by its rows");
    };
    device.run(json!({"type": "unwatch", "watch": watch})).await.unwrap();
    let shown = |row: syncline::engine::io::Row| {
        let fields = serde_json::to_value(row.fields).unwrap();
        (row.id, Shown { fields, pending: row.pending })
    };
    rows.into_iter().map(shown).collect()
}

/// Waits until nothing waits in the outbox and the rooms are live, by the client's own word: an event may be about
/// what was before.
pub async fn drained(device: &Device, rooms: &[&str]) {
    let drain = async {
        loop {
            for room in rooms {
                device.synced(room).await;
            }
            match device.run(json!({"type": "queue"})).await.unwrap() {
                Reply::Queue(status) if status.count == 0 => break,
                Reply::Queue(_) => tokio::task::yield_now().await,
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, drain).await.expect("the outbox is drained in time");
}
