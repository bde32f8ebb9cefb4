//! `herd`: 5,000 clients connect at once and catch up with what they missed.

use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::LocalSet;

use super::SYNCLINE;
use super::served::Served;
use super::socket::Socket;
use crate::contender::{Answer, Order};
use crate::scenario::{BenchError, Block, Contender, Figure, Program, Scenario, Work};
use crate::statistics::quantile;

const CLIENTS: usize = 5_000;

/// What each has missed.
const MISSED: u64 = 20;

/// A client that was turned away, or not served in time, comes again after a pause. That of the first try doubles.
const TRIES_MAX: u32 = 8;
const PAUSE: Duration = Duration::from_millis(250);

const ALL: &str = "until all have caught up";
const EACH: &str = "until one has, median";
const EACH_P99: &str = "until one has, p99";

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "herd",
    description: "5,000 users connect at once, each with 20 changes to catch up with",
    contenders: &[Contender { name: SYNCLINE, program: Program::Own("herd/syncline") }],
    blocks: &[Block {
        name: ALL,
        samples: 1,
        work: Work::Concurrent(CLIENTS),
        unit: "s",
        also: &[Figure { name: EACH, unit: "s" }, Figure { name: EACH_P99, unit: "s" }],
    }],
    rounds: 3,
    goals: &[],
};

pub(super) async fn run(served: &Served, order: &Order) -> Result<Answer, BenchError> {
    let mut writer = served.connect(u64::MAX).await?;
    let head = served.subscribe(&mut writer, 0).await?["cursor"].as_u64().unwrap_or(0);
    for number in head + 1..=head + MISSED {
        let (event, argument) =
            Served::write(number, &format!("note{number}"), &json!({"text": "x".repeat(100)}));
        writer.ask(event, &argument).await?;
    }
    let served = Rc::new(served);
    let tasks = LocalSet::new();
    let started = Instant::now();
    let work = tasks.run_until(async {
        let clients = (0..order.work.operations()).map(|number| {
            let served = Rc::clone(&served);
            async move {
                let socket = catch_up(&served, number as u64, head).await?;
                Ok::<_, BenchError>((started.elapsed().as_secs_f64(), socket))
            }
        });
        futures_util::future::try_join_all(clients).await
    });
    let caught_up = work.await?;
    let took: Vec<f64> = caught_up.iter().map(|(took, _)| *took).collect();
    let figure = |fraction| vec![quantile(&took, fraction)];
    Ok(Answer { values: figure(1.0), also: vec![figure(0.5), figure(0.99)], bytes: None })
}

/// A client that holds all that it had missed.
async fn catch_up(served: &Served, client: u64, head: u64) -> Result<Socket, BenchError> {
    let mut pause = PAUSE;
    for _ in 1..TRIES_MAX {
        if let Ok(socket) = try_to_catch_up(served, client, head).await {
            return Ok(socket);
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    try_to_catch_up(served, client, head).await
}

async fn try_to_catch_up(served: &Served, client: u64, head: u64) -> Result<Socket, BenchError> {
    let mut socket = served.connect(client).await?;
    let page = served.subscribe(&mut socket, head).await?;
    if page["cursor"].as_u64() == Some(head + MISSED) {
        Ok(socket)
    } else {
        Err(BenchError::failed("herd", page))
    }
}
