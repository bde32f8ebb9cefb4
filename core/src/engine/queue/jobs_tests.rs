//! Which job may start next, whatever happened before, is what the rules say when they are applied to everything anew.

#![allow(clippy::unwrap_used)]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::{Jobs, Run};
use crate::argument::Argument;
use crate::job::{Category, DeadReason, Job, JobError, JobId, JobKind, JobWork, LanePolicy};

const LANES: [&str; 3] = ["a", "b", "c"];
/// More than there are.
const LANES_MAX: u64 = 10;
/// Longer than any run of a test.
const NO_DEADLINE_US: u64 = 1 << 40;

#[derive(Debug, Clone, Copy)]
enum Step {
    Insert {
        lane: &'static str,
        kind: JobKind,
        priority: i32,
        holds: bool,
        follows: Option<Index>,
    },
    /// What was accepted last is on disk.
    Commit,
    /// The most urgent job begins.
    Start,
    /// An attempt fails, and its lane waits.
    Fail {
        which: Index,
        wait_us: u64,
        can_be_hurried: bool,
    },
    Succeed(Index),
    /// A job that does not run, or whose attempt failed for good.
    Bury(Index),
    /// A dead letter is dropped, or retried.
    Drop(Index),
    Retry(Index),
    Hurry,
    Pass {
        us: u64,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    use proptest::sample::select;
    let insert = (
        select(LANES.to_vec()),
        select(JobKind::ALL.to_vec()),
        -1..2,
        any::<bool>(),
        proptest::option::weighted(0.2, any::<Index>()),
    );
    prop_oneof![
        6 => insert.prop_map(|(lane, kind, priority, holds, follows)| Step::Insert {
            lane, kind, priority, holds, follows
        }),
        5 => Just(Step::Commit),
        6 => Just(Step::Start),
        2 => (any::<Index>(), 1..50u64, any::<bool>())
            .prop_map(|(which, wait_us, can_be_hurried)| Step::Fail { which, wait_us, can_be_hurried }),
        3 => any::<Index>().prop_map(Step::Succeed),
        1 => any::<Index>().prop_map(Step::Bury),
        1 => any::<Index>().prop_map(Step::Drop),
        1 => any::<Index>().prop_map(Step::Retry),
        1 => Just(Step::Hurry),
        3 => (1..40u64).prop_map(|us| Step::Pass { us }),
    ]
}

/// A job that has not ended.
#[derive(Debug, Clone)]
struct Expected {
    job: Job,
    durable: bool,
    running: bool,
    follows: BTreeSet<JobId>,
}

/// What is known without any index.
#[derive(Debug, Default)]
struct Model {
    held: BTreeMap<JobId, Expected>,
    dead: BTreeMap<JobId, Job>,
    /// Until when a lane waits, and whether that can be ended.
    waits: BTreeMap<String, (u64, bool)>,
    now_us: u64,
}

impl Model {
    /// Why the lane's first job may not start is not told; that it may is.
    fn first_ready(&self, lane: &str) -> Option<&Expected> {
        let mut here = self.held.values().filter(|held| held.job.lane == lane);
        let first = here.next()?;
        let busy = first.running || here.any(|held| held.running);
        let held_up = self.dead.values().any(|job| job.lane == lane && job.policy == LanePolicy::Hold);
        let waits = self.waits.get(lane).is_some_and(|(until_us, _)| *until_us > self.now_us);
        let free = !busy && !held_up && !waits && first.durable && first.follows.is_empty();
        free.then_some(first)
    }

    fn next_ready(&self, kinds: &[JobKind]) -> Option<JobId> {
        let ready = LANES.iter().filter_map(|lane| self.first_ready(lane));
        let of_kind = ready.filter(|held| kinds.contains(&held.job.kind()));
        of_kind.map(|held| (Reverse(held.job.priority), held.job.id)).min().map(|(_, id)| id)
    }

    /// A lane of which nothing is left waits for nothing.
    fn forget_empty_lanes(&mut self) {
        let Self { held, dead, waits, .. } = self;
        let holds = |lane: &str| dead.values().any(|job| job.lane == lane && job.policy == LanePolicy::Hold);
        waits.retain(|lane, _| held.values().any(|held| held.job.lane == *lane) || holds(lane));
    }

    fn pick(&self, which: Index, is_meant: impl Fn(&Expected) -> bool) -> Option<JobId> {
        let ids: Vec<JobId> =
            self.held.iter().filter(|(_, held)| is_meant(held)).map(|(id, _)| *id).collect();
        (!ids.is_empty()).then(|| *which.get(&ids))
    }

    fn pick_dead(&self, which: Index) -> Option<JobId> {
        let ids: Vec<JobId> = self.dead.keys().copied().collect();
        (!ids.is_empty()).then(|| *which.get(&ids))
    }

    fn insert(&mut self, job: Job, durable: bool) {
        let unfinished = |id: &JobId| self.held.contains_key(id) || self.dead.contains_key(id);
        let follows = job.after.iter().copied().filter(unfinished).collect();
        self.held.insert(job.id, Expected { job, durable, running: false, follows });
    }
}

fn work(kind: JobKind) -> JobWork {
    match kind {
        JobKind::Event => JobWork::Event { namespace: None, name: "e".to_owned(), args: vec![] },
        JobKind::Request => JobWork::Request {
            method: "GET".to_owned(),
            url: "/".to_owned(),
            headers: BTreeMap::new(),
            body: None,
        },
        JobKind::Handler => JobWork::Handler { key: "h".to_owned(), payload: Argument::Null },
    }
}

fn job(id: JobId, lane: &str, kind: JobKind, policy: LanePolicy) -> Job {
    Job {
        id,
        work: work(kind),
        lane: lane.to_owned(),
        dedupe_key: None,
        dedupe: false,
        idempotency_key: String::new(),
        priority: 0,
        after: vec![],
        expires_at_ms: None,
        attempts_max: 3,
        policy,
        keep_outcome: false,
        queued_at_ms: 0,
        attempts: 0,
    }
}

fn carry_out(step: Step, jobs: &mut Jobs, model: &mut Model) {
    match step {
        Step::Insert { lane, kind, priority, holds, follows } => {
            let after = follows.and_then(|which| model.pick(which, |_| true)).into_iter().collect();
            let policy = if holds { LanePolicy::Hold } else { LanePolicy::Continue };
            let job = Job { priority, after, ..job(jobs.take_id(), lane, kind, policy) };
            model.insert(job.clone(), false);
            jobs.insert(job);
        }
        Step::Commit => {
            for (id, held) in &mut model.held {
                held.durable = true;
                jobs.mark_durable(*id);
            }
        }
        Step::Start => {
            let Some(id) = jobs.next_ready(&JobKind::ALL, LANES_MAX, |_| true) else { return };
            jobs.start(id, Run { number: id, began_us: 0, deadline_us: NO_DEADLINE_US, ack: None });
            model.held.get_mut(&id).unwrap().running = true;
        }
        Step::Fail { which, wait_us, can_be_hurried } => {
            let Some(id) = model.pick(which, |held| held.running) else { return };
            let held = model.held.get_mut(&id).unwrap();
            held.running = false;
            let until_us = model.now_us + wait_us;
            model.waits.insert(held.job.lane.clone(), (until_us, can_be_hurried));
            jobs.stop(id);
            jobs.delay_lane(&held.job.lane, until_us, can_be_hurried);
        }
        Step::Succeed(which) => {
            let Some(id) = model.pick(which, |held| held.running) else { return };
            let lane = model.held.remove(&id).unwrap().job.lane;
            model.waits.remove(&lane);
            for held in model.held.values_mut() {
                held.follows.remove(&id);
            }
            jobs.reset_lane(&lane, id);
            jobs.remove(id);
            jobs.release_followers(id);
        }
        Step::Bury(which) => {
            let Some(id) = model.pick(which, |held| held.durable && !held.running) else { return };
            let job = model.held.remove(&id).unwrap().job;
            model.dead.insert(id, job);
            jobs.bury(id, DeadReason::Refused, JobError::new(Category::Unknown, "x", ""), 0);
        }
        Step::Drop(which) => {
            let Some(id) = model.pick_dead(which) else { return };
            model.dead.remove(&id);
            jobs.remove_ended(id);
        }
        Step::Retry(which) => {
            let Some(id) = model.pick_dead(which) else { return };
            let job = model.dead.remove(&id).unwrap();
            jobs.remove_ended(id);
            model.forget_empty_lanes();
            model.insert(job.clone(), true);
            jobs.replace(job);
            jobs.mark_durable(id);
        }
        Step::Hurry => {
            model.waits.retain(|_, (_, can_be_hurried)| !*can_be_hurried);
            jobs.hurry();
        }
        Step::Pass { us } => model.now_us += us,
    }
    model.forget_empty_lanes();
    jobs.handle_time(model.now_us);
    let now_us = model.now_us;
    model.waits.retain(|_, (until_us, _)| *until_us > now_us);
}

fn check(jobs: &Jobs, model: &Model) -> Result<(), TestCaseError> {
    for kinds in [&JobKind::ALL[..], &JobKind::ALL[..1], &JobKind::ALL[1..2], &JobKind::ALL[2..]] {
        prop_assert_eq!(
            jobs.next_ready(kinds, LANES_MAX, |_| true),
            model.next_ready(kinds),
            "of {:?}",
            kinds
        );
    }
    for lane in LANES {
        let running = model.held.values().filter(|held| held.running && held.job.lane == lane);
        prop_assert!(running.count() <= 1, "{} has two jobs under way", lane);
    }
    let bytes: u64 = jobs.all_held().map(|held| held.job.byte_len()).sum();
    let dead_bytes: u64 = jobs.all_ended().map(super::EndedJob::byte_len).sum();
    prop_assert_eq!(jobs.bytes(), bytes + dead_bytes);
    prop_assert_eq!((jobs.waiting(), jobs.dead()), (model.held.len() as u64, model.dead.len() as u64));
    for kind in JobKind::ALL {
        let count = model.held.values().filter(|held| held.job.kind() == kind).count() as u64;
        prop_assert_eq!(jobs.count(kind), count);
    }
    Ok(())
}

#[test]
fn a_lane_that_is_held_up_by_its_only_job_still_waits_as_it_was_told() {
    let mut jobs = Jobs::default();
    let [first, second] = [1, 2].map(|id| job(id, "a", JobKind::Request, LanePolicy::Hold));
    jobs.insert(first);
    jobs.mark_durable(1);
    jobs.delay_lane("a", 10, false);
    jobs.bury(1, DeadReason::Refused, JobError::new(Category::Unknown, "x", ""), 0);
    jobs.insert(second);
    jobs.mark_durable(2);
    jobs.remove_ended(1);
    assert_eq!(jobs.next_ready(&JobKind::ALL, LANES_MAX, |_| true), None);
    jobs.handle_time(10);
    assert_eq!(jobs.next_ready(&JobKind::ALL, LANES_MAX, |_| true), Some(2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_lane_lets_one_job_go_at_a_time_in_order_and_the_most_urgent_lane_goes_first(
        steps in proptest::collection::vec(any_step(), 1..80),
    ) {
        let (mut jobs, mut model) = (Jobs::default(), Model::default());
        for step in steps {
            carry_out(step, &mut jobs, &mut model);
            check(&jobs, &model)?;
        }
    }
}
