//! A server from start to stop.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline_protocol::{Room, WireError};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::access::audit::Audit;
use crate::access::{Access, Identity, Right};
use crate::auth::{Authenticator, Revocation, Revocations};
use crate::cluster::Cluster;
use crate::config::{Config, Mode};
use crate::door::{self, Listening};
use crate::error::ServerError;
use crate::fanout::LocalFanout;
use crate::gateway::{Gateway, Shared};
use crate::http::{self, HttpState};
use crate::operate::Operate;
use crate::operate::http::Operations;
use crate::operate::measured::Measured;
use crate::operate::requests;
use crate::reload::Reloadable;
use crate::rest::{self, Aliases};
use crate::storage::{self, OnCommit, StorageLocation};
use crate::validate::{Validate, Validation};
use crate::webhooks::Webhooks;

/// A server that listens, and serves once it is [run](Server::run).
pub struct Server {
    listening: Listening,
    local_addr: SocketAddr,
    shared: Arc<Shared>,
    reloadable: Arc<Reloadable>,
    gateway: Gateway,
    webhooks: Arc<Webhooks>,
    router: axum::Router,
    operations: Option<(TcpListener, axum::Router)>,
    shutdown_timeout: Duration,
    /// Over how long clients are sent to other nodes.
    drain_ms: u64,
}

impl Server {
    /// Opens the data and starts to listen; a connection made from now on waits for [`Server::run`].
    pub async fn bind(mut config: Config) -> Result<Self, ServerError> {
        let reloadable = Arc::new(Reloadable::load(&config)?);
        let schemas: Arc<dyn Validate> = reloadable.schemas.clone();
        config.hub.validation = Validation::new(config.hooks.validate.clone().into_iter().chain([schemas]));
        let (secret, development) = match &config.mode {
            Mode::Production { jwt_secret } => (Some(jwt_secret.clone()), false),
            Mode::PublicKeys => (None, false),
            Mode::Development { .. } if !config.listen.ip().is_loopback() => {
                return Err(ServerError::DevelopmentNotOnLoopback { listen: config.listen });
            }
            Mode::Development { jwt_secret } => {
                (Some(jwt_secret.clone().unwrap_or_else(random_secret)), true)
            }
        };
        let aliases = Aliases::new(&config.rest.aliases)?;
        let security = &config.security;
        let authorize = match &config.hooks.authorize {
            Some(authorize) => Arc::clone(authorize),
            None => reloadable.rules.clone(),
        };
        let audit = Audit::new(security.audit_lines_per_s_max);
        let timeout = Duration::from_millis(security.authorize_timeout_ms);
        let access = Access::new(authorize, audit, timeout);
        let leeway_s = config.connection.token_leeway_s;
        let revocations = Revocations::open(&config.data_dir, security).map_err(ServerError::Revocations)?;
        let auth = Authenticator::with_keys(secret.as_deref(), &config.auth, leeway_s, revocations)?;
        let fanout = Arc::new(LocalFanout::new(&config.hub));
        let webhooks = Arc::new(Webhooks::open(&config.webhooks)?);
        let cluster = match &config.cluster.url {
            Some(_) if config.storage.location == StorageLocation::Sled => {
                return Err(ServerError::ClusterNeedsSharedStorage);
            }
            Some(url) => Some(Cluster::new(url, &config.cluster, fanout.clone(), webhooks.clone())?),
            None => None,
        };
        let (noted, alone, among_others) = (Arc::clone(&webhooks), Arc::clone(&fanout), cluster.clone());
        let on_commit: OnCommit = Arc::new(move |changes| match &among_others {
            Some(cluster) => cluster.committed(changes),
            None => {
                noted.note(&changes.room);
                alone.announce(changes);
            }
        });
        let storage = storage::open(&config, on_commit).await?;
        let listen = |source| ServerError::Listen { listen: config.listen, source };
        let listener = door::listen(config.listen, config.door.accept_queue_max).map_err(listen)?;
        let local_addr = listener.local_addr().map_err(listen)?;
        let operate = Operate::new(&config.operations);
        let operations = Operations::bind(&config.operations, development).await?;
        let storage = Measured::new(storage, &operate);
        let shared = Shared::new(Arc::new(storage), fanout, cluster, auth, access, operate, &config);
        let tls = reloadable.tls.clone();
        let traffic = Arc::clone(&shared.operate.traffic);
        let listening = Listening { listener, tls, traffic, door: Arc::clone(&shared.door) };
        let gateway = Gateway::new(&shared);
        let state = HttpState {
            shared: Arc::clone(&shared),
            mode: config.mode.name(),
            storage_kind: config.storage.location.kind(),
            started: Instant::now(),
        };
        let mut router = http::router(state, gateway.clone(), development);
        if config.rest.enabled {
            router = router.merge(rest::router(&shared, &config.rest, aliases));
        }
        let operations = operations
            .serve(&shared, &mut router)
            .map(|(listener, router)| (listener, requests::layer(router)));
        let router = requests::layer(door::layer(router, &shared.door));
        let shutdown_timeout = Duration::from_millis(config.shutdown_timeout_ms);
        // Alone, there is nowhere else to go.
        let drain_ms = if shared.cluster.is_some() { config.cluster.drain_ms } else { 0 };
        Ok(Self {
            listening,
            local_addr,
            shared,
            reloadable,
            gateway,
            webhooks,
            router,
            operations,
            shutdown_timeout,
            drain_ms,
        })
    }

    /// What can be said to the server while it runs.
    pub fn handle(&self) -> Handle {
        Handle { shared: Arc::clone(&self.shared), reloadable: Arc::clone(&self.reloadable) }
    }

    /// Where it listens, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// How its addresses begin: `https`, or `http` without a certificate.
    pub fn scheme(&self) -> &'static str {
        if self.listening.tls.is_some() { "https" } else { "http" }
    }

    /// Serves until `shutdown` is done; then finishes what was taken in, closes the connections, within the configured
    /// time, and the storage.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let Self {
            listening, shared, gateway, webhooks, router, operations, shutdown_timeout, drain_ms, ..
        } = self;
        let (stop, stopped) = oneshot::channel::<()>();
        let among_others =
            shared.cluster.clone().map(|cluster| tokio::spawn(cluster.run(Arc::clone(&shared))));
        // A task of its own: whom it wakes then runs on the same thread.
        let fanout = Arc::clone(&shared.fanout);
        let telling = tokio::spawn(async move { fanout.run().await });
        let members = Arc::clone(&shared);
        let telling_members = tokio::spawn(async move { members.tell_members().await });
        let connections = || shared.roster().connection_count();
        let operating = async {
            match operations {
                Some((listener, router)) => axum::serve(listener, router).await,
                None => std::future::pending().await,
            }
        };
        let mut serving = tokio::spawn(door::serve(listening, router, async move {
            let _ = stopped.await;
        }));
        let served = tokio::select! {
            () = shutdown => None,
            () = shared.expire_leases() => None,
            never = shared.operate.sample(connections) => match never {},
            served = &mut serving => Some(served.map(Ok)),
            served = operating => Some(Ok(served)),
            () = webhooks.run(&shared.storage) => None,
        };
        // Another server tells them meanwhile.
        let freeing = async {
            webhooks.release(&shared.storage).await;
            shared.cluster.iter().for_each(|cluster| cluster.say_freed());
        };
        let closing = async { tokio::join!(shared.close(drain_ms), freeing) };
        if tokio::time::timeout(shutdown_timeout + Duration::from_millis(drain_ms), closing).await.is_err() {
            tracing::warn!("some connections did not close in time");
        }
        let _ = stop.send(());
        if tokio::time::timeout(shutdown_timeout, gateway.close()).await.is_err() {
            tracing::warn!("the transports did not close in time");
        }
        if let Some(cluster) = &shared.cluster {
            cluster.say_farewell().await;
        }
        if let Some(among_others) = among_others {
            among_others.abort();
        }
        telling.abort();
        telling_members.abort();
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

/// A running server, for the program that embeds it.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    reloadable: Arc<Reloadable>,
}

impl Handle {
    /// Whose token it is, if it holds.
    pub async fn identify(&self, token: &str) -> Result<Identity, WireError> {
        self.shared.auth.verify(token).await
    }

    /// Refuses, and records, what somebody may not do in a room; for requests that come by another way than a socket.
    pub async fn authorize(&self, who: &Identity, right: Right, room: &Room) -> Result<(), WireError> {
        self.shared.access.check(right, who, None, room).await.map(drop)
    }

    /// Ends the connections that go by these tokens, and takes them no more, also after a restart of this server; other
    /// servers of a cluster have to be told, too. An error means that it holds, but may not outlive this process.
    pub async fn revoke(&self, what: Revocation) -> std::io::Result<()> {
        self.shared.revoke(what).await
    }

    /// Takes over the rules and schemas of these settings, and reads the certificate's files again; live connections look at
    /// their rights again. All other settings stay as they were at the start, and all of them after an error.
    pub async fn reload(&self, config: Config) -> Result<(), ServerError> {
        let reloadable = Arc::clone(&self.reloadable);
        let reloaded = tokio::task::spawn_blocking(move || reloadable.reload(&config));
        reloaded.await.map_err(|error| ServerError::Serve(std::io::Error::other(error)))??;
        self.shared.rechecks.all();
        Ok(())
    }

    /// Has all connections look at their rights again: for an [`Authorize`](crate::access::Authorize) that would now
    /// answer differently.
    pub fn recheck(&self) {
        self.shared.rechecks.all();
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

/// Two random UUIDs: 244 bits from the system's generator.
fn random_secret() -> Vec<u8> {
    [uuid::Uuid::new_v4().into_bytes(), uuid::Uuid::new_v4().into_bytes()].concat()
}
