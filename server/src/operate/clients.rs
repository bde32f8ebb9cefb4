//! Who is connected, for the admin page.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use syncline_protocol::ClientId;
use tokio::sync::Notify;

use crate::door::Visitor;
use crate::fanout::Mailbox;
use crate::inbox::Inbox;
use crate::presence::{ConnectionId, Roster};

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    live: Mutex<BTreeMap<ConnectionId, Arc<Client>>>,
}

/// One connection as it looks from outside its session.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) user: String,
    pub(crate) client: Option<ClientId>,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) visitor: Option<Arc<Visitor>>,
    pub(crate) since: Instant,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) inbox: Arc<Inbox>,
    /// Woken when the client must go.
    pub(crate) dismissed: Notify,
}

/// A connection's place among the others, given up when dropped.
pub(crate) struct Place<'a> {
    clients: &'a Clients,
    id: ConnectionId,
    pub(crate) client: Arc<Client>,
}

/// A connection as the admin page has it.
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    id: u64,
    user: String,
    client: Option<ClientId>,
    address: Option<String>,
    connected_s: u64,
    round_trip_ms: Option<f64>,
    rooms: Vec<String>,
    rooms_count: usize,
    requests: u64,
    requests_queued: usize,
    events_queued: usize,
    events_queued_bytes: usize,
    rooms_lagging: usize,
}

/// What part of the clients answered their last ping within how long; nothing is known before the first answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct RoundTrips {
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
}

impl RoundTrips {
    fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let within = |percent: usize| {
            let rank = (all.len() * percent).div_ceil(100);
            all.get(rank.checked_sub(1)?).copied().map(in_ms)
        };
        Self { p50_ms: within(50), p95_ms: within(95) }
    }
}

fn in_ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

impl Client {
    fn round_trip(&self) -> Option<Duration> {
        self.visitor.as_ref()?.round_trip()
    }
}

/// Rooms named for each client.
const ROOMS_NAMED_MAX: usize = 8;

impl Clients {
    pub(crate) fn enter(&self, id: ConnectionId, client: Client) -> Place<'_> {
        let client = Arc::new(client);
        self.lock().insert(id, Arc::clone(&client));
        Place { clients: self, id, client }
    }

    /// Disconnects a client; whether there was one.
    pub(crate) fn dismiss(&self, id: ConnectionId) -> bool {
        self.lock().get(&id).is_some_and(|client| {
            client.dismissed.notify_one();
            true
        })
    }

    /// How many connections do not keep up with their events.
    pub(crate) fn lagging_count(&self) -> usize {
        self.lock().values().filter(|client| client.mailbox.waiting().rooms_lagging > 0).count()
    }

    /// How long clients take to answer.
    pub(crate) fn round_trips(&self) -> RoundTrips {
        RoundTrips::of(self.lock().values().filter_map(|client| client.round_trip()).collect())
    }

    /// Connections whose user or address has a text in it: those that keep up worst first, then the newest.
    pub(crate) fn list(&self, roster: &Roster, text: &str, count_max: usize) -> Vec<Listed> {
        let matches = |client: &Client| {
            let address = client.address.map(|address| address.to_string()).unwrap_or_default();
            client.user.contains(text) || address.contains(text)
        };
        let mut found: Vec<(ConnectionId, Arc<Client>)> = self
            .lock()
            .iter()
            .filter(|(_, client)| matches(client))
            .map(|(id, client)| (*id, Arc::clone(client)))
            .collect();
        found.sort_by_cached_key(|(id, client)| {
            let waiting = client.mailbox.waiting();
            std::cmp::Reverse((waiting.rooms_lagging, waiting.events, *id))
        });
        found.truncate(count_max);
        found.iter().map(|(id, client)| listed(*id, client, roster)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ConnectionId, Arc<Client>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn listed(id: ConnectionId, client: &Client, roster: &Roster) -> Listed {
    let waiting = client.mailbox.waiting();
    let rooms = roster.rooms_of(id);
    let named = rooms.into_iter().flatten().take(ROOMS_NAMED_MAX);
    Listed {
        id: id.0,
        user: client.user.clone(),
        client: client.client,
        address: client.address.map(|address| address.to_string()),
        round_trip_ms: client.round_trip().map(in_ms),
        connected_s: client.since.elapsed().as_secs(),
        rooms: named.map(|room| room.as_str().to_owned()).collect(),
        rooms_count: rooms.map_or(0, |rooms| rooms.len()),
        requests: client.inbox.received_count(),
        requests_queued: client.inbox.waiting_count(),
        events_queued: waiting.events,
        events_queued_bytes: waiting.bytes,
        rooms_lagging: waiting.rooms_lagging,
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.clients.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_are_those_of_the_slowest_of_so_many_clients() {
        assert_eq!(RoundTrips::of(Vec::new()), RoundTrips::default());
        let seconds = |count: u64| (1..=count).rev().map(Duration::from_secs).collect();
        for (count, p50_ms, p95_ms) in [(1, 1e3, 1e3), (2, 1e3, 2e3), (20, 1e4, 1.9e4), (100, 5e4, 9.5e4)] {
            let expected = RoundTrips { p50_ms: Some(p50_ms), p95_ms: Some(p95_ms) };
            assert_eq!(RoundTrips::of(seconds(count)), expected, "{count}");
        }
    }
}
