//! What the end of an attempt means for the job, its lane, and those that follow it.

use super::command::{DeadLetter, JobEvent, JobOutcome};
use super::dependency_error;
use super::http::{HttpResponse, read_response};
use super::retry::{Failure, delay_ms};
use crate::argument::Argument;
use crate::engine::Engine;
use crate::engine::commit::Uncommitted;
use crate::engine::io::{Event, Now};
use crate::engine::wire::Request;
use crate::error::{Code, Error};
use crate::job::{Category, DeadReason, EndedJob, JobEnd, JobError, JobId, JobKind};
use crate::store::{Record, Store};
use crate::transport::Payload;
use syncline_protocol::error::Retry;
use syncline_protocol::sabotage::{Sabotage, is_active};

impl Engine {
    /// The server answered an event.
    pub(in crate::engine) fn handle_job_answer(
        &mut self,
        now: Now,
        id: JobId,
        args: &[Payload],
        store: &mut dyn Store,
    ) {
        let result = args.iter().map(Argument::from_payload).collect::<Result<Vec<_>, _>>();
        match result {
            Ok(result) => match answered_error(&result) {
                Some(failure) => self.job_failed(now, id, failure, store),
                None => self.job_succeeded(now, id, result, store),
            },
            Err(error) => {
                let failure = Failure::new(Category::Unknown, Code::Protocol.as_str(), &error.to_string());
                self.job_failed(now, id, failure, store);
            }
        }
    }

    /// A request is over. One that was given up meanwhile has another number.
    pub(in crate::engine) fn handle_http_done(
        &mut self,
        now: Now,
        id: JobId,
        run: u64,
        result: Result<HttpResponse, Error>,
        store: &mut dyn Store,
    ) {
        if self.jobs.running().get(&id).is_none_or(|current| current.number != run) {
            return;
        }
        if result.is_ok() && !self.session.is_network_available() {
            // The system is wrong: no need to wait for the next probe.
            self.drain.probe_at_us = now.mono_us;
        }
        match read_response(result, now) {
            Ok(result) => self.job_succeeded(now, id, result, store),
            Err(failure) => self.job_failed(now, id, failure, store),
        }
    }

    /// A message that is not whole yet is on its way: the acks of events may stand behind it.
    pub(in crate::engine) fn put_off_acks(&mut self, now: Now) {
        let until_us = now.after_ms(self.settings.job_ack_timeout_ms);
        let longest_us = self.settings.transfer_timeout_ms.saturating_mul(1000);
        let awaited = self.jobs.running().iter().filter(|(_, run)| run.ack.is_some());
        let later = awaited.map(|(id, run)| {
            (*id, run.deadline_us.max(until_us.min(run.began_us.saturating_add(longest_us))))
        });
        for (id, deadline_us) in later.collect::<Vec<_>>() {
            self.jobs.extend(id, deadline_us);
        }
    }

    pub(super) fn handle_overdue(&mut self, now: Now, id: JobId, store: &mut dyn Store) {
        let Some(held) = self.jobs.held(id) else { return };
        let failure = match held.job.kind() {
            // The connection lives, or its end would have been heard of.
            JobKind::Event => {
                Failure::new(Category::Server, "timeout", "the server did not acknowledge the event")
            }
            JobKind::Request => Failure::new(Category::Network, "timeout", "the request took too long"),
            JobKind::Handler if self.session.is_at_rest() => return self.renew_leases(now),
            // Its JavaScript stood still, or is gone: nothing says that the job failed.
            JobKind::Handler => Failure {
                counts: false,
                ..Failure::new(Category::Unknown, "timeout", "the handler did not answer in time")
            },
        };
        self.wire.forget(|request| *request == Request::Job(id));
        self.job_failed(now, id, failure, store);
    }

    /// The job is done: nothing is left of it, unless its outcome is to be kept.
    pub(super) fn job_succeeded(
        &mut self,
        now: Now,
        id: JobId,
        result: Vec<Argument>,
        store: &mut dyn Store,
    ) {
        let Some(held) = self.jobs.held(id) else { return };
        if let Some(run) = held.run {
            self.drain.began_with.remove(&run.number);
        }
        let lane = held.job.lane.clone();
        self.jobs.reset_lane(&lane, id);
        let Some(held) = self.jobs.remove(id) else { return };
        self.jobs.release_followers(id);
        self.drain.note_attempt(id, true);
        self.counters.jobs_done += 1;
        let outcome = JobOutcome::new(&held.job, result.clone());
        if !is_active(Sabotage::JobEndNotTold) {
            self.notices.push(Event::Job { event: JobEvent::Done { outcome } });
        }
        if held.job.keep_outcome {
            let bytes: usize = result.iter().map(Argument::byte_len).sum();
            // What the journal could not take, the app was told just now, and is not told again.
            let result = if bytes as u64 > self.settings.job_bytes_max { Vec::new() } else { result };
            let ended = EndedJob { job: held.job, end: JobEnd::Done(result), ended_at_ms: now.wall_ms };
            self.jobs.insert_ended(ended.clone());
            self.append(Record::JobEnded(ended), store);
        } else if is_active(Sabotage::JobNotGone) {
        } else if held.job.kind() == JobKind::Event {
            self.forget_done(now, id);
        } else {
            self.append(Record::JobsGone(vec![id]), store);
        }
    }

    /// An attempt failed: by its category the job is tried again, waits for a token, or is given up.
    pub(super) fn job_failed(&mut self, now: Now, id: JobId, failure: Failure, store: &mut dyn Store) {
        let Some(run) = self.jobs.stop(id) else { return };
        let began_with = self.drain.began_with.remove(&run.number);
        self.drain.note_attempt(id, false);
        let Some(held) = self.jobs.held(id) else { return };
        let (kind, lane) = (held.job.kind(), held.job.lane.clone());
        let attempts = held.job.attempts + u32::from(failure.uses_up_an_attempt());
        let is_last = failure.uses_up_an_attempt() && attempts >= held.job.attempts_max;
        self.jobs.note_failure(id, failure.error.clone(), attempts);
        match failure.error.category.retry() {
            Retry::Never => return self.bury_job(now, id, DeadReason::Refused, failure.error, store),
            Retry::Later => {
                let failures = self.jobs.count_failure(&lane);
                self.delay_lane(now, &lane, failures, failure.retry_after_ms);
                if is_last {
                    return self.bury_job(now, id, DeadReason::AttemptsSpent, failure.error, store);
                }
            }
            // With a token that has been replaced meanwhile it says nothing.
            Retry::AfterAuth if began_with == Some(self.drain.token_changes) => {
                self.drain.pause(kind, id);
            }
            Retry::AfterAuth => {}
        }
        if failure.uses_up_an_attempt() {
            self.append(Record::JobAttempted { id, attempts }, store);
        }
        self.notices.push(Event::Job { event: JobEvent::Failed { job: id, error: failure.error, attempts } });
    }

    pub(super) fn delay_lane(&mut self, now: Now, lane: &str, failures: u32, advice_ms: Option<u64>) {
        let Self { settings, random, .. } = self;
        let own_ms = delay_ms(failures, settings.job_retry_delay_ms, settings.job_retry_delay_ms_max, random);
        let wait_ms = own_ms.max(advice_ms.unwrap_or(0)).max(1);
        self.jobs.delay_lane(lane, now.after_ms(wait_ms), advice_ms.is_none());
    }

    /// Moves a job, and those that follow it, to the dead letters.
    pub(super) fn bury_job(
        &mut self,
        now: Now,
        id: JobId,
        reason: DeadReason,
        error: JobError,
        store: &mut dyn Store,
    ) {
        let Some(lane) = self.jobs.held(id).map(|held| held.job.lane.clone()) else { return };
        if reason != DeadReason::AttemptsSpent {
            // The next job of the lane must not pay for this one. Of spent attempts the server may be the reason, and then each
            // job would be given up as fast as it could be tried.
            self.jobs.reset_lane(&lane, id);
        }
        if let Some(ended) = self.bury_one(now, id, reason, error) {
            self.tell_death(&ended);
            self.append(Record::JobEnded(ended), store);
        }
        self.bury_followers(now, id, store);
    }

    fn bury_one(&mut self, now: Now, id: JobId, reason: DeadReason, error: JobError) -> Option<EndedJob> {
        let ended = self.jobs.bury(id, reason, error, now.wall_ms)?;
        self.drain.note_attempt(id, false);
        Some(ended)
    }

    pub(in crate::engine) fn tell_death(&mut self, ended: &EndedJob) {
        self.counters.jobs_dead += 1;
        if let Some(letter) = DeadLetter::of(ended) {
            self.notices.push(Event::Job { event: JobEvent::Dead { letter: Box::new(letter) } });
        }
    }

    /// Buries a job that is waiting again, after its death was taken back, and follows one that stays dead. It is journaled
    /// with the death of that one, which could not be made durable just now.
    pub(in crate::engine) fn bury_if_hopeless(&mut self, now: Now, id: JobId, store: &mut dyn Store) {
        let Some(held) = self.jobs.held(id) else { return };
        let mut followed = held.job.after.iter().copied();
        let dead = followed.find(|first| self.jobs.ended(*first).is_some_and(EndedJob::is_dead));
        let Some(first) = dead else { return };
        let buried = self.bury_one(now, id, DeadReason::Dependency, dependency_error(first));
        let Some(ended) = buried else { return };
        self.tell_death(&ended);
        store.append_after_flush(Record::JobEnded(ended));
        self.schedule_flush(now);
    }

    pub(super) fn bury_followers(&mut self, now: Now, first: JobId, store: &mut dyn Store) {
        for follower in self.jobs.all_followers(first) {
            self.bury_follower(now, first, follower, store);
        }
    }

    pub(super) fn bury_follower(&mut self, now: Now, first: JobId, follower: JobId, store: &mut dyn Store) {
        let before = Box::new(self.jobs.before(follower));
        let buried = self.bury_one(now, follower, DeadReason::Dependency, dependency_error(first));
        let Some(ended) = buried else { return };
        match store.append(&Record::JobEnded(ended.clone())) {
            Ok(()) => self.uncommitted.push(Uncommitted::Died { before, ended: Box::new(ended) }),
            Err(error) => {
                self.tell_death(&ended);
                self.handle_store_error(error);
            }
        }
    }

    /// A crash may have come between the death of a job and that of those behind it, and a clock that was set back since
    /// must not keep a job for ever.
    pub(super) fn settle_recovered(&mut self, now: Now, store: &mut dyn Store) {
        if std::mem::replace(&mut self.drain.recovered, true) {
            return;
        }
        self.jobs.bound_expiries(self.drain.clock.now_ms(now));
        let dead: Vec<JobId> =
            self.jobs.all_ended().filter(|ended| ended.is_dead()).map(|ended| ended.job.id).collect();
        for first in dead {
            self.bury_followers(now, first, store);
        }
    }
}

/// An answer `{error: {code, message, retry_after_ms?}}`.
fn answered_error(result: &[Argument]) -> Option<Failure> {
    let Some(Argument::Object(fields)) = result.first() else { return None };
    let Some(Argument::Object(error)) = fields.get("error") else { return None };
    let Some(Argument::String(code)) = error.get("code") else { return None };
    let message = match error.get("message") {
        Some(Argument::String(message)) => message.as_str(),
        _ => "",
    };
    let advice_ms = match error.get("retry_after_ms") {
        Some(Argument::Int(ms)) => u64::try_from(*ms).ok(),
        _ => None,
    };
    Some(Failure::of_answer(code, message, advice_ms))
}
