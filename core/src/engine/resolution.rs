//! How conflicts are carried out: writes sent again, dropped, parked, and what the app decides about parked ones.
//!
//! A write sent again takes a new number, for the server has used up the old one. All pending writes of its
//! document from there on take new numbers with it, so none overtakes. A write has the base of the pending one before
//! it: where the server refuses one, it refuses those behind it too, so an old number that is still under way has no
//! effect. Only where the document was purged between the two does the server take what is behind: then nothing is
//! sent again.

use syncline_protocol::conflict::fields_in_conflict;
use syncline_protocol::message::{MutationResult, MutationStatus};
use syncline_protocol::sabotage::{Sabotage, is_active};
use syncline_protocol::{
    ConflictKind, Document, ErrorCode, Fields, HybridTime, Mutation, Op, Patch, Path, Room, Stamp,
    VersionVector, WireError, Write,
};

use super::Engine;
use super::commit::Uncommitted;
use super::conflict::{ConflictStrategy, Decision, Dispute};
use super::io::{Event, Now, Output, ParkedWrite, RequestId, Resolution};
use super::outbox::{Pending, Removed, document_key};
use crate::error::{Code, Error};
use crate::store::{Conflict, DocumentKey, Entry, Parked, Record, Store, StoreError};

/// Mutations of one journal record of writes sent again, in bytes, unless a single one is larger. A crash between
/// two records is harmless: what keeps its old number is refused and sent again after the others.
const RESENT_BYTES_MAX: u64 = 1 << 20;

/// A conflict whose record is not durable yet, and how to take it back.
#[derive(Debug)]
pub(super) enum Unsettled {
    Resent { key: DocumentKey, old: Vec<Removed>, new: Vec<u64> },
    Parked { key: DocumentKey, old: Removed, number: u64 },
    Resolved { request: RequestId, parked: Box<Parked>, new: Option<u64> },
}

/// The error of a result that is a conflict, the first time or as a duplicate.
pub(super) fn conflict_error(result: &MutationResult) -> Option<WireError> {
    let refused = result.error.as_ref();
    match result.status {
        MutationStatus::Conflict => {
            let error = || WireError::new(ErrorCode::Conflict, "the document changed since it was read");
            Some(refused.cloned().unwrap_or_else(error))
        }
        MutationStatus::Duplicate => refused.filter(|error| error.code == ErrorCode::Conflict).cloned(),
        MutationStatus::Applied | MutationStatus::Rejected => None,
    }
}

impl Engine {
    /// The version that a write of the document is made upon; `None` where the server merges. That of the newest pending
    /// write: where that one is refused, this one has to be. One that the cache shows cannot be refused any more.
    pub(super) fn base_of(
        &self,
        key: &DocumentKey,
        store: &dyn Store,
    ) -> Result<Option<VersionVector>, StoreError> {
        if self.collections.conflict(&key.collection) == ConflictStrategy::Merge {
            return Ok(None);
        }
        let cached = store.document(key)?.map(|document| document.version).unwrap_or_default();
        let held = cached.seen(self.identity.client_id);
        let newest = self.newest_upon_a_version(key, store)?.filter(|newest| newest.client_seq > held);
        Ok(Some(newest.and_then(|newest| newest.base).unwrap_or(cached)))
    }

    /// The pending write of a document that was accepted last, of those that have a base. What the app decided about was
    /// accepted before others, under whatever number it waits now.
    fn newest_upon_a_version(
        &self,
        key: &DocumentKey,
        store: &dyn Store,
    ) -> Result<Option<Mutation>, StoreError> {
        let mut newest: Option<(u64, Mutation)> = None;
        for pending in self.outbox.of_document(key, store).rev() {
            let pending = pending?;
            let (accepted, mutation) = (pending.accepted().client_seq, pending.mutation);
            let newest_accepted = newest.as_ref().map_or(0, |(accepted, _)| *accepted);
            if newest_accepted > mutation.client_seq {
                // Nothing was accepted under a higher number than it has.
                break;
            }
            if accepted > newest_accepted && mutation.base.is_some() {
                newest = Some((accepted, mutation));
            }
        }
        Ok(newest.map(|(_, mutation)| mutation))
    }

    /// The server found the write in conflict with `document`.
    pub(super) fn handle_conflict(
        &mut self,
        now: Now,
        client_seq: u64,
        error: WireError,
        document: Option<Document>,
        store: &mut dyn Store,
        out: &mut Vec<Output>,
    ) {
        let Some((room, _)) = self.outbox.scope(client_seq) else { return };
        let room = room.clone();
        let (entry, writes) = match self.with_its_like(client_seq, store) {
            Ok(found) => found,
            Err(error) => return self.answer_again(now, &room, error),
        };
        let mutation = &entry.mutation;
        let fields = match &document {
            Some(document) => fields_in_conflict(document, mutation, self.identity.client_id),
            None => mutation.base.is_some().then(Vec::new),
        };
        // Without this, a server that is wrong could have a write sent again for ever.
        let (Some(fields), Some(base)) = (fields, &mutation.base) else {
            return self.reject(now, client_seq, error, None, store);
        };
        if self.waits_behind_its_like(mutation, &writes) {
            // That one was to be sent again, and could not be written to the journal: it goes first.
            return self.outbox.start_over(&room, now.after_ms(self.settings.retry_delay_ms));
        }
        let conflict = Conflict { kind: ConflictKind::of(&mutation.write, document.as_ref()), fields };
        let decision = Decision::of(Dispute {
            strategy: self.collections.conflict(&mutation.collection),
            write: &mutation.write,
            base,
            written: Stamp { time: entry.accepted().time, writer: self.identity.client_id },
            document: document.as_ref(),
            overtaken: self.is_overtaken(&entry, &writes, document.as_ref()),
        });
        if let Some(document) = &document {
            self.clock.observe(document.newest_stamp().time);
            let applied = self.replica.apply_ahead(&room, document, &self.queries, store);
            self.handle_applied(now, &room, applied, store, out);
        }
        let done = match decision {
            Decision::Settle => {
                self.settle(now, client_seq, store);
                Ok(())
            }
            Decision::Drop => {
                self.reject(now, client_seq, error, Some(conflict), store);
                Ok(())
            }
            Decision::Park if is_active(Sabotage::ConflictDropped) => {
                self.settle(now, client_seq, store);
                Ok(())
            }
            Decision::Park => self.park(entry, conflict, document, store),
            Decision::Merge | Decision::Rebase | Decision::Override => {
                self.send_again(now, &entry, writes, decision, document.as_ref(), store)
            }
        };
        if let Err(error) = done {
            self.answer_again(now, &room, error);
        }
    }

    /// The room's numbers are pushed again, and the server answers the same.
    fn answer_again(&mut self, now: Now, room: &Room, error: StoreError) {
        self.outbox.start_over(room, now.after_ms(self.settings.retry_delay_ms));
        self.handle_store_error(error);
    }

    /// A pending write, and all that are pending of its document, oldest first.
    fn with_its_like(&self, client_seq: u64, store: &dyn Store) -> Result<(Entry, Vec<Entry>), StoreError> {
        let entry = self.outbox.entry(client_seq, store)?;
        let key = document_key(&entry.room, &entry.mutation);
        let writes = self.outbox.of_document(&key, store).collect::<Result<_, _>>()?;
        Ok((entry, writes))
    }

    fn is_applied(&self, write: &Entry) -> bool {
        self.outbox.pending(write.mutation.client_seq).is_some_and(|pending| pending.stage().is_applied())
    }

    /// Whether an earlier write of the same document has no answer, and will be refused, too.
    fn waits_behind_its_like(&self, mutation: &Mutation, writes: &[Entry]) -> bool {
        writes.iter().any(|other| {
            let earlier = other.mutation.client_seq < mutation.client_seq;
            let is_like = earlier && other.mutation.base == mutation.base;
            is_like && !self.is_applied(other)
        })
    }

    /// Whether the server took a later write of the document, or may have: sent again, the refused one would come behind
    /// it. A version names the last write that the server took. And a later write stands upon another version only if
    /// this one was answered when that was made or sent again: it was settled, and a crash brought it back.
    fn is_overtaken(&self, refused: &Entry, writes: &[Entry], document: Option<&Document>) -> bool {
        let Mutation { client_seq, base, .. } = &refused.mutation;
        let accepted = refused.accepted().client_seq;
        let taken = document.map_or(0, |document| document.version.seen(self.identity.client_id));
        // An earlier one has a higher number if a crash kept the rest of those that were sent again with it.
        let is_earlier =
            |other: &Entry| other.mutation.client_seq == taken && other.accepted().client_seq < accepted;
        if taken > *client_seq && !writes.iter().any(is_earlier) {
            return true;
        }
        let is_later = |other: &&Entry| {
            other.mutation.client_seq > *client_seq && other.accepted().client_seq > accepted
        };
        let mut bases = writes.iter().filter(is_later).filter_map(|other| other.mutation.base.as_ref());
        bases.any(|later| Some(later) != base.as_ref())
    }

    /// Of `writes`, all that are pending of the document, the refused one and those behind it.
    fn send_again(
        &mut self,
        now: Now,
        refused: &Entry,
        writes: Vec<Entry>,
        decision: Decision,
        document: Option<&Document>,
        store: &mut dyn Store,
    ) -> Result<(), StoreError> {
        let key = document_key(&refused.room, &refused.mutation);
        let base = match decision {
            Decision::Merge => None,
            _ => Some(document.map(|document| document.version.clone()).unwrap_or_default()),
        };
        // What the app decided meanwhile stands upon a newer version: the server may have taken it.
        let Mutation { client_seq, base: refused_base, .. } = &refused.mutation;
        if !self.outbox.holds(*client_seq) {
            return Ok(());
        }
        let mut waiting = writes;
        waiting.retain(|Entry { mutation, .. }| {
            mutation.client_seq >= *client_seq && mutation.base == *refused_base
        });
        waiting.retain(|entry| self.outbox.holds(entry.mutation.client_seq) && !self.is_applied(entry));
        let mut left = waiting.as_slice();
        while let Some((first, rest)) = left.split_first() {
            let bytes_of = |entry: &Entry| entry.mutation.byte_len() as u64;
            let mut bytes = bytes_of(first);
            let more = rest.iter().take_while(|entry| {
                bytes += bytes_of(entry);
                bytes <= RESENT_BYTES_MAX
            });
            let (old, rest) = left.split_at(1 + more.count());
            let entries = old.iter().map(|entry| {
                let time = match decision {
                    Decision::Override => self.clock.tick(now.wall_ms),
                    _ => entry.mutation.time,
                };
                self.renumbered(entry, time, base.clone())
            });
            let entries = entries.collect::<Vec<_>>();
            let numbers = old.iter().map(|entry| entry.mutation.client_seq).collect();
            self.replace_pending(&key, numbers, entries, store)?;
            left = rest;
        }
        self.queries.touch(&key);
        Ok(())
    }

    /// The same write under the next number.
    fn renumbered(&mut self, entry: &Entry, time: HybridTime, base: Option<VersionVector>) -> Entry {
        self.identity.last_client_seq += 1;
        let client_seq = self.identity.last_client_seq;
        self.triggers.handle_renumbered(entry.mutation.client_seq, client_seq);
        let mutation = Mutation { client_seq, time, base, ..entry.mutation.clone() };
        Entry { mutation, accepted: Some(entry.accepted()), ..entry.clone() }
    }

    fn replace_pending(
        &mut self,
        key: &DocumentKey,
        client_seqs: Vec<u64>,
        entries: Vec<Entry>,
        store: &mut dyn Store,
    ) -> Result<(), StoreError> {
        let record = Record::Resent { client_seqs, entries };
        store.append(&record)?;
        let Record::Resent { client_seqs, entries } = record else { return Ok(()) };
        let accepted_us = |client_seq| self.outbox.pending(client_seq).and_then(Pending::accepted_us);
        let accepted_us: Vec<_> = client_seqs.iter().map(|client_seq| accepted_us(*client_seq)).collect();
        // The new ones first, so that the room is never without a write.
        for (entry, accepted_us) in entries.iter().zip(accepted_us) {
            self.outbox.insert(entry, accepted_us);
        }
        let new = entries.iter().map(|entry| entry.mutation.client_seq).collect();
        let old = client_seqs.into_iter().filter_map(|client_seq| self.outbox.remove(client_seq)).collect();
        let unsettled = Unsettled::Resent { key: key.clone(), old, new };
        self.uncommitted.push(Uncommitted::Conflict(unsettled));
        Ok(())
    }

    fn park(
        &mut self,
        entry: Entry,
        conflict: Conflict,
        document: Option<Document>,
        store: &mut dyn Store,
    ) -> Result<(), StoreError> {
        let client_seq = entry.mutation.client_seq;
        if !self.outbox.holds(client_seq) {
            return Ok(());
        }
        let key = document_key(&entry.room, &entry.mutation);
        let parked = Parked { entry, conflict, document };
        store.append(&Record::Parked(parked.clone()))?;
        let Some(old) = self.outbox.remove(client_seq) else { return Ok(()) };
        self.queries.touch(&key);
        let number = parked.entry.accepted().client_seq;
        self.parked.insert(parked);
        let unsettled = Unsettled::Parked { key, old, number };
        self.uncommitted.push(Uncommitted::Conflict(unsettled));
        Ok(())
    }

    pub(super) fn parked_writes(&self) -> Vec<ParkedWrite> {
        self.parked.iter().map(parked_write).collect()
    }

    /// The app decides about a parked write. The answer comes with the commit.
    pub(super) fn resolve(
        &mut self,
        now: Now,
        request: RequestId,
        client_seq: u64,
        resolution: Resolution,
        store: &mut dyn Store,
    ) -> Result<(), Error> {
        let parked = self.parked.find(client_seq).cloned();
        let parked = parked
            .ok_or_else(|| Error::new(Code::NotFound, format!("write {client_seq} waits for no decision")))?;
        let Entry { room, mutation, .. } = &parked.entry;
        let key = document_key(room, mutation);
        let document = parked.document.as_ref();
        let write = match resolution {
            Resolution::Server => None,
            Resolution::Local => Some(mutation.write.clone()),
            Resolution::Merged(fields) => merged_write(fields, document),
        };
        let entry = match write {
            None => None,
            Some(write) => {
                self.check(&key, &write, document.filter(|document| !document.deleted))?;
                let base = match self.collections.conflict(&key.collection) {
                    ConflictStrategy::Merge => None,
                    _ => Some(document.map(|document| document.version.clone()).unwrap_or_default()),
                };
                if let Some(document) = self.view(now, store).document(&key)? {
                    self.clock.observe(document.newest_stamp().time);
                }
                let time = self.clock.tick(now.wall_ms);
                let mut entry = self.renumbered(&parked.entry, time, base);
                entry.mutation.write = write;
                Some(entry)
            }
        };
        store.append(&Record::Resolved { client_seq, entry: entry.clone() })?;
        self.parked.remove(client_seq);
        let new = entry.as_ref().map(|entry| entry.mutation.client_seq);
        if let Some(entry) = entry {
            self.outbox.insert(&entry, Some(now.mono_us));
            self.queries.touch(&key);
            self.follow_room(&key.room);
        }
        let unsettled = Unsettled::Resolved { request, parked: Box::new(parked), new };
        self.uncommitted.push(Uncommitted::Conflict(unsettled));
        Ok(())
    }

    /// The record is durable: what it announces may happen.
    pub(super) fn commit_conflict(&mut self, unsettled: Unsettled, out: &mut Vec<Output>) {
        match unsettled {
            Unsettled::Resent { new, .. } => {
                if let Some(&last) = new.last() {
                    self.outbox.mark_durable(last);
                }
            }
            Unsettled::Parked { number, .. } => {
                let conflict = self.parked.find(number).map(parked_write);
                if let Some(conflict) = conflict {
                    self.notices.push(Event::Conflict { conflict: Box::new(conflict) });
                }
            }
            Unsettled::Resolved { request, new, .. } => {
                if let Some(new) = new {
                    self.outbox.mark_durable(new);
                }
                out.push(Output::Reply(request, Ok(super::io::Reply::Done {})));
            }
        }
    }

    /// The record is not in the journal: everything is as it was before. A pushed number is pushed again, and the
    /// server answers the same.
    pub(super) fn undo_conflict(
        &mut self,
        now: Now,
        unsettled: Unsettled,
        error: &Error,
        out: &mut Vec<Output>,
    ) {
        let retry_at_us = now.after_ms(self.settings.retry_delay_ms);
        match unsettled {
            Unsettled::Resent { key, old, new } => {
                for removed in old {
                    self.take_back(removed, &key, retry_at_us);
                }
                for client_seq in new {
                    self.roll_back(client_seq, &key);
                }
            }
            Unsettled::Parked { key, old, number } => {
                self.parked.remove(number);
                self.take_back(old, &key, retry_at_us);
            }
            Unsettled::Resolved { request, parked, new } => {
                let key = document_key(&parked.entry.room, &parked.entry.mutation);
                let room: Option<Room> = new.and_then(|client_seq| self.roll_back(client_seq, &key));
                self.parked.insert(*parked);
                if let Some(room) = room {
                    self.forget_room_if_unused(now, &room, out);
                }
                out.push(Output::Reply(request, Err(error.clone())));
            }
        }
    }

    fn take_back(&mut self, removed: Removed, key: &DocumentKey, retry_at_us: u64) {
        self.queries.touch(key);
        self.follow_room(&key.room);
        self.outbox.put_back(removed);
        self.outbox.start_over(&key.room, retry_at_us);
    }
}

fn parked_write(parked: &Parked) -> ParkedWrite {
    let Parked { entry, conflict, document } = parked;
    let document = document.as_ref().filter(|document| !document.deleted);
    ParkedWrite {
        client_seq: entry.accepted().client_seq,
        room: entry.room.clone(),
        collection: entry.mutation.collection.clone(),
        id: entry.mutation.id.clone(),
        conflict: conflict.clone(),
        local: entry.mutation.write.clone(),
        server: document.map(|document| document.fields.clone()),
    }
}

/// What makes the server's document hold exactly these fields; `None` if it does already.
fn merged_write(fields: Fields, document: Option<&Document>) -> Option<Write> {
    let Some(document) = document.filter(|document| !document.deleted) else {
        return Some(Write::Create(fields));
    };
    let gone = document.fields.keys().filter(|name| !fields.contains_key(*name));
    let unset = gone.map(|name| (name.clone(), Op::Unset)).collect::<Vec<_>>();
    let changed = fields.into_iter().filter(|(name, value)| document.fields.get(name) != Some(value));
    let set = changed.map(|(name, value)| (name, Op::Set(value)));
    let ops = set.chain(unset).collect::<Vec<_>>();
    if ops.is_empty() {
        return None;
    }
    let patch = ops.into_iter().fold(Patch::new(), |patch, (name, op)| patch.with(Path::field(name), op));
    Some(Write::Update(patch))
}
