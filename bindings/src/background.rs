//! Rounds of synchronization without JavaScript, when the system wakes the app up for one.
//!
//! What such a round needs is recorded when a client is opened with `background`: its options, its token, and the rooms that it
//! followed when the app was last seen. All of it is one secret that the device keeps, until the client says otherwise: a start of
//! the app that has no token yet changes nothing of it. A directory has one owner in
//! a process: a client that is open does the round itself, and one that opens takes over from the round.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use syncline::engine::io::{AppState, ConnectionState, WatchId};
use syncline::engine::query::Query;
use syncline::{Client, ClientConfig, Code, Command, Error, Event, Reply, StoreKind};
use syncline_protocol::Room;
use tokio::sync::watch;

use crate::cancel::CancelHandle;
use crate::device::{self, BackgroundOptions, Device, DeviceOptions, Encryption, Place};
use crate::json;

/// Under which name the device keeps the records.
const RECORDS_NAME: &str = "background";
/// Clients that are synchronized in the background; beyond, the one recorded first is forgotten.
const RECORDS_MAX: usize = 8;
/// All records together, as the device keeps them.
const RECORDS_BYTES_MAX: usize = 64 << 10;
/// Rooms that a round looks after.
const ROOMS_MAX: usize = 64;
/// Owners of a directory that one round follows.
const OWNERS_MAX: usize = 4;
/// The host's key store and scheduler are called on it.
const KEEPER_STACK_BYTES: usize = 1 << 20;

/// How to open a client when nobody is there to say it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    place: Place,
    /// Without its directory, and without the key that the device keeps.
    config: ClientConfig,
    encryption: Option<Encryption>,
    options: BackgroundOptions,
    rooms: Vec<Room>,
}

impl Record {
    /// The record of a client that is to be opened with these options; `None` if it is not for the background.
    pub(crate) fn of(config: &ClientConfig, options: &DeviceOptions) -> Result<Option<Self>, Error> {
        let Some(background) = &options.background else { return Ok(None) };
        let device = device::needed_for("background")?;
        let directory = config.directory.as_deref().filter(|_| config.store == StoreKind::Disk);
        let directory = directory
            .ok_or_else(|| Error::new(Code::Invalid, "background: there is nothing without a directory"))?;
        let record = Self {
            place: Place::of(directory, &*device)?,
            config: ClientConfig { directory: None, ..config.clone() },
            encryption: options.encryption,
            options: background.clone(),
            rooms: Vec::new(),
        };
        if encode(std::slice::from_ref(&record))?.len() > RECORDS_BYTES_MAX / 2 {
            return Err(Error::new(Code::TooLarge, "background: the options are too large to be kept"));
        }
        Ok(Some(record))
    }

    /// Whether another one opens the same client: its token is meant for this server, and its rooms are there.
    fn opens_as(&self, other: &Self) -> bool {
        let config = ClientConfig { token: self.config.token.clone(), ..other.config.clone() };
        self.place == other.place && self.encryption == other.encryption && self.config == config
    }

    /// Nobody is there to fetch a token.
    fn lacks_token(&self) -> bool {
        self.config.token.is_none() && self.config.settings.token_required
    }
}

/// What is known of an open client that is for the background.
#[derive(Debug)]
pub(crate) struct Followed {
    said: Said,
    /// How often each room is subscribed or watched.
    rooms: BTreeMap<Room, u64>,
    watches: BTreeMap<WatchId, Room>,
    /// Whether any room ever was.
    has_followed: bool,
}

/// A record as far as its client has said it: the rest stays as the device keeps it. A start of the app whose `getToken` does
/// not answer must not cost the rounds their token.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    record: Record,
    /// Whether it is known which token there is, or that there is none.
    token: bool,
    rooms: bool,
}

/// What of a command concerns the rooms of a record, once it has succeeded.
#[derive(Debug)]
pub(crate) enum Note {
    Follow(Room),
    Leave(Room),
    Unwatch(WatchId),
}

impl Note {
    pub(crate) fn of(command: &Command) -> Option<Self> {
        match command {
            Command::Subscribe { room } | Command::Watch(Query { room, .. }) => {
                Some(Self::Follow(room.clone()))
            }
            Command::Unsubscribe { room } => Some(Self::Leave(room.clone())),
            Command::Unwatch { watch } => Some(Self::Unwatch(*watch)),
            _ => None,
        }
    }
}

impl Followed {
    pub(crate) fn new(record: Record) -> Self {
        let said = Said { token: record.config.token.is_some(), rooms: false, record };
        Self { said, rooms: BTreeMap::new(), watches: BTreeMap::new(), has_followed: false }
    }

    pub(crate) fn take(&mut self, note: Note, reply: &Reply) {
        match note {
            Note::Follow(room) => {
                if let Reply::Watching { watch, .. } = reply {
                    self.watches.insert(*watch, room.clone());
                }
                *self.rooms.entry(room).or_default() += 1;
                self.has_followed = true;
            }
            Note::Leave(room) => self.leave(&room),
            Note::Unwatch(watch) => {
                if let Some(room) = self.watches.remove(&watch) {
                    self.leave(&room);
                }
            }
        }
    }

    pub(crate) fn set_token(&mut self, token: Option<&str>) {
        self.said.record.config.token = token.map(str::to_owned);
        self.said.token = true;
    }

    /// The app has left the screen: what is followed is what to look after until it is seen again. A client that has not come
    /// to follow any room says nothing of them.
    pub(crate) fn leave_screen(&mut self) {
        if self.has_followed {
            self.said.record.rooms = self.rooms.keys().take(ROOMS_MAX).cloned().collect();
            self.said.rooms = true;
        }
    }

    fn leave(&mut self, room: &Room) {
        let Some(count) = self.rooms.get_mut(room) else { return };
        *count -= 1;
        if *count == 0 {
            self.rooms.remove(room);
        }
    }

    pub(crate) fn said(&self) -> Said {
        self.said.clone()
    }
}

/// Held while the records are read and kept again.
static RECORDS: Mutex<()> = Mutex::new(());

/// What clients have said and the device does not keep yet.
static UNKEPT: Mutex<Unkept> = Mutex::new(Unkept { said: Vec::new(), is_awaited: false });

struct Unkept {
    /// By the client's handle, in the order in which it was said.
    said: Vec<(u64, Said)>,
    /// Whether a thread is about to take it.
    is_awaited: bool,
}

/// Notes what a client says, in place of what it said before. To be called under a lock that orders what one client says;
/// [`settle`] or [`settle_soon`] has the device keep it.
pub(crate) fn note(client: u64, said: Said) {
    let mut unkept = unkept();
    unkept.said.retain(|(other, _)| *other != client);
    unkept.said.push((client, said));
}

/// Returns when the device keeps what was said before. What hinders it is logged: a client works without.
pub(crate) fn settle() {
    let alone = records_lock();
    let said = take_unkept();
    if said.is_empty() {
        return;
    }
    if let Err(error) = change(&alone, said, |_| ()) {
        tracing::warn!(%error, "what the background needs was not kept");
    }
}

/// The same on a thread of its own: the device takes its time, and the caller draws the app.
pub(crate) fn settle_soon() {
    if std::mem::replace(&mut unkept().is_awaited, true) {
        return;
    }
    let thread =
        std::thread::Builder::new().name("syncline-records".to_owned()).stack_size(KEEPER_STACK_BYTES);
    if let Err(error) = thread.spawn(settle) {
        tracing::warn!(%error, "no thread for what the background needs");
        settle();
    }
}

fn unkept() -> MutexGuard<'static, Unkept> {
    UNKEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take_unkept() -> Vec<(u64, Said)> {
    let mut unkept = unkept();
    unkept.is_awaited = false;
    std::mem::take(&mut unkept.said)
}

fn records_lock() -> MutexGuard<'static, ()> {
    RECORDS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets the record of a directory, where there is one.
pub(crate) fn forget(directory: &Path) {
    let Some(device) = device::current() else { return };
    let forgotten = Place::of(directory, &*device).and_then(|place| {
        let alone = records_lock();
        change(&alone, take_unkept(), |records| records.retain(|other| other.place != place))
    });
    if let Err(error) = forgotten {
        tracing::warn!(%error, "what the background needed was not forgotten");
    }
}

fn change(
    _alone: &MutexGuard<'static, ()>,
    said: Vec<(u64, Said)>,
    edit: impl FnOnce(&mut Vec<Record>),
) -> Result<(), Error> {
    let device = device::needed_for("background")?;
    let before = load(&*device)?;
    let mut records = before.clone();
    for (_, said) in said {
        replace(&mut records, said);
    }
    edit(&mut records);
    while records.len() > 1 && encode(&records)?.len() > RECORDS_BYTES_MAX {
        records.remove(0);
    }
    if records == before {
        // Whatever kept the system from it before may be over.
        return schedule(&*device, &records);
    }
    if records.is_empty() {
        device.forget_secret(RECORDS_NAME.to_owned())?;
        return Ok(device.unschedule()?);
    }
    device.keep_secret(RECORDS_NAME.to_owned(), encode(&records)?)?;
    schedule(&*device, &records)
}

/// Puts a record in place of the one of the same directory.
fn replace(records: &mut Vec<Record>, Said { mut record, token, rooms }: Said) {
    if let Some(at) = records.iter().position(|other| other.place == record.place) {
        let former = records.remove(at);
        if former.opens_as(&record) {
            if !token {
                record.config.token = former.config.token;
            }
            if !rooms {
                record.rooms = former.rooms;
            }
        }
    }
    records.push(record);
    let excess = records.len().saturating_sub(RECORDS_MAX);
    records.drain(..excess);
}

fn schedule(device: &dyn Device, records: &[Record]) -> Result<(), Error> {
    let soonest = records.iter().map(|record| record.options.every_ms).min();
    Ok(soonest.map_or(Ok(()), |every_ms| device.schedule(every_ms))?)
}

fn load(device: &dyn Device) -> Result<Vec<Record>, Error> {
    let Some(bytes) = device.read_secret(RECORDS_NAME.to_owned())? else { return Ok(Vec::new()) };
    // Of another version of the app, perhaps: it is recorded anew when that opens its clients.
    let read = std::str::from_utf8(&bytes).map_err(|error| error.to_string());
    let read = read.and_then(|text| serde_json::from_str(text).map_err(|error| error.to_string()));
    Ok(read.unwrap_or_else(|error| {
        tracing::warn!(%error, "what the background needs cannot be read");
        Vec::new()
    }))
}

fn encode(records: &[Record]) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(records).map_err(|error| Error::new(Code::Internal, error.to_string()))
}

/// What became of a round in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum BackgroundOutcome {
    /// No client is for the background.
    Nothing,
    /// Everything written before is answered by the server, and every room has caught up.
    Complete,
    /// Something is left to do; the same again may do it.
    Incomplete,
}

/// Does a round for every client that was opened for the background: with the client, if it is open, or else with one that is
/// opened for the round and closed after it. Returns soon after `cancel` was cancelled.
#[uniffi::export]
pub async fn json_background_sync(cancel: Arc<CancelHandle>) -> BackgroundOutcome {
    let outcome = json::guarded(round(&cancel)).await;
    outcome.unwrap_or_else(|error| {
        tracing::warn!(%error, "the round in the background failed");
        BackgroundOutcome::Incomplete
    })
}

async fn round(cancel: &CancelHandle) -> Result<BackgroundOutcome, Error> {
    settle();
    let device = device::needed_for("background")?;
    let records = load(&*device)?;
    if records.is_empty() {
        device.unschedule()?;
        return Ok(BackgroundOutcome::Nothing);
    }
    if let Err(error) = schedule(&*device, &records) {
        tracing::warn!(%error, "the next round in the background was not asked for");
    }
    let mut outcome = BackgroundOutcome::Complete;
    for record in records {
        if cancel.is_cancelled() {
            return Ok(BackgroundOutcome::Incomplete);
        }
        let directory = record.place.path(&*device)?;
        match sync(&record, &directory, cancel).await {
            Ok(true) => {}
            Ok(false) => outcome = BackgroundOutcome::Incomplete,
            Err(error) => {
                tracing::warn!(%error, "a client was not synchronized in the background");
                outcome = BackgroundOutcome::Incomplete;
            }
        }
    }
    Ok(outcome)
}

/// Whether nothing is left to do for this client. Where somebody takes its directory over, as JavaScript that starts does, the
/// round goes on with theirs.
async fn sync(record: &Record, directory: &Path, cancel: &CancelHandle) -> Result<bool, Error> {
    let started = Instant::now();
    for _ in 0..OWNERS_MAX {
        let passed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let deadline_ms = record.options.deadline_ms.saturating_sub(passed_ms);
        match sync_with_owner(record, directory, deadline_ms, cancel).await {
            Err(error) if error.code == Code::Closed && !cancel.is_cancelled() => {}
            result => return result,
        }
    }
    Ok(false)
}

/// The same, until the directory has another owner: then it fails with `closed`.
async fn sync_with_owner(
    record: &Record,
    directory: &Path,
    deadline_ms: u64,
    cancel: &CancelHandle,
) -> Result<bool, Error> {
    let opening = json::LIFECYCLE.lock().await;
    if let Some(client) = json::client_of(directory) {
        drop(opening);
        return outcome(until(cancel, None, sync_once(&client, &[], deadline_ms)).await);
    }
    if record.lacks_token() {
        return Ok(true);
    }
    if !directory.is_dir() {
        // Of an installation before this one, whose secrets the system has kept.
        drop(opening);
        forget(directory);
        return Ok(true);
    }
    let (refused, refusal) = watch::channel(false);
    let headless = open(record, directory, refused).await?;
    drop(opening);
    let work = sync_once(&headless.client, &record.rooms, deadline_ms);
    let result = until(cancel, Some(refusal), work).await;
    headless.end().await;
    outcome(result)
}

async fn sync_once(client: &Client, rooms: &[Room], deadline_ms: u64) -> Result<Reply, Error> {
    for room in rooms {
        client.execute(Command::Subscribe { room: room.clone() }).await?;
    }
    client.execute(Command::SyncOnce { deadline_ms }).await
}

fn outcome(result: Option<Result<Reply, Error>>) -> Result<bool, Error> {
    Ok(matches!(result.transpose()?, Some(Reply::SyncedOnce { complete: true, .. })))
}

/// What the work comes to, unless it is called off or the server wants a token that nobody can fetch.
async fn until<T>(
    cancel: &CancelHandle,
    refusal: Option<watch::Receiver<bool>>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let refused = async {
        let Some(mut refusal) = refusal else { return std::future::pending().await };
        if refusal.wait_for(|refused| *refused).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        () = cancel.wait() => None,
        result = work => Some(result),
        () = refused => None,
    }
}

async fn open(record: &Record, directory: &Path, refused: watch::Sender<bool>) -> Result<Headless, Error> {
    let directory = Some(directory.to_path_buf());
    let mut config = ClientConfig { directory, auto_connect: false, ..record.config.clone() };
    if record.encryption.is_some() {
        config.encryption_key = Some(device::encryption_key()?);
    }
    let sink = move |events: Vec<Event>| {
        let is_refused = |event: &Event| matches!(event, Event::Connection { status } if status.state == ConnectionState::Unauthorized);
        if events.iter().any(is_refused) {
            refused.send_replace(true);
        }
    };
    let (handle, client) = json::start(config, None, Some(AppState::Background), |_| sink).await?;
    Ok(Headless { handle, client })
}

/// A client that was opened for a round. It ends with it, also when the round is abandoned.
struct Headless {
    handle: u64,
    client: Client,
}

impl Headless {
    /// Returns when the directory is free again.
    async fn end(self) {
        let _alone = json::LIFECYCLE.lock().await;
        // Gone if another client has taken over.
        if let Some(client) = json::remove(self.handle) {
            json::close(&client).await;
        }
    }
}

impl Drop for Headless {
    fn drop(&mut self) {
        if let Some(client) = json::remove(self.handle)
            && let Err(error) = client.post(Command::Close)
        {
            tracing::debug!(%error, "the client of the round was closed already");
        }
    }
}
