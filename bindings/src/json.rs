//! The façade for JavaScript: every host (Expo Swift, Expo Kotlin, Node) carries these functions and parcels.
//!
//! A reply is `{"ok": ...}` or `{"error": {"code", "message", "retryable", "retry"}}`; nothing here throws or panics.
//! The shapes are [`syncline::Command`], [`syncline::Reply`] and [`syncline::Event`].

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use once_cell::sync::Lazy;
use serde::de::value::StrDeserializer;
use serde::{Deserialize, Serialize};
use syncline::engine::io::Network;
use syncline::logging::{self, LogLevel, LogLine};
use syncline::{Client, ClientConfig, Code, Command, Error, ErrorBody, Event};
use tokio::sync::Mutex as AsyncMutex;

use crate::background::{self, Followed, Note, Record};
use crate::device;
use crate::rest::Activity;

pub use crate::parcel::Parcel;
pub use syncline::engine::io::AppState;

/// Takes the events of a client: a JSON array of [`Event`]s.
pub trait EventSink: Send + Sync + 'static {
    fn events(&self, client: u64, events: Parcel);
}

/// The clients of the process, and what every one of them must know.
#[derive(Default)]
struct Registry {
    clients: BTreeMap<u64, Opened>,
    /// Never goes back: a handle of a closed client stays without a meaning.
    last_handle: u64,
    /// What the host said last, also before any client was open.
    app_state: AppState,
    network: Network,
}

struct Opened {
    client: Client,
    /// Where it keeps its data.
    directory: Option<PathBuf>,
    /// If it is for the background.
    followed: Option<Followed>,
}

impl Registry {
    /// Adds a client that was told what had been `heard` when it began to open, and tells it what has come since.
    fn add(&mut self, handle: u64, opened: Opened, heard: &(AppState, Network)) {
        if self.app_state != heard.0 {
            opened.post(Command::SetAppState { state: self.app_state });
        }
        if self.network != heard.1 {
            opened.post(Command::SetNetwork { network: self.network.clone() });
        }
        self.clients.insert(handle, opened);
    }

    /// Under the lock that a hint is set under: what a client is told last is what was said last.
    fn post_all(&self, command: &Command) {
        self.clients.values().for_each(|opened| opened.post(command.clone()));
    }

    /// Notes what is followed by every client that is for the background; whether there is one.
    fn leave_screen(&mut self) -> bool {
        let followed =
            self.clients.iter_mut().filter_map(|(handle, opened)| Some((*handle, opened.followed.as_mut()?)));
        let noted = followed.map(|(handle, followed)| {
            followed.leave_screen();
            background::note(handle, followed.said());
        });
        noted.count() > 0
    }
}

impl Opened {
    fn post(&self, command: Command) {
        if let Err(error) = self.client.post(command) {
            tracing::error!(%error, "command not posted");
        }
    }
}

static REGISTRY: Lazy<Mutex<Registry>> = Lazy::new(Mutex::default);

/// Held while a client opens or closes, so that nobody finds a directory half closed.
pub(crate) static LIFECYCLE: AsyncMutex<()> = AsyncMutex::const_new(());

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Envelope<T> {
    Ok(T),
    Error(ErrorBody),
}

impl<T> From<Result<T, Error>> for Envelope<T> {
    fn from(result: Result<T, Error>) -> Self {
        match result {
            Ok(reply) => Self::Ok(reply),
            Err(error) => Self::Error(error.into()),
        }
    }
}

/// Stands in for a reply that has no JSON form.
const UNENCODED: &str = r#"{"error":{"code":"internal","message":"the reply could not be encoded","retryable":false,"retry":"never"}}"#;

#[derive(Serialize)]
struct OpenReply {
    client: u64,
}

/// Opens a client from a JSON [`ClientConfig`], with [`device::DeviceOptions`] among its members; replies `{"ok": {"client": number}}`. A client of the same directory
/// in this process is closed first: it belongs to JavaScript that was reloaded.
pub async fn open(config: String, sink: Arc<dyn EventSink>) -> String {
    envelope(guarded(open_client(config, sink)).await)
}

/// Carries out a JSON [`Command`] on a client.
pub async fn call(client: u64, command: Parcel) -> Parcel {
    let envelope = Envelope::from(guarded(execute(client, command)).await);
    Parcel::pack(&envelope).unwrap_or_else(|_| UNENCODED.to_owned().into())
}

/// Tells every client of the process whether the app is on screen. Returns at once: hosts call it on the thread that draws.
pub fn set_app_state(state: AppState) {
    let is_left = {
        let mut registry = registry();
        registry.app_state = state;
        registry.post_all(&Command::SetAppState { state });
        state == AppState::Background && registry.leave_screen()
    };
    if is_left {
        background::settle_soon();
    }
}

/// Tells every client of the process what the system says of the network. `kind` is `wifi`, `cellular`,
/// `ethernet`, `none` or `unknown`.
pub fn set_network(available: bool, expensive: bool, kind: String) {
    let network = Network { available, expensive, kind };
    let mut registry = registry();
    registry.network = network.clone();
    registry.post_all(&Command::SetNetwork { network });
}

/// Takes the log: a JSON array of [`LogLine`](syncline::logging::LogLine)s at a time. Returns whether it did.
pub type LogSink = Arc<dyn Fn(String) -> bool + Send + Sync>;

/// Sets where the log of this process goes, and from which level on: `off`, `error`, `warn`, `info`, `debug` or `trace`.
/// No sink ends it. Replies `{"ok": {}}`.
pub fn set_log_sink(level: &str, sink: Option<LogSink>) -> String {
    let level = LogLevel::deserialize(StrDeserializer::new(level)).map_err(|error| invalid("level", &error));
    let sink = sink.map(|sink| {
        let sink: Arc<dyn logging::LogSink> = Arc::new(JsonLog(sink));
        sink
    });
    envelope(level.and_then(|level| logging::set_log_sink(level, sink)).map(|()| syncline::Reply::Done {}))
}

struct JsonLog(LogSink);

impl logging::LogSink for JsonLog {
    fn lines(&self, lines: Vec<LogLine>) -> u64 {
        // Text and numbers always have a JSON form.
        let is_taken = (self.0)(serde_json::to_string(&lines).unwrap_or_default());
        if is_taken { 0 } else { lines.iter().map(LogLine::lost).sum() }
    }
}

/// Closes every client of the process; no event is sent after it returns to a client that was closed.
pub async fn close_all() {
    let _alone = LIFECYCLE.lock().await;
    let opened = std::mem::take(&mut registry().clients);
    for Opened { client, .. } in opened.into_values() {
        close(&client).await;
    }
    background::settle();
}

async fn open_client(config: String, sink: Arc<dyn EventSink>) -> Result<OpenReply, Error> {
    let (mut config, options) = device::read_options(&config)?;
    let _alone = LIFECYCLE.lock().await;
    let record = Record::of(&config, &options)?;
    if options.encryption.is_some() {
        config.encryption_key = Some(device::encryption_key()?);
    }
    if let Some(former) = take_client_of(config.directory.as_deref()) {
        close(&former).await;
    }
    let directory = config.directory.clone();
    let deliver_to = |handle| {
        let activity = Activity::of(handle);
        move |events: Vec<Event>| {
            activity.note(&events);
            deliver(&*sink, handle, &events);
        }
    };
    let is_recorded = record.is_some();
    let (handle, _) = start(config, record, None, deliver_to).await?;
    match directory {
        _ if is_recorded => keep(handle, |_| ()),
        Some(directory) => background::forget(&directory),
        None => {}
    }
    Ok(OpenReply { client: handle })
}

/// Opens a client of a directory that nobody has open, under [`LIFECYCLE`], and registers it. It is told of an app state of its
/// own, if one is given, or else of the app's.
pub(crate) async fn start<S: syncline::EventSink>(
    mut config: ClientConfig,
    record: Option<Record>,
    app_state: Option<AppState>,
    sink: impl FnOnce(u64) -> S,
) -> Result<(u64, Client), Error> {
    let connects = std::mem::replace(&mut config.auto_connect, false);
    let directory = config.directory.clone();
    let (handle, heard) = {
        let mut registry = registry();
        registry.last_handle += 1;
        (registry.last_handle, (registry.app_state, registry.network.clone()))
    };
    let client = Client::open(config, sink(handle)).await?;
    client.execute(Command::SetAppState { state: app_state.unwrap_or(heard.0) }).await?;
    client.execute(Command::SetNetwork { network: heard.1.clone() }).await?;
    if connects {
        client.post(Command::Connect)?;
    }
    let opened = Opened {
        client: client.clone(),
        directory: directory.map(canonical),
        followed: record.map(Followed::new),
    };
    registry().add(handle, opened, &heard);
    Ok((handle, client))
}

/// The same for every spelling of a path that exists.
fn canonical(directory: PathBuf) -> PathBuf {
    std::fs::canonicalize(&directory).unwrap_or(directory)
}

fn take_client_of(directory: Option<&Path>) -> Option<Client> {
    remove(handle_of(directory?)?)
}

/// The client that has a directory open.
pub(crate) fn client_of(directory: &Path) -> Option<Client> {
    find(handle_of(directory)?).ok()
}

fn handle_of(directory: &Path) -> Option<u64> {
    let directory = canonical(directory.to_path_buf());
    let registry = registry();
    let mut clients = registry.clients.iter();
    clients.find(|(_, opened)| opened.directory.as_ref() == Some(&directory)).map(|(handle, _)| *handle)
}

/// Takes a client out, to be closed.
pub(crate) fn remove(handle: u64) -> Option<Client> {
    registry().clients.remove(&handle).map(|opened| opened.client)
}

pub(crate) async fn close(client: &Client) {
    if let Err(error) = client.execute(Command::Close).await {
        tracing::debug!(%error, "client was closed already");
    }
}

async fn execute(handle: u64, command: Parcel) -> Result<syncline::Reply, Error> {
    let command: Command = command.unpack().map_err(|error| invalid("command", &error))?;
    if command == Command::Close {
        let _alone = LIFECYCLE.lock().await;
        let closed = remove(handle).ok_or_else(|| not_open(handle))?.execute(command).await;
        background::settle();
        return closed;
    }
    let client = find(handle)?;
    let token = match &command {
        Command::SetToken { token, .. } => token.clone(),
        _ => None,
    };
    // Before anything else: a token that was taken back must not be used again, however this call ends.
    if let Command::SetToken { token: None, .. } | Command::TokenFailed { retryable: false, .. } = &command {
        keep(handle, |followed| followed.set_token(None));
    }
    let note = Note::of(&command);
    let reply = client.execute(command).await?;
    if let Some(token) = token {
        keep(handle, |followed| followed.set_token(Some(token.expose())));
    }
    if let Some(note) = note {
        with_followed(handle, |followed| followed.take(note, &reply));
    }
    Ok(reply)
}

fn with_followed<T>(handle: u64, work: impl FnOnce(&mut Followed) -> T) -> Option<T> {
    Some(work(registry().clients.get_mut(&handle)?.followed.as_mut()?))
}

/// Has the device keep what is known of a client after a change, if it is for the background.
fn keep(handle: u64, change: impl FnOnce(&mut Followed)) {
    let noted = with_followed(handle, |followed| {
        change(followed);
        background::note(handle, followed.said());
    });
    if noted.is_some() {
        background::settle();
    }
}

fn find(handle: u64) -> Result<Client, Error> {
    registry().clients.get(&handle).map(|opened| opened.client.clone()).ok_or_else(|| not_open(handle))
}

fn not_open(handle: u64) -> Error {
    Error::new(Code::Closed, format!("client {handle} is not open"))
}

fn deliver(sink: &dyn EventSink, client: u64, events: &[Event]) {
    match Parcel::pack(events) {
        Ok(events) => sink.events(client, events),
        Err(error) => tracing::error!(%error, "events not encoded"),
    }
}

/// A panic on the way becomes an error: none crosses into the host.
pub(crate) async fn guarded<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(Error::new(Code::Internal, "the call ended by a panic")))
}

fn envelope<T: Serialize>(result: Result<T, Error>) -> String {
    serde_json::to_string(&Envelope::from(result)).unwrap_or_else(|_| UNENCODED.to_owned())
}

fn invalid(what: &str, error: &serde_json::Error) -> Error {
    Error::new(Code::Invalid, format!("{what}: {error}"))
}

/// A panic elsewhere leaves the data whole: every change under the lock is a single assignment, insertion or
/// removal.
fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use syncline::StoreKind;

    use super::*;

    #[tokio::test]
    async fn what_the_system_says_while_a_client_opens_reaches_it() {
        let config = ClientConfig {
            store: StoreKind::Memory,
            auto_connect: false,
            ..ClientConfig::new("http://127.0.0.1:9".to_owned())
        };
        let said_meanwhile = |_| {
            set_app_state(AppState::Background);
            set_network(false, false, "none".to_owned());
            |_: Vec<Event>| {}
        };
        let (handle, client) = start(config, None, None, said_meanwhile).await.unwrap();
        let trace = client.execute(Command::Trace).await.unwrap();
        let told = serde_json::to_string(&trace).unwrap();
        assert!(told.contains("Background") && told.contains("available: false"), "{told}");
        close(&remove(handle).unwrap()).await;
    }
}
