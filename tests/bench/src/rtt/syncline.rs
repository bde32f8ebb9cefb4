//! A client for each backend.

use std::path::{Path, PathBuf};
use std::time::Instant;

use futures_util::future::try_join_all;
use syncline::engine::socket::types::EmitWithAck;
use syncline::{Argument, Client, ClientConfig, Command, Reply};

use super::{MANY_NATIVE, native};
use crate::backend::Backend;
use crate::contender::{Answer, Order};
use crate::process::cpu_us;
use crate::scenario::{BenchError, Work};
use crate::statistics::{median, quantile};

/// Callers side by side.
const CALLERS: usize = 100;
/// 200 bytes of text, as much as the peer sends.
const TEXT_BYTES: usize = 200;

#[derive(Debug)]
pub(super) struct Contender {
    runtime: tokio::runtime::Runtime,
    npm: Connected,
    native: Connected,
}

#[derive(Debug)]
struct Connected {
    client: Client,
    // Last, so that it outlives the client.
    _backend: Backend,
}

impl Contender {
    pub(super) fn open(directory: &Path, peers: &Path) -> Result<Self, BenchError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let npm = connect(&runtime, directory.join("npm"), Backend::npm(peers, "msgpack")?)?;
        let native = connect(&runtime, directory.join("native"), Backend::own(native::NAME)?)?;
        Ok(Self { runtime, npm, native })
    }

    pub(super) fn run(&mut self, order: &Order) -> Result<Answer, BenchError> {
        let Connected { client, .. } = if order.block == MANY_NATIVE { &self.native } else { &self.npm };
        let (mut values, mut also) = (Vec::new(), Vec::new());
        for _ in 0..order.samples {
            let (value, further) = match order.work {
                Work::Concurrent(events) => self.many(client, events)?,
                work => self.one_at_a_time(client, work.operations())?,
            };
            values.push(value);
            also.push(further);
        }
        Ok(Answer { values, also: vec![also], bytes: None })
    }

    /// The median and the 99th percentile, in microseconds.
    fn one_at_a_time(&self, client: &Client, events: usize) -> Result<(f64, f64), BenchError> {
        let mut took = Vec::with_capacity(events);
        for _ in 0..events {
            let begin = Instant::now();
            self.runtime.block_on(echo(client))?;
            took.push(begin.elapsed().as_secs_f64() * 1e6);
        }
        Ok((median(&took), quantile(&took, 0.99)))
    }

    /// How long an answer takes on average, and the processor's time for it, in microseconds.
    fn many(&self, client: &Client, events: usize) -> Result<(f64, f64), BenchError> {
        let caller = || async {
            for _ in 0..events / CALLERS {
                echo(client).await?;
            }
            Ok::<_, BenchError>(())
        };
        let (cpu_before, begin) = (cpu_us(), Instant::now());
        self.runtime.block_on(try_join_all((0..CALLERS).map(|_| caller())))?;
        #[allow(clippy::cast_precision_loss)]
        let events = events as f64;
        Ok((begin.elapsed().as_secs_f64() * 1e6 / events, (cpu_us() - cpu_before) / events))
    }
}

fn connect(
    runtime: &tokio::runtime::Runtime,
    directory: PathBuf,
    backend: Backend,
) -> Result<Connected, BenchError> {
    let mut config = ClientConfig { directory: Some(directory), ..ClientConfig::new(backend.url()) };
    config.settings.token_required = false;
    config.auto_connect = false;
    let client = runtime.block_on(Client::open(config, |_| {})).map_err(failed)?;
    runtime.block_on(client.execute(Command::Connect)).map_err(failed)?;
    Ok(Connected { client, _backend: backend })
}

async fn echo(client: &Client) -> Result<(), BenchError> {
    let emit = EmitWithAck {
        namespace: None,
        event: "echo".to_owned(),
        args: vec![Argument::String("x".repeat(TEXT_BYTES))],
        timeout_ms: None,
    };
    match client.execute(Command::EmitWithAck(emit)).await.map_err(failed)? {
        Reply::Answered(_) => Ok(()),
        other => Err(failed(format!("{other:?}"))),
    }
}

fn failed(error: impl std::fmt::Display) -> BenchError {
    BenchError::failed("Syncline", error)
}
