//! A store alone, used at random and hurt at random, held to what it promised: what was accepted is there after every
//! restart, what ended does not come back, and nothing is half there.

use std::collections::{BTreeMap, BTreeSet};

use syncline::store::{
    DocumentKey, Entry, Identity, Live, Record, Recovered, RoomState, RoomUpdate, Store, StoreError,
};
use syncline_protocol::{
    ClientId, Collection, Document, DocumentId, Fields, HybridTime, Mutation, Room, Stamp, Stamps, Value,
    VersionVector, Write,
};

use super::{CacheFault, Ending, SimulatedStorage, SimulatedStore, Space};
use crate::random::Random;

const STEPS: u64 = 60;
/// How often an open may fail before that is a failure of its own.
const OPENS_MAX: u64 = 20;
/// After so many of them the disk has room again.
const OPENS_ON_A_FULL_DISK_MAX: u64 = 3;
/// In bytes: some entries span several sectors.
const TEXT_BYTES_MAX: u64 = 3_000;

/// What a restart may find of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// In the journal.
    Accepted,
    /// In the journal, or its document in the cache.
    Confirmed,
    /// Nowhere.
    Gone,
    /// The commit of the entry failed, or of its end, in a way that leaves it open.
    Unknown,
}

/// A store in use, and what was promised of it.
struct User {
    storage: SimulatedStorage,
    random: Random,
    store: Option<SimulatedStore>,
    fates: BTreeMap<u64, Fate>,
    /// Whether the documents of confirmed entries are still there.
    cache_is_whole: bool,
    identity: Option<Identity>,
    /// The last number that may be on its way to the server.
    last_used: u64,
    cursor: u64,
    flushed_cursor: u64,
}

#[allow(clippy::expect_used)]
fn room() -> Room {
    Room::new("list:1").expect("a valid name")
}

/// Another one at each start, as a real process has it.
fn fresh_client_id(random: &mut Random) -> ClientId {
    let mut bytes = [0; 16];
    bytes.fill_with(|| random.number().to_le_bytes()[0]);
    ClientId::from_bytes(bytes)
}

fn time(wall_ms: u64) -> HybridTime {
    HybridTime { wall_ms, counter: 0 }
}

#[allow(clippy::expect_used)]
fn key(client_seq: u64) -> DocumentKey {
    let id = DocumentId::new(format!("task-{client_seq}")).expect("a valid name");
    DocumentKey { room: room(), collection: Collection::new("tasks").expect("a valid name"), id }
}

/// Its length differs, so that frames end anywhere.
fn fields(client_seq: u64) -> Fields {
    let text: String = (0..client_seq * 97 % TEXT_BYTES_MAX).map(|_| 'x').collect();
    Fields::from([("text".into(), Value::from(text.as_str()))])
}

fn entry(client_seq: u64) -> Entry {
    let DocumentKey { room, collection, id } = key(client_seq);
    let write = Write::Create(fields(client_seq));
    let mutation = Mutation { client_seq, collection, id, write, time: time(client_seq), base: None };
    Entry { room, mutation, queued_at_ms: client_seq, accepted: None }
}

fn document(client_seq: u64) -> Document {
    let DocumentKey { collection, id, .. } = key(client_seq);
    Document {
        collection,
        id,
        fields: fields(client_seq),
        seq: client_seq,
        version: VersionVector::default(),
        stamps: Stamps::new(Stamp { time: time(client_seq), writer: ClientId::from_bytes([1; 16]) }),
        deleted: false,
    }
}

impl User {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            storage: SimulatedStorage::new(random.fork()),
            random,
            store: None,
            fates: BTreeMap::new(),
            cache_is_whole: true,
            identity: None,
            last_used: 0,
            cursor: 0,
            flushed_cursor: 0,
        }
    }

    fn last_client_seq(&self) -> u64 {
        self.identity.map_or(0, |identity| identity.last_client_seq)
    }

    fn one_with(&mut self, fate: Fate) -> Option<u64> {
        let found: Vec<u64> =
            self.fates.iter().filter(|(_, found)| **found == fate).map(|(&number, _)| number).collect();
        (!found.is_empty()).then(|| found[self.random.index(found.len())])
    }

    fn set_all(&mut self, numbers: &[u64], fate: Fate) {
        self.fates.extend(numbers.iter().map(|&number| (number, fate)));
    }

    /// Queues some entries in one commit.
    fn queue(&mut self) {
        let first = self.last_client_seq() + 1;
        let last = first + self.random.below(6);
        let numbers: Vec<u64> = (first..=last).collect();
        let records: Vec<Record> =
            numbers.iter().map(|&number| Record::Queued(vec![entry(number)])).collect();
        if let Some(identity) = &mut self.identity {
            identity.last_client_seq = last;
        }
        let committed = self.commit(&records);
        if committed.is_ok() {
            self.last_used = self.last_client_seq();
        }
        self.set_all(&numbers, committed.err().unwrap_or(Fate::Accepted));
    }

    /// On an error, what a restart finds of the records.
    fn commit(&mut self, records: &[Record]) -> Result<(), Fate> {
        let Some(store) = &mut self.store else { return Err(Fate::Gone) };
        let result = records.iter().try_for_each(|record| store.append(record)).and_then(|()| store.commit());
        result.map_err(|error| match error {
            StoreError::Full => Fate::Gone,
            _ => {
                self.close();
                Fate::Unknown
            }
        })
    }

    /// Ends most of the entries in one commit, or few.
    fn settle(&mut self) {
        let percent = self.random.one_of([20, 80]);
        let accepted = self.fates.iter().filter(|(_, fate)| **fate == Fate::Accepted);
        let accepted: Vec<u64> = accepted.map(|(&number, _)| number).collect();
        let numbers: Vec<u64> = accepted.into_iter().filter(|_| self.random.percent(percent)).collect();
        let records: Vec<Record> = numbers.iter().map(|&client_seq| Record::Settled { client_seq }).collect();
        let fate = match self.commit(&records) {
            Ok(()) => Fate::Gone,
            Err(Fate::Unknown) => Fate::Unknown,
            Err(_) => Fate::Accepted,
        };
        self.set_all(&numbers, fate);
    }

    fn confirm(&mut self) {
        let (Some(client_seq), Some(store)) = (self.one_with(Fate::Accepted), &mut self.store) else {
            return;
        };
        let cursor = self.cursor + 1;
        let state = RoomState { cursor, ..RoomState::default() };
        let documents = [document(client_seq)];
        let update = RoomUpdate { reset: false, documents: &documents, state };
        if store.apply(&room(), &update).is_ok() {
            store.append_after_flush(Record::Settled { client_seq });
            self.cursor = cursor;
            self.fates.insert(client_seq, Fate::Confirmed);
        }
        self.note_loss();
    }

    fn flush(&mut self) {
        let Some(store) = &mut self.store else { return };
        match store.flush() {
            Ok(()) => self.flushed_cursor = self.cursor,
            Err(StoreError::Full | StoreError::CacheLost { .. }) => {}
            Err(_) => self.close(),
        }
        self.note_loss();
    }

    fn note_loss(&mut self) {
        let lost = self.store.as_mut().and_then(Store::take_loss).is_some();
        if lost {
            self.forget_cache();
        }
    }

    fn forget_cache(&mut self) {
        self.cache_is_whole = false;
        (self.cursor, self.flushed_cursor) = (0, 0);
    }

    fn compact(&mut self) {
        let (Some(store), Some(identity)) = (&mut self.store, self.identity) else { return };
        let fates = &self.fates;
        let mut live = || {
            let accepted = fates.iter().filter(|(_, fate)| **fate == Fate::Accepted);
            let kept = accepted.map(|(&number, _)| number).collect();
            Live { records: vec![Record::Identity(identity)], kept }
        };
        if let Err(StoreError::Journal(_)) = store.compact_if_worthwhile(&mut live) {
            self.close();
        }
        self.note_loss();
    }

    /// An orderly close, as far as the journal allows it.
    fn close(&mut self) {
        // The close would not tell of a loss.
        if let Some(store) = &mut self.store
            && store.flush().is_ok()
        {
            self.flushed_cursor = self.cursor;
        }
        self.note_loss();
        self.store = None;
    }

    fn end_life(&mut self) {
        let ending = self.random.one_of([Ending::Kill, Ending::PowerLoss, Ending::PowerLoss]);
        self.storage.end_life(ending);
        self.store = None;
    }

    fn step(&mut self) -> Result<(), String> {
        if self.store.is_none() {
            self.open()?;
        }
        match self.random.below(100) {
            0..40 => self.queue(),
            40..54 => self.settle(),
            54..65 => self.confirm(),
            65..72 => self.flush(),
            72..82 => self.compact(),
            82..85 => self.end_life(),
            85..86 => self.close(),
            86..93 => self.storage.disk.die_at(1 + self.random.below(8)),
            93..95 => self.storage.disk.fail_next_sync(),
            95..96 => self.storage.disk.fail_next_read(),
            96..97 => self.storage.cache.fail(self.random.one_of([CacheFault::Lost, CacheFault::Failing])),
            _ => {
                let space = self.random.one_of([Space::Free, Space::Full, Space::FullForOverwrites]);
                self.storage.disk.set_space(space);
            }
        }
        if let Some(number) = self.one_with(Fate::Accepted) {
            self.check_entry(number)?;
        }
        if self.storage.disk.is_dead() {
            self.end_life();
        }
        Ok(())
    }

    /// What is queued is read as it was written, unless the disk does not let it now.
    fn check_entry(&self, number: u64) -> Result<(), String> {
        match self.store.as_ref().map(|store| store.entry(number)) {
            Some(Ok(found)) if found != entry(number) => Err(format!("entry {number} is another one")),
            Some(Err(error @ StoreError::Unreadable(_))) => Err(format!("entry {number}: {error}")),
            None | Some(Ok(_) | Err(_)) => Ok(()),
        }
    }

    /// Opens the store, sooner or later, and compares what it finds with what was promised.
    fn open(&mut self) -> Result<(), String> {
        for attempt in 0..OPENS_MAX {
            if self.storage.cache.is_loss_untold() {
                self.forget_cache();
            }
            match self.storage.open(fresh_client_id(&mut self.random)) {
                Ok((store, recovered)) => {
                    self.store = Some(store);
                    return self.check(&recovered);
                }
                Err(_) if self.storage.disk.is_dead() => self.end_life(),
                Err(_) if attempt >= OPENS_ON_A_FULL_DISK_MAX => self.storage.disk.set_space(Space::Free),
                Err(_) => {}
            }
        }
        Err("the store does not open".to_owned())
    }

    fn check(&mut self, recovered: &Recovered) -> Result<(), String> {
        self.cache_is_whole &= !recovered.damage.iter().any(|line| line.contains("cache"));
        self.note_loss();
        let cursor = self.check_cache()?;
        if self.identity.is_some_and(|known| known.client_id != recovered.identity.client_id) {
            return Err("the client's identity changed".to_owned());
        }
        if recovered.identity.last_client_seq < self.last_used {
            return Err(format!("number {} may be used again: {:?}", self.last_used, recovered.identity));
        }
        self.last_used = recovered.identity.last_client_seq;
        let found: BTreeSet<u64> = recovered.queued.numbers().collect();
        for number in &found {
            if !self.fates.contains_key(number) {
                return Err(format!("nobody wrote entry {number}"));
            }
            self.check_entry(*number)?;
        }
        for (number, fate) in &mut self.fates {
            let is_found = found.contains(number);
            match (*fate, is_found) {
                (Fate::Accepted, false) => return Err(format!("entry {number} is lost")),
                (Fate::Gone, true) => return Err(format!("entry {number} came back")),
                (Fate::Confirmed, false) if self.cache_is_whole => {
                    let store = self.store.as_ref().ok_or("closed")?;
                    if !matches!(store.document(&key(*number)), Ok(Some(_)) | Err(_)) {
                        return Err(format!("entry {number} is in neither half"));
                    }
                }
                _ => {}
            }
            *fate = if is_found { Fate::Accepted } else { Fate::Gone };
        }
        self.cache_is_whole = true;
        (self.cursor, self.flushed_cursor) = (cursor, 0);
        let last_client_seq = recovered.identity.last_client_seq.max(self.last_client_seq());
        self.identity = Some(Identity { last_client_seq, ..recovered.identity });
        Ok(())
    }

    fn check_cache(&mut self) -> Result<u64, String> {
        let Some(Ok(rooms)) = self.store.as_ref().map(Store::rooms) else {
            self.note_loss();
            return Ok(0);
        };
        let cursor = rooms.first().map_or(0, |(_, state)| state.cursor);
        if self.cache_is_whole && cursor < self.flushed_cursor {
            return Err(format!("the cache went back to {cursor}, {} was flushed", self.flushed_cursor));
        }
        Ok(cursor)
    }
}

/// What happens with one seed.
///
/// # Errors
/// The promise that was broken.
pub fn run(seed: u64) -> Result<(), String> {
    let mut user = User::new(seed);
    for _ in 0..STEPS {
        user.step()?;
    }
    user.end_life();
    user.open()
}

#[cfg(test)]
#[path = "exercise_tests.rs"]
mod tests;
