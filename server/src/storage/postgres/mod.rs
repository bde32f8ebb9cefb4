//! The store in Postgres, which many servers may share.
//!
//! A push is one transaction that holds its room's row: numbers are given one transaction after the other, whichever
//! server it is, so the log has no gaps and becomes visible in order. The pure [`hub`](crate::hub) works on what the
//! transaction read. A transaction whose outcome is not known is made again: what it did before is found by the
//! numbers of its mutations, and has no effect twice.

mod connections;
mod effects;
mod error;
mod import;
mod purging;
mod pushing;
mod queues;
mod reading;
mod schema;
mod snapshot;
mod statements;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use syncline_protocol::message::{Page, Push, PushAnswer};
use syncline_protocol::{ClientId, Document, ErrorCode, Limits, Room, WireError};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::AbortHandle;

use self::connections::Connections;
pub use self::error::PostgresError;
pub(super) use self::import::Import;
use self::pushing::{Made, Progress};
use self::queues::{Job, Queues, Worker};
use super::sled::now_ms;
use super::{
    DatabaseUrl, ListRequest, Listing, OnCommit, Reply, Storage, StorageError, too_much, unavailable,
};
use crate::config::{Config, HubConfig, PostgresConfig};
use crate::fanout::head_hint;
use crate::hub::{self, Author, DocumentKey, PageRequest};

/// How long two tries wait for each other at most.
const RETRY_DELAY_MS_MAX: u64 = 1_000;

/// A [`Storage`] in a Postgres database.
pub struct PostgresStorage {
    shared: Arc<Shared>,
    background: Vec<AbortHandle>,
}

struct Shared {
    connections: Connections,
    settings: Settings,
    queues: Queues,
    /// One for each push that was accepted and not yet answered.
    places: Arc<Semaphore>,
    places_max: u32,
    on_commit: OnCommit,
    healthy: AtomicBool,
}

/// What the parts of this module need to know.
pub(crate) struct Settings {
    limits: Limits,
    hub: HubConfig,
    rejections_kept_max: usize,
    group_pushes_max: usize,
    retry_for: Duration,
    retry_delay: Duration,
}

impl PostgresStorage {
    /// Connects, waiting for a database that does not answer yet, and brings its schema up to date.
    pub(crate) async fn open(
        url: &DatabaseUrl,
        config: &Config,
        on_commit: OnCommit,
    ) -> Result<Self, StorageError> {
        let postgres = &config.postgres;
        let settings = Settings {
            limits: config.limits,
            hub: config.hub.clone(),
            rejections_kept_max: config.storage.rejections_kept_max,
            group_pushes_max: postgres.group_pushes_max,
            retry_for: Duration::from_millis(postgres.retry_for_ms),
            retry_delay: retry_delay(postgres),
        };
        let connections = connect(url, postgres).await?;
        let places_max = u32::try_from(postgres.pushes_queued_max.clamp(1, Semaphore::MAX_PERMITS));
        let places_max = places_max.unwrap_or(u32::MAX);
        let shared = Arc::new(Shared {
            connections,
            settings,
            queues: Queues::default(),
            places: Arc::new(Semaphore::new(places_max as usize)),
            places_max,
            on_commit,
            healthy: AtomicBool::new(true),
        });
        let (watched, interval) =
            (Arc::clone(&shared), Duration::from_millis(postgres.health_interval_ms.max(1)));
        let watch = tokio::spawn(async move { watched.watch(interval).await });
        let (swept, interval) =
            (Arc::clone(&shared), Duration::from_millis(config.storage.sweep_interval_ms.max(1)));
        let sweep = tokio::spawn(async move {
            purging::sweep_for_ever(&swept.connections, &swept.settings, interval).await;
        });
        let background = vec![watch.abort_handle(), sweep.abort_handle()];
        Ok(Self { shared, background })
    }
}

/// Connects, waiting for a database that does not answer yet, and brings its schema up to date.
async fn connect(url: &DatabaseUrl, config: &PostgresConfig) -> Result<Connections, StorageError> {
    let connections = Connections::new(url, config)?;
    let patience = Duration::from_millis(config.startup_timeout_ms);
    let mut tries = Tries::new(patience, retry_delay(config));
    while let Err(error) = schema::migrate(&connections, config).await {
        tries.again(error, "the database cannot be opened yet").await?;
    }
    Ok(connections)
}

fn retry_delay(config: &PostgresConfig) -> Duration {
    Duration::from_millis(config.retry_delay_ms.clamp(1, RETRY_DELAY_MS_MAX))
}

impl PostgresStorage {
    fn end_background(&self) {
        self.background.iter().for_each(AbortHandle::abort);
    }
}

impl Drop for PostgresStorage {
    fn drop(&mut self) {
        self.end_background();
    }
}

impl Storage for PostgresStorage {
    fn push(&self, push: Push, author: Author) -> Reply<'_, PushAnswer> {
        Box::pin(async move {
            hub::check_batch(&push.mutations, &self.shared.settings.limits)?;
            if push.mutations.iter().any(|mutation| i64::try_from(mutation.client_seq).is_err()) {
                return Err(WireError::new(ErrorCode::Invalid, "a mutation's number is too large"));
            }
            let places = Arc::clone(&self.shared.places);
            let place = places.acquire_owned().await.map_err(|_| unavailable())?;
            let (answer, answered) = oneshot::channel();
            let room = push.room.clone();
            if self.shared.queues.put(Job { push, author, answer, _place: place }) {
                let shared = Arc::clone(&self.shared);
                tokio::spawn(async move { shared.serve(&room).await });
            }
            answered.await.map_err(|_| unavailable())?
        })
    }

    fn page(&self, request: PageRequest) -> Reply<'_, Page> {
        Box::pin(async move {
            let Shared { connections, settings, .. } = &*self.shared;
            told(reading::page(connections, settings, &request).await)
        })
    }

    fn heads(&self, rooms: Vec<Room>) -> Reply<'_, Vec<(Room, u64)>> {
        Box::pin(async move { told(reading::heads(&self.shared.connections, rooms).await) })
    }

    fn owner(&self, client: ClientId) -> Reply<'_, Option<String>> {
        Box::pin(async move { told(reading::owner(&self.shared.connections, client).await) })
    }

    fn documents(&self, room: Room, keys: Vec<DocumentKey>) -> Reply<'_, Vec<Option<Document>>> {
        Box::pin(async move {
            let bytes_max = self.shared.settings.hub.transaction_bytes_max;
            let found = reading::documents(&self.shared.connections, &room, keys, bytes_max).await;
            told(found)?.ok_or_else(too_much)
        })
    }

    fn list(&self, request: ListRequest) -> Reply<'_, Listing> {
        Box::pin(async move {
            let Shared { connections, settings, .. } = &*self.shared;
            told(reading::list(connections, &request, &settings.hub).await)
        })
    }

    fn rooms(&self, after: Option<Room>, limit: usize) -> Reply<'_, Vec<(Room, u64)>> {
        Box::pin(async move { told(reading::rooms(&self.shared.connections, after, limit).await) })
    }

    fn is_healthy(&self) -> bool {
        self.shared.healthy.load(Ordering::Relaxed)
    }

    fn close(&self) -> Reply<'_, ()> {
        Box::pin(async move {
            // All places are free when every push is answered.
            let all = self.shared.places.acquire_many(self.shared.places_max).await;
            self.shared.places.close();
            drop(all);
            self.end_background();
            self.shared.healthy.store(false, Ordering::Relaxed);
            self.shared.connections.close();
            Ok(())
        })
    }
}

impl std::fmt::Debug for PostgresStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStorage").field("healthy", &self.shared.healthy).finish_non_exhaustive()
    }
}

impl Shared {
    /// Makes the pushes of a room until there are none.
    async fn serve(&self, room: &Room) {
        let bytes_max = self.settings.hub.transaction_bytes_max;
        let mut worker = Worker::new(&self.queues, room);
        while let Some(jobs) = worker.take(self.settings.group_pushes_max, bytes_max) {
            self.push(room, jobs).await;
        }
    }

    /// Makes pushes in one transaction, as many as fit, and answers them.
    async fn push(&self, room: &Room, mut jobs: Vec<Job>) {
        let mut tries = Tries::new(self.settings.retry_for, self.settings.retry_delay);
        let mut progress = Progress::default();
        let made = loop {
            let pushes: Vec<_> = jobs.iter().map(|job| (&job.push, &job.author)).collect();
            let (connections, settings) = (&self.connections, &self.settings);
            let made =
                pushing::push_group(connections, settings, room, &pushes, now_ms(), &mut progress).await;
            match made {
                Ok(made) => break Ok(made),
                Err(error) => {
                    if let Err(error) = tries.again(error, "a push is tried again").await {
                        break Err(error);
                    }
                    if progress.may_have_committed {
                        jobs = answer_unrepeatable(jobs);
                        if jobs.is_empty() {
                            return;
                        }
                    }
                }
            }
        };
        match made {
            Ok(made) => self.answer(room, jobs, made, &progress).await,
            Err(error) if jobs.len() > 1 && !error.may_pass() => {
                // One of them cannot be made; the others shall not suffer for it.
                for job in jobs {
                    Box::pin(self.push(room, vec![job])).await;
                }
            }
            Err(error) => {
                tracing::error!(%error, "a push failed");
                let others = if error.may_pass() { self.queues.drain(room) } else { Vec::new() };
                for job in jobs.into_iter().chain(others) {
                    job.answer(Err(error.to_wire()));
                }
            }
        }
    }

    async fn answer(&self, room: &Room, mut jobs: Vec<Job>, made: Made, progress: &Progress) {
        if made.changes.is_empty() && progress.may_have_committed {
            // What an earlier try did is now a duplicate, of which nobody was told.
            (self.on_commit)(head_hint(room.clone(), made.head.seq));
        }
        for changes in made.changes {
            (self.on_commit)(changes);
        }
        let not_tried = jobs.split_off(made.answers.len().min(jobs.len()));
        self.queues.put_back(room, not_tried);
        for (job, answer) in jobs.into_iter().zip(made.answers) {
            job.answer(answer);
        }
        if made.head.tombstones > self.settings.hub.tombstones_kept_max {
            let (connections, settings) = (&self.connections, &self.settings);
            let purged = purging::purge(connections, settings, room, statements::LOCK_ROOM).await;
            if let Err(error) = purged {
                tracing::warn!(%error, "deletions are purged later");
            }
        }
    }

    /// Asks the database, for ever, whether it answers.
    async fn watch(&self, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            let answered = self.ask().await;
            let was_healthy = self.healthy.swap(answered.is_ok(), Ordering::Relaxed);
            match answered {
                Err(error) if was_healthy => tracing::error!(%error, "the database does not answer"),
                Ok(()) if !was_healthy => tracing::info!("the database answers again"),
                _ => {}
            }
        }
    }

    async fn ask(&self) -> Result<(), StorageError> {
        let lease = self.connections.lease().await?;
        self.connections.answer(lease.client()?.batch_execute("")).await?;
        lease.done();
        Ok(())
    }
}

/// Answers the pushes that must not be made again when they may have been made, and gives back the others: without
/// numbers and without a receipt nothing tells a second time from the first.
fn answer_unrepeatable(jobs: Vec<Job>) -> Vec<Job> {
    let (others, unrepeatable): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.author.may_repeat());
    for job in unrepeatable {
        job.answer(Err(unavailable()));
    }
    others
}

/// Tries of something that may fail for now.
struct Tries {
    until: Instant,
    delay: Duration,
}

impl Tries {
    fn new(time: Duration, delay: Duration) -> Self {
        Self { until: Instant::now() + time, delay }
    }

    /// Waits for the next try, unless the failure is for good or there is no time left.
    async fn again(&mut self, error: StorageError, message: &'static str) -> Result<(), StorageError> {
        if !error.may_pass() || Instant::now() + self.delay >= self.until {
            return Err(error);
        }
        tracing::warn!(%error, message);
        tokio::time::sleep(self.delay).await;
        self.delay = (self.delay * 2).min(Duration::from_millis(RETRY_DELAY_MS_MAX));
        Ok(())
    }
}

fn told<T>(result: Result<T, StorageError>) -> Result<T, WireError> {
    result.map_err(|error| {
        tracing::warn!(%error, "a request failed");
        error.to_wire()
    })
}
