//! Connections to the database.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_postgres::NoTls;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::PostgresError;
use crate::authorities;
use crate::config::{PostgresConfig, read_secret};
use crate::storage::{DatabaseUrl, StorageError};

const APPLICATION_NAME: &str = "syncline-server";

/// How much longer than the database itself this end waits for it.
const ANSWER_SLACK_MS: u64 = 1_000;

/// The pool, and how long its answers may take.
pub(super) struct Connections {
    pool: Pool,
    query_timeout: Duration,
}

/// A connection that is lent. It goes back to the pool when it is [done](Self::done); one that is dropped before may
/// be in the middle of a transaction, and is closed.
pub(super) struct Lease(Option<Object>);

impl Connections {
    /// Connects when it is first asked to.
    pub(super) fn new(url: &DatabaseUrl, config: &PostgresConfig) -> Result<Self, StorageError> {
        let mut database: tokio_postgres::Config = url.reveal().parse().map_err(|_| PostgresError::Url)?;
        if let (None, Some(path)) = (database.get_password(), &config.password_file) {
            database.password(read_password(path)?);
        }
        let query_timeout = Duration::from_millis(config.query_timeout_ms + ANSWER_SLACK_MS);
        let connect_timeout = Duration::from_millis(config.connect_timeout_ms);
        database.connect_timeout(connect_timeout).tcp_user_timeout(query_timeout);
        database.ssl_mode(tls_mode(&database));
        if database.get_application_name().is_none() {
            database.application_name(APPLICATION_NAME);
        }
        if database.get_target_session_attrs() == TargetSessionAttrs::Any {
            database.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match database.get_ssl_mode() {
            SslMode::Disable => Manager::from_config(database, NoTls, recycling),
            _ => Manager::from_config(database, tls(config)?, recycling),
        };
        let session = session_settings(config.query_timeout_ms);
        let set_up = Hook::async_fn(move |client, _| {
            let session = session.clone();
            Box::pin(async move { client.batch_execute(&session).await.map_err(HookError::Backend) })
        });
        let pool = Pool::builder(manager)
            .max_size(config.connections_max.max(1))
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(Duration::from_millis(config.acquire_timeout_ms)))
            .create_timeout(Some(connect_timeout))
            .post_create(set_up)
            .build()
            .map_err(|error| PostgresError::Failed(error.to_string()))?;
        Ok(Self { pool, query_timeout })
    }

    pub(super) async fn lease(&self) -> Result<Lease, StorageError> {
        let object = self.pool.get().await.map_err(PostgresError::from)?;
        Ok(Lease(Some(object)))
    }

    /// The database's answer, unless it takes too long.
    pub(super) async fn answer<T, E: Into<StorageError>>(
        &self,
        asked: impl Future<Output = Result<T, E>>,
    ) -> Result<T, StorageError> {
        within(self.query_timeout, asked).await
    }

    /// Closes all connections that are not lent, and lends no more.
    pub(super) fn close(&self) {
        self.pool.close();
    }
}

/// What comes within a time.
pub(super) async fn within<T, E: Into<StorageError>>(
    time: Duration,
    asked: impl Future<Output = Result<T, E>>,
) -> Result<T, StorageError> {
    match tokio::time::timeout(time, asked).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(PostgresError::Unavailable("it took too long".to_owned()).into()),
    }
}

impl Lease {
    /// Gives the connection back; it is in no transaction.
    pub(super) fn done(mut self) {
        drop(self.0.take());
    }

    pub(super) fn client(&self) -> Result<&deadpool_postgres::ClientWrapper, StorageError> {
        self.0
            .as_deref()
            .ok_or_else(|| PostgresError::Failed("a connection was given back".to_owned()).into())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

/// Without a word in the URL, only what stays on this machine goes in the clear.
fn tls_mode(database: &tokio_postgres::Config) -> SslMode {
    let is_here = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
    };
    match database.get_ssl_mode() {
        SslMode::Prefer if database.get_hosts().iter().all(is_here) => SslMode::Disable,
        SslMode::Prefer => SslMode::Require,
        other => other,
    }
}

fn read_password(path: &Path) -> Result<String, PostgresError> {
    let denied = |error: &dyn std::fmt::Display| {
        PostgresError::Denied(format!("its password cannot be read from {}: {error}", path.display()))
    };
    let password = read_secret(path).map_err(|error| denied(&error))?;
    String::from_utf8(password).map_err(|_| denied(&"it is no UTF-8"))
}

/// TLS with a certificate that names the host and that an authority vouches for.
fn tls(config: &PostgresConfig) -> Result<MakeRustlsConnect, StorageError> {
    let failed = |reason: String| StorageError::from(PostgresError::Tls(reason));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?;
    let builder = match &config.ca_file {
        None => builder.with_platform_verifier().map_err(|error| failed(error.to_string()))?,
        Some(path) => {
            let roots = authorities::read(path);
            let roots = roots.map_err(|reason| failed(format!("{}: {reason}", path.display())))?;
            builder.with_root_certificates(roots)
        }
    };
    Ok(MakeRustlsConnect::new(builder.with_no_client_auth()))
}

/// What each session is told: to end what takes too long, on the database's side too, so that a server that hangs in
/// the middle of a push lets the room go; and to answer a commit when it is durable, as is promised.
fn session_settings(query_timeout_ms: u64) -> String {
    format!(
        "SET statement_timeout = {query_timeout_ms};
         SET idle_in_transaction_session_timeout = {query_timeout_ms};
         SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn mode(url: &str) -> SslMode {
        tls_mode(&url.parse().unwrap())
    }

    #[test]
    fn only_what_stays_on_this_machine_goes_in_the_clear_unless_told_otherwise() {
        for here in ["localhost", "127.0.0.1", "[::1]", "%2Frun%2Fpostgresql", "localhost,127.0.0.2"] {
            assert_eq!(mode(&format!("postgres://a@{here}/b")), SslMode::Disable, "{here}");
        }
        for elsewhere in ["db", "10.0.0.1", "localhost,db", "localhost.example.com"] {
            assert_eq!(mode(&format!("postgres://a@{elsewhere}/b")), SslMode::Require, "{elsewhere}");
        }
        assert_eq!(mode("postgres://a@localhost/b?sslmode=require"), SslMode::Require);
        assert_eq!(mode("postgres://a@db/b?sslmode=disable"), SslMode::Disable);
    }

    #[test]
    fn a_url_that_is_not_valid_is_not_repeated() {
        let crate::storage::StorageLocation::Postgres(url) =
            "postgres://a:secret@db/b?no_such=1".parse().unwrap()
        else {
            return;
        };
        let error = Connections::new(&url, &PostgresConfig::default()).err().unwrap();
        assert!(matches!(error, StorageError::Postgres(PostgresError::Url)));
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}
