//! What users have their devices do later: jobs, and what becomes of those that failed.

use std::collections::BTreeMap;

use syncline::engine::io::Reply;
use syncline::engine::queue::command::{JobCommand, JobReply, NewJob};
use syncline::job::{JobId, JobWork, LanePolicy};
use syncline::{Argument, Code, Command, Error};

use crate::backend;
use crate::failure::{Failure, ensure};
use crate::world::{Wake, World};

/// How long an app takes to decide about a dead letter that everybody waits for.
const DECIDE_MS: u64 = 30;

impl World {
    /// Hands over one to three jobs, which are accepted together.
    pub(crate) fn enqueue(&mut self, device: usize) -> Result<(), Failure> {
        let count = self.random.between(1, 3);
        let jobs = (0..count).map(|_| self.any_job(device)).collect();
        let reply = self.call(device, Command::Jobs { command: JobCommand::Enqueue { jobs } })?;
        match reply {
            Some(Ok(Reply::Jobs(JobReply::Enqueued { enqueued }))) => {
                ensure!(
                    enqueued.iter().all(|job| !job.duplicate),
                    "device {device}: a job counts as a duplicate"
                );
                Ok(())
            }
            Some(Ok(other)) => Err(Failure(format!("jobs are answered with {other:?}"))),
            Some(Err(_)) => {
                self.devices[device].book.jobs.not_written(true);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn any_job(&mut self, device: usize) -> NewJob {
        let phone = &mut self.devices[device];
        phone.errands += 1;
        let tag = format!("{device}.{}", phone.errands);
        let waiting = phone.book.jobs.waiting();
        let refused = self.random.percent(10);
        let errand = Argument::Object(BTreeMap::from([
            ("tag".to_owned(), Argument::String(tag)),
            ("refused".to_owned(), Argument::Bool(refused)),
        ]));
        let work = if self.random.percent(50) {
            JobWork::Event { namespace: None, name: backend::EVENT.to_owned(), args: vec![errand] }
        } else {
            let (method, url) = ("POST".to_owned(), backend::PATH.to_owned());
            JobWork::Request { method, url, headers: BTreeMap::new(), body: Some(errand) }
        };
        let follows = !waiting.is_empty() && self.random.percent(15);
        let after = if follows { vec![waiting[self.random.index(waiting.len())]] } else { vec![] };
        let lane = self.random.below(self.plan.lanes);
        NewJob {
            lane: Some(format!("lane{lane}")),
            dedupe: false,
            priority: self.random.one_of([0, 0, 1, -1]),
            after,
            ttl_ms: self.random.one_of([None, None, Some(Some(600)), Some(Some(20_000))]),
            policy: match self.random.one_of([LanePolicy::Continue, LanePolicy::Continue, LanePolicy::Hold]) {
                // Within one lane all three meet.
                LanePolicy::Continue if lane == 0 => LanePolicy::Stream,
                policy => policy,
            },
            ..NewJob::new(work)
        }
    }

    /// The user looks at a dead letter.
    pub(crate) fn decide_letter(&mut self, device: usize) -> Result<(), Failure> {
        let Some(life) = &self.devices[device].life else { return Ok(()) };
        let Some(letter) = life.app.letters.first().copied() else { return Ok(()) };
        let retries = self.random.percent(50);
        self.decide_job(device, letter, retries)
    }

    /// Everybody waits for the lanes that a dead letter holds: one that fails a second time is dropped.
    pub(crate) fn decide_letters(&mut self, device: usize) -> Result<(), Failure> {
        let Some(life) = &mut self.devices[device].life else { return Ok(()) };
        life.app.deciding_letters = false;
        let letters: Vec<JobId> = life.app.letters.iter().copied().filter(|_| self.draining).collect();
        for letter in letters {
            let retries = !self.devices[device].book.jobs.was_retried(letter);
            self.decide_job(device, letter, retries)?;
        }
        self.watch_letters(device);
        Ok(())
    }

    /// Sees to it that no dead letter stays while everything is to come to an end.
    pub(crate) fn watch_letters(&mut self, device: usize) {
        let Some(life) = &mut self.devices[device].life else { return };
        let wants = self.draining && !life.app.letters.is_empty();
        if wants && !std::mem::replace(&mut life.app.deciding_letters, true) {
            self.wake_in_ms(DECIDE_MS, Wake::Letters(device));
        }
    }

    fn decide_job(&mut self, device: usize, job: JobId, retries: bool) -> Result<(), Failure> {
        let command = if retries { JobCommand::Retry { job, work: None } } else { JobCommand::Drop { job } };
        self.devices[device].book.jobs.deciding(job);
        let reply = self.call(device, Command::Jobs { command })?;
        let now = self.devices[device].now(self.now_us);
        let phone = &mut self.devices[device];
        match reply {
            Some(Ok(_)) => {
                if let Some(life) = &mut phone.life {
                    life.app.letters.remove(&job);
                }
                let jobs = &mut phone.book.jobs;
                let done = if retries { jobs.retried(job, now) } else { jobs.dropped(job) };
                done.map_err(|failure| failure.of(device))
            }
            // After a failure of the disk nobody knows, before another open.
            Some(Err(Error { code: Code::Storage, .. })) | None => Ok(()),
            Some(Err(error)) => {
                phone.book.jobs.not_decided(job);
                let is_letter = phone.life.as_ref().is_some_and(|life| life.app.letters.contains(&job));
                if error.code == Code::NotFound && is_letter {
                    ensure!(phone.book.jobs.is_dropped(job), "device {device}: dead letter {job} is lost");
                    if let Some(life) = &mut phone.life {
                        life.app.letters.remove(&job);
                    }
                }
                // What it follows has failed as well.
                let hopeless = retries && error.code == Code::Conflict;
                if hopeless { self.decide_job(device, job, false) } else { Ok(()) }
            }
        }
    }

    /// The user changes his mind about a job that waits.
    pub(crate) fn drop_job(&mut self, device: usize) -> Result<(), Failure> {
        let waiting = self.devices[device].book.jobs.waiting();
        if waiting.is_empty() {
            return Ok(());
        }
        let job = waiting[self.random.index(waiting.len())];
        self.decide_job(device, job, false)
    }
}
