//! Webhooks: whoever is configured is told of changes, at least once, in the order of each room's log.
//!
//! What is kept is a cursor per endpoint and room, not a queue: an endpoint that is down for a week costs nothing but the
//! reading of the log afterwards.
//!
//! - [`endpoint`](self::endpoint): who is told, and of what. `signature`: how a message is signed.
//! - `sender`: the loop that tells one endpoint. `message`: one message. `places`: cursors and the right to send, in a room of
//!   the server's own, so that they are as durable, and as shared between servers, as the documents.

mod endpoint;
mod message;
mod places;
mod sender;
mod signature;

use std::sync::Arc;

use syncline_protocol::Room;

use self::endpoint::Endpoint;
pub use self::endpoint::WebhookError;
use self::message::Poster;
use crate::config::WebhooksConfig;
use crate::server_client::is_server_room;
use crate::storage::Storage;

/// All endpoints.
#[derive(Debug)]
pub(crate) struct Webhooks {
    config: Arc<WebhooksConfig>,
    endpoints: Vec<Arc<Endpoint>>,
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
        Ok(Self { config: Arc::new(config.clone()), endpoints })
    }

    /// Something in a room has changed.
    pub(crate) fn note(&self, room: &Room) {
        if is_server_room(room) {
            return;
        }
        for endpoint in self.endpoints.iter().filter(|endpoint| endpoint.wants(room)) {
            endpoint.note(room);
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
            let (endpoint, storage) = (Arc::clone(endpoint), Arc::clone(storage));
            sending.spawn(sender::run(endpoint, storage, Arc::clone(&self.config), Arc::clone(&poster)));
        }
        while let Some(ended) = sending.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the sender of a webhook has ended");
            }
        }
    }
}
