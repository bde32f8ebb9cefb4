//! Jobs in the typed API: events, requests and handlers that are carried out when they can be.

use std::collections::HashMap;
use syncline_protocol::gather::Gather as _;

use syncline::Command;
use syncline::engine::io::Reply;
use syncline::engine::queue::command::{self, JobCommand, JobEvent, JobReply, NewJob};
use syncline::job::{self, Category, DeadReason, JobError, JobKind, JobWork};

use crate::client::{Result, SynclineClient, unexpected};
use crate::error::SynclineError;
use crate::listener::ClientEvent;
use crate::parcel::Parcel;

/// What a job does.
#[derive(Debug, Clone, uniffi::Enum)]
pub enum JobTask {
    /// A Socket.IO event that the server acknowledges. The arguments are a JSON array.
    Event { name: String, args: Parcel },
    /// An HTTP request. `url` is absolute, or a path on the server.
    Request { method: String, url: String, headers: HashMap<String, String>, body: Option<Parcel> },
    /// A function of the app, by the key that it is registered under.
    Handler { key: String, payload: Parcel },
}

impl TryFrom<JobTask> for JobWork {
    type Error = SynclineError;

    fn try_from(task: JobTask) -> Result<Self> {
        Ok(match task {
            JobTask::Event { name, args } => Self::Event { namespace: None, name, args: args.into_all()? },
            JobTask::Request { method, url, headers, body } => Self::Request {
                method,
                url,
                headers: headers.into_iter().gather(),
                body: body.map(Parcel::into_one).transpose()?,
            },
            JobTask::Handler { key, payload } => Self::Handler { key, payload: payload.into_one()? },
        })
    }
}

impl From<JobWork> for JobTask {
    fn from(work: JobWork) -> Self {
        match work {
            JobWork::Event { name, args, .. } => Self::Event { name, args: Parcel::of_all(args) },
            JobWork::Request { method, url, headers, body } => Self::Request {
                method,
                url,
                headers: headers.into_iter().collect(),
                body: body.map(Parcel::of_one),
            },
            JobWork::Handler { key, payload } => Self::Handler { key, payload: Parcel::of_one(payload) },
        }
    }
}

/// A job to be accepted.
#[derive(Debug, Clone, uniffi::Record)]
pub struct JobRequest {
    pub task: JobTask,
    /// Jobs of one lane are done one after the other. The event, the endpoint or the key when absent.
    #[uniffi(default = None)]
    pub lane: Option<String>,
    /// What tells duplicates; what the job does, and its lane, when absent.
    #[uniffi(default = None)]
    pub dedupe_key: Option<String>,
    /// Whether a job that equals the last one of its lane, which waits, is that one.
    #[uniffi(default = true)]
    pub dedupe: bool,
    /// The higher, the sooner, among the first jobs of the lanes.
    #[uniffi(default = 0)]
    pub priority: i32,
    /// Jobs that must have succeeded first.
    #[uniffi(default = [])]
    pub after: Vec<u64>,
    /// How long it may wait; as the settings say when absent.
    #[uniffi(default = None)]
    pub ttl_ms: Option<u64>,
    /// Whether it waits for ever, whatever `ttl_ms` says.
    #[uniffi(default = false)]
    pub never_expires: bool,
    #[uniffi(default = None)]
    pub attempts_max: Option<u32>,
    /// How its lane goes on behind it; `continue` when absent.
    #[uniffi(default = None)]
    pub policy: Option<LanePolicy>,
    /// Whether its result stays until it is acknowledged.
    #[uniffi(default = false)]
    pub keep_outcome: bool,
}

/// How a lane goes on behind one of its jobs.
#[derive(Debug, Clone, Copy, uniffi::Enum)]
pub enum LanePolicy {
    /// With the next one, however it ended.
    Continue,
    /// If it fails for good, when the app has retried or dropped it.
    Hold,
    /// As `Continue`, and an event is sent without waiting for the answers to those before it. They arrive in order; one
    /// that the server cannot take for now is sent again behind those that were already under way.
    Stream,
}

impl From<LanePolicy> for job::LanePolicy {
    fn from(policy: LanePolicy) -> Self {
        match policy {
            LanePolicy::Continue => Self::Continue,
            LanePolicy::Hold => Self::Hold,
            LanePolicy::Stream => Self::Stream,
        }
    }
}

impl TryFrom<JobRequest> for NewJob {
    type Error = SynclineError;

    fn try_from(request: JobRequest) -> Result<Self> {
        Ok(Self {
            work: request.task.try_into()?,
            lane: request.lane,
            dedupe_key: request.dedupe_key,
            dedupe: request.dedupe,
            priority: request.priority,
            after: request.after,
            ttl_ms: if request.never_expires { Some(None) } else { request.ttl_ms.map(Some) },
            attempts_max: request.attempts_max,
            policy: request.policy.unwrap_or(LanePolicy::Continue).into(),
            keep_outcome: request.keep_outcome,
        })
    }
}

/// What became of a job that was handed over.
#[derive(Debug, Clone, uniffi::Record)]
pub struct EnqueuedJob {
    pub job: u64,
    /// Whether an equal job was there already; then it is that one.
    pub duplicate: bool,
}

/// Why an attempt failed.
#[derive(Debug, Clone, uniffi::Record)]
pub struct JobFailure {
    pub category: JobCategory,
    pub code: String,
    pub message: String,
    /// Of an HTTP response.
    pub status: Option<u16>,
}

impl From<JobError> for JobFailure {
    fn from(error: JobError) -> Self {
        let category = error.category.into();
        Self { category, code: error.code, message: error.message, status: error.status }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum JobCategory {
    Network,
    Server,
    Auth,
    Conflict,
    Validation,
    Unknown,
}

impl From<Category> for JobCategory {
    fn from(category: Category) -> Self {
        match category {
            Category::Network => Self::Network,
            Category::Server => Self::Server,
            Category::Auth => Self::Auth,
            Category::Conflict => Self::Conflict,
            Category::Validation => Self::Validation,
            Category::Unknown => Self::Unknown,
        }
    }
}

impl From<JobCategory> for Category {
    fn from(category: JobCategory) -> Self {
        match category {
            JobCategory::Network => Self::Network,
            JobCategory::Server => Self::Server,
            JobCategory::Auth => Self::Auth,
            JobCategory::Conflict => Self::Conflict,
            JobCategory::Validation => Self::Validation,
            JobCategory::Unknown => Self::Unknown,
        }
    }
}

/// A job that has not ended.
#[derive(Debug, Clone, uniffi::Record)]
pub struct JobDetails {
    pub job: u64,
    pub task: JobTask,
    pub lane: String,
    pub running: bool,
    pub attempts: u32,
    pub queued_at_ms: u64,
    pub error: Option<JobFailure>,
}

/// A job that was given up. It stays until it is retried or dropped.
#[derive(Debug, Clone, uniffi::Record)]
pub struct DeadJob {
    pub job: u64,
    pub task: JobTask,
    pub lane: String,
    pub reason: DeadJobReason,
    pub error: JobFailure,
    pub attempts: u32,
    pub holds_lane: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum DeadJobReason {
    Refused,
    AttemptsSpent,
    Expired,
    Dependency,
}

impl From<command::DeadLetter> for DeadJob {
    fn from(letter: command::DeadLetter) -> Self {
        let reason = match letter.reason {
            DeadReason::Refused => DeadJobReason::Refused,
            DeadReason::AttemptsSpent => DeadJobReason::AttemptsSpent,
            DeadReason::Expired => DeadJobReason::Expired,
            DeadReason::Dependency => DeadJobReason::Dependency,
        };
        Self {
            job: letter.job,
            task: letter.work.into(),
            lane: letter.lane,
            reason,
            error: letter.error.into(),
            attempts: letter.attempts,
            holds_lane: letter.holds_lane,
        }
    }
}

/// What a job that succeeded came to.
#[derive(Debug, Clone, uniffi::Record)]
pub struct JobResult {
    pub job: u64,
    pub lane: String,
    /// A JSON array: the acknowledgement; `[{status, headers, body}]` of a request; `[what the handler returned]`.
    pub result: Parcel,
    /// Whether it stays until it is acknowledged.
    pub kept: bool,
}

impl From<command::JobOutcome> for JobResult {
    fn from(outcome: command::JobOutcome) -> Self {
        Self {
            job: outcome.job,
            lane: outcome.lane,
            result: Parcel::of_all(outcome.result),
            kept: outcome.kept,
        }
    }
}

/// What one round of processing did.
#[derive(Debug, Clone, uniffi::Record)]
pub struct ProcessReport {
    pub processed: u64,
    pub failed: u64,
    pub skipped: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum QueuedKind {
    Event,
    Request,
    Handler,
}

impl From<QueuedKind> for JobKind {
    fn from(kind: QueuedKind) -> Self {
        match kind {
            QueuedKind::Event => Self::Event,
            QueuedKind::Request => Self::Request,
            QueuedKind::Handler => Self::Handler,
        }
    }
}

impl From<JobEvent> for ClientEvent {
    fn from(event: JobEvent) -> Self {
        match event {
            JobEvent::Leased { job, lease, lease_ms, key, payload, idempotency_key, attempts } => {
                let payload = Parcel::of_one(payload);
                Self::JobLeased { job, lease, lease_ms, key, payload, idempotency_key, attempts }
            }
            JobEvent::Done { outcome } => Self::JobDone { result: outcome.into() },
            JobEvent::Failed { job, error, attempts } => {
                Self::JobFailed { job, error: error.into(), attempts }
            }
            JobEvent::Dead { letter } => Self::JobDead { letter: (*letter).into() },
        }
    }
}

#[uniffi::export]
impl SynclineClient {
    /// Returns when the job is on disk.
    pub async fn enqueue(&self, job: JobRequest) -> Result<EnqueuedJob> {
        match self.jobs_call(JobCommand::Enqueue { jobs: vec![job.try_into()?] }).await? {
            JobReply::Enqueued { enqueued } if enqueued.len() == 1 => {
                Ok(EnqueuedJob { job: enqueued[0].job, duplicate: enqueued[0].duplicate })
            }
            other => Err(unexpected(&Reply::Jobs(other))),
        }
    }

    /// Jobs that have not ended, by their numbers, after this one; fewer than there are if they are large.
    pub async fn jobs(&self, after: u64) -> Result<Vec<JobDetails>> {
        match self.jobs_call(JobCommand::List { after }).await? {
            JobReply::Jobs { jobs, .. } => Ok(jobs
                .into_iter()
                .map(|info| JobDetails {
                    job: info.job,
                    task: info.work.into(),
                    lane: info.lane,
                    running: info.state == command::JobState::Running,
                    attempts: info.attempts,
                    queued_at_ms: info.queued_at_ms,
                    error: info.error.map(Into::into),
                })
                .collect()),
            other => Err(unexpected(&Reply::Jobs(other))),
        }
    }

    /// Jobs that were given up and wait for `retry_job` or `drop_job`.
    pub async fn dead_letters(&self) -> Result<Vec<DeadJob>> {
        match self.jobs_call(JobCommand::DeadLetters).await? {
            JobReply::DeadLetters { dead_letters } => Ok(dead_letters.into_iter().map(Into::into).collect()),
            other => Err(unexpected(&Reply::Jobs(other))),
        }
    }

    /// Results that were asked to be kept and are not acknowledged.
    pub async fn job_results(&self) -> Result<Vec<JobResult>> {
        match self.jobs_call(JobCommand::Outcomes).await? {
            JobReply::Outcomes { outcomes } => Ok(outcomes.into_iter().map(Into::into).collect()),
            other => Err(unexpected(&Reply::Jobs(other))),
        }
    }

    pub async fn acknowledge_job(&self, job: u64) -> Result<()> {
        self.jobs_call(JobCommand::Acknowledge { job }).await.map(drop)
    }

    /// Queues a dead letter again, as it was or doing `task` instead.
    #[uniffi::method(default(task = None))]
    pub async fn retry_job(&self, job: u64, task: Option<JobTask>) -> Result<()> {
        let work = task.map(TryInto::try_into).transpose()?;
        self.jobs_call(JobCommand::Retry { job, work }).await.map(drop)
    }

    /// A job that waits does this instead.
    pub async fn edit_job(&self, job: u64, task: JobTask) -> Result<()> {
        self.jobs_call(JobCommand::Edit { job, work: task.try_into()? }).await.map(drop)
    }

    /// Forgets a job that waits, or a dead letter.
    pub async fn drop_job(&self, job: u64) -> Result<()> {
        self.jobs_call(JobCommand::Drop { job }).await.map(drop)
    }

    /// Forgets the jobs of these kinds, of all when absent, that are not under way; returns how many.
    #[uniffi::method(default(kinds = None, dead_letters = false))]
    pub async fn clear_jobs(&self, kinds: Option<Vec<QueuedKind>>, dead_letters: bool) -> Result<u64> {
        let kinds = kinds.map(|kinds| kinds.into_iter().map(Into::into).collect());
        match self.jobs_call(JobCommand::Clear { kinds, dead_letters }).await? {
            JobReply::Cleared { cleared } => Ok(cleared),
            other => Err(unexpected(&Reply::Jobs(other))),
        }
    }

    /// Tries each job at most once; returns when all that could be tried is.
    pub async fn process_queue(&self) -> Result<ProcessReport> {
        match self.jobs_call(JobCommand::Process).await? {
            JobReply::Processed(command::ProcessReport { processed, failed, skipped }) => {
                Ok(ProcessReport { processed, failed, skipped })
            }
            other => Err(unexpected(&Reply::Jobs(other))),
        }
    }

    /// Whether jobs are done without `process_queue`, until the client is closed.
    pub async fn set_auto_processing(&self, enabled: bool) -> Result<()> {
        self.jobs_call(JobCommand::SetAuto { enabled }).await.map(drop)
    }

    /// The keys whose handlers the app can run from now on; a `JobLeased` event asks for each run.
    pub async fn register_handlers(&self, keys: Vec<String>) -> Result<()> {
        self.jobs_call(JobCommand::RegisterHandlers { keys }).await.map(drop)
    }

    /// Asks for more time for a handler's job.
    pub async fn extend_lease(&self, job: u64, lease: u64) -> Result<()> {
        self.jobs_call(JobCommand::ExtendLease { job, lease }).await.map(drop)
    }

    /// A handler's job is done.
    pub async fn complete_job(&self, job: u64, lease: u64, result: Parcel) -> Result<()> {
        let result = result.into_one()?;
        self.jobs_call(JobCommand::Complete { job, lease, result }).await.map(drop)
    }

    /// A handler's job failed.
    #[uniffi::method(default(retry_after_ms = None))]
    pub async fn fail_job(
        &self,
        job: u64,
        lease: u64,
        category: JobCategory,
        message: String,
        retry_after_ms: Option<u64>,
    ) -> Result<()> {
        let (category, code) = (category.into(), String::new());
        self.jobs_call(JobCommand::Fail { job, lease, category, code, message, retry_after_ms })
            .await
            .map(drop)
    }
}

impl SynclineClient {
    async fn jobs_call(&self, command: JobCommand) -> Result<JobReply> {
        match self.inner().execute(Command::Jobs { command }).await? {
            Reply::Jobs(reply) => Ok(reply),
            other => Err(unexpected(&other)),
        }
    }
}
