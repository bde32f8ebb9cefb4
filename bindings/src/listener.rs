//! What an app is told without asking.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use syncline::Event;
use syncline::engine::io::AppState as CoreAppState;

use crate::jobs::{DeadJob, JobFailure, JobResult};
use crate::json::{self, EventSink};
use crate::parcel::Parcel;
use crate::socket::{NamespaceInfo, SocketMessage};
use crate::types::{
    AppState, ConnectionInfo, ErrorInfo, Member, ParkedWrite, PresentUser, ProgressInfo, QueueInfo,
    RejectedWrite, RoomInfo, Row,
};

/// An event of a client.
#[derive(Debug, Clone, uniffi::Enum)]
pub enum ClientEvent {
    Connection {
        status: ConnectionInfo,
    },
    Room {
        status: RoomInfo,
    },
    /// What changed in a watch; with `reset`, `upserted` are all rows there are. Otherwise take out the rows with the
    /// ids in `removed` and those in `upserted`; then, first to last, put each row of `upserted` in at its index.
    Rows {
        watch: u64,
        reset: bool,
        upserted: Vec<Row>,
        removed: Vec<String>,
        /// Absent with `reset`, and in a watch that selects nothing: its rows are ordered by id.
        indexes: Option<Vec<u64>>,
        /// How many documents match, if that changed.
        count: Option<u64>,
    },
    Queue {
        status: QueueInfo,
    },
    Presence {
        room: String,
        members: Vec<Member>,
        /// The members by user.
        users: Vec<PresentUser>,
        /// Why this client cannot be present there.
        error: Option<ErrorInfo>,
    },
    Progress {
        progress: ProgressInfo,
    },
    Outcome {
        outcome: RejectedWrite,
    },
    /// A write waits for `resolve_conflict`.
    Conflict {
        conflict: ParkedWrite,
    },
    /// Another token is needed, or soon will be: pass it to `set_token`, or say `token_failed`.
    TokenNeeded {
        reason: ErrorInfo,
        request: u64,
    },
    /// A handler is to do this, and to answer with `complete_job` or `fail_job` before the lease is over.
    JobLeased {
        job: u64,
        lease: u64,
        lease_ms: u64,
        key: String,
        payload: Parcel,
        idempotency_key: String,
        attempts: u32,
    },
    JobDone {
        result: JobResult,
    },
    /// An attempt failed; another is made.
    JobFailed {
        job: u64,
        error: JobFailure,
        attempts: u32,
    },
    JobDead {
        letter: DeadJob,
    },
    User {
        user_id: String,
        online: bool,
    },
    /// An event of the server that is listened to.
    Message {
        message: SocketMessage,
    },
    Namespace {
        status: NamespaceInfo,
    },
    /// The server did not let this client into a room again.
    JoinRefused {
        namespace: String,
        room: String,
        error: ErrorInfo,
    },
    Failure {
        error: ErrorInfo,
    },
}

impl From<Event> for ClientEvent {
    fn from(event: Event) -> Self {
        match event {
            Event::Connection { status } => Self::Connection { status: status.into() },
            Event::Room { status } => Self::Room { status: status.into() },
            Event::Rows { watch, reset, upserted, removed, indexes, count } => Self::Rows {
                watch,
                reset,
                upserted: upserted.into_iter().map(Into::into).collect(),
                removed,
                indexes,
                count,
            },
            Event::Queue { status } => Self::Queue { status: status.into() },
            Event::Job { event } => event.into(),
            Event::Presence { room, members, users, error } => Self::Presence {
                error: error.map(Into::into),
                room: room.to_string(),
                members: members.into_iter().map(Into::into).collect(),
                users: users.into_iter().map(Into::into).collect(),
            },
            Event::Progress { progress } => Self::Progress { progress: progress.into() },
            Event::Outcome { outcome } => Self::Outcome { outcome: outcome.into() },
            Event::Conflict { conflict } => Self::Conflict { conflict: (*conflict).into() },
            Event::TokenNeeded { reason, request } => Self::TokenNeeded { reason: reason.into(), request },
            Event::User { user_id, online } => Self::User { user_id, online },
            Event::Message(message) => Self::Message { message: message.into() },
            Event::Namespace { status } => Self::Namespace { status: status.into() },
            Event::JoinRefused { namespace, room, error } => {
                Self::JoinRefused { namespace, room: room.to_string(), error: error.into() }
            }
            Event::Error { error } => Self::Failure { error: error.into() },
        }
    }
}

/// Takes events in batches, in order, on a thread of the client. What it throws is logged, and it is called again.
#[uniffi::export(with_foreign)]
pub trait ClientListener: Send + Sync {
    fn on_events(&self, events: Vec<ClientEvent>) -> Result<(), ListenerError>;
}

/// Takes the façade's events: a JSON array.
#[uniffi::export(with_foreign)]
pub trait JsonListener: Send + Sync {
    fn on_events(&self, client: u64, events: Parcel) -> Result<(), ListenerError>;
}

/// What a listener threw. A listener need not throw this: whatever it throws counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, uniffi::Error)]
pub enum ListenerError {
    #[error("{reason}")]
    Failed { reason: String },
}

impl From<uniffi::UnexpectedUniFFICallbackError> for ListenerError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Failed { reason: error.reason }
    }
}

/// How often a listener threw.
#[derive(Debug, Default)]
pub(crate) struct Failures(AtomicU64);

impl Failures {
    /// Logs a call that failed; not with what words, which may hold what the app was told.
    pub(crate) fn note(&self, called: &Result<(), ListenerError>) {
        if called.is_err() {
            let failures = self.0.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::error!(event = "syncline.listener_failed", failures, "the app's listener threw");
        }
    }
}

struct ForeignSink {
    listener: Arc<dyn JsonListener>,
    failures: Failures,
}

impl EventSink for ForeignSink {
    fn events(&self, client: u64, events: Parcel) {
        self.failures.note(&self.listener.on_events(client, events));
    }
}

/// See [`json::open`].
#[uniffi::export]
pub async fn json_open(config: String, listener: Arc<dyn JsonListener>) -> String {
    json::open(config, Arc::new(ForeignSink { listener, failures: Failures::default() })).await
}

/// See [`json::call`].
#[uniffi::export]
pub async fn json_call(client: u64, command: Parcel) -> Parcel {
    json::call(client, command).await
}

/// See [`json::close_all`].
#[uniffi::export]
pub async fn json_close_all() {
    json::close_all().await;
}

/// Tells every client of the façade whether the app is on screen.
#[uniffi::export]
pub fn set_app_state(state: AppState) {
    json::set_app_state(CoreAppState::from(state));
}

/// Tells every client of the façade what the system says of the network.
#[uniffi::export]
pub fn set_network(available: bool, expensive: bool, kind: String) {
    json::set_network(available, expensive, kind);
}
