//! `connections`: what an idle connection takes of the server's memory.

use std::time::Duration;

use super::served::Served;
use super::{SOCKET_IO, SYNCLINE, contenders};
use crate::contender::{Answer, Order};
use crate::process::memory_mib_of;
use crate::scenario::{BenchError, Block, Bound, Goal, Scenario, Work};

/// Fewer than the server takes as it is set up.
const CONNECTIONS: usize = 9_900;

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
    // A second round would find memory that the first has left.
    rounds: 1,
    goals: &[Goal { figure: BYTES, over: SYNCLINE, under: Some(SOCKET_IO), bound: Bound::AtMost(0.25) }],
};

pub(super) async fn run(served: &Served, order: &Order) -> Result<Answer, BenchError> {
    let count = order.work.operations();
    let process = served.process_id();
    let before = memory_mib_of(process, "VmRSS")?;
    let mut sockets = Vec::new();
    for number in 0..count {
        let mut socket = served.connect(number as u64).await?;
        socket.shrink();
        sockets.push(socket);
    }
    tokio::time::sleep(SETTLE).await;
    let after = memory_mib_of(process, "VmRSS")?;
    #[allow(clippy::cast_precision_loss)]
    let bytes = (after - before) * BYTES_PER_MIB / count as f64;
    Ok(Answer { values: vec![bytes], also: Vec::new(), bytes: None })
}
