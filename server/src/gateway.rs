//! The Socket.IO end: two parsers on one path, the handshake, and a session for each socket.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::Request as HttpRequest;
use axum::response::{IntoResponse, Response};
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::SocketRef;
use socketioxide::handler::{ConnectHandler, FromConnectParts, Value};
use socketioxide::service::SocketIoService;
use socketioxide::socket::{DisconnectReason, Socket};
use socketioxide::{ParserConfig, SocketIo, SocketIoBuilder};
use syncline_protocol::message::{Auth, Encoding, PROTOCOL_VERSION};
use syncline_protocol::{ClientId, ErrorCode, WireError};
use tokio::sync::{Notify, watch};
use tower::ServiceExt;

use crate::access::recheck::Rechecks;
use crate::access::{Access, Identity};
use crate::auth::{Authenticator, Revocation};
use crate::cluster::Cluster;
use crate::config::ConnectionConfig;
use crate::door::{self, Door, Known, UserRates};
use crate::fanout::LocalFanout;
use crate::inbox::{Enqueue, Inbox, Waiting};
use crate::operate::Operate;
use crate::presence::{ConnectionId, Notice, PresenceConfig, Roster};
use crate::server_client::is_server_client;
use crate::session;
use crate::storage::Storage;
use crate::storage::sled::now_ms;
use crate::telling::RoundEnds;
use crate::wire;

const PATH: &str = "/socket.io";

/// So many bits of a connection's number tell those of one millisecond apart; the number stays exact in JavaScript.
const CONNECTIONS_PER_MS_BITS: u32 = 11;

/// Whether the server goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Open,
    /// It ends, and its clients move, each at a moment of its own within so many milliseconds.
    Ending {
        over_ms: u64,
    },
}

impl Service {
    /// Done when it is time for one session to end.
    pub(crate) async fn ended(mut service: watch::Receiver<Self>) {
        let over_ms = match service.wait_for(|service| *service != Self::Open).await.as_deref() {
            Ok(Self::Ending { over_ms }) => *over_ms,
            Ok(Self::Open) | Err(_) => 0,
        };
        let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
        let wait_ms = random.checked_rem(over_ms).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    }
}

/// What all sessions share.
pub(crate) struct Shared {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) fanout: Arc<LocalFanout>,
    pub(crate) auth: Authenticator,
    pub(crate) access: Access,
    pub(crate) door: Arc<Door>,
    pub(crate) limits: syncline_protocol::Limits,
    pub(crate) connection: ConnectionConfig,
    pub(crate) presence: PresenceConfig,
    /// The other nodes, if there are any.
    pub(crate) cluster: Option<Arc<Cluster>>,
    pub(crate) operate: Arc<Operate>,
    pub(crate) rechecks: Rechecks,
    started: Instant,
    roster: Mutex<Roster>,
    /// Woken when the first lease ends sooner than before.
    expiry_sooner: Notify,
    /// Of what members hear of each other.
    pub(crate) round_ends: Arc<RoundEnds>,
    last_connection: AtomicU64,
    /// Subscribed to by every session, so that a shutdown can end them and wait for them.
    service: watch::Sender<Service>,
}

impl Shared {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        fanout: Arc<LocalFanout>,
        cluster: Option<Arc<Cluster>>,
        auth: Authenticator,
        access: Access,
        operate: Arc<Operate>,
        config: &crate::config::Config,
    ) -> Arc<Self> {
        let mut roster = Roster::new(config.presence.clone(), config.limits);
        if cluster.is_some() {
            roster.share();
        }
        Arc::new(Self {
            storage,
            fanout,
            auth,
            access,
            door: Door::new(&config.door),
            limits: config.limits,
            connection: config.connection.clone(),
            presence: config.presence.clone(),
            cluster,
            operate,
            rechecks: Rechecks::new(config),
            started: Instant::now(),
            roster: Mutex::new(roster),
            expiry_sooner: Notify::new(),
            round_ends: Arc::default(),
            last_connection: AtomicU64::new(0),
            service: watch::Sender::new(Service::Open),
        })
    }

    /// The roster, locked.
    pub(crate) fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The roster's time: milliseconds since the server's start.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Changes the roster at the present time. Who comes online and goes offline is told before it is released, so that this is
    /// heard in its order; what members hear of each other is told [elsewhere](crate::telling).
    pub(crate) fn change_roster(&self, change: impl FnOnce(&mut Roster, u64) -> Vec<Notice>) {
        let mut roster = self.roster();
        let before = roster.next_expiry_ms();
        for Notice { to, news } in change(&mut roster, self.now_ms()) {
            self.fanout.tell(to, news);
        }
        if roster.has_news() {
            self.round_ends.wake();
        }
        if let Some(cluster) = &self.cluster {
            cluster.follow(roster.take_effects(self.now_ms()));
        }
        let after = roster.next_expiry_ms();
        if after.is_some_and(|after| before.is_none_or(|before| after < before)) {
            self.expiry_sooner.notify_one();
        }
    }

    /// Ends leases when they are over, for ever.
    pub(crate) async fn expire_leases(&self) {
        loop {
            let next_ms = self.roster().next_expiry_ms();
            let wait_ms = next_ms.map(|next_ms| next_ms.saturating_sub(self.now_ms()));
            let until_next = async {
                match wait_ms {
                    Some(wait_ms) => tokio::time::sleep(Duration::from_millis(wait_ms)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = until_next => self.change_roster(Roster::expire),
                () = self.expiry_sooner.notified() => {}
            }
        }
    }

    /// A number for a new connection, higher than `older` and those given before. It begins with the wall clock's time, so
    /// that nodes agree which of two connections is the newer one.
    pub(crate) fn next_connection(&self, older: Option<ConnectionId>) -> ConnectionId {
        let floor = older.map_or(0, |older| older.0).max(now_ms() << CONNECTIONS_PER_MS_BITS);
        let next = |last: u64| last.max(floor) + 1;
        let last =
            self.last_connection.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        ConnectionId(last.map_or_else(next, next))
    }

    /// Ends the connections that go by these tokens, and takes them no more.
    pub(crate) async fn revoke(self: &Arc<Self>, what: Revocation) -> std::io::Result<()> {
        let shared = Arc::clone(self);
        let now_s = now_ms() / 1000;
        let revoked = tokio::task::spawn_blocking(move || shared.auth.revocations().revoke(what, now_s));
        revoked.await.map_err(std::io::Error::other)?
    }

    /// Takes no more sessions and ends those there are, each at a moment of its own in the time given; done when the last
    /// one has ended.
    pub(crate) async fn close(&self, over_ms: u64) {
        self.service.send_replace(Service::Ending { over_ms });
        self.service.closed().await;
    }

    /// Whether sessions are taken.
    pub(crate) fn is_open(&self) -> bool {
        *self.service.borrow() == Service::Open
    }

    /// Whether the server takes clients: its storage works, and it does not shut down.
    pub(crate) fn readiness(&self) -> Readiness {
        if !self.is_open() {
            Readiness::Draining
        } else if self.storage.is_healthy() {
            Readiness::Ready
        } else {
            Readiness::StorageDown
        }
    }

    fn admit(&self) -> Result<watch::Receiver<Service>, WireError> {
        let unavailable = |message: &str| WireError::new(ErrorCode::Unavailable, message);
        if self.roster().connection_count() >= self.connection.connections_max {
            return Err(unavailable("the server has all the connections it takes"));
        }
        let service = self.service.subscribe();
        if self.is_open() { Ok(service) } else { Err(unavailable("the server is shutting down")) }
    }
}

/// Whether a server takes clients, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Readiness {
    Ready,
    Draining,
    StorageDown,
}

/// An accepted handshake, on its way to its session.
pub(crate) struct Accepted {
    pub(crate) identity: Identity,
    pub(crate) known: Known,
    pub(crate) client: Option<ClientId>,
    /// Whether the storage knows whose client it is.
    pub(crate) is_bound: bool,
    pub(crate) encoding: Encoding,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) waiting: Waiting,
    /// Woken when the socket is gone.
    pub(crate) gone: Arc<Notify>,
    /// Whether the client said goodbye before.
    pub(crate) left: Arc<AtomicBool>,
    pub(crate) service: watch::Receiver<Service>,
}

/// [`Accepted`] as a socket's extension.
#[derive(Clone)]
struct Handover(Arc<Mutex<Option<Accepted>>>);

/// Both Socket.IO servers, as one HTTP service.
#[derive(Clone)]
pub(crate) struct Gateway {
    json: SocketIoService<axum::routing::RouterIntoService<axum::body::Body>>,
    msgpack: SocketIoService<axum::routing::RouterIntoService<axum::body::Body>>,
    io: [SocketIo; 2],
}

impl Gateway {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let config = &shared.connection;
        let message_bytes_max = usize::try_from(shared.limits.message_bytes_max).unwrap_or(usize::MAX);
        let common = ParserConfig::common()
            .max_incoming_binary_buf_size(message_bytes_max)
            .max_incoming_binaries(config.attachments_max)
            .packet_completion_timeout(Duration::from_millis(config.attachments_timeout_ms));
        let not_found = || axum::Router::new().into_service();
        let (json, json_io) = builder(shared).with_parser(common).build_with_inner_svc(not_found());
        let (msgpack, msgpack_io) =
            builder(shared).with_parser(ParserConfig::msgpack()).build_with_inner_svc(not_found());
        for io in [&json_io, &msgpack_io] {
            serve_namespace(io, shared);
        }
        Self { json, msgpack, io: [json_io, msgpack_io] }
    }

    /// Serves a request for the Socket.IO path: `?parser=msgpack` asks for the MessagePack parser.
    pub(crate) async fn serve(self, request: HttpRequest) -> Response {
        let query = request.uri().query().unwrap_or_default();
        let wants_msgpack = query.split('&').any(|pair| pair == "parser=msgpack");
        let service = if wants_msgpack { self.msgpack } else { self.json };
        match service.oneshot(request).await {
            Ok(response) => response.into_response(),
            Err(never) => match never {},
        }
    }

    /// Closes every socket.
    pub(crate) async fn close(&self) {
        for io in &self.io {
            io.close().await;
        }
    }
}

fn builder(shared: &Arc<Shared>) -> SocketIoBuilder {
    let config = &shared.connection;
    let message_bytes_max = usize::try_from(shared.limits.message_bytes_max).unwrap_or(usize::MAX);
    SocketIo::builder()
        .req_path(PATH)
        .ping_interval(Duration::from_millis(config.ping_interval_ms))
        .ping_timeout(Duration::from_millis(config.ping_timeout_ms))
        .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
        .upgrade_timeout(Duration::from_millis(config.upgrade_timeout_ms))
        .max_buffer_size(config.packets_queued_max)
        .max_payload(shared.limits.message_bytes_max)
        .ws_max_message_size(message_bytes_max)
        .ws_max_frame_size(message_bytes_max)
        .ws_read_buffer_size(config.websocket_read_buffer_bytes)
}

fn serve_namespace(io: &SocketIo, shared: &Arc<Shared>) {
    let at_handshake = Arc::clone(shared);
    let handshake = async move |socket: SocketRef, RawAuth(auth): RawAuth| {
        let accepted = accept(&at_handshake, &socket, auth.as_ref()).await;
        accepted.inspect_err(|error| {
            at_handshake.operate.refused(error);
            tracing::debug!(%error, "a handshake was refused");
        })
    };
    let at_connect = Arc::clone(shared);
    let connected = async move |socket: SocketRef| {
        let Some(Handover(accepted)) = socket.extensions.remove::<Handover>() else { return };
        let accepted = accepted.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(accepted) = accepted {
            session::run(at_connect, socket, accepted).await;
        }
    };
    io.ns("/", connected.with(handshake));
}

/// The handshake's auth payload, unread.
struct RawAuth(Option<Value>);

impl FromConnectParts<LocalAdapter> for RawAuth {
    type Error = std::convert::Infallible;

    fn from_connect_parts(
        _: &Arc<Socket<LocalAdapter>>,
        auth: &Option<Value>,
    ) -> Result<Self, std::convert::Infallible> {
        Ok(Self(auth.clone()))
    }
}

/// Checks a handshake, and makes the socket ready for requests before the client can send any. Socket.IO sends an
/// error as `{message}` alone, so its code leads the message: `unauthorized: the token has expired`.
async fn accept(shared: &Arc<Shared>, socket: &SocketRef, auth: Option<&Value>) -> Result<(), WireError> {
    let auth: Auth = wire::decode_auth(auth)?;
    let version = auth.protocol.unwrap_or(PROTOCOL_VERSION);
    if version != PROTOCOL_VERSION {
        let message = format!("this server speaks version {PROTOCOL_VERSION}, not {version}");
        return Err(WireError::new(ErrorCode::UnsupportedProtocol, message));
    }
    let Some(token) = auth.token else {
        return Err(WireError::new(ErrorCode::Unauthorized, "there is no token"));
    };
    let identity = shared.auth.verify(&token).await?;
    let service = shared.admit()?;
    let mut is_bound = false;
    if let Some(client) = auth.client_id {
        if is_server_client(client) {
            return Err(WireError::new(ErrorCode::Invalid, "client ids of version 8 are the server's own"));
        }
        let owner = shared.storage.owner(client).await?;
        is_bound = owner.is_some();
        if owner.is_some_and(|owner| owner != identity.user) {
            return Err(WireError::new(ErrorCode::Forbidden, "the client id is another user's"));
        }
    }
    let user: Arc<str> = identity.user.as_str().into();
    let per_user_max = shared.connection.connections_per_user_max;
    let Some(known) = shared.door.accept(socket.id.as_str(), &user, per_user_max) else {
        return Err(WireError::new(
            ErrorCode::Unavailable,
            "the user has all the connections that one may have",
        ));
    };
    door::welcome(&socket.req_parts().extensions);
    let user_rates = UserRates::new(user, &shared.door);
    let (inbox, waiting) = Inbox::new(&shared.connection, user_rates);
    // All of them: a handler for each event would take memory of every connection.
    socket.on_fallback(Enqueue { inbox: Arc::clone(&inbox) });
    let gone = Arc::new(Notify::new());
    let left = Arc::new(AtomicBool::new(false));
    let (gone_later, left_later) = (Arc::clone(&gone), Arc::clone(&left));
    socket.on_disconnect(async move |reason: DisconnectReason| {
        left_later.store(reason == DisconnectReason::ClientNSDisconnect, Ordering::Relaxed);
        gone_later.notify_one();
    });
    let (client, encoding) = (auth.client_id, auth.encoding);
    let accepted =
        Accepted { identity, known, client, is_bound, encoding, inbox, waiting, gone, left, service };
    socket.extensions.insert(Handover(Arc::new(Mutex::new(Some(accepted)))));
    Ok(())
}
