//! Who tells an endpoint: of several servers the one that has a lease, for as long as it renews it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use syncline_protocol::WireError;

use super::endpoint::Endpoint;
use super::message::Poster;
use super::places::{Lease, Places};
use super::sender::{Sender, jittered};
use crate::config::WebhooksConfig;
use crate::storage::Storage;
use crate::storage::sled::now_ms;

/// A lease is renewed so many times before it would end.
const RENEWALS: u64 = 3;

/// Tells an endpoint, for ever, whenever this server has the right to.
pub(super) async fn run(
    endpoint: Arc<Endpoint>,
    storage: Arc<dyn Storage>,
    config: Arc<WebhooksConfig>,
    poster: Arc<Poster>,
    holder: String,
) {
    let places = match Places::new(Arc::clone(&storage)) {
        Ok(places) => places,
        Err(error) => return tracing::error!(%error, "webhooks have no room of their own"),
    };
    let step = Duration::from_millis((config.lease_ms / RENEWALS).max(1));
    loop {
        match begin(&places, &endpoint, &holder, &config).await {
            Ok(Lease::Held) => {}
            Ok(Lease::OfAnother { ms }) => {
                // Not all servers at the same moment, and never without a rest. The other one may end before its right does.
                let rest = Duration::from_millis(ms).min(step) + jittered(step);
                let _ = tokio::time::timeout(rest, endpoint.freed.notified()).await;
                continue;
            }
            Err(error) => {
                tracing::warn!(endpoint = endpoint.name, %error, "the right to send a webhook cannot be had");
                tokio::time::sleep(step).await;
                continue;
            }
        }
        endpoint.is_told_here.store(true, Ordering::Relaxed);
        let sender = Sender::new(&endpoint, &storage, &config, &poster, &places);
        tokio::select! {
            () = sender.tell() => {}
            () = keep(&places, &endpoint, &holder, &config, step) => {
                tracing::warn!(endpoint = endpoint.name, "the right to send a webhook was lost");
            }
        }
        endpoint.is_told_here.store(false, Ordering::Relaxed);
    }
}

/// Takes a lease, perhaps the first one of this endpoint.
async fn begin(
    places: &Places,
    endpoint: &Endpoint,
    holder: &str,
    config: &WebhooksConfig,
) -> Result<Lease, WireError> {
    places.introduce(endpoint).await?;
    take(places, endpoint, holder, config).await
}

/// Takes or renews a lease.
async fn take(
    places: &Places,
    endpoint: &Endpoint,
    holder: &str,
    config: &WebhooksConfig,
) -> Result<Lease, WireError> {
    let now_ms = now_ms();
    places.lease(endpoint, holder, now_ms, now_ms.saturating_add(config.lease_ms)).await
}

/// Renews a lease until it is lost.
async fn keep(places: &Places, endpoint: &Endpoint, holder: &str, config: &WebhooksConfig, step: Duration) {
    let mut ends = Instant::now() + Duration::from_millis(config.lease_ms);
    loop {
        tokio::time::sleep(step).await;
        let asked = Instant::now();
        let left = ends.saturating_duration_since(asked);
        match tokio::time::timeout(left, take(places, endpoint, holder, config)).await {
            Ok(Ok(Lease::Held)) => ends = asked + Duration::from_millis(config.lease_ms),
            Ok(Ok(Lease::OfAnother { .. })) | Err(_) => return,
            Ok(Err(error)) => tracing::debug!(endpoint = endpoint.name, %error, "a lease was not renewed"),
        }
    }
}
