//! Who is told of changes, and of what.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::Uri;
use syncline_protocol::{Collection, Room};
use tokio::sync::Notify;

use super::signature::{Secret, SecretError};
use crate::config::{WebhookConfig, WebhookStart};

/// Why an endpoint cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("two endpoints are called {name}")]
    Twice { name: String },
    #[error("{name}: a name has 1 to 64 letters, digits, dots, dashes or underscores")]
    Name { name: String },
    #[error("{name}: the URL must be https://, or http:// to this machine: {url}")]
    Url { name: String, url: String },
    #[error("{name}: cannot read the secret in {path}: {source}")]
    SecretUnreadable { name: String, path: PathBuf, source: std::io::Error },
    #[error("{name}: the secret in {path}: {source}")]
    Secret { name: String, path: PathBuf, source: SecretError },
    #[error("{name}: {collection} is no name of a collection")]
    Collection { name: String, collection: String },
}

/// The longest name of an endpoint.
const NAME_BYTES_MAX: usize = 64;

/// Somebody who is told of changes.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) name: String,
    pub(super) url: Uri,
    pub(super) secrets: Vec<Secret>,
    rooms: Vec<RoomPattern>,
    pub(super) collections: Option<Vec<Collection>>,
    pub(super) from: WebhookStart,
    pub(super) changes_max: u32,
    pub(super) timeout: Duration,
    /// `None` for ever.
    pub(super) attempts_max: Option<u32>,
    waiting: Mutex<Waiting>,
    waiting_max: usize,
    /// Woken when there is news.
    pub(super) news: Notify,
    /// Whether this server has the right to tell it.
    pub(super) is_told_here: AtomicBool,
    /// Woken when another server has given that right up.
    pub(super) freed: Notify,
}

/// Rooms with news.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) rooms: BTreeSet<Room>,
    /// There were too many of them, so all rooms must be searched.
    pub(super) overflowed: bool,
}

#[derive(Debug)]
enum RoomPattern {
    Exact(String),
    Prefix(String),
}

impl Endpoint {
    pub(super) fn open(config: &WebhookConfig, waiting_max: usize) -> Result<Self, WebhookError> {
        let WebhookConfig { name, url, secret_file, .. } = config;
        let fits = |char: char| char.is_ascii_alphanumeric() || ".-_".contains(char);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(fits) {
            return Err(WebhookError::Name { name: name.clone() });
        }
        let parsed: Option<Uri> = url.parse().ok().filter(is_fit);
        let url = parsed.ok_or_else(|| WebhookError::Url { name: name.clone(), url: shown(url) })?;
        let text = std::fs::read_to_string(secret_file).map_err(|source| WebhookError::SecretUnreadable {
            name: name.clone(),
            path: secret_file.clone(),
            source,
        })?;
        let secrets = Secret::read_all(&text).map_err(|source| WebhookError::Secret {
            name: name.clone(),
            path: secret_file.clone(),
            source,
        })?;
        let pattern = |text: &String| match text.strip_suffix('*') {
            Some(prefix) => RoomPattern::Prefix(prefix.to_owned()),
            None => RoomPattern::Exact(text.clone()),
        };
        let collection = |text: &String| {
            Collection::new(text)
                .map_err(|_| WebhookError::Collection { name: name.clone(), collection: text.clone() })
        };
        let collections = config.collections.as_ref();
        Ok(Self {
            name: name.clone(),
            url,
            secrets,
            rooms: config.rooms.iter().map(pattern).collect(),
            collections: collections.map(|names| names.iter().map(collection).collect()).transpose()?,
            from: config.from,
            changes_max: config.changes_max,
            timeout: Duration::from_millis(config.timeout_ms),
            attempts_max: (config.attempts_max > 0).then_some(config.attempts_max),
            waiting: Mutex::default(),
            waiting_max,
            news: Notify::new(),
            is_told_here: AtomicBool::new(false),
            freed: Notify::new(),
        })
    }

    /// Whether it is to be told of a room.
    pub(super) fn wants(&self, room: &Room) -> bool {
        self.rooms.iter().any(|pattern| match pattern {
            RoomPattern::Exact(name) => room.as_str() == name,
            RoomPattern::Prefix(prefix) => room.as_str().starts_with(prefix.as_str()),
        })
    }

    /// There is news in a room.
    pub(super) fn note(&self, room: &Room) {
        let mut waiting = self.waiting();
        if waiting.rooms.len() < self.waiting_max {
            waiting.rooms.insert(room.clone());
        } else if !waiting.rooms.contains(room) {
            waiting.overflowed = true;
        }
        drop(waiting);
        self.news.notify_one();
    }

    pub(super) fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is signed is not secret, so it travels encrypted or not at all.
fn is_fit(url: &Uri) -> bool {
    let is_local = matches!(url.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let has_password = url.authority().is_some_and(|authority| authority.as_str().contains('@'));
    let scheme = url.scheme_str();
    (scheme == Some("https") || (scheme == Some("http") && is_local)) && url.host().is_some() && !has_password
}

/// A URL without what may be secret in it.
fn shown(url: &str) -> String {
    url.split('?').next().unwrap_or_default().rsplit('@').next().unwrap_or_default().to_owned()
}
