//! A server from start to stop.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::serve::ListenerExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::auth::{Authenticator, SECRET_BYTES_MIN};
use crate::config::{Config, Mode};
use crate::error::ServerError;
use crate::fanout::LocalFanout;
use crate::gateway::{Gateway, Shared};
use crate::http::{self, HttpState};
use crate::operate::Operate;
use crate::operate::http::{Operations, Peer};
use crate::operate::measured::Measured;
use crate::operate::traffic::Counted;
use crate::rest::{self, Aliases};
use crate::storage;
use crate::webhooks::Webhooks;

/// A server that listens, and serves once it is [run](Server::run).
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    shared: Arc<Shared>,
    gateway: Gateway,
    webhooks: Arc<Webhooks>,
    router: axum::Router,
    operations: Option<(TcpListener, axum::Router)>,
    shutdown_timeout: Duration,
}

impl Server {
    /// Opens the data and starts to listen; a connection made from now on waits for [`Server::run`].
    pub async fn bind(config: Config) -> Result<Self, ServerError> {
        let (secret, development) = match &config.mode {
            Mode::Production { jwt_secret } => (jwt_secret.clone(), false),
            Mode::Development { .. } if !config.listen.ip().is_loopback() => {
                return Err(ServerError::DevelopmentNotOnLoopback { listen: config.listen });
            }
            Mode::Development { jwt_secret } => (jwt_secret.clone().unwrap_or_else(random_secret), true),
        };
        if secret.len() < SECRET_BYTES_MIN {
            return Err(ServerError::SecretTooShort { bytes: secret.len(), bytes_min: SECRET_BYTES_MIN });
        }
        let aliases = Aliases::new(&config.rest.aliases)?;
        let auth = Authenticator::new(&secret, config.connection.token_leeway_s);
        let fanout = Arc::new(LocalFanout::new(config.hub.live_bytes_max));
        let publish = Arc::clone(&fanout);
        let webhooks = Arc::new(Webhooks::open(&config.webhooks)?);
        let noted = Arc::clone(&webhooks);
        let on_commit = Arc::new(move |changes: syncline_protocol::message::Changes| {
            noted.note(&changes.room);
            publish.publish(changes);
        });
        let storage = storage::open(&config, on_commit).await?;
        let listen = |source| ServerError::Listen { listen: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let local_addr = listener.local_addr().map_err(listen)?;
        let operate = Operate::new(&config.operations);
        let operations = Operations::bind(&config.operations, development).await?;
        let storage = Measured::new(storage, &operate);
        let shared = Shared::new(Arc::new(storage), fanout, auth, operate, &config);
        let gateway = Gateway::new(&shared);
        let state =
            HttpState { shared: Arc::clone(&shared), mode: config.mode.name(), started: Instant::now() };
        let mut router = http::router(state, gateway.clone(), development);
        if config.rest.enabled {
            router = router.merge(rest::router(&shared, &config.rest, aliases));
        }
        let operations = operations.serve(&shared, &mut router);
        let shutdown_timeout = Duration::from_millis(config.shutdown_timeout_ms);
        Ok(Self { listener, local_addr, shared, gateway, webhooks, router, operations, shutdown_timeout })
    }

    /// Where it listens, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `shutdown` is done; then closes the connections, within the configured time, and the storage.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let Self { listener, shared, gateway, webhooks, router, operations, shutdown_timeout, .. } = self;
        let (stop, stopped) = oneshot::channel::<()>();
        let traffic = Arc::clone(&shared.operate.traffic);
        let listener = Counted { listener: listener.tap_io(send_at_once), traffic };
        let router = router.into_make_service_with_connect_info::<Peer>();
        let serve = axum::serve(listener, router).with_graceful_shutdown(async move {
            let _ = stopped.await;
        });
        let connections = || shared.roster().connection_count();
        let operating = async {
            match operations {
                Some((listener, router)) => axum::serve(listener, router).await,
                None => std::future::pending().await,
            }
        };
        let mut serving = tokio::spawn(async move { serve.await });
        let served = tokio::select! {
            () = shutdown => None,
            () = shared.expire_leases() => None,
            () = webhooks.run(&shared.storage) => None,
            never = shared.operate.sample(connections) => match never {},
            served = &mut serving => Some(served),
            served = operating => Some(Ok(served)),
        };
        let _ = stop.send(());
        let closing = async {
            shared.close().await;
            gateway.close().await;
        };
        if tokio::time::timeout(shutdown_timeout, closing).await.is_err() {
            tracing::warn!("some connections did not close in time");
        }
        serving.abort();
        if let Err(error) = shared.storage.close().await {
            tracing::error!(%error, "the storage was not closed cleanly");
        }
        match served {
            Some(Ok(Err(error))) => Err(ServerError::Serve(error)),
            Some(Err(error)) => Err(ServerError::Serve(std::io::Error::other(error))),
            Some(Ok(Ok(()))) | None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

/// A packet with an attachment is two small writes: the second must not wait for the first to be acknowledged.
fn send_at_once(stream: &mut TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps delaying small writes");
    }
}

/// Two random UUIDs: 244 bits from the system's generator.
fn random_secret() -> Vec<u8> {
    [uuid::Uuid::new_v4().into_bytes(), uuid::Uuid::new_v4().into_bytes()].concat()
}
