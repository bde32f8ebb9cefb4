//! The handle an app holds: commands in, events out.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use syncline_protocol::{ClientId, Collection};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument;
use uuid::Uuid;

use crate::collections::{CollectionOptions, Collections};
use crate::config::Settings;
use crate::driver::{Call, Desk, Driver, runtime};
use crate::engine::conflict::ConflictStrategy;
use crate::engine::io::{Command, ConnectionState, ConnectionStatus, Event, Reply};
use crate::engine::tokens::check_token;
use crate::engine::{Engine, EngineConfig};
use crate::error::{Code, Error};
use crate::schema::{Schema, bring_up_to_date};
use crate::store::{
    DiskStore, EncryptionKey, Indexes, Keyring, MemoryStore, Recovered, Store, StoreError, installation_hash,
};
use crate::threads::spawn;
use crate::transport::{
    ConnectRequest, HttpClient, Namespace, Parser, Pins, Proxy, Roots, SocketLimits, Tls, TlsOptions,
};

/// Calls that wait for the driver; beyond, callers wait.
const CALLS_QUEUED_MAX: usize = 1024;
/// The driver's stack, of which only what is used takes memory. Values nest at most 64 deep, and sled needs little; TLS,
/// with the platform's verifier, runs on it as well.
const DRIVER_STACK_BYTES: usize = 2 << 20;
const DRIVER_THREAD: &str = "syncline";
const EVENTS_STACK_BYTES: usize = 512 << 10;

/// How a client is opened.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[cfg_attr(feature = "contract", ts(optional_fields))]
pub struct ClientConfig {
    /// Scheme, host and port of the server: `https://sync.example.com`.
    pub url: String,
    /// Where Socket.IO listens; `/socket.io/` when absent.
    #[serde(default)]
    pub path: Option<String>,
    /// What the addresses of queued requests are relative to, and whose requests carry the token; `url` when absent.
    #[serde(default)]
    pub api_url: Option<String>,
    /// Where everything is kept; owned by this client. Needed unless `store` is `memory`.
    #[serde(default)]
    pub directory: Option<PathBuf>,
    #[serde(default)]
    #[cfg_attr(feature = "contract", ts(as = "Option<StoreKind>"))]
    pub store: StoreKind,
    /// Encrypts everything in the directory: 32 random bytes in base64, which the app keeps in the system's key store.
    /// A directory that is not encrypted yet is written anew; one encrypted with another key is refused, `wrong_key`.
    #[serde(default)]
    #[cfg_attr(feature = "contract", ts(as = "Option<String>"))]
    pub encryption_key: Option<EncryptionKey>,
    /// Keys that the directory may still be encrypted with: then it is written anew with the present one, or in the
    /// clear if there is none.
    #[serde(default)]
    #[cfg_attr(feature = "contract", ts(as = "Option<Vec<String>>"))]
    pub previous_encryption_keys: Vec<EncryptionKey>,
    /// Names this installation of the app, in any way that a backup does not restore. Where the data turns out to be
    /// another installation's, restored or copied, the client takes another id, and the writes that the other one may
    /// have sent become outcomes.
    #[serde(default)]
    pub installation_id: Option<String>,
    #[serde(default)]
    pub token: Option<String>,
    /// The namespace of the session, `/` when absent. Others are used beside it.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The notation of Socket.IO packets that the server is configured with.
    #[serde(default)]
    #[cfg_attr(feature = "contract", ts(as = "Option<Parser>"))]
    pub parser: Parser,
    /// A private authority to believe instead of the system's, as PEM.
    #[serde(default)]
    pub ca_pem: Option<String>,
    /// Keys that the server must have, as `sha256/` and the base64 of the SHA-256 of its SubjectPublicKeyInfo: at least two,
    /// one in use and one in reserve. Checked after the certificate.
    #[serde(default)]
    #[cfg_attr(feature = "contract", ts(as = "Option<Vec<String>>"))]
    pub pins: Vec<String>,
    /// An HTTP proxy to go through: `http://user:password@host:port`, the credentials being optional.
    #[serde(default)]
    pub proxy: Option<String>,
    /// Whether to connect at once; `true` when absent.
    #[serde(default = "yes")]
    #[cfg_attr(feature = "contract", ts(as = "Option<bool>"))]
    pub auto_connect: bool,
    /// Who decides when two clients write a document at once; the server merges when absent.
    #[serde(default)]
    #[cfg_attr(feature = "contract", ts(as = "Option<ConflictStrategy>"))]
    pub conflict: ConflictStrategy,
    /// What is different for some collections, by their names.
    #[serde(default)]
    #[cfg_attr(feature = "contract", ts(optional, type = "Record<string, CollectionOptions>"))]
    pub collections: BTreeMap<Collection, CollectionOptions>,
    /// The version of the app's documents, and the migrations to it; version 1 when absent.
    #[serde(default)]
    #[cfg_attr(feature = "contract", ts(as = "Option<Schema>"))]
    pub schema: Schema,
    #[serde(default)]
    #[cfg_attr(feature = "contract", ts(optional, type = "Partial<Settings>"))]
    pub settings: Settings,
}

impl fmt::Debug for ClientConfig {
    /// Without the token and the proxy's password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig")
            .field("url", &self.url)
            .field("directory", &self.directory)
            .field("store", &self.store)
            .field("parser", &self.parser)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

fn yes() -> bool {
    true
}

/// Where a client keeps its data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    #[default]
    Disk,
    /// Nothing survives the client.
    Memory,
}

impl ClientConfig {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            path: None,
            api_url: None,
            directory: None,
            store: StoreKind::Disk,
            encryption_key: None,
            previous_encryption_keys: Vec::new(),
            installation_id: None,
            token: None,
            namespace: None,
            parser: Parser::default(),
            ca_pem: None,
            pins: Vec::new(),
            proxy: None,
            auto_connect: true,
            conflict: ConflictStrategy::default(),
            collections: BTreeMap::new(),
            schema: Schema::default(),
            settings: Settings::default(),
        }
    }

    fn endpoint(&self) -> Result<ConnectRequest, Error> {
        let invalid = |error: &dyn std::fmt::Display| Error::new(Code::InvalidUrl, error.to_string());
        let roots = match &self.ca_pem {
            Some(pem) => Roots::PrivateCa { pem: pem.clone().into_bytes() },
            None => Roots::Platform,
        };
        let pins = Pins::parse(&self.pins).map_err(|error| Error::new(Code::Invalid, error.to_string()))?;
        let tls = Tls::new(TlsOptions { roots, pins });
        let tls = tls.map_err(|error| Error::new(Code::Invalid, error.to_string()))?;
        let mut request = ConnectRequest::new(&self.url, tls).map_err(|error| invalid(&error))?;
        if let Some(path) = &self.path {
            request = request.with_path(path).map_err(|error| invalid(&error))?;
        }
        if let Some(proxy) = &self.proxy {
            request = request.with_proxy(Proxy::parse(proxy).map_err(|error| invalid(&error))?);
        }
        if self.parser == Parser::Msgpack {
            // Tells a server that speaks both which one it is.
            request = request.with_query("parser", "msgpack").map_err(|error| invalid(&error))?;
        }
        let limits =
            SocketLimits { connect_timeout_ms: self.settings.connect_timeout_ms, ..SocketLimits::DEFAULT };
        Ok(request.with_limits(limits))
    }

    fn namespace(&self) -> Result<Namespace, Error> {
        let name = self.namespace.as_deref().unwrap_or("/");
        Namespace::new(name).map_err(|error| Error::new(Code::Invalid, error.to_string()))
    }

    /// What sends the queue's requests, on the socket's way: its proxy, and its TLS rules.
    fn http(&self, endpoint: &ConnectRequest) -> Result<HttpClient, Error> {
        let base = self.api_url.as_ref().unwrap_or(&self.url);
        HttpClient::new(base, endpoint.dialer().clone(), self.settings.connect_timeout_ms)
            .map_err(|error| Error::new(Code::InvalidUrl, error.to_string()))
    }

    /// The store, with everything in it in the shape that the app's schema has now.
    fn open_store(&self, indexes: Indexes) -> Result<(Box<dyn Store + Send>, Recovered), Error> {
        let (mut store, recovered) = self.open_unmigrated()?;
        let recovered = bring_up_to_date(&self.schema, &mut *store, recovered)?;
        store.declare_indexes(indexes);
        Ok((store, recovered))
    }

    fn open_unmigrated(&self) -> Result<(Box<dyn Store + Send>, Recovered), Error> {
        let client_id = ClientId::from_bytes(*Uuid::now_v7().as_bytes());
        match (self.store, &self.directory) {
            (StoreKind::Memory, _) => {
                let (store, recovered) = MemoryStore::new(client_id);
                Ok((Box::new(store), recovered))
            }
            (StoreKind::Disk, Some(directory)) => {
                let keyring = Keyring::new(self.encryption_key.as_ref(), &self.previous_encryption_keys)?;
                let installation = self.installation_id.as_deref().map(installation_hash);
                let (store, recovered) = DiskStore::open_with(directory, client_id, keyring, installation)?;
                Ok((Box::new(store), recovered))
            }
            (StoreKind::Disk, None) => Err(Error::new(Code::Invalid, "no directory is given")),
        }
    }
}

/// Takes events, one batch at a time, on a thread that does nothing else. Blocking or panicking there delays
/// events, and nothing more; calling the client from there is fine.
pub trait EventSink: Send + 'static {
    fn events(&mut self, events: Vec<Event>);
}

impl<F: FnMut(Vec<Event>) + Send + 'static> EventSink for F {
    fn events(&mut self, events: Vec<Event>) {
        self(events);
    }
}

/// A client. Cloned handles share it; it closes with [`Command::Close`] or with its last handle.
#[derive(Debug, Clone)]
pub struct Client {
    calls: mpsc::Sender<Call>,
    desk: Arc<Desk>,
    runtime: Handle,
}

impl Client {
    /// Opens the store and starts the client. Fails with `invalid_url`, `invalid`, `in_use`, `storage`, `disk_full`,
    /// `locked`, `wrong_key` or `schema_too_new`.
    pub fn open(
        config: ClientConfig,
        sink: impl EventSink,
    ) -> impl Future<Output = Result<Self, Error>> + Send {
        Self::start(config, Box::new(sink))
    }

    async fn start(config: ClientConfig, sink: Box<dyn EventSink>) -> Result<Self, Error> {
        let endpoint = config.endpoint()?;
        let http = config.http(&endpoint)?;
        config.schema.validate()?;
        config.token.as_deref().map_or(Ok(()), check_token)?;
        let runtime = runtime()?;
        let (calls, inbox) = mpsc::channel(CALLS_QUEUED_MAX);
        let (opened, result) = oneshot::channel();
        let auto_connect = config.auto_connect;
        let handle = runtime.handle().clone();
        let desk = Arc::new(Desk::default());
        let driver_desk = Arc::clone(&desk);
        let body = move || {
            let driver = match prepare(config, endpoint, http, inbox, driver_desk, sink) {
                Ok(driver) => driver,
                Err(error) => {
                    let _unheard = opened.send(Err(error));
                    return;
                }
            };
            if opened.send(Ok(())).is_ok() {
                run(driver, runtime);
            }
        };
        spawn(DRIVER_THREAD, DRIVER_STACK_BYTES, Box::new(body))?;
        result.await.map_err(|_| Error::new(Code::Internal, "the client did not start"))??;
        let client = Self { calls, desk, runtime: handle };
        if auto_connect {
            client.post(Command::Connect)?;
        }
        Ok(client)
    }

    /// Carries out a command. Dropping the future does not undo it.
    pub async fn execute(&self, command: Command) -> Result<Reply, Error> {
        let (reply, result) = oneshot::channel();
        let call = Call { command, called_at: Instant::now(), reply };
        if let Some(call) = self.desk.take(call, &self.calls) {
            self.calls.send(call).await.map_err(|_| Error::closed())?;
        }
        result.await.map_err(|_| Error::closed())?
    }

    /// Carries out a command whose result does not matter, without waiting.
    pub fn post(&self, command: Command) -> Result<(), Error> {
        let (reply, _unheard) = oneshot::channel();
        let call = Call { command, called_at: Instant::now(), reply };
        match self.calls.try_send(call) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(Error::closed()),
            Err(TrySendError::Full(call)) => {
                let calls = self.calls.clone();
                self.runtime.spawn(async move { calls.send(call).await });
                Ok(())
            }
        }
    }
}

/// Runs a client to its end. A panic ends this client and nothing else: whoever waits finds it closed, and the app is
/// told why. What it accepted is on the disk for the next one.
fn run(driver: Driver, runtime: Runtime) {
    let (events, desk) = (driver.events.clone(), Arc::clone(&driver.desk));
    let span = tracing::info_span!("syncline.client");
    let ended = runtime.block_on(AssertUnwindSafe(driver.run().instrument(span)).catch_unwind());
    if ended.is_err() {
        desk.clear();
    }
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    if ended.is_err() {
        let error = Error::new(Code::Internal, "the client ended by a panic");
        tracing::error!(%error, "the client ended by a panic");
        let status = ConnectionStatus {
            state: ConnectionState::Closed,
            reason: Some(error.clone().into()),
            ..ConnectionStatus::default()
        };
        // Nobody listens any more, perhaps.
        let _unheard =
            events.blocking_send(vec![Event::Error { error: error.into() }, Event::Connection { status }]);
    }
}

fn prepare(
    config: ClientConfig,
    endpoint: ConnectRequest,
    http: HttpClient,
    calls: mpsc::Receiver<Call>,
    desk: Arc<Desk>,
    sink: Box<dyn EventSink>,
) -> Result<Driver, Error> {
    let namespace = config.namespace()?;
    let collections = Collections { conflict: config.conflict, options: config.collections.clone() };
    let (store, recovered) = config.open_store(collections.indexes()?)?;
    let rooms = match store.rooms() {
        // The engine hears of the loss from the store, and begins with nothing.
        Err(StoreError::CacheLost { .. }) => Vec::new(),
        rooms => rooms?,
    };
    let (events, inbox) = mpsc::channel(1);
    spawn("syncline-events", EVENTS_STACK_BYTES, Box::new(move || deliver(inbox, sink)))?;
    let engine_config = EngineConfig {
        settings: config.settings,
        collections,
        parser: config.parser,
        namespace,
        token: config.token,
        // The random half of the id.
        seed: Uuid::now_v7().as_u64_pair().1,
    };
    let engine = Engine::new(engine_config, recovered, rooms);
    Ok(Driver { desk, engine, store, endpoint, parser: config.parser, http, calls, events })
}

fn deliver(mut inbox: mpsc::Receiver<Vec<Event>>, mut sink: Box<dyn EventSink>) {
    while let Some(events) = inbox.blocking_recv() {
        let call = AssertUnwindSafe(|| sink.events(events));
        if std::panic::catch_unwind(call).is_err() {
            tracing::error!(event = "syncline.listener_failed", "the app's listener panicked");
        }
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
