//! Which lanes may go on, and when the others can.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use syncline_protocol::sabotage::{Sabotage, is_active};

use crate::job::{JobId, JobKind};

/// One lane: strict order, one job at a time, or several events that are sent one behind the other.
#[derive(Debug, Default)]
struct Lane {
    /// Not under way.
    jobs: BTreeSet<JobId>,
    /// Dead letters that the lane waits for.
    holds: BTreeSet<JobId>,
    running: BTreeSet<JobId>,
    /// Whether those under way may be followed before they are answered.
    streams: bool,
    /// Failures in a row.
    failures: u32,
    /// Nothing starts before, on the monotonic clock.
    wait: Option<Wait>,
    /// Where it stands among those that may go on.
    filed: Option<Filed>,
}

#[derive(Debug, Clone, Copy)]
struct Wait {
    until_us: u64,
    /// Whether news of the network, or of the app's wish, ends it.
    can_be_hurried: bool,
}

#[derive(Debug, Clone, Copy)]
enum Filed {
    Ready(JobKind, Place),
    Behind(Place),
    Waiting(u64),
}

type Place = (Reverse<i32>, JobId);

/// What a lane must know of its first job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) kind: JobKind,
    pub(super) priority: i32,
    /// Whether it is an event that need not wait for the answers to those before it.
    pub(super) streams: bool,
    /// Whether it is on disk, and all that it follows has succeeded.
    pub(super) may_start: bool,
}

impl Lane {
    fn first(&self) -> Option<JobId> {
        if is_active(Sabotage::LaneReversed) {
            return self.jobs.iter().next_back().copied();
        }
        self.jobs.first().copied()
    }
}

/// All lanes, by name.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: BTreeMap<String, Lane>,
    ready: BTreeMap<JobKind, BTreeSet<Place>>,
    /// Events that may follow those of their lane that are under way.
    behind: BTreeSet<Place>,
    /// Lanes of which something is under way, by its kind.
    busy: BTreeMap<JobKind, u64>,
    window: usize,
    waiting: BTreeSet<(u64, String)>,
}

impl Lanes {
    /// `window` is how many events of a lane that streams are under way at once.
    pub(super) fn new(window: u64) -> Self {
        Self { window: usize::try_from(window).unwrap_or(usize::MAX), ..Self::default() }
    }

    pub(super) fn insert(&mut self, name: &str, id: JobId) {
        self.lanes.entry(name.to_owned()).or_default().jobs.insert(id);
    }

    /// Takes out a job that is not under way.
    pub(super) fn remove(&mut self, name: &str, id: JobId) {
        if let Some(lane) = self.lanes.get_mut(name) {
            lane.jobs.remove(&id);
        }
    }

    pub(super) fn hold(&mut self, name: &str, id: JobId) {
        self.lanes.entry(name.to_owned()).or_default().holds.insert(id);
    }

    pub(super) fn release(&mut self, name: &str, id: JobId) {
        if let Some(lane) = self.lanes.get_mut(name) {
            lane.holds.remove(&id);
        }
    }

    /// A job of the lane, which is its head, is under way.
    pub(super) fn start(&mut self, name: &str, id: JobId, head: Head) {
        let Some(lane) = self.lanes.get_mut(name) else { return };
        if lane.running.is_empty() {
            *self.busy.entry(head.kind).or_default() += 1;
        }
        lane.jobs.remove(&id);
        lane.running.insert(id);
        lane.streams = head.streams;
    }

    /// A job of this kind waits again.
    pub(super) fn stop(&mut self, name: &str, id: JobId, kind: JobKind) {
        let Some(lane) = self.lanes.get_mut(name) else { return };
        if lane.running.remove(&id) {
            lane.jobs.insert(id);
            if lane.running.is_empty()
                && let Some(busy) = self.busy.get_mut(&kind)
            {
                *busy -= 1;
            }
        }
    }

    /// How many lanes have a job of this kind under way.
    pub(super) fn busy(&self, kind: JobKind) -> u64 {
        self.busy.get(&kind).copied().unwrap_or(0)
    }

    /// The first job of a lane that is not under way.
    pub(super) fn first(&self, name: &str) -> Option<JobId> {
        self.lanes.get(name)?.first()
    }

    /// The last job of a lane, under way or not.
    pub(super) fn last(&self, name: &str) -> Option<JobId> {
        let lane = self.lanes.get(name)?;
        lane.jobs.last().max(lane.running.last()).copied()
    }

    /// Whether nothing of the lane, under way or not, comes before this job.
    pub(super) fn is_first(&self, name: &str, id: JobId) -> bool {
        let Some(lane) = self.lanes.get(name) else { return true };
        lane.jobs.first().into_iter().chain(lane.running.first()).all(|other| *other >= id)
    }

    /// Counts a failure, and says how many there were in a row. Those that were under way together count once.
    pub(super) fn count_failure(&mut self, name: &str) -> u32 {
        let Some(lane) = self.lanes.get_mut(name) else { return 0 };
        if lane.wait.is_none() {
            lane.failures = lane.failures.saturating_add(1);
        }
        lane.failures
    }

    pub(super) fn wait(&mut self, name: &str, until_us: u64, can_be_hurried: bool) {
        let Some(lane) = self.lanes.get_mut(name) else { return };
        lane.wait = Some(match lane.wait {
            Some(earlier) => Wait {
                until_us: until_us.max(earlier.until_us),
                can_be_hurried: can_be_hurried && earlier.can_be_hurried,
            },
            None => Wait { until_us, can_be_hurried },
        });
    }

    /// The lane works: its next failure is its first again.
    pub(super) fn reset(&mut self, name: &str) {
        if let Some(lane) = self.lanes.get_mut(name) {
            (lane.failures, lane.wait) = (0, None);
        }
    }

    /// Files a lane anew after a change, or forgets it when it is empty.
    pub(super) fn refile(&mut self, name: &str, head: Option<Head>) {
        let Some(lane) = self.lanes.get_mut(name) else { return };
        match lane.filed.take() {
            Some(Filed::Ready(kind, place)) => {
                self.ready.entry(kind).or_default().remove(&place);
            }
            Some(Filed::Behind(place)) => {
                self.behind.remove(&place);
            }
            Some(Filed::Waiting(until_us)) => {
                self.waiting.remove(&(until_us, name.to_owned()));
            }
            None => {}
        }
        let (Some(first), Some(head)) = (lane.first(), head) else {
            if lane.jobs.is_empty() && lane.running.is_empty() && lane.holds.is_empty() {
                self.lanes.remove(name);
            }
            return;
        };
        let follows = !lane.running.is_empty();
        let is_full = follows && !(lane.streams && head.streams && lane.running.len() < self.window);
        if is_full || !lane.holds.is_empty() || !head.may_start {
            return;
        }
        if let Some(Wait { until_us, .. }) = lane.wait {
            lane.filed = Some(Filed::Waiting(until_us));
            self.waiting.insert((until_us, name.to_owned()));
        } else {
            let place = (Reverse(head.priority), first);
            if follows {
                lane.filed = Some(Filed::Behind(place));
                self.behind.insert(place);
                return;
            }
            lane.filed = Some(Filed::Ready(head.kind, place));
            self.ready.entry(head.kind).or_default().insert(place);
        }
    }

    /// The jobs of a kind that may start in lanes of which nothing is under way, the most urgent first.
    pub(super) fn ready(&self, kind: JobKind) -> impl Iterator<Item = (i32, JobId)> {
        let places = self.ready.get(&kind).into_iter().flatten();
        places.map(|(Reverse(priority), id)| (*priority, *id))
    }

    /// The events that may follow those of their lane that are under way, the most urgent first.
    pub(super) fn behind(&self) -> impl Iterator<Item = (i32, JobId)> {
        self.behind.iter().map(|(Reverse(priority), id)| (*priority, *id))
    }

    /// When the first lane has waited long enough.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.waiting.first().map(|(until_us, _)| *until_us)
    }

    /// Ends the waiting of lanes whose time has come, and returns them.
    pub(super) fn take_due(&mut self, now_us: u64) -> Vec<String> {
        let due = self.waiting.iter().take_while(|(until_us, _)| *until_us <= now_us);
        let due: Vec<String> = due.map(|(_, name)| name.clone()).collect();
        due.iter().for_each(|name| self.end_wait(name));
        due
    }

    /// Ends the waiting of lanes that wait without having been told to, and returns them.
    pub(super) fn take_hurried(&mut self) -> Vec<String> {
        let lanes = self.lanes.iter().filter(|(_, lane)| lane.wait.is_some_and(|wait| wait.can_be_hurried));
        let hurried: Vec<String> = lanes.map(|(name, _)| name.clone()).collect();
        hurried.iter().for_each(|name| self.end_wait(name));
        hurried
    }

    /// Ends the waiting of a lane that waits without having been told to.
    pub(super) fn hurry(&mut self, name: &str) {
        if self.lanes.get(name).is_some_and(|lane| lane.wait.is_some_and(|wait| wait.can_be_hurried)) {
            self.end_wait(name);
        }
    }

    fn end_wait(&mut self, name: &str) {
        if let Some(lane) = self.lanes.get_mut(name) {
            lane.wait = None;
        }
    }
}
