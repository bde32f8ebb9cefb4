//! What an app asks for and is told about jobs.

use serde::{Deserialize, Deserializer, Serialize};

use super::Held;
use crate::argument::Argument;
use crate::job::{
    self, Category, DeadReason, EndedJob, Job, JobEnd, JobError, JobId, JobKind, JobWork, LanePolicy,
};
use crate::tagged;

/// What an app asks for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS), ts(tag = "type"))]
#[serde(remote = "Self", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum JobCommand {
    /// All or nothing; answered when durable. A job that equals the last of its lane, which waits, is that one.
    Enqueue { jobs: Vec<NewJob> },
    /// Jobs that have not ended, by their numbers, after this one.
    List {
        #[serde(default)]
        #[cfg_attr(feature = "contract", ts(as = "Option<JobId>", optional))]
        after: JobId,
    },
    /// Jobs that were given up, by their numbers.
    DeadLetters,
    /// Results that were asked to be kept.
    Outcomes,
    /// The app has seen a kept result. Answered when durable.
    Acknowledge { job: JobId },
    /// A dead letter is queued again, at the front of its lane, with all its attempts and its time to live. With `work`
    /// it does that instead, under another idempotency key. Answered when durable.
    Retry {
        job: JobId,
        #[serde(default)]
        #[cfg_attr(feature = "contract", ts(optional))]
        work: Option<JobWork>,
    },
    /// A job that waits does this instead, under another idempotency key. Answered when durable.
    Edit { job: JobId, work: JobWork },
    /// A job that waits, or a dead letter, is forgotten. Answered when durable.
    Drop { job: JobId },
    /// Jobs of these kinds that are not under way are forgotten; of all kinds when absent. Dead letters too if asked.
    Clear {
        #[serde(default)]
        #[cfg_attr(feature = "contract", ts(optional))]
        kinds: Option<Vec<JobKind>>,
        #[serde(default)]
        #[cfg_attr(feature = "contract", ts(as = "Option<bool>", optional))]
        dead_letters: bool,
    },
    /// Tries each job at most once. Answered when all that could be tried now is.
    Process,
    /// Whether jobs are done without being asked for. Until the client is closed.
    SetAuto { enabled: bool },
    /// The keys whose functions the app can run from now on.
    RegisterHandlers { keys: Vec<String> },
    /// A handler's job needs more time.
    ExtendLease { job: JobId, lease: u64 },
    /// A handler's job is done. Answered when durable.
    Complete {
        job: JobId,
        lease: u64,
        #[serde(default = "nothing", with = "job::arg")]
        #[cfg_attr(feature = "contract", ts(optional, type = "unknown"))]
        result: Argument,
    },
    /// A handler's job failed.
    Fail {
        job: JobId,
        lease: u64,
        category: Category,
        #[serde(default)]
        #[cfg_attr(feature = "contract", ts(as = "Option<String>", optional))]
        code: String,
        #[serde(default)]
        #[cfg_attr(feature = "contract", ts(as = "Option<String>", optional))]
        message: String,
        #[serde(default)]
        #[cfg_attr(feature = "contract", ts(optional))]
        retry_after_ms: Option<u64>,
    },
}

impl<'de> Deserialize<'de> for JobCommand {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        tagged::read(deserializer, |tagged| Self::deserialize(tagged))
    }
}

fn nothing() -> Argument {
    Argument::Null
}

/// A job to be accepted.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[cfg_attr(feature = "contract", ts(optional_fields))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewJob {
    pub work: JobWork,
    /// Jobs of one lane are done one after the other. The event, the endpoint or the key when absent.
    #[serde(default)]
    pub lane: Option<String>,
    /// What tells duplicates; what the job does, and its lane, when absent.
    #[serde(default)]
    pub dedupe_key: Option<String>,
    /// Whether a job that equals the last one of its lane, which waits, is that one; `true` when absent.
    #[serde(default = "yes")]
    #[cfg_attr(feature = "contract", ts(as = "Option<bool>"))]
    pub dedupe: bool,
    /// The higher, the sooner, among the first jobs of the lanes; 0 when absent.
    #[serde(default)]
    #[cfg_attr(feature = "contract", ts(as = "Option<i32>"))]
    pub priority: i32,
    /// Jobs that must have succeeded first. If one of them fails for good, so does this.
    #[serde(default)]
    #[cfg_attr(feature = "contract", ts(as = "Option<Vec<JobId>>"))]
    pub after: Vec<JobId>,
    /// How long it may wait; `jobTtlMs` when absent, for ever when null.
    #[serde(default, deserialize_with = "given")]
    #[cfg_attr(feature = "contract", ts(optional, as = "Option<Option<u64>>"))]
    pub ttl_ms: Option<Option<u64>>,
    /// `jobAttemptsMax` when absent.
    #[serde(default)]
    pub attempts_max: Option<u32>,
    #[serde(default)]
    #[cfg_attr(feature = "contract", ts(as = "Option<LanePolicy>"))]
    pub policy: LanePolicy,
    /// Whether its result stays until it is acknowledged, also across restarts.
    #[serde(default)]
    #[cfg_attr(feature = "contract", ts(as = "Option<bool>"))]
    pub keep_outcome: bool,
}

fn yes() -> bool {
    true
}

#[allow(clippy::option_option)]
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl NewJob {
    pub fn new(work: JobWork) -> Self {
        Self {
            work,
            lane: None,
            dedupe_key: None,
            dedupe: true,
            priority: 0,
            after: Vec::new(),
            ttl_ms: None,
            attempts_max: None,
            policy: LanePolicy::default(),
            keep_outcome: false,
        }
    }
}

/// The answer to a [`JobCommand`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum JobReply {
    Enqueued {
        enqueued: Vec<Enqueued>,
    },
    Jobs {
        jobs: Vec<JobInfo>,
        /// Whether there are others after these.
        more: bool,
    },
    DeadLetters {
        dead_letters: Vec<DeadLetter>,
    },
    Outcomes {
        outcomes: Vec<JobOutcome>,
    },
    Cleared {
        cleared: u64,
    },
    Processed(ProcessReport),
    /// How long the lease holds from now.
    Extended {
        lease_ms: u64,
    },
    Done {},
}

/// What became of a job that was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
pub struct Enqueued {
    pub job: JobId,
    /// Whether an equal job was there already; then it is that one.
    pub duplicate: bool,
}

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
pub struct ProcessReport {
    /// Jobs that succeeded.
    pub processed: u64,
    /// Jobs whose attempt failed, for now or for good.
    pub failed: u64,
    /// Jobs that could not be tried.
    pub skipped: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    Waiting,
    Running,
}

/// A job that has not ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct JobInfo {
    pub job: JobId,
    pub work: JobWork,
    pub lane: String,
    pub state: JobState,
    pub priority: i32,
    pub after: Vec<JobId>,
    pub attempts: u32,
    pub attempts_max: u32,
    /// In milliseconds since the epoch.
    pub queued_at_ms: u64,
    /// In milliseconds since the epoch; null for never.
    pub expires_at_ms: Option<u64>,
    pub idempotency_key: String,
    /// Why its last attempt failed.
    pub error: Option<JobError>,
}

impl JobInfo {
    pub(super) fn of(held: &Held) -> Self {
        let Job { id, work, lane, priority, after, attempts, attempts_max, .. } = held.job.clone();
        Self {
            job: id,
            work,
            lane,
            state: if held.run.is_some() { JobState::Running } else { JobState::Waiting },
            priority,
            after,
            attempts,
            attempts_max,
            queued_at_ms: held.job.queued_at_ms,
            expires_at_ms: held.job.expires_at_ms,
            idempotency_key: held.job.idempotency_key.clone(),
            error: held.last_error.clone(),
        }
    }
}

/// A job that was given up. It stays until it is retried or dropped.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    pub job: JobId,
    pub work: JobWork,
    pub lane: String,
    pub reason: DeadReason,
    pub error: JobError,
    pub attempts: u32,
    /// Whether its lane waits for the decision about it.
    pub holds_lane: bool,
    /// In milliseconds since the epoch.
    pub queued_at_ms: u64,
    /// In milliseconds since the epoch.
    pub died_at_ms: u64,
}

impl DeadLetter {
    pub(super) fn of(ended: &EndedJob) -> Option<Self> {
        let JobEnd::Dead { reason, error } = &ended.end else { return None };
        let Job { id, work, lane, attempts, queued_at_ms, .. } = ended.job.clone();
        Some(Self {
            job: id,
            work,
            lane,
            reason: *reason,
            error: error.clone(),
            attempts,
            holds_lane: ended.holds_lane(),
            queued_at_ms,
            died_at_ms: ended.ended_at_ms,
        })
    }
}

/// A job that succeeded.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct JobOutcome {
    pub job: JobId,
    pub kind: JobKind,
    pub lane: String,
    /// What the server acknowledged with; `{status, headers, body}` of a request; what the handler returned.
    #[serde(with = "job::args")]
    #[cfg_attr(feature = "contract", ts(type = "unknown[]"))]
    pub result: Vec<Argument>,
    /// Whether it stays until it is acknowledged.
    pub kept: bool,
}

impl JobOutcome {
    pub(super) fn of(ended: &EndedJob) -> Option<Self> {
        let JobEnd::Done(result) = &ended.end else { return None };
        Some(Self::new(&ended.job, result.clone()))
    }

    pub(super) fn new(job: &Job, result: Vec<Argument>) -> Self {
        Self { job: job.id, kind: job.kind(), lane: job.lane.clone(), result, kept: job.keep_outcome }
    }
}

/// What waits, and whether anything is being done about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct QueueStatus {
    /// Writes not yet confirmed, and jobs that have not ended.
    pub count: u64,
    pub bytes: u64,
    /// Whether any is under way.
    pub processing: bool,
    pub writes: u64,
    pub events: u64,
    pub requests: u64,
    pub handlers: u64,
    /// Jobs that were given up and wait for the app's decision.
    pub dead_letters: u64,
    /// Whether jobs wait for another token, or are done only when asked for.
    pub paused: bool,
}

/// What an app is told about jobs without asking.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum JobEvent {
    /// A handler is to do this, and to answer with `complete` or `fail` before the lease is over.
    Leased {
        job: JobId,
        lease: u64,
        lease_ms: u64,
        key: String,
        #[serde(with = "job::arg")]
        #[cfg_attr(feature = "contract", ts(type = "unknown"))]
        payload: Argument,
        idempotency_key: String,
        /// Attempts used up before.
        attempts: u32,
    },
    Done {
        outcome: JobOutcome,
    },
    /// An attempt failed; another is made.
    Failed {
        job: JobId,
        error: JobError,
        attempts: u32,
    },
    Dead {
        letter: Box<DeadLetter>,
    },
}
