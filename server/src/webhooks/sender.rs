//! The loop that tells one endpoint: several rooms at once, each in the order of its log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline_protocol::{Room, WireError};
use tokio::task::JoinSet;

use super::endpoint::Endpoint;
use super::message::{PostError, Poster, encode};
use super::places::{Place, Places};
use crate::config::WebhooksConfig;
use crate::hub::PageRequest;
use crate::server_client::is_server_room;
use crate::storage::Storage;

/// Rooms that one step of a search reads.
const SEARCH_STEP: usize = 500;

/// What telling a room of a page came to.
enum Told {
    /// All there is.
    Everything,
    /// There is more.
    More,
}

/// Why a room was not told.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Post(#[from] PostError),
    #[error(transparent)]
    Storage(#[from] WireError),
    #[error("the message cannot be encoded: {0}")]
    Encode(#[from] serde_json::Error),
}

/// A room that could not be told.
#[derive(Debug, Clone, Copy)]
struct Failing {
    attempts: u32,
    due: Instant,
}

pub(super) struct Sender<'a> {
    endpoint: &'a Arc<Endpoint>,
    storage: &'a Arc<dyn Storage>,
    config: &'a WebhooksConfig,
    poster: &'a Arc<Poster>,
    places: &'a Places,
    /// Aborted with this.
    telling: JoinSet<(Room, Result<Told, Failure>)>,
    busy: BTreeSet<Room>,
    failing: BTreeMap<Room, Failing>,
    /// Whether the room that was tried last is one of them.
    tried_failing: bool,
    /// Failures since the last success.
    failures: u32,
    /// The rooms that these were of; no more than make the endpoint seem to be down.
    failed: BTreeSet<Room>,
    /// The endpoint seems to be down: until then nobody is told, and then one room at a time.
    down_until: Option<Instant>,
    search: Search,
}

/// The search of all rooms for changes that nobody was told of.
enum Search {
    /// Goes on after this room.
    After(Option<Room>),
    /// The next one begins.
    Due(Instant),
}

impl<'a> Sender<'a> {
    pub(super) fn new(
        endpoint: &'a Arc<Endpoint>,
        storage: &'a Arc<dyn Storage>,
        config: &'a WebhooksConfig,
        poster: &'a Arc<Poster>,
        places: &'a Places,
    ) -> Self {
        Self {
            endpoint,
            storage,
            config,
            poster,
            places,
            telling: JoinSet::new(),
            busy: BTreeSet::new(),
            failing: BTreeMap::new(),
            tried_failing: false,
            failures: 0,
            failed: BTreeSet::new(),
            down_until: None,
            search: Search::After(None),
        }
    }

    /// Tells it, for ever.
    pub(super) async fn tell(mut self) {
        while let Err(error) = self.pass_over().await {
            tracing::warn!(endpoint = self.endpoint.name, %error, "a webhook cannot begin at the end yet");
            tokio::time::sleep(Duration::from_millis(self.config.retry_ms_min.max(1))).await;
        }
        loop {
            self.start();
            if self.has_room() && self.search_on().await {
                continue;
            }
            let wake = self.next_wake();
            tokio::select! {
                Some(ended) = self.telling.join_next(), if !self.telling.is_empty() => match ended {
                    Ok((room, outcome)) => self.ended(room, outcome),
                    // A room whose task failed is found by the search.
                    Err(error) => tracing::error!(%error, "a webhook's task failed"),
                },
                () = self.endpoint.news.notified() => {}
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }

    /// Leaves out what there is, if the endpoint is new and wants that.
    async fn pass_over(&self) -> Result<(), WireError> {
        let Some(beginning) = self.places.beginning(self.endpoint).await? else { return Ok(()) };
        let mut after = None;
        loop {
            let rooms = self.storage.rooms(after, SEARCH_STEP).await?;
            let Some((last, _)) = rooms.last() else { break };
            after = Some(last.clone());
            let wanted: Vec<(Room, u64)> = rooms.into_iter().filter(|(room, _)| self.wants(room)).collect();
            self.places.pass_over(self.endpoint, wanted).await?;
        }
        self.places.begun(self.endpoint, beginning).await
    }

    fn wants(&self, room: &Room) -> bool {
        !is_server_room(room) && self.endpoint.wants(room)
    }

    fn capacity(&self) -> usize {
        // One that is told shows that the endpoint is there again.
        if self.down_until.is_some() { 1 } else { self.config.rooms_at_once_max.max(1) }
    }

    /// Whether more could be told than is known to be there.
    fn has_room(&self) -> bool {
        self.down_until.is_none_or(|until| until <= Instant::now()) && self.telling.len() < self.capacity()
    }

    /// Begins to tell of as many rooms as may be told of at once.
    fn start(&mut self) {
        let now = Instant::now();
        if self.down_until.is_some_and(|until| now < until) {
            return;
        }
        while self.telling.len() < self.capacity()
            && let Some(room) = self.next_room(now)
        {
            let task = Telling {
                endpoint: Arc::clone(self.endpoint),
                storage: Arc::clone(self.storage),
                poster: Arc::clone(self.poster),
                places: self.places.clone(),
                gives_up: self.endpoint.attempts_max.is_some_and(|attempts_max| {
                    self.failing.get(&room).map_or(0, |failing| failing.attempts) + 1 >= attempts_max
                }),
            };
            self.busy.insert(room.clone());
            self.telling.spawn(async move {
                let outcome = task.page(&room).await;
                (room, outcome)
            });
        }
    }

    /// Rooms that failed and those that wait take turns, so that neither holds up the other.
    fn next_room(&mut self, now: Instant) -> Option<Room> {
        let next = match self.tried_failing {
            true => self.next_waiting().or_else(|| self.next_failing(now)),
            false => self.next_failing(now).or_else(|| self.next_waiting()),
        };
        self.tried_failing = next.as_ref().is_some_and(|room| self.failing.contains_key(room));
        next
    }

    /// The room that is due for the longest time.
    fn next_failing(&self, now: Instant) -> Option<Room> {
        let waits = self.failing.iter().filter(|(room, _)| !self.busy.contains(*room));
        let (room, failing) = waits.min_by_key(|(_, failing)| failing.due)?;
        (failing.due <= now).then(|| room.clone())
    }

    fn next_waiting(&self) -> Option<Room> {
        let mut waiting = self.endpoint.waiting();
        // A failing room is told when it is due, of all there is then.
        if !self.failing.is_empty() {
            waiting.rooms.retain(|room| !self.failing.contains_key(room));
        }
        let room = waiting.rooms.iter().find(|room| !self.busy.contains(*room)).cloned()?;
        waiting.rooms.remove(&room);
        Some(room)
    }

    fn ended(&mut self, room: Room, outcome: Result<Told, Failure>) {
        self.busy.remove(&room);
        match outcome {
            Ok(told) => {
                if self.down_until.take().is_some() {
                    tracing::info!(endpoint = self.endpoint.name, "a webhook arrives again");
                }
                self.failures = 0;
                self.failed.clear();
                self.failing.remove(&room);
                if let Told::More = told {
                    self.endpoint.note(&room);
                }
            }
            Err(failure) => self.failed(room, &failure),
        }
    }

    fn failed(&mut self, room: Room, failure: &Failure) {
        self.failures = self.failures.saturating_add(1);
        let attempts = self.failing.get(&room).map_or(0, |failing| failing.attempts).saturating_add(1);
        let asked = match failure {
            Failure::Post(PostError::Status { retry_after, .. }) => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let longest = Duration::from_millis(self.config.retry_ms_max);
        let wait = jittered(self.backoff(attempts)).max(asked.min(longest));
        tracing::warn!(endpoint = self.endpoint.name, %room, attempts, %failure, "a webhook did not arrive");
        // A few rooms that are refused again and again say nothing of the others.
        let down_at = self.config.rooms_at_once_max.max(1);
        if self.failed.len() < down_at {
            self.failed.insert(room.clone());
        }
        if self.failing.len() < self.config.rooms_waiting_max || self.failing.contains_key(&room) {
            self.failing.insert(room, Failing { attempts, due: Instant::now() + wait });
        }
        if self.failed.len() >= down_at {
            let wait = jittered(self.backoff(self.failures)).max(asked.min(longest));
            self.down_until = Some(Instant::now() + wait);
        }
    }

    fn backoff(&self, attempts: u32) -> Duration {
        let doubled = 1u64.checked_shl(attempts.saturating_sub(1)).unwrap_or(u64::MAX);
        Duration::from_millis(self.config.retry_ms_min.saturating_mul(doubled).min(self.config.retry_ms_max))
    }

    /// Goes on with the search if there is one; whether it found anything, or is to go on at once.
    async fn search_on(&mut self) -> bool {
        if std::mem::take(&mut self.endpoint.waiting().overflowed) {
            self.search = Search::After(None);
        }
        let after = match &self.search {
            Search::Due(due) if *due > Instant::now() => return false,
            Search::Due(_) => None,
            Search::After(after) => after.clone(),
        };
        if self.endpoint.waiting().rooms.len() >= self.config.rooms_waiting_max {
            return false;
        }
        match self.find(after).await {
            Ok(Some(last)) => {
                self.search = Search::After(Some(last));
                true
            }
            Ok(None) => {
                self.search =
                    Search::Due(Instant::now() + Duration::from_millis(self.config.scan_interval_ms));
                true
            }
            Err(error) => {
                tracing::warn!(endpoint = self.endpoint.name, %error, "rooms cannot be searched for news");
                self.search =
                    Search::Due(Instant::now() + Duration::from_millis(self.config.retry_ms_min.max(1)));
                false
            }
        }
    }

    /// Notes the rooms after this one whose log goes further than the endpoint was told; the last of them looked at.
    async fn find(&self, after: Option<Room>) -> Result<Option<Room>, WireError> {
        let rooms = self.storage.rooms(after, SEARCH_STEP).await?;
        let last = rooms.last().map(|(room, _)| room.clone());
        let wanted: Vec<(Room, u64)> = rooms.into_iter().filter(|(room, _)| self.wants(room)).collect();
        let names: Vec<Room> = wanted.iter().map(|(room, _)| room.clone()).collect();
        let places = self.places.places(self.endpoint, &names).await?;
        for ((room, head), place) in wanted.iter().zip(places) {
            // A log that ends before the place was restored from a backup: that is news as well.
            if *head != place.cursor && !self.busy.contains(room) && !self.failing.contains_key(room) {
                self.endpoint.note(room);
            }
        }
        Ok(last)
    }

    fn next_wake(&self) -> Instant {
        if self.telling.len() >= self.capacity() {
            // Nothing can begin before one ends, which wakes it.
            return Instant::now() + Duration::from_millis(self.config.scan_interval_ms.max(1));
        }
        let waits = self.failing.iter().filter(|(room, _)| !self.busy.contains(*room));
        let failing = waits.map(|(_, failing)| failing.due).min();
        let search = match self.search {
            Search::Due(due) => due,
            // Whoever ends makes room for it.
            Search::After(_) => Instant::now() + Duration::from_millis(self.config.scan_interval_ms),
        };
        let next = failing.map_or(search, |failing| failing.min(search));
        self.down_until.map_or(next, |until| if until > Instant::now() { until } else { next })
    }
}

/// One room's next page, told.
struct Telling {
    endpoint: Arc<Endpoint>,
    storage: Arc<dyn Storage>,
    poster: Arc<Poster>,
    places: Places,
    /// Whether the page is left out if it fails once more.
    gives_up: bool,
}

impl Telling {
    async fn page(&self, room: &Room) -> Result<Told, Failure> {
        let rooms = std::slice::from_ref(room);
        let place: Place = self.places.places(&self.endpoint, rooms).await?.pop().unwrap_or_default();
        let request = PageRequest {
            room: room.clone(),
            cursor: place.cursor,
            limit: self.endpoint.changes_max,
            collections: self.endpoint.collections.clone(),
            snapshot: place.snapshot,
        };
        let page = self.storage.page(request).await?;
        let (cursor, more, reset) = (page.cursor, page.more, page.reset);
        let snapshot = if more { page.snapshot.or(place.snapshot) } else { None };
        if !page.changes.is_empty() || reset {
            let after = if reset { 0 } else { place.cursor };
            let body = encode(room, after, page)?;
            match self.poster.post(&self.endpoint, body).await {
                Err(error) if self.gives_up => {
                    let endpoint = &self.endpoint.name;
                    tracing::error!(endpoint, %room, after, cursor, %error, "a webhook was given up");
                }
                told => told?,
            }
        }
        let next = place.on(cursor, snapshot);
        if next != place {
            self.places.save(&self.endpoint, room, next).await?;
        }
        Ok(if more { Told::More } else { Told::Everything })
    }
}

/// Between half of a time and all of it.
pub(super) fn jittered(time: Duration) -> Duration {
    time.mul_f64(0.5 + fastrand::f64() / 2.0)
}
