//! The façade for JavaScript: every host (Expo Swift, Expo Kotlin, Node) carries these functions and strings.
//!
//! A reply is `{"ok": ...}` or `{"error": {"code", "message", "retryable"}}`; nothing here throws or panics.
//! The shapes are [`syncline::Command`], [`syncline::Reply`] and [`syncline::Event`].

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use syncline::engine::io::Network;
use syncline::{Client, ClientConfig, Code, Command, Error, ErrorBody, Event};
use tokio::sync::Mutex as AsyncMutex;

pub use syncline::engine::io::AppState;

/// Takes the events of a client: a JSON array of [`Event`]s.
pub trait EventSink: Send + Sync + 'static {
    fn events(&self, client: u64, events: String);
}

/// The clients of the process, by handle.
#[derive(Default)]
struct Registry {
    clients: HashMap<u64, Opened>,
    last_handle: u64,
}

struct Opened {
    client: Client,
    /// Where it keeps its data: opening the same place again finds the same client.
    directory: Option<PathBuf>,
    sink: Arc<SharedSink>,
}

/// The newest sink gets the events: after a reload, the old one has nobody listening.
struct SharedSink(Mutex<Arc<dyn EventSink>>);

static REGISTRY: Mutex<Option<Registry>> = Mutex::new(None);

/// Held while a client opens or closes: so that a directory being closed is neither adopted nor found in use.
static LIFECYCLE: AsyncMutex<()> = AsyncMutex::const_new(());

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Envelope<T> {
    Ok(T),
    Error(ErrorBody),
}

#[derive(Serialize)]
struct OpenReply {
    client: u64,
}

/// Opens a client from a JSON [`ClientConfig`]; replies `{"ok": {"client": number}}`. A directory that is open in
/// this process already is answered with its client, which keeps running as it was configured first.
pub async fn open(config: String, sink: Arc<dyn EventSink>) -> String {
    envelope(guarded(open_client(config, sink)).await)
}

/// Carries out a JSON [`Command`] on a client.
pub async fn call(client: u64, command: String) -> String {
    envelope(guarded(execute(client, command)).await)
}

/// Tells every client of the process whether the app is on screen.
pub fn set_app_state(state: AppState) {
    post_all(&Command::SetAppState { state });
}

/// Tells every client of the process what the system says of the network. `kind` is `wifi`, `cellular`,
/// `ethernet`, `none` or `unknown`.
pub fn set_network(available: bool, expensive: bool, kind: String) {
    post_all(&Command::SetNetwork { network: Network { available, expensive, kind } });
}

/// Closes every client of the process; no event is sent after it returns to a client that was closed.
pub async fn close_all() {
    let _alone = LIFECYCLE.lock().await;
    let opened: Vec<Opened> = registry().take().into_iter().flat_map(|r| r.clients.into_values()).collect();
    for Opened { client, .. } in opened {
        if let Err(error) = client.execute(Command::Close).await {
            tracing::debug!(%error, "client was closed already");
        }
    }
}

async fn open_client(config: String, sink: Arc<dyn EventSink>) -> Result<OpenReply, Error> {
    let config: ClientConfig = serde_json::from_str(&config).map_err(|error| invalid("config", &error))?;
    let _alone = LIFECYCLE.lock().await;
    let directory = config.directory.as_ref().map(|directory| {
        // Not there yet on the first opening: then the name as it is given.
        std::fs::canonicalize(directory).unwrap_or_else(|_| directory.clone())
    });
    if let Some(client) = adopt(directory.as_ref(), &sink) {
        return Ok(OpenReply { client });
    }
    let handle = {
        let mut registry = registry();
        let registry = registry.get_or_insert_default();
        registry.last_handle += 1;
        registry.last_handle
    };
    let shared = Arc::new(SharedSink(Mutex::new(sink)));
    let events_to = Arc::clone(&shared);
    let client = Client::open(config, move |events: Vec<Event>| events_to.deliver(handle, &events)).await?;
    let directory = directory.map(|directory| std::fs::canonicalize(&directory).unwrap_or(directory));
    let opened = Opened { client, directory, sink: shared };
    registry().get_or_insert_default().clients.insert(handle, opened);
    Ok(OpenReply { client: handle })
}

/// Finds the running client of a directory and gives it the new sink.
fn adopt(directory: Option<&PathBuf>, sink: &Arc<dyn EventSink>) -> Option<u64> {
    let registry = registry();
    let mut clients = registry.as_ref()?.clients.iter();
    let (&handle, opened) =
        clients.find(|(_, opened)| directory.is_some() && opened.directory.as_ref() == directory)?;
    *lock(&opened.sink.0) = Arc::clone(sink);
    Some(handle)
}

async fn execute(handle: u64, command: String) -> Result<syncline::Reply, Error> {
    let command: Command = serde_json::from_str(&command).map_err(|error| invalid("command", &error))?;
    if command == Command::Close {
        let _alone = LIFECYCLE.lock().await;
        let opened = registry().as_mut().and_then(|registry| registry.clients.remove(&handle));
        return opened.ok_or_else(|| not_open(handle))?.client.execute(command).await;
    }
    find(handle)?.execute(command).await
}

fn find(handle: u64) -> Result<Client, Error> {
    let registry = registry();
    let opened = registry.as_ref().and_then(|registry| registry.clients.get(&handle));
    opened.map(|opened| opened.client.clone()).ok_or_else(|| not_open(handle))
}

fn not_open(handle: u64) -> Error {
    Error::new(Code::Closed, format!("client {handle} is not open"))
}

impl SharedSink {
    fn deliver(&self, client: u64, events: &[Event]) {
        let sink = Arc::clone(&lock(&self.0));
        match serde_json::to_string(events) {
            Ok(events) => sink.events(client, events),
            Err(error) => tracing::error!(%error, "events not encoded"),
        }
    }
}

fn post_all(command: &Command) {
    let clients: Vec<Client> = registry()
        .iter()
        .flat_map(|registry| registry.clients.values().map(|opened| opened.client.clone()))
        .collect();
    for client in clients {
        if let Err(error) = client.post(command.clone()) {
            tracing::error!(%error, "command not posted");
        }
    }
}

/// A panic on the way becomes an error: none crosses into the host.
async fn guarded<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    use futures_util::FutureExt;
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(Error::new(Code::Internal, "the call ended by a panic")))
}

fn envelope<T: Serialize>(result: Result<T, Error>) -> String {
    let envelope = match result {
        Ok(reply) => Envelope::Ok(reply),
        Err(error) => Envelope::Error(error.into()),
    };
    serde_json::to_string(&envelope).unwrap_or_else(|_| {
        r#"{"error":{"code":"internal","message":"the reply could not be encoded","retryable":false}}"#
            .to_owned()
    })
}

fn invalid(what: &str, error: &serde_json::Error) -> Error {
    Error::new(Code::Invalid, format!("{what}: {error}"))
}

fn registry() -> MutexGuard<'static, Option<Registry>> {
    lock(&REGISTRY)
}

/// A panic elsewhere leaves the data whole: every change under these locks is a single insertion or removal.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
