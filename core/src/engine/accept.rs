//! Writes that the app hands over: checked, numbered, and put into the outbox, as they are or as part of the one
//! before.

use syncline_protocol::Mutation;

use super::Engine;
use super::coalesce::{coalesce, supersedes};
use super::commands::too_large;
use super::commit::{Change, Uncommitted};
use super::conflict::ConflictStrategy;
use super::io::{Now, RequestId, WriteRequest};
use super::outbox::{Pending, document_key};
use crate::error::{Code, Error};
use crate::store::{DocumentKey, Entry, Record, Store, StoreError};

/// How much larger than what was written a journal record may become because it became part of an earlier write:
/// otherwise a document that grows edit by edit would be written anew with each.
const COALESCED_BYTES_MAX: u64 = 4 << 10;

impl Engine {
    /// Accepts all writes or none. The answer comes with the commit.
    pub(super) fn write(
        &mut self,
        now: Now,
        request: RequestId,
        writes: Vec<WriteRequest>,
        store: &mut dyn Store,
    ) -> Result<(), Error> {
        if writes.is_empty() {
            return Err(Error::new(Code::Invalid, "no writes are given"));
        }
        let bytes = writes.iter().map(|write| write.write.byte_len() as u64).sum();
        if bytes > self.settings.write_bytes_max {
            return Err(too_large("what is written together", bytes, self.settings.write_bytes_max));
        }
        let mut client_seqs = Vec::with_capacity(writes.len());
        let mut changes = Vec::with_capacity(writes.len());
        for write in writes {
            match self.accept(now, write, store) {
                Ok((client_seq, change)) => {
                    client_seqs.push(client_seq);
                    changes.push(change);
                }
                Err(error) => {
                    self.undo(changes);
                    return Err(error);
                }
            }
        }
        let record = Record::Queued(self.outbox.take_in_hand());
        if let Err(error) = store.append(&record) {
            self.undo(changes);
            return Err(error.into());
        }
        let Record::Queued(entries) = record else { return Ok(()) };
        self.counters.local_writes += client_seqs.len() as u64;
        self.uncommitted.push(Uncommitted::Write { request, client_seqs, changes });
        for Entry { room, mutation, .. } in &entries {
            if self.queries.reach(room, &mutation.collection) {
                self.queries.touch(&document_key(room, mutation));
            }
            self.follow_room(room);
        }
        Ok(())
    }

    /// Checks one write against what the app sees, puts it into the outbox, and returns the number that it has there.
    fn accept(&mut self, now: Now, write: WriteRequest, store: &dyn Store) -> Result<(u64, Change), Error> {
        let WriteRequest { room, collection, id, write } = write;
        let key = DocumentKey { room, collection, id };
        let visible = self.view(now, store).document(&key)?;
        self.check(&key, &write, visible.as_ref())?;
        if let Some(document) = &visible {
            self.clock.observe(document.newest_stamp().time);
        }
        let base = self.base_of(&key, store)?;
        let window_ms = self.collections.push_debounce_ms(&key.collection, &self.settings);
        let mutation = Mutation {
            client_seq: self.identity.last_client_seq + 1,
            collection: key.collection.clone(),
            id: key.id.clone(),
            write,
            time: self.clock.tick(now.wall_ms),
            base,
        };
        let entry = Entry { room: key.room.clone(), mutation, queued_at_ms: now.wall_ms, accepted: None };
        if let Some((entry, accepted_us)) = self.as_part_of_the_last(now, &key, &entry, window_ms, store)? {
            let client_seq = entry.mutation.client_seq;
            self.check_room_in_queue(0, entry.mutation.byte_len() as u64, client_seq)?;
            if let Some(old) = self.outbox.fold(entry, accepted_us) {
                return Ok((client_seq, Change::Folded { client_seq, key, old }));
            }
        }
        let (client_seq, bytes) = (entry.mutation.client_seq, entry.mutation.byte_len() as u64);
        self.check_room_in_queue(1, bytes, client_seq)?;
        self.identity.last_client_seq = client_seq;
        self.outbox.insert_new(entry, bytes, now.mono_us, now.after_ms(window_ms));
        Ok((client_seq, Change::Added { client_seq, key }))
    }

    /// What the last pending write of the document becomes with this one in it, and since when it leaves a stamp.
    fn as_part_of_the_last(
        &self,
        now: Now,
        key: &DocumentKey,
        entry: &Entry,
        window_ms: u64,
        store: &dyn Store,
    ) -> Result<Option<(Entry, Option<u64>)>, StoreError> {
        let mutation = &entry.mutation;
        if !self.collections.coalesces(&mutation.collection) {
            return Ok(None);
        }
        let Some((pending, last)) = self.outbox.last_unsent(key, store)? else { return Ok(None) };
        let bytes_max = mutation.byte_len() as u64 + COALESCED_BYTES_MAX;
        // What is sent again keeps the number and the time that it was accepted with.
        let sent_again = last.accepted.is_some();
        if sent_again || last.mutation.base != mutation.base || pending.bytes() > bytes_max {
            return Ok(None);
        }
        let (first, second) = (&last.mutation.write, &mutation.write);
        // The older of two writes in conflict may be the one that stays: then it needs its own time.
        let needs_own_time =
            self.collections.conflict(&mutation.collection) == ConflictStrategy::FirstWriteWins;
        let restamped = !needs_own_time && supersedes(first, second);
        let since_us = if restamped { Some(now.mono_us) } else { pending.accepted_us() };
        let recent = |since_us| now.mono_us.saturating_sub(since_us) <= window_ms.saturating_mul(1000);
        if !since_us.is_some_and(recent) {
            return Ok(None);
        }
        let Some(write) = coalesce(first, second) else { return Ok(None) };
        let client_seq = last.mutation.client_seq;
        let mutation = Mutation { client_seq, write, ..mutation.clone() };
        let bytes = mutation.byte_len() as u64;
        let fits = bytes <= bytes_max && mutation.write.byte_len() as u64 <= self.limits.document_bytes_max;
        Ok(fits.then_some((Entry { mutation, ..last }, since_us)))
    }

    /// Whether the outbox takes so many writes more, with one of so many bytes under this number.
    fn check_room_in_queue(&self, more: u64, bytes: u64, client_seq: u64) -> Result<(), Error> {
        let replaced = self.outbox.pending(client_seq).map_or(0, Pending::bytes);
        self.check_caps(more, bytes, replaced)
    }

    /// Whether so many entries more may be held, of so many bytes, some of which take the place of others.
    pub(super) fn check_caps(&self, more: u64, bytes: u64, replaced: u64) -> Result<(), Error> {
        let Self { settings, outbox, parked, outcomes, jobs, .. } = self;
        let count = outbox.len() + parked.len() + outcomes.len() + jobs.len();
        let held = outbox.bytes() + parked.bytes() + outcomes.bytes() + jobs.bytes();
        let bytes_then = (held + bytes).saturating_sub(replaced);
        if count + more > settings.queue_count_max || bytes_then > settings.queue_bytes_max {
            let message = format!(
                "the outbox holds {count} writes and jobs of {held} bytes, with those in conflict and those whose \
                 outcome was not acknowledged; its caps are {} and {}",
                settings.queue_count_max, settings.queue_bytes_max
            );
            return Err(Error::new(Code::QueueFull, message));
        }
        Ok(())
    }
}
