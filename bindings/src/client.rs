//! The typed client for Swift, Kotlin and Python.

use std::sync::Arc;

use syncline::engine::io::{Network, Reply, WriteRequest};
use syncline::engine::query::Query;
use syncline::engine::query::selection::Selection;
use syncline::{Client, Code, Command, Error, Event};
use syncline_protocol::{Collection, DocumentId, Fields, Patch, Room, Write};

use crate::cancel::{CancelHandle, Cancellable};
use crate::error::SynclineError;
use crate::listener::{ClientEvent, ClientListener, Failures};
use crate::types::{
    AppState, ClientOptions, ConflictResolution, ConnectionInfo, ParkedWrite, QueueInfo, RejectedWrite, Row,
    SyncReport, Watching, from_json, to_json,
};

pub(crate) type Result<T> = std::result::Result<T, SynclineError>;

/// One client of one server, with its data in one directory. Every call may fail with a [`SynclineError`].
#[derive(Debug, uniffi::Object)]
pub struct SynclineClient {
    pub(crate) inner: Cancellable,
}

#[uniffi::export]
impl SynclineClient {
    /// Opens the data and starts the client.
    #[uniffi::constructor]
    pub async fn open(options: ClientOptions, listener: Arc<dyn ClientListener>) -> Result<Arc<Self>> {
        let config = options.try_into()?;
        let failures = Failures::default();
        let sink = move |events: Vec<Event>| {
            failures.note(&listener.on_events(events.into_iter().map(ClientEvent::from).collect()));
        };
        let inner = Client::open(config, sink).await?;
        Ok(Arc::new(Self { inner: inner.into() }))
    }

    /// The same client, whose calls that wait for the server end with `Cancelled` when the handle is cancelled.
    pub fn with_cancel(&self, handle: Arc<CancelHandle>) -> Arc<Self> {
        Arc::new(Self { inner: self.inner.with(handle) })
    }

    /// Returns when the session is open, or fails with the first attempt, after which attempts go on.
    pub async fn connect(&self) -> Result<()> {
        self.run(Command::Connect).await
    }

    pub async fn disconnect(&self) -> Result<()> {
        self.run(Command::Disconnect).await
    }

    /// Answers `TokenNeeded`, or comes by itself. `expires_at_ms` is when it ends, in milliseconds since the epoch; it is
    /// read from a JSON Web Token.
    #[uniffi::method(default(expires_at_ms = None))]
    pub async fn set_token(&self, token: Option<String>, expires_at_ms: Option<u64>) -> Result<()> {
        self.run(Command::SetToken { token: token.map(Into::into), expires_at_ms }).await
    }

    /// Answers `TokenNeeded`: there is none to be had now. Asked again later, unless `retryable` is false.
    #[uniffi::method(default(retryable = true))]
    pub async fn token_failed(&self, request: u64, message: String, retryable: bool) -> Result<()> {
        self.run(Command::TokenFailed { message, request: Some(request), retryable }).await
    }

    /// What the client did since it was opened, as a JSON object.
    pub async fn stats_json(&self) -> Result<String> {
        match self.inner.execute(Command::Stats).await? {
            Reply::Stats(stats) => Ok(to_json(&stats)),
            other => Err(unexpected(&other)),
        }
    }

    /// The last events of the synchronization, oldest first, as a JSON array of `{atMs, kind, detail}`.
    pub async fn trace_json(&self) -> Result<String> {
        match self.inner.execute(Command::Trace).await? {
            Reply::Trace { events } => Ok(to_json(&events)),
            other => Err(unexpected(&other)),
        }
    }

    pub async fn set_app_state(&self, state: AppState) -> Result<()> {
        self.run(Command::SetAppState { state: state.into() }).await
    }

    pub async fn set_network(&self, available: bool, expensive: bool, kind: String) -> Result<()> {
        self.run(Command::SetNetwork { network: Network { available, expensive, kind } }).await
    }

    /// Counted: each needs its `unsubscribe`.
    pub async fn subscribe(&self, room: String) -> Result<()> {
        self.run(Command::Subscribe { room: parse_room(&room)? }).await
    }

    pub async fn unsubscribe(&self, room: String) -> Result<()> {
        self.run(Command::Unsubscribe { room: parse_room(&room)? }).await
    }

    /// A fresh UUIDv7.
    pub async fn new_id(&self) -> Result<String> {
        match self.inner.execute(Command::NewId).await? {
            Reply::NewId { id } => Ok(id),
            other => Err(unexpected(&other)),
        }
    }

    /// Returns the write's number once it is on disk. `fields_json` is a JSON object.
    pub async fn create(
        &self,
        room: String,
        collection: String,
        id: String,
        fields_json: String,
    ) -> Result<u64> {
        let fields: Fields = from_json(&fields_json)?;
        self.write(&room, &collection, &id, Write::Create(fields)).await
    }

    /// Returns the write's number once it is on disk. `patch_json` maps dotted paths to operations:
    /// `{"title": {"set": "x"}, "likes": {"increment": 1}}`.
    pub async fn update(
        &self,
        room: String,
        collection: String,
        id: String,
        patch_json: String,
    ) -> Result<u64> {
        let patch: Patch = from_json(&patch_json)?;
        self.write(&room, &collection, &id, Write::Update(patch)).await
    }

    /// Returns the write's number once it is on disk.
    pub async fn delete(&self, room: String, collection: String, id: String) -> Result<u64> {
        self.write(&room, &collection, &id, Write::Delete).await
    }

    pub async fn document(&self, room: String, collection: String, id: String) -> Result<Option<Row>> {
        let (room, collection) = (parse_room(&room)?, parse_collection(&collection)?);
        match self.inner.execute(Command::Document { room, collection, id: parse_id(&id)? }).await? {
            Reply::Document { row } => Ok(row.map(Into::into)),
            other => Err(unexpected(&other)),
        }
    }

    /// Watches a collection, or one document of it; also subscribes the room until `unwatch`. `selection_json` says
    /// which rows, as a JSON object with any of `filter`, `orderBy`, `limit`, `after`:
    /// `{"filter": {"eq": ["done", false]}, "orderBy": [{"path": "rank"}], "limit": 50}`.
    #[uniffi::method(default(selection_json = None))]
    pub async fn watch(
        &self,
        room: String,
        collection: String,
        id: Option<String>,
        selection_json: Option<String>,
    ) -> Result<Watching> {
        let id = id.as_deref().map(parse_id).transpose()?;
        let (room, collection) = (parse_room(&room)?, parse_collection(&collection)?);
        let selection: Selection = selection_json.as_deref().map(from_json).transpose()?.unwrap_or_default();
        match self.inner.execute(Command::Watch(Query { room, collection, id, selection })).await? {
            Reply::Watching { watch, rows, count, room } => {
                let rows = rows.into_iter().map(Into::into).collect();
                Ok(Watching { watch, rows, count, room: room.into() })
            }
            other => Err(unexpected(&other)),
        }
    }

    pub async fn unwatch(&self, watch: u64) -> Result<()> {
        self.run(Command::Unwatch { watch }).await
    }

    /// Announces this client in a room, again after each reconnect. `state_json` is a JSON object.
    pub async fn presence_join(&self, room: String, state_json: String) -> Result<()> {
        self.run(Command::PresenceJoin { room: parse_room(&room)?, state: from_json(&state_json)? }).await
    }

    /// Sets the fields of the state, and removes those that are null. With `expires_in_ms` they vanish by themselves
    /// after that time, unless they are set again.
    pub async fn presence_update(
        &self,
        room: String,
        state_json: String,
        expires_in_ms: Option<u64>,
    ) -> Result<()> {
        let (room, state) = (parse_room(&room)?, from_json(&state_json)?);
        self.run(Command::PresenceUpdate { room, state, expires_in_ms }).await
    }

    pub async fn presence_leave(&self, room: String) -> Result<()> {
        self.run(Command::PresenceLeave { room: parse_room(&room)? }).await
    }

    pub async fn connection(&self) -> Result<ConnectionInfo> {
        match self.inner.execute(Command::Connection).await? {
            Reply::Connection(status) => Ok(status.into()),
            other => Err(unexpected(&other)),
        }
    }

    pub async fn queue(&self) -> Result<QueueInfo> {
        match self.inner.execute(Command::Queue).await? {
            Reply::Queue(status) => Ok(status.into()),
            other => Err(unexpected(&other)),
        }
    }

    /// Writes that the server refused and the app has not acknowledged.
    pub async fn outcomes(&self) -> Result<Vec<RejectedWrite>> {
        match self.inner.execute(Command::Outcomes).await? {
            Reply::Outcomes { outcomes } => Ok(outcomes.into_iter().map(Into::into).collect()),
            other => Err(unexpected(&other)),
        }
    }

    pub async fn acknowledge_outcome(&self, client_seq: u64) -> Result<()> {
        self.run(Command::AcknowledgeOutcome { client_seq }).await
    }

    /// Writes in conflict that wait for `resolve_conflict`.
    pub async fn conflicts(&self) -> Result<Vec<ParkedWrite>> {
        match self.inner.execute(Command::Conflicts).await? {
            Reply::Conflicts { conflicts } => Ok(conflicts.into_iter().map(Into::into).collect()),
            other => Err(unexpected(&other)),
        }
    }

    /// Returns when the decision is on disk.
    pub async fn resolve_conflict(&self, client_seq: u64, resolution: ConflictResolution) -> Result<()> {
        self.run(Command::ResolveConflict { client_seq, resolution: resolution.try_into()? }).await
    }

    /// Connects without backoff, pulls and drains.
    pub async fn sync_now(&self) -> Result<()> {
        self.run(Command::SyncNow).await
    }

    /// Asks the server what is new in one room, or in all that are subscribed; returns when that is here.
    pub async fn pull(&self, room: Option<String>) -> Result<()> {
        self.run(Command::Pull { room: room.as_deref().map(parse_room).transpose()? }).await
    }

    /// Sends at once what waits to be sent; returns when the server has answered everything written before.
    pub async fn flush(&self) -> Result<()> {
        self.run(Command::Flush).await
    }

    /// For a background task: connects if need be, also in the background, pulls and drains. Returns at the latest
    /// after `deadline_ms`; then the connection is again what the app's state wants.
    pub async fn sync_once(&self, deadline_ms: u64) -> Result<SyncReport> {
        match self.inner.execute(Command::SyncOnce { deadline_ms }).await? {
            Reply::SyncedOnce { complete, pending, reason } => {
                Ok(SyncReport { complete, pending, reason: reason.map(Into::into) })
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Makes everything durable and ends the client. The directory may be opened again when it returns.
    pub async fn close(&self) -> Result<()> {
        self.run(Command::Close).await
    }
}

impl SynclineClient {
    pub(crate) fn inner(&self) -> &Cancellable {
        &self.inner
    }

    pub(crate) async fn run(&self, command: Command) -> Result<()> {
        self.inner.execute(command).await?;
        Ok(())
    }

    async fn write(&self, room: &str, collection: &str, id: &str, write: Write) -> Result<u64> {
        let request = WriteRequest {
            room: parse_room(room)?,
            collection: parse_collection(collection)?,
            id: parse_id(id)?,
            write,
        };
        match self.inner.execute(Command::Write { writes: vec![request] }).await? {
            Reply::Written { client_seqs } if client_seqs.len() == 1 => Ok(client_seqs[0]),
            other => Err(unexpected(&other)),
        }
    }
}

pub(crate) fn parse_room(room: &str) -> Result<Room> {
    Ok(Room::new(room).map_err(Error::from)?)
}

fn parse_collection(collection: &str) -> Result<Collection> {
    Ok(Collection::new(collection).map_err(Error::from)?)
}

fn parse_id(id: &str) -> Result<DocumentId> {
    Ok(DocumentId::new(id).map_err(Error::from)?)
}

pub(crate) fn unexpected(reply: &Reply) -> SynclineError {
    let what = std::mem::discriminant(reply);
    Error::new(Code::Internal, format!("an unexpected reply: {what:?}")).into()
}
