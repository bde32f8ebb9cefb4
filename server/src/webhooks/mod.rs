//! Webhooks: whoever is configured is told of changes, at least once, in the order of each room's log.
//!
//! What is kept is a cursor per endpoint and room, not a queue: an endpoint that is down for a week costs nothing but the
//! reading of the log afterwards.
//!
//! - [`endpoint`](self::endpoint): who is told, and of what. `signature`: how a message is signed.
//! - `lease`: who tells an endpoint. `sender`: the loop that does. `message`: one message. `places`: cursors and the right to send, in a
//!   room of the server's own, so that they are as durable, and as shared between servers, as the documents.

mod endpoint;
mod lease;
mod message;
mod places;
mod sender;
mod signature;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use syncline_protocol::Room;

use self::endpoint::Endpoint;
pub use self::endpoint::WebhookError;
use self::message::Poster;
use self::places::Places;
use crate::config::WebhooksConfig;
use crate::server_client::is_server_room;
use crate::storage::Storage;

/// All endpoints.
#[derive(Debug)]
pub(crate) struct Webhooks {
    config: Arc<WebhooksConfig>,
    endpoints: Vec<Arc<Endpoint>>,
    /// This server, among those that may tell an endpoint.
    holder: String,
}

impl Webhooks {
    /// Checks the settings and reads the secrets.
    pub(crate) fn open(config: &WebhooksConfig) -> Result<Self, WebhookError> {
        let mut endpoints: Vec<Arc<Endpoint>> = Vec::new();
        for endpoint in &config.endpoints {
            if endpoints.iter().any(|other| other.name == endpoint.name) {
                return Err(WebhookError::Twice { name: endpoint.name.clone() });
            }
            endpoints.push(Arc::new(Endpoint::open(endpoint, config.rooms_waiting_max)?));
        }
        let holder = uuid::Uuid::new_v4().to_string();
        Ok(Self { config: Arc::new(config.clone()), endpoints, holder })
    }

    /// Whether anybody is to be told of anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// Something in a room has changed. Answers whether another server is to hear of it, because that one tells somebody.
    pub(crate) fn note(&self, room: &Room) -> bool {
        let mut is_told_elsewhere = false;
        if !is_server_room(room) {
            for endpoint in self.endpoints.iter().filter(|endpoint| endpoint.wants(room)) {
                endpoint.note(room);
                is_told_elsewhere |= !endpoint.is_told_here.load(Ordering::Relaxed);
            }
        }
        is_told_elsewhere
    }

    /// Another server has given up its right to tell.
    pub(crate) fn freed(&self) {
        self.endpoints.iter().for_each(|endpoint| endpoint.freed.notify_one());
    }

    /// Gives up the right to tell, once [`run`](Self::run) has ended, so that other servers need not wait for the end of it.
    pub(crate) async fn release(&self, storage: &Arc<dyn Storage>) {
        let Ok(places) = Places::new(Arc::clone(storage)) else { return };
        for endpoint in &self.endpoints {
            if !endpoint.is_told_here.swap(false, Ordering::Relaxed) {
                continue;
            }
            if let Err(error) = places.release(endpoint, &self.holder).await {
                tracing::warn!(endpoint = endpoint.name, %error, "the right to send a webhook ends by itself");
            }
        }
    }

    /// Tells all endpoints, for ever.
    pub(crate) async fn run(&self, storage: &Arc<dyn Storage>) {
        if self.endpoints.is_empty() {
            return std::future::pending().await;
        }
        let poster = match Poster::new() {
            Ok(poster) => Arc::new(poster),
            Err(error) => {
                tracing::error!(%error, "no webhook can be sent: the system's certificates cannot be read");
                return std::future::pending().await;
            }
        };
        let mut sending = tokio::task::JoinSet::new();
        for endpoint in &self.endpoints {
            let (endpoint, storage, config) = (endpoint.clone(), storage.clone(), self.config.clone());
            sending.spawn(lease::run(endpoint, storage, config, Arc::clone(&poster), self.holder.clone()));
        }
        while let Some(ended) = sending.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the sender of a webhook has ended");
            }
        }
    }
}
