//! The embedded store: sled behind one thread.
//!
//! The thread takes every job that waits, commits each push, syncs once for all of them, and only then answers. Reads run
//! on the same thread and are answered after the same sync, so nobody sees what a crash could take back. Between jobs it
//! brings the tables further, and searches the rooms for deletions to purge. After a failure of the database it answers nothing but `unavailable`: what sled holds in memory then is no longer what is on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use syncline_protocol::message::{Page, Push, PushAnswer};
use syncline_protocol::{ClientId, Document, ErrorCode, Limits, Room, WireError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;

use super::ahead::Ahead;
use super::backup::Export;
use super::sweep::Sweep;
use super::{ListRequest, Listing, OnCommit, Reply, Storage, StorageError, too_much, unavailable};
use crate::config::{HubConfig, StorageConfig};
use crate::hub::{
    self, Author, DocumentKey, LiveChanges, PageRequest, PushError, PushStore, document_byte_len,
};

/// A [`Storage`] in one folder of this machine.
#[derive(Debug)]
pub struct SledStorage {
    jobs: mpsc::Sender<Job>,
    healthy: Arc<AtomicBool>,
}

type Answer<T> = oneshot::Sender<Result<T, WireError>>;

#[derive(Debug)]
enum Job {
    Push { push: Push, author: Author, answer: Answer<PushAnswer> },
    Page { request: PageRequest, answer: Answer<Page> },
    Heads { rooms: Vec<Room>, answer: Answer<Vec<(Room, u64)>> },
    Owner { client: ClientId, answer: Answer<Option<String>> },
    Documents { room: Room, keys: Vec<DocumentKey>, answer: Answer<Vec<Option<Document>>> },
    List { request: ListRequest, answer: Answer<Listing> },
    Rooms { after: Option<Room>, limit: usize, answer: Answer<Vec<(Room, u64)>> },
    Backup { answer: Answer<std::fs::File> },
    Close { answer: Answer<()> },
}

/// A job's answer, held back until the flush.
type Finish = Box<dyn FnOnce(Result<(), WireError>)>;

impl SledStorage {
    /// Opens or makes the database in a folder, and starts its thread.
    pub fn open(
        path: &Path,
        limits: Limits,
        hub: HubConfig,
        config: &StorageConfig,
        on_commit: OnCommit,
    ) -> Result<Self, StorageError> {
        let rooms = Ahead::open(path, config)?;
        let (jobs, waiting) = mpsc::channel(config.jobs_queued_max.max(1));
        let healthy = Arc::new(AtomicBool::new(true));
        let worker = Worker {
            rooms,
            limits,
            hub,
            on_commit,
            healthy: Arc::clone(&healthy),
            group_jobs_max: config.group_jobs_max.max(1),
            group_bytes_max: config.group_bytes_max,
            ahead_delay: Duration::from_millis(config.ahead_delay_ms),
            folder: path.to_owned(),
            backup: None,
            backup_step_bytes: config.backup_step_bytes,
            held: Vec::new(),
            held_max: config.jobs_queued_max.max(1),
            timer: tokio::runtime::Builder::new_current_thread().enable_time().build()?,
        };
        let sweep = Sweep::new(config.sweep_interval_ms);
        std::thread::Builder::new().name("storage".to_owned()).spawn(move || worker.run(waiting, sweep))?;
        Ok(Self { jobs, healthy })
    }

    fn ask<T: Send + 'static>(&self, job: impl FnOnce(Answer<T>) -> Job + Send + 'static) -> Reply<'_, T> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            self.jobs.send(job(answer)).await.map_err(|_| unavailable())?;
            answered.await.map_err(|_| unavailable())?
        })
    }
}

impl Storage for SledStorage {
    fn push(&self, push: Push, author: Author) -> Reply<'_, PushAnswer> {
        self.ask(|answer| Job::Push { push, author, answer })
    }

    fn page(&self, request: PageRequest) -> Reply<'_, Page> {
        self.ask(|answer| Job::Page { request, answer })
    }

    fn heads(&self, rooms: Vec<Room>) -> Reply<'_, Vec<(Room, u64)>> {
        self.ask(|answer| Job::Heads { rooms, answer })
    }

    fn owner(&self, client: ClientId) -> Reply<'_, Option<String>> {
        self.ask(move |answer| Job::Owner { client, answer })
    }

    fn documents(&self, room: Room, keys: Vec<DocumentKey>) -> Reply<'_, Vec<Option<Document>>> {
        self.ask(|answer| Job::Documents { room, keys, answer })
    }

    fn list(&self, request: ListRequest) -> Reply<'_, Listing> {
        self.ask(|answer| Job::List { request, answer })
    }

    fn rooms(&self, after: Option<Room>, limit: usize) -> Reply<'_, Vec<(Room, u64)>> {
        self.ask(move |answer| Job::Rooms { after, limit, answer })
    }

    fn backup(&self) -> Reply<'_, std::fs::File> {
        self.ask(|answer| Job::Backup { answer })
    }

    fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed) && !self.jobs.is_closed()
    }

    fn close(&self) -> Reply<'_, ()> {
        self.ask(|answer| Job::Close { answer })
    }
}

/// What the thread owns.
struct Worker {
    rooms: Ahead,
    limits: Limits,
    hub: HubConfig,
    on_commit: OnCommit,
    healthy: Arc<AtomicBool>,
    group_jobs_max: usize,
    group_bytes_max: usize,
    ahead_delay: Duration,
    timer: tokio::runtime::Runtime,
    folder: PathBuf,
    backup: Option<(Export, Answer<std::fs::File>)>,
    backup_step_bytes: usize,
    /// Pushes to the room that is being copied, in their order.
    held: Vec<HeldPush>,
    held_max: usize,
}

type HeldPush = (Push, Author, Answer<PushAnswer>);

/// Jobs that share one flush.
#[derive(Default)]
struct Group {
    finishes: Vec<Finish>,
    changes: Vec<LiveChanges>,
    /// Deletions were purged, of which only the tables know.
    purged: bool,
    closing: Option<Answer<()>>,
}

impl Worker {
    fn run(mut self, mut waiting: mpsc::Receiver<Job>, mut sweep: Sweep) {
        let mut ahead_due = Instant::now();
        loop {
            let mut group = Group::default();
            let due = match &self.backup {
                // Jobs that wait go first.
                Some(_) => Instant::now(),
                None if self.is_ahead() => sweep.due().min(ahead_due),
                None => sweep.due(),
            };
            match self.timer.block_on(async { timeout_at(due.into(), waiting.recv()).await }) {
                Ok(Some(first)) => {
                    self.start(first, &mut group);
                    ahead_due = Instant::now() + self.ahead_delay;
                }
                Ok(None) => break,
                Err(_) if ahead_due <= Instant::now() => self.catch_up(),
                Err(_) => {}
            }
            while group.finishes.len() < self.group_jobs_max
                && self.rooms.unsynced_bytes() < self.group_bytes_max
                && self.held.len() < self.held_max
                && group.closing.is_none()
                && let Ok(job) = waiting.try_recv()
            {
                self.start(job, &mut group);
            }
            self.continue_backup(group.closing.is_some());
            self.let_go(&mut group);
            if sweep.due() <= Instant::now() {
                self.sweep(&mut sweep, &mut group);
            }
            if let Some(answer) = self.finish(group) {
                let outcome = if self.healthy.load(Ordering::Relaxed) { Ok(()) } else { Err(unavailable()) };
                // The folder is free once this is answered.
                drop(self);
                let _ = answer.send(outcome);
                return;
            }
        }
        if let Err(error) = self.flush() {
            tracing::error!(%error, "the last flush failed");
        }
    }

    fn is_ahead(&self) -> bool {
        self.rooms.is_ahead() && self.healthy.load(Ordering::Relaxed)
    }

    /// Brings the tables a step further while nobody asks anything.
    fn catch_up(&mut self) {
        if let Err(error) = self.rooms.write_first() {
            self.fail(&error);
        }
    }

    /// Makes everything durable, in the tables.
    fn flush(&mut self) -> Result<(), StorageError> {
        self.rooms.with_all()?;
        self.rooms.flush()
    }

    /// Flushes for all, then answers all, save for the one who asked to close.
    fn finish(&mut self, group: Group) -> Option<Answer<()>> {
        let flushed = match group.closing {
            _ if !self.healthy.load(Ordering::Relaxed) => Ok(()),
            Some(_) => self.flush(),
            None if group.purged => self.rooms.sync().and_then(|()| self.rooms.flush()),
            None => self.rooms.sync(),
        };
        if let Err(error) = flushed {
            self.fail(&error);
        }
        let outcome = if self.healthy.load(Ordering::Relaxed) { Ok(()) } else { Err(unavailable()) };
        if outcome.is_ok() {
            for changes in group.changes {
                (self.on_commit)(changes);
            }
        }
        for finish in group.finishes {
            finish(outcome.clone());
        }
        group.closing
    }

    fn start(&mut self, job: Job, group: &mut Group) {
        match job {
            Job::Push { push, author, answer } if self.is_copied(&push.room) => {
                self.held.push((push, author, answer));
            }
            Job::Push { push, author, answer } => {
                let done = self.push(push, &author, group);
                group.answer(answer, done);
            }
            Job::Page { request, answer } => {
                let tables = self.rooms.with_all_of(&request.room);
                let page = tables.and_then(|tables| hub::page(tables, &request, &self.limits, &self.hub));
                group.answer(answer, self.told(page));
            }
            Job::Heads { rooms, answer } => {
                let heads: Result<Vec<_>, _> = rooms
                    .into_iter()
                    .map(|room| self.rooms.head(&room).map(|head| (room, head.seq)))
                    .collect();
                group.answer(answer, self.told(heads));
            }
            Job::Owner { client, answer } => {
                group.answer(answer, self.told(self.rooms.owner(client)));
            }
            Job::Documents { room, keys, answer } => {
                let documents = self.documents(&room, &keys);
                group.answer(answer, documents);
            }
            Job::List { request, answer } => {
                let tables = self.rooms.with_all_of(&request.room);
                let listing = tables.and_then(|tables| tables.list(&request, &self.hub));
                group.answer(answer, self.told(listing));
            }
            Job::Rooms { after, limit, answer } => {
                let rooms = self.rooms.with_all().and_then(|tables| tables.rooms(after.as_ref(), limit));
                group.answer(answer, self.told(rooms));
            }
            Job::Backup { answer } => self.begin_backup(answer),
            Job::Close { answer } => group.closing = Some(answer),
        }
    }

    fn documents(&self, room: &Room, keys: &[DocumentKey]) -> Result<Vec<Option<Document>>, WireError> {
        let mut bytes = 0;
        let mut documents = Vec::with_capacity(keys.len());
        for key in keys {
            let document = self.told(self.rooms.document(room, key))?.filter(|document| !document.deleted);
            bytes += document.as_ref().map_or(0, document_byte_len);
            if bytes > self.hub.transaction_bytes_max {
                return Err(too_much());
            }
            documents.push(document);
        }
        Ok(documents)
    }

    fn push(&mut self, push: Push, author: &Author, group: &mut Group) -> Result<PushAnswer, WireError> {
        if !self.healthy.load(Ordering::Relaxed) {
            return Err(unavailable());
        }
        let room = push.room.clone();
        let pushed = match hub::push(&self.rooms, push, author, now_ms(), &self.limits, &self.hub) {
            Ok(pushed) => pushed,
            Err(PushError::Refused(error)) => return Err(error),
            Err(PushError::Store(error)) => return self.told(Err(error)),
        };
        let tombstones = pushed.commit.as_ref().map_or(0, |commit| commit.head.tombstones);
        if let Some(commit) = pushed.commit
            && let Err(error) = self.rooms.commit(commit)
        {
            // Whether the commit counts is not known any more.
            self.fail(&error);
            return Err(error.to_wire());
        }
        group.changes.extend(pushed.changes);
        if tombstones > self.hub.tombstones_kept_max {
            // The push itself succeeded; a failure here is in the log, and ends all service if it must.
            group.purged |= {
                let compacted = compact(&mut self.rooms, &room, &self.hub);
                self.told(compacted).unwrap_or(false)
            };
        }
        Ok(pushed.answer)
    }

    /// Begins a copy, unless there is one under way. One that cannot begin concerns nobody else.
    fn begin_backup(&mut self, answer: Answer<std::fs::File>) {
        let begun = if self.backup.is_some() {
            Err(WireError::new(ErrorCode::Conflict, "a backup is under way"))
        } else if self.healthy.load(Ordering::Relaxed) {
            // On the disk that has the data: a backup is as large.
            let file = tempfile::tempfile_in(&self.folder).map_err(StorageError::from);
            let begun = file.and_then(|file| Export::begin(file, &self.folder));
            begun.map_err(|error| failed_backup(&error))
        } else {
            Err(unavailable())
        };
        match begun {
            Ok(export) => self.backup = Some((export, answer)),
            Err(error) => {
                let _ = answer.send(Err(error));
            }
        }
    }

    /// Copies a step more; to the end of the room if too many pushes wait for that, and no further if the storage closes. A
    /// backup that fails concerns nobody else: a disk may be full by it.
    fn continue_backup(&mut self, closing: bool) {
        let Some((mut export, answer)) = self.backup.take() else { return };
        if closing {
            let _ = answer.send(Err(unavailable()));
            return;
        }
        let bytes_max = if self.held.len() < self.held_max { self.backup_step_bytes } else { usize::MAX };
        match self.rooms.with_all().and_then(|tables| export.step(tables, bytes_max)) {
            Ok(None) => self.backup = Some((export, answer)),
            Ok(Some(file)) => {
                let _ = answer.send(Ok(file));
            }
            Err(error) => {
                let _ = answer.send(Err(failed_backup(&error)));
            }
        }
    }

    /// Whether a backup holds a part of this room, so that it must not change.
    fn is_copied(&self, room: &Room) -> bool {
        self.backup.as_ref().and_then(|(export, _)| export.within()).is_some_and(|copied| copied == room)
    }

    /// Makes the pushes that waited for their room to be copied, once it is.
    fn let_go(&mut self, group: &mut Group) {
        if self.held.first().is_some_and(|(push, ..)| !self.is_copied(&push.room)) {
            for (push, author, answer) in std::mem::take(&mut self.held) {
                if self.rooms.unsynced_bytes() >= self.group_bytes_max {
                    let closing = group.closing.take();
                    self.finish(std::mem::take(group));
                    group.closing = closing;
                }
                let done = self.push(push, &author, group);
                group.answer(answer, done);
            }
        }
    }

    fn sweep(&mut self, sweep: &mut Sweep, group: &mut Group) {
        if !self.healthy.load(Ordering::Relaxed) {
            return sweep.rest();
        }
        let hub = &self.hub;
        let copied = self.backup.as_ref().and_then(|(export, _)| export.within());
        let swept = sweep.step(&mut self.rooms, |rooms, room| match copied == Some(room) {
            true => Ok(false),
            false => compact(rooms, room, hub),
        });
        // Nobody waits for an answer; a failure is in the log.
        group.purged |= self.told(swept).unwrap_or(false);
    }

    /// A result as the client is told it. A failure other than a damaged record ends all service.
    fn told<T>(&self, result: Result<T, StorageError>) -> Result<T, WireError> {
        result.map_err(|error| {
            match error {
                StorageError::Damaged { .. } | StorageError::Encode(_) => {
                    tracing::error!(%error, "a request failed");
                }
                _ => self.fail(&error),
            }
            error.to_wire()
        })
    }

    fn fail(&self, error: &StorageError) {
        tracing::error!(%error, "the storage failed; the server must be started again");
        self.healthy.store(false, Ordering::Relaxed);
    }
}

impl Group {
    fn answer<T: 'static>(&mut self, answer: Answer<T>, result: Result<T, WireError>) {
        self.finishes.push(Box::new(move |outcome| {
            // The asker may be gone; the effect stands.
            let _ = answer.send(outcome.and(result));
        }));
    }
}

/// Why there is no backup, as whoever asked for it is told.
fn failed_backup(error: &StorageError) -> WireError {
    tracing::error!(%error, "a backup failed");
    error.to_wire()
}

/// Purges one step's worth of a room's deletions; whether there were any.
fn compact(rooms: &mut Ahead, room: &Room, hub: &HubConfig) -> Result<bool, StorageError> {
    let tables = rooms.with_all_of(room)?;
    let Some(compaction) = hub::compact(tables, room, now_ms(), hub)? else {
        return Ok(false);
    };
    rooms.compact(&compaction)?;
    tracing::debug!(removed = compaction.removed.len(), floor = compaction.head.floor, "purged deletions");
    Ok(true)
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
