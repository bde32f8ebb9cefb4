//! Events in the queue of a client with a store on disk, and an npm server that acknowledges them.

use std::path::{Path, PathBuf};

use syncline::engine::queue::command::{JobCommand, NewJob};
use syncline::job::{JobWork, LanePolicy};
use syncline::{Argument, ClientConfig, Command};

use super::drain_ms;
use crate::backend::Backend;
use crate::contender::{Answer, Order};
use crate::device::Device;
use crate::document::fields;
use crate::scenario::BenchError;

/// Events in one call, while offline.
const CALL_EVENTS: usize = 500;

#[derive(Debug)]
pub(super) struct Contender {
    server: Backend,
    directory: PathBuf,
    samples: usize,
}

impl Contender {
    pub(super) fn open(directory: &Path, peers: &Path) -> Result<Self, BenchError> {
        let server = Backend::npm(peers, "msgpack")?;
        Ok(Self { server, directory: directory.to_owned(), samples: 0 })
    }

    pub(super) fn run(&mut self, order: &Order, policy: LanePolicy) -> Result<Answer, BenchError> {
        let sample = |_| self.sample(order.work.operations(), policy);
        let values = (0..order.samples).map(sample).collect::<Result<Vec<_>, _>>()?;
        Ok(Answer { values, also: Vec::new(), bytes: None })
    }

    /// In milliseconds.
    fn sample(&mut self, events: usize, policy: LanePolicy) -> Result<f64, BenchError> {
        self.samples += 1;
        let directory = self.directory.join(format!("events-{}", self.samples));
        let mut config =
            ClientConfig { directory: Some(directory.clone()), ..ClientConfig::new(self.server.url()) };
        config.settings.token_required = false;
        let device = Device::open(config, "list:events")?;
        for first in (0..events).step_by(CALL_EVENTS) {
            let jobs = (first..events.min(first + CALL_EVENTS)).map(|number| event(number, policy)).collect();
            device.run(Command::Jobs { command: JobCommand::Enqueue { jobs } })?;
        }
        let elapsed_ms = drain_ms(&device, events)?;
        std::fs::remove_dir_all(&directory)?;
        Ok(elapsed_ms)
    }
}

fn event(number: usize, policy: LanePolicy) -> NewJob {
    let fields = fields(number).into_iter().map(|(name, value)| (name.into(), Argument::from(value)));
    let args = vec![Argument::Object(fields.collect())];
    let work = JobWork::Event { namespace: None, name: "push".to_owned(), args };
    NewJob { policy, ..NewJob::new(work) }
}
