//! `connections`: what an idle connection takes of the server's memory.

use std::ops::Range;
use std::time::Duration;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use tokio::task::LocalSet;

use super::served::Served;
use super::socket::Socket;
use super::{SOCKET_IO, SYNCLINE, contenders};
use crate::contender::{Answer, Order};
use crate::process::memory_mib_of;
use crate::scenario::{BenchError, Block, Bound, Goal, Scenario, Work};

/// Fewer than the server takes as it is set up.
const CONNECTIONS: usize = 9_900;

/// Connected at a time: all of them are there before the first one is pinged for the second time.
const CONNECTING: usize = 64;

/// What the first ones take is there once: they come and go before.
const FIRST: usize = 100;

/// How long the server has to give back what connecting took.
const SETTLE: Duration = Duration::from_secs(2);

const BYTES: &str = "memory";
const BYTES_PER_MIB: f64 = 1024.0 * 1024.0;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "connections",
    description: "10,000 idle connections: resident memory of the server for each",
    contenders: &contenders("connections/syncline", "connections/socketio"),
    blocks: &[Block {
        name: BYTES,
        samples: 1,
        work: Work::Concurrent(CONNECTIONS),
        unit: "bytes per connection",
        also: &[],
    }],
    rounds: 3,
    goals: &[Goal { figure: BYTES, over: SYNCLINE, under: Some(SOCKET_IO), bound: Bound::AtMost(0.25) }],
};

pub(super) async fn run(served: &Served, order: &Order) -> Result<Answer, BenchError> {
    let count = order.work.operations();
    let process = served.process_id();
    let first: Vec<Socket> = connect(served, count..count + FIRST).try_collect().await?;
    drop(first);
    let before = memory_mib_of(process, "VmRSS")?;
    // Each answers the heartbeat, and is still there at the end.
    let tasks = LocalSet::new();
    let mut listening = Vec::new();
    let mut sockets = connect(served, 0..count);
    tasks
        .run_until(async {
            while let Some(mut socket) = sockets.try_next().await? {
                socket.shrink();
                listening.push(tokio::task::spawn_local(async move {
                    while socket.text().await.is_ok() {
                        socket.shrink();
                    }
                }));
            }
            tokio::time::sleep(SETTLE).await;
            Ok::<(), BenchError>(())
        })
        .await?;
    if listening.iter().any(tokio::task::JoinHandle::is_finished) {
        return Err(BenchError::failed("connections", "the server closed some"));
    }
    let after = memory_mib_of(process, "VmRSS")?;
    #[allow(clippy::cast_precision_loss)]
    let bytes = (after - before) * BYTES_PER_MIB / count as f64;
    Ok(Answer { values: vec![bytes], also: Vec::new(), bytes: None })
}

/// Clients of these numbers, as they are connected.
fn connect(served: &Served, numbers: Range<usize>) -> impl Stream<Item = Result<Socket, BenchError>> + Unpin {
    stream::iter(numbers).map(|number| served.connect(number as u64)).buffer_unordered(CONNECTING)
}
