//! Writes on their way to the server: accepted, durable, pushed, applied, confirmed.
//!
//! The outbox knows what is to be sent and in which order; it neither sends nor stores. Numbers of one room are
//! pushed in order. A batch that fails stops the room until all batches behind it are answered; then the room
//! starts again at its first unanswered number. The server refuses batches that do not follow each other, so
//! nothing overtakes. A write waits a moment for others to be sent with, unless there is a backlog.
//!
//! Of a write it holds what the order needs. The body is in the store; only one that is accepted this very moment is
//! held here.

mod batches;
mod by_document;

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use syncline_protocol::sabotage::{self, Sabotage};
use syncline_protocol::{Collection, DocumentId, Mutation, Room};

pub use self::batches::{Batch, BatchLimits};

use self::by_document::ByDocument;
use super::lane::{Gathering, Hold, Lane};
use crate::boxed_map::BoxedMap;
use crate::numbered::{Ascending, Numbered};
use crate::store::{DocumentKey, Entry, Head, IdHash, Queued, Scope, Scopes, Store, StoreError};

/// How far a write has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Never sent: another write of the document may still become part of it. It may wait until this time for others
    /// to be sent with, on the monotonic clock.
    Unsent { due_us: u64 },
    /// Perhaps sent, and not answered yet.
    Waiting,
    /// In the room's log at `seq`; shown as pending until the cache holds it.
    Applied { seq: u64 },
}

impl Stage {
    pub fn is_applied(self) -> bool {
        matches!(self, Self::Applied { .. })
    }

    /// Until when it may wait for others; at once if it was to be sent before.
    fn due_us(self) -> u64 {
        match self {
            Self::Unsent { due_us } => due_us,
            Self::Waiting | Self::Applied { .. } => 0,
        }
    }
}

/// A pending write without its body. As many are held as a queue takes, so this is flat and small.
#[derive(Debug, Clone, Copy)]
pub struct Pending {
    scope: Scope,
    id: IdHash,
    bytes: u32,
    stage: Kind,
    /// What comes with the stage.
    at: u64,
    /// See [`accepted_us`](Self::accepted_us).
    accepted_us: Option<NonZeroU64>,
    queued_at_ms: u64,
}

/// A [`Stage`], without what comes with it.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Unsent,
    Waiting,
    Applied,
}

impl Pending {
    fn new(head: Head, stage: Stage, accepted_us: Option<NonZeroU64>) -> Self {
        let Head { scope, id, bytes, queued_at_ms } = head;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let mut new = Self { scope, id, bytes, stage: Kind::Waiting, at: 0, accepted_us, queued_at_ms };
        new.set_stage(stage);
        new
    }

    fn head(&self) -> Head {
        let Self { scope, id, bytes, queued_at_ms, .. } = *self;
        Head { scope, id, bytes: bytes.into(), queued_at_ms }
    }

    pub fn stage(&self) -> Stage {
        match self.stage {
            Kind::Unsent => Stage::Unsent { due_us: self.at },
            Kind::Waiting => Stage::Waiting,
            Kind::Applied => Stage::Applied { seq: self.at },
        }
    }

    fn set_stage(&mut self, stage: Stage) {
        (self.stage, self.at) = match stage {
            Stage::Unsent { due_us } => (Kind::Unsent, due_us),
            Stage::Waiting => (Kind::Waiting, 0),
            Stage::Applied { seq } => (Kind::Applied, seq),
        };
    }

    /// When it was accepted, on the monotonic clock; `None` for one recovered from the journal. Of several that
    /// became one, when the first was that still leaves a stamp.
    pub fn accepted_us(&self) -> Option<u64> {
        self.accepted_us.map(NonZeroU64::get)
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.into()
    }
}

/// The clock's first microsecond counts as its second one.
fn moment(at_us: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(at_us.max(1))
}

/// A write that was taken out, and may be put back.
#[derive(Debug)]
pub struct Removed {
    pub client_seq: u64,
    pub room: Room,
    collection: Collection,
    pending: Pending,
}

impl Removed {
    pub fn accepted_us(&self) -> Option<u64> {
        self.pending.accepted_us()
    }
}

/// Whether writes wait for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered<'a> {
    None,
    Some,
    /// Only in rooms that may not be written to, such as this one.
    OnlyDenied(&'a Room),
}

#[derive(Debug, Default)]
pub struct Outbox {
    pending: Numbered<Pending>,
    scopes: Scopes,
    by_document: ByDocument,
    /// The bodies that the store was not given yet.
    in_hand: BoxedMap<u64, Entry>,
    lanes: BoxedMap<Room, Lane>,
    bytes: u64,
    in_flight_bytes: u64,
    /// The room that pushed last.
    last_room: Option<Room>,
    /// No number above this one is on disk yet.
    durable_through: u64,
    /// No number up to this one waits for others to be sent with.
    hurried_through: u64,
    /// Writes that were put in the place of durable ones, and are not durable themselves.
    folds_not_durable: u64,
}

pub fn document_key(room: &Room, mutation: &Mutation) -> DocumentKey {
    DocumentKey { room: room.clone(), collection: mutation.collection.clone(), id: mutation.id.clone() }
}

impl Outbox {
    /// Goes on with what waited before a restart: it is pushed as soon as it can.
    pub fn recover(queued: Queued, durable_through: u64) -> Self {
        let (scopes, heads) = queued.into_parts();
        let mut outbox = Self { scopes, durable_through, ..Self::default() };
        let mut pending = Ascending::default();
        for (number, head) in heads {
            let new = Pending::new(head, Stage::Waiting, None);
            outbox.line_up(number, &new);
            pending.push(number, new);
        }
        Self { pending: pending.finish(), ..outbox }
    }

    pub fn len(&self) -> u64 {
        self.pending.len() as u64
    }

    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn is_pushing(&self) -> bool {
        self.in_flight_bytes > 0
    }

    /// In ascending order.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        self.pending.numbers()
    }

    /// When the oldest was queued, in milliseconds since the epoch.
    pub fn oldest_ms(&self) -> Option<u64> {
        self.pending.iter().map(|(_, pending)| pending.queued_at_ms).min()
    }

    pub fn rooms(&self) -> impl Iterator<Item = &Room> {
        self.lanes.keys()
    }

    /// Whether any write of the room waits for an answer or for its confirmation.
    pub fn holds_room(&self, room: &Room) -> bool {
        self.lanes.contains_key(room)
    }

    pub fn holds(&self, client_seq: u64) -> bool {
        self.pending.get(client_seq).is_some()
    }

    pub fn pending(&self, client_seq: u64) -> Option<&Pending> {
        self.pending.get(client_seq)
    }

    /// The room and the collection of a pending write.
    pub fn scope(&self, client_seq: u64) -> Option<(&Room, &Collection)> {
        self.scopes.names(self.pending.get(client_seq)?.scope)
    }

    /// A pending write with its body.
    pub fn entry(&self, client_seq: u64, store: &dyn Store) -> Result<Entry, StoreError> {
        match self.in_hand.get(&client_seq) {
            Some(entry) => Ok(entry.clone()),
            None => store.entry(client_seq),
        }
    }

    /// Adds the mutation of a pending write, as a compact message has it.
    pub fn pack_mutation(
        &self,
        client_seq: u64,
        store: &dyn Store,
        into: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        debug_assert!(!self.in_hand.contains_key(&client_seq), "only what is durable is sent");
        store.pack_mutation(client_seq, into)
    }

    /// The pending writes of a document, oldest first.
    pub fn of_document<'a>(
        &'a self,
        key: &'a DocumentKey,
        store: &'a dyn Store,
    ) -> impl DoubleEndedIterator<Item = Result<Entry, StoreError>> + 'a {
        let scope = self.scopes.find(key.room.as_str(), key.collection.as_str());
        let likely = scope.into_iter().flat_map(|scope| self.likely(scope, key.id_hash()));
        likely.map(|number| self.entry(number, store)).filter(|entry| {
            // Another document's id may have the same hash.
            entry.as_ref().map_or(true, |entry| entry.mutation.id == key.id)
        })
    }

    /// The writes of a collection's documents whose ids have this hash.
    fn likely(&self, scope: Scope, id: IdHash) -> impl DoubleEndedIterator<Item = u64> {
        let all = || self.pending.iter().map(|(number, pending)| (pending.scope, pending.id, number));
        self.by_document.likely(scope, id, all)
    }

    /// The pending writes of a collection that are the oldest of their documents, in ascending order: of documents whose
    /// ids have the same hash only one, behind which [`ids_like`](Self::ids_like) finds the others.
    pub fn oldest_of_each(&self, room: &Room, collection: &Collection) -> impl Iterator<Item = u64> {
        let scope = self.scopes.find(room.as_str(), collection.as_str());
        let oldest = move |(number, pending): (u64, &Pending)| {
            let Pending { scope: found, id, .. } = *pending;
            let is_oldest = Some(found) == scope && self.likely(found, id).next() == Some(number);
            is_oldest.then_some(number)
        };
        let pending = scope.map(|_| self.pending.iter());
        pending.into_iter().flatten().filter_map(oldest)
    }

    /// The documents with pending writes whose ids have the same hash as that of this entry, which is one of them.
    pub fn ids_like(&self, entry: &Entry, store: &dyn Store) -> Result<BTreeSet<DocumentId>, StoreError> {
        let Entry { room, mutation, .. } = entry;
        let mut ids = BTreeSet::from([mutation.id.clone()]);
        let scope = self.scopes.find(room.as_str(), mutation.collection.as_str());
        let hash = IdHash::of(mutation.id.as_str());
        let likely = scope.into_iter().flat_map(|scope| self.likely(scope, hash));
        for number in likely.filter(|number| *number != mutation.client_seq) {
            ids.insert(self.entry(number, store)?.mutation.id);
        }
        Ok(ids)
    }

    /// Adds a write accepted earlier, which the store has: it is pushed as soon as it can.
    pub fn insert(&mut self, entry: &Entry, accepted_us: Option<u64>) {
        let head = Head::of(entry, &mut self.scopes);
        let accepted_us = accepted_us.and_then(moment);
        self.put(entry.mutation.client_seq, Pending::new(head, Stage::Waiting, accepted_us));
    }

    /// Adds a write of so many bytes, accepted at `now_us`, which may wait until `due_us` for others to be sent with. It is pushed
    /// once [`mark_durable`](Self::mark_durable) covers its number, and held until [`take_in_hand`](Self::take_in_hand).
    pub fn insert_new(&mut self, entry: Entry, bytes: u64, now_us: u64, due_us: u64) {
        let head = Head::weighed(&entry, bytes, &mut self.scopes);
        let number = entry.mutation.client_seq;
        self.in_hand.insert(number, entry);
        self.put(number, Pending::new(head, Stage::Unsent { due_us }, moment(now_us)));
    }

    /// Puts back what was taken out, as if it were accepted earlier.
    pub fn put_back(&mut self, removed: Removed) {
        let Removed { client_seq, room, collection, pending } = removed;
        let head = Head { scope: self.scopes.hold(&room, &collection), ..pending.head() };
        self.put(client_seq, Pending::new(head, Stage::Waiting, pending.accepted_us));
    }

    /// The bodies of what was accepted, which the store is given now.
    pub fn take_in_hand(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.in_hand).into_values().collect()
    }

    fn put(&mut self, number: u64, pending: Pending) {
        self.by_document.insert(pending.scope, pending.id, number);
        self.line_up(number, &pending);
        self.pending.insert(number, pending);
    }

    fn line_up(&mut self, number: u64, pending: &Pending) {
        let Some(room) = self.scopes.room(pending.scope) else { return };
        let lane = match self.lanes.get_mut(room) {
            Some(lane) => lane,
            None => self.lanes.get_or_insert_with(room.clone(), Lane::default),
        };
        match pending.stage().due_us() {
            0 => lane.gathering = Gathering::Done,
            // What waits behind a backlog goes with it.
            _ if lane.gathering == Gathering::Done && lane.has_unpushed() => {}
            due_us => lane.gathering.add(due_us, pending.bytes()),
        }
        lane.unanswered.insert(number);
        self.bytes += pending.bytes();
    }

    /// The newest pending write of a document, if it was never sent.
    pub fn last_unsent(
        &self,
        key: &DocumentKey,
        store: &dyn Store,
    ) -> Result<Option<(Pending, Entry)>, StoreError> {
        let scope = self.scopes.find(key.room.as_str(), key.collection.as_str());
        let newest = scope.and_then(|scope| self.likely(scope, key.id_hash()).next_back());
        let Some(number) = newest else { return Ok(None) };
        let may_change = |stage| match stage {
            Stage::Unsent { .. } => true,
            Stage::Waiting => sabotage::is_active(Sabotage::CoalescedSent),
            Stage::Applied { .. } => false,
        };
        let Some(pending) = self.pending.get(number).filter(|pending| may_change(pending.stage())) else {
            return Ok(None);
        };
        let entry = self.entry(number, store)?;
        Ok((entry.mutation.id == key.id).then_some((*pending, entry)))
    }

    /// Puts a write in the place of the one with its number, which was never sent, and returns that. Nothing is
    /// pushed until [`mark_folds_durable`](Self::mark_folds_durable): the number counts as durable already.
    pub fn fold(&mut self, entry: Entry, accepted_us: Option<u64>) -> Option<Pending> {
        let number = entry.mutation.client_seq;
        let pending = self.pending.get_mut(number)?;
        let bytes = entry.mutation.byte_len() as u64;
        let head = Head { bytes, ..pending.head() };
        let new = Pending::new(head, pending.stage(), accepted_us.and_then(moment));
        let old = std::mem::replace(pending, new);
        self.bytes = self.bytes - old.bytes() + bytes;
        self.folds_not_durable += 1;
        self.in_hand.insert(number, entry);
        Some(old)
    }

    /// Takes a fold back.
    pub fn unfold(&mut self, client_seq: u64, old: Pending) {
        if let Some(pending) = self.pending.get_mut(client_seq) {
            self.bytes = self.bytes - pending.bytes() + old.bytes();
            *pending = old;
            self.folds_not_durable = self.folds_not_durable.saturating_sub(1);
        }
    }

    /// No fold is on its way to the disk any more.
    pub fn mark_folds_durable(&mut self) {
        self.folds_not_durable = 0;
    }

    /// Takes a write out: confirmed, failed, or not durable after all.
    pub fn remove(&mut self, client_seq: u64) -> Option<Removed> {
        let pending = self.pending.remove(client_seq)?;
        self.bytes -= pending.bytes();
        let Pending { scope, id, .. } = pending;
        self.by_document.remove(scope, id, client_seq);
        let (room, collection) = self.scopes.names(scope)?;
        let (room, collection) = (room.clone(), collection.clone());
        self.scopes.release(scope);
        if let Some(lane) = self.lanes.get_mut(&room) {
            match pending.stage() {
                Stage::Unsent { .. } | Stage::Waiting => lane.unanswered.remove(client_seq),
                Stage::Applied { seq } => drop(lane.unconfirmed.remove(&(seq, client_seq))),
            }
        }
        self.drop_idle_lane(&room);
        Some(Removed { client_seq, room, collection, pending })
    }

    pub fn mark_durable(&mut self, through: u64) {
        self.durable_through = self.durable_through.max(through);
    }

    /// What the server has not answered of the writes up to this number.
    pub fn unanswered(&self, through: u64) -> Unanswered<'_> {
        let mut denied = None;
        for (room, lane) in &self.lanes {
            if lane.unanswered.first().is_none_or(|first| first > through) {
                continue;
            }
            if lane.hold != Some(Hold::Denied) {
                return Unanswered::Some;
            }
            denied = Some(room);
        }
        denied.map_or(Unanswered::None, Unanswered::OnlyDenied)
    }

    /// Whether the server has not answered one of these.
    pub fn awaits_any(&self, client_seqs: &[u64]) -> bool {
        let is_awaited = |pending: &Pending| !pending.stage().is_applied();
        client_seqs.iter().any(|number| self.pending.get(*number).is_some_and(is_awaited))
    }

    /// Whether the cache does not hold yet what the server has applied of the writes up to this number.
    pub fn has_unconfirmed(&self, through: u64) -> bool {
        self.lanes.values().any(|lane| lane.unconfirmed.iter().any(|(_, number)| *number <= through))
    }

    /// The server has the write in its log. It stays visible as pending until it is confirmed.
    pub fn mark_applied(&mut self, client_seq: u64, seq: u64) {
        let Some(pending) = self.pending.get_mut(client_seq) else { return };
        if pending.stage().is_applied() {
            return;
        }
        pending.set_stage(Stage::Applied { seq });
        let room = self.scopes.room(pending.scope);
        if let Some(lane) = room.and_then(|room| self.lanes.get_mut(room)) {
            lane.unanswered.remove(client_seq);
            lane.unconfirmed.insert((seq, client_seq));
        }
    }

    /// The server's log ends at `seq`: what it applied behind that is lost there, and pushed again, at the earliest at
    /// `at_us`.
    pub fn push_again_behind(&mut self, room: &Room, seq: u64, at_us: u64) {
        let Some(lane) = self.lanes.get_mut(room) else { return };
        let lost = lane.unconfirmed.split_off(&(seq.saturating_add(1), 0));
        if lost.is_empty() {
            return;
        }
        for (_, number) in lost {
            lane.unanswered.insert(number);
            if let Some(pending) = self.pending.get_mut(number) {
                pending.set_stage(Stage::Waiting);
            }
        }
        self.start_over(room, at_us);
    }

    /// The writes of a room that the cache, at `cursor`, holds.
    pub fn confirmed_at(&self, room: &Room, cursor: u64) -> Vec<u64> {
        let lane = self.lanes.get(room);
        let confirmed = lane.into_iter().flat_map(|lane| lane.unconfirmed.range(..=(cursor, u64::MAX)));
        confirmed.map(|(_, number)| *number).collect()
    }

    fn drop_idle_lane(&mut self, room: &Room) {
        if self.lanes.get(room).is_some_and(Lane::is_idle) {
            self.lanes.remove(room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_thousand_pending_writes_take_four_megabytes() {
        assert_eq!(size_of::<Option<Pending>>(), 40);
    }
}
