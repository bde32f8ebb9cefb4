//! Jobs: what an app wants done once, in order, whenever it can be: a Socket.IO event with its answer, an HTTP request,
//! or a function of the app.
//!
//! - [`command`]: what an app asks for and is told. [`retry`]: what a failure means.
//! - `lanes`: strict order within a lane, lanes side by side. `dedupe`: which job is the same as another.
//! - `accept`: jobs that the app hands over, and what it decides about them. `drain` carries them out, `settle`
//!   says what the end means; `pass` is one
//!   round of it that somebody waits for. [`http`]: what a response means.
//!
//! [`Jobs`] knows what is to be done and in which order; it neither sends nor stores. A job runs only when it is on
//! disk. One that ends is gone, unless it failed or the app asked for its outcome: then it stays among the ended until
//! the app has dealt with it.

mod accept;
mod clock;
pub mod command;
mod dedupe;
mod drain;
pub mod http;
mod lanes;
mod pass;
pub mod retry;
mod settle;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub(super) use self::accept::JobChange;
pub(super) use self::drain::Drain;

use self::dedupe::Dedupe;
use self::lanes::{Head, Lanes};
use syncline_protocol::gather::Gather as _;
use syncline_protocol::sabotage::{Sabotage, is_active};

use crate::boxed_map::BoxedMap;
use crate::job::{Category, DeadReason, EndedJob, Job, JobEnd, JobError, JobId, JobKind, LanePolicy};

/// A job that has not ended.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) job: Job,
    durable: bool,
    pub(super) run: Option<Run>,
    /// Why its last attempt failed.
    pub(super) last_error: Option<JobError>,
    /// Those it follows that have not succeeded.
    follows: BTreeSet<JobId>,
}

impl Held {
    fn head(&self) -> Head {
        Head {
            kind: self.job.kind(),
            priority: self.job.priority,
            streams: self.job.streams(),
            may_start: self.durable && self.follows.is_empty(),
        }
    }
}

/// An attempt under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Tells this attempt from earlier ones. Of a handler's job, the lease.
    pub(super) number: u64,
    pub(super) began_us: u64,
    /// When it counts as failed, on the monotonic clock.
    pub(super) deadline_us: u64,
    /// Of an event, the ack that answers it.
    pub(super) ack: Option<u64>,
}

/// A job as it was, to be put back.
#[derive(Debug)]
pub(super) struct Before {
    id: JobId,
    waiting: Option<Job>,
    ended: Option<EndedJob>,
}

impl Before {
    /// Of a job that was not there.
    fn nothing(id: JobId) -> Self {
        Self { id, waiting: None, ended: None }
    }
}

#[derive(Debug, Default)]
pub(super) struct Jobs {
    held: BoxedMap<JobId, Held>,
    ended: BoxedMap<JobId, EndedJob>,
    lanes: Lanes,
    dedupe: Dedupe,
    /// Who waits for the success of whom.
    followers: HashMap<JobId, BTreeSet<JobId>>,
    expiries: BTreeSet<(u64, JobId)>,
    running: BoxedMap<JobId, Run>,
    counts: BTreeMap<JobKind, u64>,
    dead: u64,
    bytes: u64,
    last_id: JobId,
}

impl Jobs {
    /// Goes on from what the journal held.
    pub(super) fn recover(last_id: JobId, mut jobs: Vec<Job>, ended: Vec<EndedJob>, window: u64) -> Self {
        if is_active(Sabotage::JobForgotten) {
            jobs.pop();
        }
        let mut recovered = Self { last_id, lanes: Lanes::new(window), ..Self::default() };
        ended.into_iter().for_each(|ended| recovered.insert_ended(ended));
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        // All before any is filed: who follows whom is known only then.
        jobs.into_iter().for_each(|job| recovered.insert(job));
        for id in &ids {
            recovered.mark_durable(*id);
        }
        recovered
    }

    /// The number of the next job.
    pub(super) fn take_id(&mut self) -> JobId {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn last_id(&self) -> JobId {
        self.last_id
    }

    /// Jobs that have not ended.
    pub(super) fn waiting(&self) -> u64 {
        self.held.len() as u64
    }

    /// All that counts against the caps.
    pub(super) fn len(&self) -> u64 {
        (self.held.len() + self.ended.len()) as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn dead(&self) -> u64 {
        self.dead
    }

    pub(super) fn count(&self, kind: JobKind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    pub(super) fn running(&self) -> &BoxedMap<JobId, Run> {
        &self.running
    }

    pub(super) fn held(&self, id: JobId) -> Option<&Held> {
        self.held.get(&id)
    }

    pub(super) fn ended(&self, id: JobId) -> Option<&EndedJob> {
        self.ended.get(&id)
    }

    pub(super) fn all_held(&self) -> impl Iterator<Item = &Held> {
        self.held.values()
    }

    pub(super) fn all_ended(&self) -> impl Iterator<Item = &EndedJob> {
        self.ended.values()
    }

    /// The job that is the same as this one: by the app's key any that has not ended; by what it does only the last of its lane,
    /// and only while it waits. What others came behind is to be done again, and what is under way may be done already.
    pub(super) fn duplicate_of(&self, job: &Job) -> Option<JobId> {
        match &job.dedupe_key {
            Some(key) => self.dedupe.find(key),
            None if job.dedupe => {
                let id = self.lanes.last(&job.lane)?;
                let last = self.held.get(&id).filter(|held| held.run.is_none())?;
                let by_work = last.job.dedupe && last.job.dedupe_key.is_none();
                (by_work && last.job.work == job.work).then_some(id)
            }
            None => None,
        }
    }

    /// Takes a job that is not durable yet.
    pub(super) fn insert(&mut self, job: Job) {
        let id = job.id;
        self.last_id = self.last_id.max(id);
        self.bytes += job.byte_len();
        *self.counts.entry(job.kind()).or_default() += 1;
        if let Some(at_ms) = job.expires_at_ms {
            self.expiries.insert((at_ms, id));
        }
        self.dedupe.insert(&job);
        let follows: BTreeSet<JobId> =
            job.after.iter().copied().filter(|first| self.is_unfinished(*first)).gather();
        for first in &follows {
            self.followers.entry(*first).or_default().insert(id);
        }
        self.lanes.insert(&job.lane, id);
        let lane = job.lane.clone();
        self.held.insert(id, Held { job, durable: false, run: None, last_error: None, follows });
        self.refile(&lane);
    }

    /// Whether a job has not succeeded, as far as is known.
    fn is_unfinished(&self, id: JobId) -> bool {
        self.held.contains_key(&id) || self.ended.get(&id).is_some_and(EndedJob::is_dead)
    }

    pub(super) fn mark_durable(&mut self, id: JobId) {
        if let Some(held) = self.held.get_mut(&id) {
            held.durable = true;
            let lane = held.job.lane.clone();
            self.refile(&lane);
        }
    }

    pub(super) fn is_durable(&self, id: JobId) -> bool {
        self.held.get(&id).is_some_and(|held| held.durable)
    }

    /// Takes a job out, however it ended.
    pub(super) fn remove(&mut self, id: JobId) -> Option<Held> {
        let held = self.held.remove(&id)?;
        self.bytes -= held.job.byte_len();
        if let Some(count) = self.counts.get_mut(&held.job.kind()) {
            *count -= 1;
        }
        if let Some(at_ms) = held.job.expires_at_ms {
            self.expiries.remove(&(at_ms, id));
        }
        self.dedupe.remove(&held.job);
        for first in &held.follows {
            if let Some(followers) = self.followers.get_mut(first) {
                followers.remove(&id);
                if followers.is_empty() {
                    self.followers.remove(first);
                }
            }
        }
        if self.running.remove(&id).is_some() {
            self.lanes.stop(&held.job.lane, id, held.job.kind());
        }
        self.lanes.remove(&held.job.lane, id);
        self.refile(&held.job.lane);
        Some(held)
    }

    pub(super) fn insert_ended(&mut self, ended: EndedJob) {
        let id = ended.job.id;
        self.last_id = self.last_id.max(id);
        self.remove_ended(id);
        self.bytes += ended.byte_len();
        self.dead += u64::from(ended.is_dead());
        if ended.holds_lane() {
            self.lanes.hold(&ended.job.lane, id);
            self.refile(&ended.job.lane.clone());
        }
        self.ended.insert(id, ended);
    }

    pub(super) fn remove_ended(&mut self, id: JobId) -> Option<EndedJob> {
        let ended = self.ended.remove(&id)?;
        self.bytes -= ended.byte_len();
        self.dead -= u64::from(ended.is_dead());
        if ended.holds_lane() {
            self.lanes.release(&ended.job.lane, id);
            self.refile(&ended.job.lane);
        }
        Some(ended)
    }

    /// Puts a job in the place of the one with its number. Who follows it still does.
    pub(super) fn replace(&mut self, job: Job) {
        self.remove(job.id);
        self.insert(job);
    }

    /// Those that follow this job may go on: it succeeded.
    pub(super) fn release_followers(&mut self, id: JobId) {
        for follower in self.followers.remove(&id).unwrap_or_default() {
            let Some(held) = self.held.get_mut(&follower) else { continue };
            held.follows.remove(&id);
            let lane = held.job.lane.clone();
            self.refile(&lane);
        }
    }

    /// Those that follow this job, and those that follow them: none of them can succeed.
    pub(super) fn all_followers(&self, id: JobId) -> Vec<JobId> {
        let mut found = BTreeSet::new();
        let mut open = vec![id];
        while let Some(first) = open.pop() {
            let followers = self.followers.get(&first).into_iter().flatten();
            open.extend(followers.copied().filter(|follower| found.insert(*follower)));
        }
        found.into_iter().collect()
    }

    fn refile(&mut self, lane: &str) {
        let head = self.lanes.first(lane).and_then(|id| self.held.get(&id)).map(Held::head);
        self.lanes.refile(lane, head);
    }

    /// The most urgent job of these kinds that may start and that the filter lets pass. With `lanes_max` lanes of its kind
    /// under way, only an event that follows others of its lane may.
    pub(super) fn next_ready(
        &self,
        kinds: &[JobKind],
        lanes_max: u64,
        may_run: impl Fn(&Job) -> bool,
    ) -> Option<JobId> {
        let runs = |place: &(i32, JobId)| self.held.get(&place.1).is_some_and(|held| may_run(&held.job));
        let firsts = kinds.iter().flat_map(|kind| {
            let ready = (self.lanes.busy(*kind) < lanes_max).then(|| self.lanes.ready(*kind).find(runs));
            let behind = (*kind == JobKind::Event).then(|| self.lanes.behind().find(runs));
            ready.into_iter().chain(behind).flatten()
        });
        firsts.min_by_key(|(priority, id)| (std::cmp::Reverse(*priority), *id)).map(|(_, id)| id)
    }

    pub(super) fn start(&mut self, id: JobId, run: Run) {
        let Some(held) = self.held.get_mut(&id) else { return };
        held.run = Some(run);
        let (lane, head) = (held.job.lane.clone(), held.head());
        self.running.insert(id, run);
        self.lanes.start(&lane, id, head);
        self.refile(&lane);
    }

    /// The attempt is over, and the job still waits.
    pub(super) fn stop(&mut self, id: JobId) -> Option<Run> {
        let run = self.running.remove(&id)?;
        let held = self.held.get_mut(&id)?;
        held.run = None;
        let lane = held.job.lane.clone();
        self.lanes.stop(&lane, id, held.job.kind());
        self.refile(&lane);
        Some(run)
    }

    /// An attempt gets more time.
    pub(super) fn extend(&mut self, id: JobId, deadline_us: u64) {
        if let Some(run) = self.running.get_mut(&id) {
            run.deadline_us = deadline_us;
        }
    }

    /// Notes why an attempt failed, and how many the job has used up.
    pub(super) fn note_failure(&mut self, id: JobId, error: JobError, attempts: u32) {
        if let Some(held) = self.held.get_mut(&id) {
            held.last_error = Some(error);
            held.job.attempts = attempts;
        }
    }

    /// Counts a failure of the job's lane, and says how many there were in a row.
    pub(super) fn count_failure(&mut self, lane: &str) -> u32 {
        self.lanes.count_failure(lane)
    }

    pub(super) fn delay_lane(&mut self, lane: &str, until_us: u64, can_be_hurried: bool) {
        self.lanes.wait(lane, until_us, can_be_hurried);
        self.refile(lane);
    }

    /// How many lanes have a job of this kind under way.
    pub(super) fn busy_lanes(&self, kind: JobKind) -> u64 {
        self.lanes.busy(kind)
    }

    /// This job has ended, and its lane need not wait because of it. It still has to because of one before it.
    pub(super) fn reset_lane(&mut self, lane: &str, ended: JobId) {
        if self.lanes.is_first(lane, ended) {
            self.lanes.reset(lane);
            self.refile(lane);
        }
    }

    /// Ends the waiting of lanes that nobody asked to wait.
    pub(super) fn hurry(&mut self) {
        for lane in self.lanes.take_hurried() {
            self.refile(&lane);
        }
    }

    /// The same of one lane.
    pub(super) fn hurry_lane(&mut self, lane: &str) {
        self.lanes.hurry(lane);
        self.refile(lane);
    }

    /// Ends the waiting of lanes whose time has come.
    pub(super) fn handle_time(&mut self, now_us: u64) {
        for lane in self.lanes.take_due(now_us) {
            self.refile(&lane);
        }
    }

    /// When a lane has waited long enough, or an attempt has taken too long.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        let runs = self.running.values().map(|run| run.deadline_us);
        runs.chain(self.lanes.next_deadline()).min()
    }

    /// When the first lane that waits goes on.
    pub(super) fn next_lane_us(&self) -> Option<u64> {
        self.lanes.next_deadline()
    }

    /// Attempts that have taken too long.
    pub(super) fn overdue(&self, now_us: u64) -> Vec<JobId> {
        let overdue = self.running.iter().filter(|(_, run)| run.deadline_us <= now_us);
        overdue.map(|(id, _)| *id).collect()
    }

    /// Jobs whose time to live has passed, without those under way: what they do may be done already.
    pub(super) fn expired(&self, now_ms: u64) -> Vec<JobId> {
        let due = self.expiries.iter().take_while(|(at_ms, _)| *at_ms <= now_ms);
        due.map(|(_, id)| *id).filter(|id| !self.running.contains_key(id) && self.is_durable(*id)).collect()
    }

    /// When the next time to live passes, in milliseconds since the epoch.
    pub(super) fn next_expiry_ms(&self) -> Option<u64> {
        let waiting =
            self.expiries.iter().find(|(_, id)| !self.running.contains_key(id) && self.is_durable(*id));
        waiting.map(|(at_ms, _)| *at_ms)
    }

    /// Jobs that were queued at a time that is still to come wait their time to live from now on: the clock was set back.
    pub(super) fn bound_expiries(&mut self, now_ms: u64) {
        let Self { held, expiries, .. } = self;
        for (id, Held { job, .. }) in held.iter_mut().filter(|(_, held)| held.job.queued_at_ms > now_ms) {
            if let Some(at_ms) = job.expires_at_ms {
                let latest_ms = now_ms.saturating_add(at_ms.saturating_sub(job.queued_at_ms));
                expiries.remove(&(at_ms, *id));
                expiries.insert((latest_ms, *id));
                job.expires_at_ms = Some(latest_ms);
            }
            job.queued_at_ms = now_ms;
        }
    }

    /// A job as it is now.
    pub(super) fn before(&self, id: JobId) -> Before {
        let waiting = self.held.get(&id).map(|held| held.job.clone());
        Before { id, waiting, ended: self.ended.get(&id).cloned() }
    }

    /// Puts a job back as it was.
    pub(super) fn restore(&mut self, before: Before) {
        let Before { id, waiting, ended } = before;
        self.remove(id);
        self.remove_ended(id);
        if let Some(ended) = ended {
            self.insert_ended(ended);
        }
        if let Some(job) = waiting {
            self.insert(job);
            self.mark_durable(id);
        }
    }

    /// Moves a job to the dead letters.
    pub(super) fn bury(
        &mut self,
        id: JobId,
        reason: DeadReason,
        error: JobError,
        wall_ms: u64,
    ) -> Option<EndedJob> {
        let Job { lane, policy, .. } = &self.held.get(&id)?.job;
        if *policy == LanePolicy::Hold {
            // While the job is still in it: a lane that is empty is forgotten, with the time that it is to wait.
            self.lanes.hold(lane, id);
        }
        let held = self.remove(id)?;
        let ended = EndedJob { job: held.job, end: JobEnd::Dead { reason, error }, ended_at_ms: wall_ms };
        self.insert_ended(ended.clone());
        Some(ended)
    }
}

pub(super) fn dependency_error(first: JobId) -> JobError {
    JobError::new(
        Category::Unknown,
        "dependency",
        &format!("job {first}, which it was to follow, did not succeed"),
    )
}

#[cfg(test)]
#[path = "jobs_tests.rs"]
mod tests;
