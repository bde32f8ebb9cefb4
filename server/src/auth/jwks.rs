//! A key set that somebody else keeps and changes: fetched when it is old or a token names a key that it lacks, and
//! kept for as long as it cannot be fetched.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::{StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use jsonwebtoken::Header;
use rustls::RootCertStore;
use syncline_protocol::{ErrorCode, WireError};
use tokio::sync::Mutex;

use super::KeyError;
use super::keys::Key;
use crate::authorities::{self, AuthoritiesError};
use crate::config::AuthConfig;
use crate::https::{self, HttpClient};

/// The key set, as it was last fetched.
pub(super) struct Jwks {
    source: Source,
    max_age: Duration,
    refetch_min: Duration,
    timeout: Duration,
    bytes_max: usize,
    set: RwLock<Option<Fetched>>,
    /// Held while one fetches, for all who wait; when the last one began.
    fetching: Mutex<Option<Instant>>,
}

enum Source {
    File(PathBuf),
    Address { uri: Uri, client: Box<HttpClient<Empty<Bytes>>> },
}

#[derive(Clone)]
struct Fetched {
    keys: Arc<Vec<Key>>,
    at: Instant,
}

/// Why a fetch failed.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("it took too long")]
    TookTooLong,
    #[error("it cannot be read: {0}")]
    File(#[from] std::io::Error),
    #[error("the request failed: {0}")]
    Request(#[from] hyper_util::client::legacy::Error),
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("the answer broke off, or is too large")]
    Body,
    #[error("it is no key set")]
    Malformed,
    #[error("it holds no key for RS256 or ES256")]
    NoKey,
}

impl Jwks {
    pub(super) fn new(place: &str, config: &AuthConfig) -> Result<Self, KeyError> {
        Ok(Self {
            source: Source::new(place, config)?,
            max_age: Duration::from_secs(config.jwks_max_age_s),
            refetch_min: Duration::from_millis(config.jwks_refetch_min_ms),
            timeout: Duration::from_millis(config.jwks_timeout_ms),
            bytes_max: config.jwks_bytes_max,
            set: RwLock::new(None),
            fetching: Mutex::new(None),
        })
    }

    /// The keys that a token may be signed with.
    pub(super) async fn keys_for(&self, header: &Header) -> Result<Vec<Key>, WireError> {
        let (keys, is_fresh) = self.held(header);
        if !keys.is_empty() && is_fresh {
            return Ok(keys);
        }
        let last = if keys.is_empty() {
            Some(self.fetching.lock().await)
        } else {
            // Good enough for as long as another fetches.
            self.fetching.try_lock().ok()
        };
        let Some(mut last) = last else { return Ok(keys) };
        let (keys, is_fresh) = self.held(header);
        let may_fetch = last.is_none_or(|last| last.elapsed() >= self.refetch_min);
        if (keys.is_empty() || !is_fresh) && may_fetch {
            *last = Some(Instant::now());
            match self.fetch().await {
                Ok(keys) => {
                    let fetched = Fetched { keys: Arc::new(keys), at: Instant::now() };
                    *self.set.write().unwrap_or_else(PoisonError::into_inner) = Some(fetched);
                }
                Err(error) => tracing::warn!(%error, "the key set cannot be fetched"),
            }
        }
        if self.set.read().unwrap_or_else(PoisonError::into_inner).is_none() {
            return Err(WireError::new(ErrorCode::Unavailable, "the server has no keys yet"));
        }
        Ok(self.held(header).0)
    }

    fn held(&self, header: &Header) -> (Vec<Key>, bool) {
        match &*self.set.read().unwrap_or_else(PoisonError::into_inner) {
            None => (Vec::new(), false),
            Some(Fetched { keys, at }) => {
                let keys = keys.iter().filter(|key| key.may_have_signed(header)).cloned().collect();
                (keys, at.elapsed() < self.max_age)
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<Key>, FetchError> {
        let text = tokio::time::timeout(self.timeout, self.source.read(self.bytes_max)).await;
        let text = text.map_err(|_| FetchError::TookTooLong)??;
        let keys = Key::from_jwks(&text).map_err(|_| FetchError::Malformed)?;
        if keys.is_empty() { Err(FetchError::NoKey) } else { Ok(keys) }
    }
}

impl Source {
    fn new(place: &str, config: &AuthConfig) -> Result<Self, KeyError> {
        if !place.starts_with("http://") && !place.starts_with("https://") {
            return Ok(Self::File(place.into()));
        }
        let wrong = || KeyError::NotAnAddress { address: place.to_owned() };
        let uri: Uri = place.parse().map_err(|_| wrong())?;
        let is_secure = uri.scheme_str() == Some("https");
        if !is_secure && !uri.host().is_some_and(is_loopback) {
            return Err(KeyError::NotSecure { address: place.to_owned() });
        }
        let roots = if is_secure { roots(config)? } else { RootCertStore::empty() };
        let connector = https::by_roots(roots).map_err(|_| wrong())?;
        Ok(Self::Address { uri, client: Box::new(https::client_over(connector)) })
    }

    async fn read(&self, bytes_max: usize) -> Result<Bytes, FetchError> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || std::fs::read(path));
                Ok(read.await.map_err(std::io::Error::other)??.into())
            }
            Self::Address { uri, client } => {
                let answer = client.get(uri.clone()).await?;
                if answer.status() != StatusCode::OK {
                    return Err(FetchError::Status(answer.status()));
                }
                let body = Limited::new(answer.into_body(), bytes_max).collect().await;
                Ok(body.map_err(|_| FetchError::Body)?.to_bytes())
            }
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn roots(config: &AuthConfig) -> Result<RootCertStore, KeyError> {
    if let Some(path) = &config.jwks_ca_file {
        return authorities::read(path).map_err(|error| match error {
            AuthoritiesError::Unreadable(_) => KeyError::NotAuthorities { path: path.clone() },
            AuthoritiesError::None => KeyError::NoAuthorities,
        });
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(KeyError::NoAuthorities) } else { Ok(roots) }
}
