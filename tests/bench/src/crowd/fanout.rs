//! `fanout`: one writer and 1,000 subscribers.

use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::served::{CHANGES, Served};
use super::socket::Socket;
use super::{SOCKET_IO, SYNCLINE, contenders};
use crate::contender::{Answer, Order};
use crate::scenario::{BenchError, Block, Bound, Figure, Goal, Scenario, Work};
use crate::statistics::quantile;

const SUBSCRIBERS: u64 = 1_000;

/// Writes under way at once, where as many as possible are to be delivered: what a server queues for a reader bounds it.
const IN_FLIGHT: usize = 16;

/// Between two writes, where each is to be delivered soon.
const PAUSE: Duration = Duration::from_millis(100);

const MANY: &str = "deliveries";
const PACED: &str = "a write every 100 ms, median";
const PACED_P99: &str = "a write every 100 ms, p99";
/// What making it durable takes is not in it.
const PACED_SPREAD: &str = "after the first subscriber, p99";

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "fanout",
    description: "one writer, 1,000 subscribers: deliveries a second, and how long one takes",
    contenders: &contenders("fanout/syncline", "fanout/socketio"),
    blocks: &[
        Block { name: MANY, samples: 1, work: Work::Concurrent(100), unit: "deliveries/s", also: &[] },
        Block {
            name: PACED,
            samples: 1,
            work: Work::Batch(20),
            unit: "ms",
            also: &[Figure { name: PACED_P99, unit: "ms" }, Figure { name: PACED_SPREAD, unit: "ms" }],
        },
    ],
    rounds: 5,
    goals: &[
        Goal { figure: MANY, over: SYNCLINE, under: Some(SOCKET_IO), bound: Bound::AtLeast(4.0) },
        Goal { figure: PACED_P99, over: SYNCLINE, under: Some(SOCKET_IO), bound: Bound::AtMost(0.5) },
    ],
};

/// The field that each write sets, as it travels.
const TITLE: &str = "\"title\":";

/// Deliveries that wait to be counted.
const DELIVERIES_WAITING_MAX: usize = 1 << 16;

pub(super) struct Contender {
    tasks: LocalSet,
    writer: Socket,
    /// When a subscriber got a change.
    delivered: mpsc::Receiver<Instant>,
    written: u64,
}

impl Contender {
    pub(super) async fn open(served: &Served) -> Result<Self, BenchError> {
        let tasks = LocalSet::new();
        let (tell, delivered) = mpsc::channel(DELIVERIES_WAITING_MAX);
        let tell = Rc::new(tell);
        for number in 1..=SUBSCRIBERS {
            let mut socket = served.connect(number).await?;
            served.subscribe(&mut socket, 0).await?;
            let tell = Rc::clone(&tell);
            tasks.spawn_local(async move {
                while let Ok(text) = socket.text().await {
                    // A message may hold several changes.
                    let count = if text.starts_with(CHANGES.as_bytes()) { changes_in(text) } else { 0 };
                    let now = Instant::now();
                    for _ in 0..count {
                        if tell.send(now).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
        let writer = served.connect(0).await?;
        Ok(Self { tasks, writer, delivered, written: 0 })
    }

    pub(super) async fn run(&mut self, order: &Order) -> Result<Answer, BenchError> {
        let Self { tasks, writer, delivered, written } = self;
        let work = async {
            match order.work {
                Work::Concurrent(writes) => many(writer, delivered, written, writes).await,
                work => paced(writer, delivered, written, work.operations()).await,
            }
        };
        tasks.run_until(work).await
    }
}

/// How many changes a message holds. Each has one title; counted without reading the JSON, which would measure this process.
fn changes_in(text: &[u8]) -> usize {
    text.windows(TITLE.len()).filter(|part| *part == TITLE.as_bytes()).count()
}

async fn write(writer: &mut Socket, written: &mut u64) -> Result<(), BenchError> {
    *written += 1;
    let id = format!("note{written}");
    let fields = json!({"title": "a note that everybody reads", "text": "x".repeat(100), "done": false});
    let (event, argument) = Served::write(*written, &id, &fields);
    writer.request(event, &argument).await.map(drop)
}

async fn many(
    writer: &mut Socket,
    delivered: &mut mpsc::Receiver<Instant>,
    written: &mut u64,
    writes: usize,
) -> Result<Answer, BenchError> {
    let started = Instant::now();
    let mut last = started;
    let deliveries = writes as u64 * SUBSCRIBERS;
    let (mut sent, mut count) = (0, 0_u64);
    while count < deliveries {
        // As many are under way as the slowest may have missed.
        while sent < writes && (sent as u64) * SUBSCRIBERS < count + IN_FLIGHT as u64 * SUBSCRIBERS {
            write(writer, written).await?;
            sent += 1;
        }
        last = next(delivered).await?;
        count += 1;
    }
    answered(writer, writes).await?;
    #[allow(clippy::cast_precision_loss)]
    let per_s = deliveries as f64 / (last - started).as_secs_f64();
    Ok(Answer { values: vec![per_s], also: Vec::new(), bytes: None })
}

async fn paced(
    writer: &mut Socket,
    delivered: &mut mpsc::Receiver<Instant>,
    written: &mut u64,
    writes: usize,
) -> Result<Answer, BenchError> {
    let (mut took_ms, mut spread_ms) = (Vec::new(), Vec::new());
    for _ in 0..writes {
        let sent = Instant::now();
        write(writer, written).await?;
        let mut first = None;
        for _ in 0..SUBSCRIBERS {
            let heard = next(delivered).await?;
            took_ms.push((heard - sent).as_secs_f64() * 1e3);
            spread_ms.push((heard - *first.get_or_insert(heard)).as_secs_f64() * 1e3);
        }
        tokio::time::sleep_until((sent + PAUSE).into()).await;
    }
    answered(writer, writes).await?;
    let (median, p99) = (quantile(&took_ms, 0.5), quantile(&took_ms, 0.99));
    let spread = quantile(&spread_ms, 0.99);
    Ok(Answer { values: vec![median], also: vec![vec![p99], vec![spread]], bytes: None })
}

/// Reads the answers to the writer's writes.
async fn answered(writer: &mut Socket, writes: usize) -> Result<(), BenchError> {
    for _ in 0..writes {
        let answer = writer.until("43").await?;
        if answer.contains("\"error\":{") {
            return Err(BenchError::failed("fanout", answer));
        }
    }
    Ok(())
}

async fn next(delivered: &mut mpsc::Receiver<Instant>) -> Result<Instant, BenchError> {
    let waited = tokio::time::timeout(Duration::from_secs(60), delivered.recv()).await;
    waited.ok().flatten().ok_or_else(|| BenchError::failed("fanout", "a change was not delivered"))
}
