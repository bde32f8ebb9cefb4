//! Jobs that the app hands over, and what it decides about them. The answers come with the commit.

use super::Before;
use super::command::{DeadLetter, Enqueued, JobCommand, JobInfo, JobOutcome, JobReply, NewJob};
use super::retry::Failure;
use crate::engine::Engine;
use crate::engine::commands::too_large;
use crate::engine::commit::Uncommitted;
use crate::engine::io::{Now, Output, Reply, RequestId};
use crate::error::{Code, Error};
use crate::job::{EndedJob, Job, JobId, JobKind, JobWork};
use crate::store::{Record, Store};
use syncline_protocol::gather::Gather as _;

/// One answer of `list` ends with the job that brings it over so many bytes.
const LIST_BYTES_MAX: u64 = 1 << 20;

/// A change that waits for the commit.
#[derive(Debug)]
pub(in crate::engine) struct JobChange {
    request: RequestId,
    reply: JobReply,
    /// How to take it back.
    before: Vec<Before>,
    /// Jobs that are accepted with the commit.
    added: Vec<JobId>,
}

impl Engine {
    pub(in crate::engine) fn execute_job_command(
        &mut self,
        now: Now,
        request: RequestId,
        command: JobCommand,
        store: &mut dyn Store,
    ) -> Result<Option<Reply>, Error> {
        let reply = match command {
            JobCommand::Enqueue { jobs } => return self.enqueue(now, request, jobs, store),
            JobCommand::List { after } => self.list_jobs(after),
            JobCommand::DeadLetters => JobReply::DeadLetters {
                dead_letters: self.jobs.all_ended().filter_map(DeadLetter::of).collect(),
            },
            JobCommand::Outcomes => {
                JobReply::Outcomes { outcomes: self.jobs.all_ended().filter_map(JobOutcome::of).collect() }
            }
            JobCommand::Acknowledge { job } => {
                if self.jobs.ended(job).is_none_or(EndedJob::is_dead) {
                    return Err(Error::new(Code::NotFound, format!("no outcome of job {job}")));
                }
                return self.forget_jobs(request, vec![job], JobReply::Done {}, store);
            }
            JobCommand::Retry { job, work } => return self.retry_job(now, request, job, work, store),
            JobCommand::Edit { job, work } => return self.edit_job(now, request, job, work, store),
            JobCommand::Drop { job } => return self.drop_job(now, request, job, store),
            JobCommand::Clear { kinds, dead_letters } => {
                return self.clear_jobs(now, request, kinds.as_deref(), dead_letters, store);
            }
            JobCommand::Process => {
                self.begin_pass(request);
                return Ok(None);
            }
            JobCommand::SetAuto { enabled } => {
                self.drain.set_auto(enabled);
                JobReply::Done {}
            }
            JobCommand::RegisterHandlers { keys } => {
                self.drain.set_handlers(keys)?;
                JobReply::Done {}
            }
            JobCommand::ExtendLease { job, lease } => self.extend_lease(now, job, lease)?,
            JobCommand::Complete { job, lease, result } => {
                self.check_lease(job, lease)?;
                let before = vec![self.jobs.before(job)];
                self.job_succeeded(now, job, vec![result], store);
                self.settle_with_commit(JobChange {
                    request,
                    reply: JobReply::Done {},
                    before,
                    added: vec![],
                });
                return Ok(None);
            }
            JobCommand::Fail { job, lease, category, code, message, retry_after_ms } => {
                self.check_lease(job, lease)?;
                let failure = Failure::new(category, &code, &message).with_advice(retry_after_ms);
                self.job_failed(now, job, failure, store);
                JobReply::Done {}
            }
        };
        Ok(Some(Reply::Jobs(reply)))
    }

    /// Accepts all jobs or none.
    fn enqueue(
        &mut self,
        now: Now,
        request: RequestId,
        new: Vec<NewJob>,
        store: &mut dyn Store,
    ) -> Result<Option<Reply>, Error> {
        if new.is_empty() {
            return Err(Error::new(Code::Invalid, "no jobs are given"));
        }
        let bytes = new.iter().map(|job| job.work.byte_len() as u64).sum();
        if bytes > self.settings.write_bytes_max {
            return Err(too_large("what is queued together", bytes, self.settings.write_bytes_max));
        }
        let (mut enqueued, mut added) = (Vec::with_capacity(new.len()), Vec::new());
        let accepted = new.into_iter().try_for_each(|new| {
            let Enqueued { job, duplicate } = self.accept_job(now, new)?;
            enqueued.push(Enqueued { job, duplicate });
            added.extend((!duplicate).then_some(job));
            Ok(())
        });
        let appended = accepted.and_then(|()| {
            let jobs: Vec<Job> =
                added.iter().filter_map(|id| self.jobs.held(*id)).map(|held| held.job.clone()).collect();
            if jobs.is_empty() { Ok(()) } else { Ok(store.append(&Record::Jobs(jobs))?) }
        });
        if let Err(error) = appended {
            for id in added {
                self.jobs.remove(id);
            }
            return Err(error);
        }
        let all_durable = enqueued.iter().all(|Enqueued { job, .. }| self.jobs.is_durable(*job));
        let reply = JobReply::Enqueued { enqueued };
        if all_durable {
            return Ok(Some(Reply::Jobs(reply)));
        }
        let before = added.iter().map(|id| Before::nothing(*id)).collect();
        self.settle_with_commit(JobChange { request, reply, before, added });
        Ok(None)
    }

    /// Checks one job, and puts it among those that wait.
    fn accept_job(&mut self, now: Now, new: NewJob) -> Result<Enqueued, Error> {
        let ttl_ms = new.ttl_ms.unwrap_or(Some(self.settings.job_ttl_ms));
        let queued_at_ms = self.drain.clock.now_ms(now);
        let lane = new.lane.unwrap_or_else(|| new.work.default_lane());
        let mut job = Job {
            id: 0,
            work: new.work,
            lane,
            dedupe_key: new.dedupe_key,
            dedupe: new.dedupe,
            idempotency_key: String::new(),
            priority: new.priority,
            after: new.after,
            expires_at_ms: ttl_ms.map(|ttl_ms| queued_at_ms.saturating_add(ttl_ms)),
            attempts_max: new.attempts_max.unwrap_or(self.settings.job_attempts_max),
            policy: new.policy,
            keep_outcome: new.keep_outcome,
            queued_at_ms,
            attempts: 0,
        };
        self.check_job(&job)?;
        if let Some(job) = self.jobs.duplicate_of(&job) {
            return Ok(Enqueued { job, duplicate: true });
        }
        if let Some(unknown) = job.after.iter().find(|first| **first > self.jobs.last_id()) {
            return Err(Error::new(Code::NotFound, format!("no job {unknown} to follow")));
        }
        self.check_followed(&job)?;
        job.idempotency_key = self.new_id(now);
        self.check_caps(1, job.byte_len(), 0)?;
        job.id = self.jobs.take_id();
        let id = job.id;
        self.jobs.insert(job);
        Ok(Enqueued { job: id, duplicate: false })
    }

    fn check_job(&self, job: &Job) -> Result<(), Error> {
        let bytes = job.work.byte_len() as u64;
        if bytes > self.settings.job_bytes_max {
            return Err(too_large("the job", bytes, self.settings.job_bytes_max));
        }
        job.validate()?;
        match &job.work {
            JobWork::Event { name, .. } => self.check_event(self.wire.main(), name),
            JobWork::Request { .. } | JobWork::Handler { .. } => Ok(()),
        }
    }

    /// Refuses a job that could never start.
    fn check_followed(&self, job: &Job) -> Result<(), Error> {
        let dead = job.after.iter().find(|first| self.jobs.ended(**first).is_some_and(EndedJob::is_dead));
        dead.map_or(Ok(()), |first| {
            Err(Error::new(Code::Conflict, format!("job {first}, which it is to follow, was given up")))
        })
    }

    fn list_jobs(&self, after: JobId) -> JobReply {
        let mut bytes = 0;
        let mut jobs = Vec::new();
        let mut later = self.jobs.all_held().filter(|held| held.job.id > after);
        for held in later.by_ref() {
            jobs.push(JobInfo::of(held));
            bytes += held.job.byte_len();
            if bytes > LIST_BYTES_MAX {
                break;
            }
        }
        JobReply::Jobs { jobs, more: later.next().is_some() }
    }

    fn retry_job(
        &mut self,
        now: Now,
        request: RequestId,
        id: JobId,
        work: Option<JobWork>,
        store: &mut dyn Store,
    ) -> Result<Option<Reply>, Error> {
        let ended = self.jobs.ended(id).filter(|ended| ended.is_dead());
        let ended = ended.ok_or_else(|| Error::new(Code::NotFound, format!("no dead letter {id}")))?;
        let mut job = ended.job.clone();
        let ttl_ms = job.expires_at_ms.map(|at_ms| at_ms.saturating_sub(job.queued_at_ms));
        job.queued_at_ms = self.drain.clock.now_ms(now);
        job.expires_at_ms = ttl_ms.map(|ttl_ms| job.queued_at_ms.saturating_add(ttl_ms));
        job.attempts = 0;
        self.check_followed(&job)?;
        let lane = job.lane.clone();
        let replaced = self.replace_job(now, request, job, work, store)?;
        // The app wants it done, and not when the lane's failures allow.
        self.jobs.hurry_lane(&lane);
        Ok(replaced)
    }

    fn edit_job(
        &mut self,
        now: Now,
        request: RequestId,
        id: JobId,
        work: JobWork,
        store: &mut dyn Store,
    ) -> Result<Option<Reply>, Error> {
        self.check_idle(id)?;
        let held = self.jobs.held(id).ok_or_else(|| no_job(id))?;
        let job = held.job.clone();
        self.replace_job(now, request, job, Some(work), store)
    }

    /// Puts a job in the place of the one with its number, in whatever state that is.
    fn replace_job(
        &mut self,
        now: Now,
        request: RequestId,
        mut job: Job,
        work: Option<JobWork>,
        store: &mut dyn Store,
    ) -> Result<Option<Reply>, Error> {
        if let Some(work) = work {
            if work.kind() != job.kind() {
                return Err(Error::new(Code::Invalid, "a job keeps its kind"));
            }
            let replaced = job.byte_len();
            job.work = work;
            // The backend answers a key that it knows with its first answer.
            job.idempotency_key = self.new_id(now);
            self.check_job(&job)?;
            self.check_caps(0, job.byte_len(), replaced)?;
        }
        let id = job.id;
        let record = Record::Jobs(vec![job.clone()]);
        store.append(&record)?;
        let before = vec![self.jobs.before(id)];
        self.jobs.remove_ended(id);
        self.jobs.replace(job);
        let reply = JobReply::Done {};
        self.settle_with_commit(JobChange { request, reply, before, added: vec![id] });
        Ok(None)
    }

    fn drop_job(
        &mut self,
        now: Now,
        request: RequestId,
        id: JobId,
        store: &mut dyn Store,
    ) -> Result<Option<Reply>, Error> {
        let is_dead = self.jobs.ended(id).is_some_and(EndedJob::is_dead);
        if !is_dead {
            self.check_idle(id)?;
        }
        self.bury_followers(now, id, store);
        self.forget_jobs(request, vec![id], JobReply::Done {}, store)
    }

    fn clear_jobs(
        &mut self,
        now: Now,
        request: RequestId,
        kinds: Option<&[JobKind]>,
        dead_letters: bool,
        store: &mut dyn Store,
    ) -> Result<Option<Reply>, Error> {
        let is_meant = |job: &Job| kinds.is_none_or(|kinds| kinds.contains(&job.kind()));
        let held = self.jobs.all_held().filter(|held| held.run.is_none() && is_meant(&held.job));
        let mut ids: Vec<JobId> =
            held.map(|held| held.job.id).filter(|id| self.jobs.is_durable(*id)).collect();
        let dead =
            self.jobs.all_ended().filter(|ended| dead_letters && ended.is_dead() && is_meant(&ended.job));
        ids.extend(dead.map(|ended| ended.job.id));
        if ids.is_empty() {
            return Ok(Some(Reply::Jobs(JobReply::Cleared { cleared: 0 })));
        }
        // Only those that are not forgotten themselves have to be told.
        let forgotten: std::collections::BTreeSet<JobId> = ids.iter().copied().gather();
        let followers =
            ids.iter().flat_map(|id| self.jobs.all_followers(*id).into_iter().map(|other| (*id, other)));
        let left: Vec<(JobId, JobId)> =
            followers.filter(|(_, follower)| !forgotten.contains(follower)).collect();
        for (first, follower) in left {
            self.bury_follower(now, first, follower, store);
        }
        let cleared = ids.len() as u64;
        self.forget_jobs(request, ids, JobReply::Cleared { cleared }, store)
    }

    /// Nothing is left of these jobs.
    fn forget_jobs(
        &mut self,
        request: RequestId,
        ids: Vec<JobId>,
        reply: JobReply,
        store: &mut dyn Store,
    ) -> Result<Option<Reply>, Error> {
        let record = Record::JobsGone(ids);
        store.append(&record)?;
        let Record::JobsGone(ids) = record else { return Ok(None) };
        let before = ids.iter().map(|id| self.jobs.before(*id)).collect();
        for id in ids {
            self.jobs.remove(id);
            self.jobs.remove_ended(id);
            self.drain.note_forgotten(id);
        }
        self.settle_with_commit(JobChange { request, reply, before, added: vec![] });
        Ok(None)
    }

    /// Refuses to touch a job that is not there, not accepted yet, or under way: what it does may be done already.
    fn check_idle(&self, id: JobId) -> Result<(), Error> {
        let held = self.jobs.held(id).ok_or_else(|| no_job(id))?;
        if held.run.is_some() || !self.jobs.is_durable(id) {
            return Err(Error::new(Code::Conflict, format!("job {id} is under way")));
        }
        Ok(())
    }

    fn settle_with_commit(&mut self, change: JobChange) {
        self.uncommitted.push(Uncommitted::Jobs(change));
    }

    pub(in crate::engine) fn commit_jobs(&mut self, change: JobChange, out: &mut Vec<Output>) {
        for id in change.added {
            self.jobs.mark_durable(id);
        }
        out.push(Output::Reply(change.request, Ok(Reply::Jobs(change.reply))));
    }

    /// Takes back what could not be made durable.
    pub(in crate::engine) fn undo_jobs(&mut self, change: JobChange, error: &Error, out: &mut Vec<Output>) {
        for before in change.before.into_iter().rev() {
            self.jobs.restore(before);
        }
        out.push(Output::Reply(change.request, Err(error.clone())));
    }
}

fn no_job(id: JobId) -> Error {
    Error::new(Code::NotFound, format!("no job {id} waits"))
}
