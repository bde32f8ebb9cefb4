//! Jobs being carried out: when one may start, how it is sent, and what its end means.

use std::collections::{BTreeMap, BTreeSet};

use syncline_protocol::gather::Gather as _;
use syncline_protocol::sabotage::{Sabotage, is_active};

use super::Run;
use super::clock::JobClock;
use super::command::{JobEvent, JobReply};
use super::http::HttpRequest;
use super::pass::Pass;
use super::retry::Failure;
use crate::argument::Argument;
use crate::engine::Engine;
use crate::engine::backoff::next_random;
use crate::engine::io::{Event, Network, Now, Output};
use crate::engine::wire::Request;
use crate::error::{Code, Error};
use crate::job::{Category, DeadReason, Job, JobError, JobId, JobKind, JobWork};
use crate::store::{Record, Store};

/// Keys of handlers that an app registers at most.
const HANDLERS_MAX: usize = 1024;
/// How much longer than its own time limit the engine waits for a request.
const HTTP_GRACE_MS: u64 = 5_000;
/// Connections that an event may lose without its lane being slowed down.
const LOSSES_FORGIVEN: u32 = 2;

/// What decides whether jobs may start.
#[derive(Debug)]
pub(in crate::engine) struct Drain {
    auto: bool,
    handlers: BTreeSet<String>,
    /// Of each kind that waits for another token, the job that was refused last.
    paused: [Option<JobId>; JobKind::ALL.len()],
    /// How often the token has changed; each attempt, by its number, remembers with which it began.
    pub(super) token_changes: u64,
    pub(super) began_with: BTreeMap<u64, u64>,
    pub(super) passes: Vec<Pass>,
    /// Jobs that are done, which the journal does not know yet.
    ends: Vec<JobId>,
    /// When it is told.
    ends_due_us: Option<u64>,
    /// While the system reports no network: when a request goes out all the same.
    pub(super) probe_at_us: u64,
    /// When time itself changes something: a time to live, or the next probe.
    wake_at_us: Option<u64>,
    pub(super) clock: JobClock,
    /// Whether it was looked for jobs whose predecessor had failed when the client was last open.
    pub(super) recovered: bool,
}

impl Drain {
    pub(in crate::engine) fn new(auto: bool) -> Self {
        Self {
            auto,
            handlers: BTreeSet::new(),
            paused: [None; JobKind::ALL.len()],
            token_changes: 0,
            began_with: BTreeMap::new(),
            passes: Vec::new(),
            ends: Vec::new(),
            ends_due_us: None,
            probe_at_us: 0,
            wake_at_us: None,
            clock: JobClock::default(),
            recovered: false,
        }
    }

    pub(super) fn set_auto(&mut self, enabled: bool) {
        self.auto = enabled;
    }

    pub(super) fn set_handlers(&mut self, keys: Vec<String>) -> Result<(), Error> {
        if keys.len() > HANDLERS_MAX {
            return Err(Error::new(Code::TooLarge, format!("more than {HANDLERS_MAX} handlers")));
        }
        self.handlers = keys.into_iter().gather();
        Ok(())
    }

    /// The app wants it tried again as it is.
    pub(super) fn resume(&mut self) {
        self.paused = [None; JobKind::ALL.len()];
    }

    /// Jobs of this kind wait for another token, because this one was refused.
    pub(super) fn pause(&mut self, kind: JobKind, refused: JobId) {
        self.paused[kind as usize] = Some(refused);
    }

    /// Whether jobs wait for another token.
    pub(in crate::engine) fn needs_token(&self) -> bool {
        self.paused.iter().any(Option::is_some)
    }

    /// Whether anything waits for the app: for another token, or for being started.
    pub(in crate::engine) fn is_paused(&self) -> bool {
        !self.auto || self.needs_token()
    }

    /// The app gives a token, or takes it away. One that it gives again may be good by now, or may be the last that it has.
    pub(in crate::engine) fn handle_token(&mut self, has_changed: bool, is_set: bool) {
        self.token_changes += u64::from(has_changed);
        if is_set {
            self.resume();
        }
    }

    /// Whether a report of the system is news that lets lanes go on: there is a network again, or another one. A system that
    /// repeats itself must neither defeat the backoff nor put off the next probe, which is at this time if the network is gone.
    pub(in crate::engine) fn handle_network(
        &mut self,
        was: &Network,
        network: &Network,
        probe_at_us: u64,
    ) -> bool {
        if was.available && !network.available {
            self.probe_at_us = probe_at_us;
        }
        network.available && (!was.available || was.kind != network.kind)
    }

    /// Whether nothing is left to be done, told or waited for.
    fn is_idle(&self) -> bool {
        self.passes.is_empty() && self.ends.is_empty() && self.wake_at_us.is_none()
    }

    pub(super) fn note_forgotten(&mut self, id: JobId) {
        self.passes.iter_mut().for_each(|pass| pass.forget(id));
    }

    pub(super) fn note_attempt(&mut self, id: JobId, succeeded: bool) {
        self.passes.iter_mut().for_each(|pass| pass.note(id, succeeded));
    }
}

impl Engine {
    /// Starts what may start. Called at the end of each turn.
    pub(in crate::engine) fn run_jobs(
        &mut self,
        now: Now,
        is_tick: bool,
        store: &mut dyn Store,
        out: &mut Vec<Output>,
    ) {
        self.settle_recovered(now, store);
        for refused in &mut self.drain.paused {
            // One that was edited has no error any more.
            let is_refused = |id: &JobId| self.jobs.held(*id).is_some_and(|held| held.last_error.is_some());
            *refused = refused.filter(is_refused);
        }
        if self.jobs.waiting() == 0 && self.drain.is_idle() {
            return;
        }
        self.jobs.handle_time(now.mono_us);
        // After a freeze answers that came in time are read late: all that has come is heard before a tick.
        let overdue = if is_tick { self.jobs.overdue(now.mono_us) } else { Vec::new() };
        for id in overdue {
            self.handle_overdue(now, id, store);
        }
        for id in self.jobs.expired(self.drain.clock.now_ms(now)) {
            let error = JobError::new(Category::Unknown, "expired", "its time to live has passed");
            self.bury_job(now, id, DeadReason::Expired, error, store);
        }
        // Whose place in a lane became free in this turn may be back, if that could not be made durable.
        if !self.closed && !self.needs_commit() {
            while let Some(id) = self.next_job(&self.open_kinds(now), |id| self.is_wanted(id)) {
                self.start_job(now, id, store, out);
            }
        }
        self.end_passes(now, out);
        self.plan_wake(now);
        self.journal_ends(now, store);
    }

    /// A job is done, and nothing is left of it.
    pub(super) fn forget_done(&mut self, now: Now, id: JobId) {
        self.drain.ends.push(id);
        self.drain.ends_due_us.get_or_insert(now.after_ms(self.settings.job_end_delay_ms));
    }

    /// Tells the journal which jobs are done: at once, unless more is under way, whose ends can be told with them. A crash
    /// in between repeats what was acknowledged, under the same key, as one before the acknowledgement does.
    fn journal_ends(&mut self, now: Now, store: &mut dyn Store) {
        let is_due = self.drain.ends_due_us.is_some_and(|at_us| at_us <= now.mono_us);
        if is_due || (!self.drain.ends.is_empty() && (self.closed || self.jobs.running().is_empty())) {
            self.drain.ends_due_us = None;
            let ends = std::mem::take(&mut self.drain.ends);
            self.append(Record::JobsGone(ends), store);
        }
    }

    pub(in crate::engine) fn jobs_deadline(&self) -> Option<u64> {
        self.jobs.next_deadline().into_iter().chain(self.drain.wake_at_us).chain(self.drain.ends_due_us).min()
    }

    fn is_wanted(&self, id: JobId) -> bool {
        self.drain.auto || self.drain.passes.iter().any(|pass| pass.is_to_try(id))
    }

    /// The most urgent job of these kinds that may start.
    pub(super) fn next_job(&self, kinds: &[JobKind], is_wanted: impl Fn(JobId) -> bool) -> Option<JobId> {
        self.jobs.next_ready(kinds, self.settings.jobs_parallel_max, |job| {
            let has_handler = match &job.work {
                JobWork::Handler { key, .. } => self.drain.handlers.contains(key),
                JobWork::Event { .. } | JobWork::Request { .. } => true,
            };
            has_handler && is_wanted(job.id)
        })
    }

    /// The kinds of which a job may start now, if not too many are under way.
    pub(super) fn open_kinds(&self, now: Now) -> Vec<JobKind> {
        let is_open = |kind: &JobKind| {
            !self.is_paused(*kind)
                && match kind {
                    JobKind::Event => self.session.is_open(),
                    JobKind::Request => self.may_request(now),
                    // Whose timers stand still cannot renew a lease.
                    JobKind::Handler => !self.session.is_at_rest(),
                }
        };
        JobKind::ALL.into_iter().filter(is_open).collect()
    }

    /// Whether jobs of this kind wait for another token. Where the job is gone that was refused, another one tells.
    fn is_paused(&self, kind: JobKind) -> bool {
        self.drain.paused[kind as usize].is_some()
    }

    /// Whether a request may go out, apart from what the system says of the network.
    fn may_request_at_all(&self) -> bool {
        let has_token = self.session.token().is_some() || !self.settings.token_required;
        has_token && !self.session.is_at_rest() && !self.is_paused(JobKind::Request)
    }

    fn may_request(&self, now: Now) -> bool {
        let probes = || self.drain.probe_at_us <= now.mono_us && self.jobs.busy_lanes(JobKind::Request) == 0;
        self.may_request_at_all() && (self.session.is_network_available() || probes())
    }

    /// Notes when time itself lets something happen.
    fn plan_wake(&mut self, now: Now) {
        let job_time_ms = self.drain.clock.now_ms(now);
        if self.needs_commit() {
            // What waits for the commit, which is in this turn or in another one.
            self.drain.wake_at_us = Some(now.mono_us);
            return;
        }
        let expiry = self.jobs.next_expiry_ms();
        let expiry = expiry.map(|at_ms| now.after_ms(at_ms.saturating_sub(job_time_ms).max(1)));
        let probes = !self.session.is_network_available()
            && self.may_request_at_all()
            && self.jobs.busy_lanes(JobKind::Request) == 0
            && self.next_job(&[JobKind::Request], |id| self.is_wanted(id)).is_some();
        let probe = probes.then_some(self.drain.probe_at_us).filter(|at_us| *at_us > now.mono_us);
        self.drain.wake_at_us = expiry.into_iter().chain(probe).min();
    }

    fn start_job(&mut self, now: Now, id: JobId, store: &mut dyn Store, out: &mut Vec<Output>) {
        let Some(mut job) = self.jobs.held(id).map(|held| held.job.clone()) else { return };
        if is_active(Sabotage::JobKeyChanged) {
            job.idempotency_key = self.new_id(now);
        }
        // Within what JavaScript's numbers hold exactly.
        let number = next_random(&mut self.random) >> 11;
        self.drain.began_with.insert(number, self.drain.token_changes);
        let timeout_ms = match job.kind() {
            JobKind::Event => self.settings.job_ack_timeout_ms,
            JobKind::Request => self.settings.http_timeout_ms.saturating_add(HTTP_GRACE_MS),
            JobKind::Handler => self.settings.job_lease_ms,
        };
        let deadline_us = now.after_ms(timeout_ms);
        let run = Run { number, began_us: now.mono_us, deadline_us, ack: None };
        let started = match job.kind() {
            JobKind::Event => self.emit_job(now, &job, out).map(|ack| Run { ack: Some(ack), ..run }),
            JobKind::Request => self.request_job(now, &job, number, out).map(|()| run),
            JobKind::Handler => {
                self.lease_job(job, number);
                Ok(run)
            }
        };
        match started {
            Ok(run) => self.jobs.start(id, run),
            Err(failure) => {
                self.jobs.start(id, run);
                self.job_failed(now, id, failure, store);
            }
        }
    }

    fn emit_job(&mut self, now: Now, job: &Job, out: &mut Vec<Output>) -> Result<u64, Failure> {
        let JobWork::Event { name, args, .. } = &job.work else { return Err(broken()) };
        let key = Argument::String(job.idempotency_key.clone());
        let key = Argument::Object([("idempotencyKey".to_owned(), key)].into());
        let key = self.settings.job_idempotency_argument.then_some(&key);
        let parser = self.wire.parser();
        let payloads =
            args.iter().chain(key).map(|arg| arg.to_payload(parser)).collect::<Result<Vec<_>, _>>();
        let payloads =
            payloads.map_err(|error| Failure::new(Category::Validation, "invalid", &error.to_string()))?;
        // The attempt has a deadline of its own: an answer that does not come must not end the session.
        let main = self.wire.main().clone();
        let sent = self.wire.emit(&main, name, payloads, Request::Job(job.id), u64::MAX, now, out);
        sent.map_err(|error| Failure::new(Category::Validation, error.code.as_str(), &error.message))
    }

    fn request_job(&mut self, now: Now, job: &Job, run: u64, out: &mut Vec<Output>) -> Result<(), Failure> {
        let mut request = HttpRequest::of(&job.work, &job.idempotency_key).ok_or_else(broken)?;
        request.token = self.session.token().cloned();
        request.timeout_ms = self.settings.http_timeout_ms;
        request.response_bytes_max = self.settings.http_response_bytes_max;
        if !self.session.is_network_available() {
            self.drain.probe_at_us = now.after_ms(self.settings.offline_probe_ms);
        }
        out.push(Output::Http { job: job.id, run, request: Box::new(request) });
        Ok(())
    }

    fn lease_job(&mut self, job: Job, lease: u64) {
        let JobWork::Handler { key, payload } = job.work else { return };
        self.notices.push(Event::Job {
            event: JobEvent::Leased {
                job: job.id,
                lease,
                lease_ms: self.settings.job_lease_ms,
                key,
                payload,
                idempotency_key: job.idempotency_key,
                attempts: job.attempts,
            },
        });
    }

    /// Whatever was sent on a connection that is lost is sent again on the next.
    pub(in crate::engine) fn reset_job_connection(&mut self, now: Now) {
        let events: Vec<JobId> =
            self.jobs.running().iter().filter(|(_, run)| run.ack.is_some()).map(|(id, _)| *id).collect();
        let mut lanes = BTreeSet::new();
        for id in events {
            let Some(run) = self.jobs.stop(id) else { continue };
            self.drain.began_with.remove(&run.number);
            self.drain.note_attempt(id, false);
            let Some(held) = self.jobs.held(id) else { continue };
            let (lane, attempts) = (held.job.lane.clone(), held.job.attempts);
            let error =
                JobError::new(Category::Network, Code::Unreachable.as_str(), "the connection was lost");
            self.jobs.note_failure(id, error, attempts);
            lanes.insert(lane);
        }
        for lane in lanes {
            // It may be an event of this lane that ends each connection.
            let failures = self.jobs.count_failure(&lane);
            if failures > LOSSES_FORGIVEN {
                self.delay_lane(now, &lane, failures - LOSSES_FORGIVEN, None);
            }
        }
    }

    /// A handler's job belongs to whoever holds its lease.
    pub(super) fn check_lease(&self, job: JobId, lease: u64) -> Result<(), Error> {
        let holds = self.jobs.running().get(&job).is_some_and(|run| run.number == lease && run.ack.is_none());
        let is_handler = self.jobs.held(job).is_some_and(|held| held.job.kind() == JobKind::Handler);
        if holds && is_handler {
            return Ok(());
        }
        Err(Error::new(Code::Conflict, format!("the lease of job {job} is over")))
    }

    pub(super) fn extend_lease(&mut self, now: Now, job: JobId, lease: u64) -> Result<JobReply, Error> {
        self.check_lease(job, lease)?;
        let expires_at_ms = self.jobs.held(job).and_then(|held| held.job.expires_at_ms);
        if expires_at_ms.is_some_and(|at_ms| at_ms <= self.drain.clock.now_ms(now)) {
            return Err(Error::new(Code::Conflict, format!("the time to live of job {job} is over")));
        }
        let lease_ms = self.settings.job_lease_ms;
        self.jobs.extend(job, now.after_ms(lease_ms));
        Ok(JobReply::Extended { lease_ms })
    }

    /// JavaScript may stand still in the background, with the timers that renew leases: what it does goes on when it does.
    pub(in crate::engine) fn renew_leases(&mut self, now: Now) {
        let until_us = now.after_ms(self.settings.job_lease_ms);
        let is_handlers =
            |id: &JobId| self.jobs.held(*id).is_some_and(|held| held.job.kind() == JobKind::Handler);
        let leased: Vec<JobId> = self.jobs.running().keys().copied().filter(is_handlers).collect();
        leased.into_iter().for_each(|id| self.jobs.extend(id, until_us));
    }

    /// Whether every event and request up to this number has ended; an error if one of them cannot for now.
    pub(in crate::engine) fn jobs_answered(&self, now: Now, through: JobId) -> Option<Result<(), Error>> {
        if self.jobs.waiting() == self.jobs.count(JobKind::Handler) {
            return Some(Ok(()));
        }
        let is_meant = |job: &Job| job.id <= through && job.kind() != JobKind::Handler;
        let mut kinds = self.open_kinds(now);
        kinds.retain(|kind| *kind != JobKind::Handler);
        let mut running = self.jobs.running().keys().filter_map(|id| self.jobs.held(*id));
        let goes_on = running.any(|held| is_meant(&held.job))
            || self.next_job(&kinds, |id| id <= through && self.is_wanted(id)).is_some();
        if goes_on {
            return None;
        }
        // Not committed yet: it has not even begun.
        if self.jobs.held(through).is_some_and(|held| !held.durable) {
            return None;
        }
        let stuck = self.jobs.all_held().find(|held| is_meant(&held.job));
        let Some(held) = stuck else { return Some(Ok(())) };
        if held.job.kind() == JobKind::Event && !self.session.is_open() {
            return None;
        }
        let reason = held.last_error.as_ref().map_or("it waits for its turn", |error| error.message.as_str());
        Some(Err(Error::new(Code::Unavailable, format!("job {} is not done: {reason}", held.job.id))))
    }
}

/// A job of a kind that it is not: cannot come from here.
fn broken() -> Failure {
    Failure::new(Category::Validation, Code::Internal.as_str(), "the job cannot be carried out")
}
