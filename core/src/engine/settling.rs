//! How a write leaves the outbox: confirmed, or refused.

use syncline_protocol::WireError;
use syncline_protocol::sabotage::{Sabotage, is_active};

use super::Engine;
use super::io::{Event, Now};
use super::outbox::document_key;
use crate::store::{Conflict, Entry, Outcome, Record, Store};

impl Engine {
    /// The cursor has passed the write: it is settled once the cache holds it, so that it is shown all the time.
    pub(super) fn settle_if_held(&mut self, now: Now, client_seq: u64, store: &mut dyn Store) {
        let Some((room, _)) = self.outbox.scope(client_seq) else { return };
        let held = || {
            let Entry { room, mutation, .. } = self.outbox.entry(client_seq, store).ok()?;
            let document = store.document(&document_key(&room, &mutation)).ok().flatten()?;
            Some(document.version.seen(self.identity.client_id) >= client_seq)
        };
        // What cannot be read is asked again with the next change.
        if self.replica.is_level(room) || held().unwrap_or(false) {
            self.settle(now, client_seq, store);
        }
    }

    /// The write is in the cache as confirmed: it leaves the outbox.
    pub(super) fn settle(&mut self, now: Now, client_seq: u64, store: &mut dyn Store) {
        self.touch_pending(client_seq, store);
        let Some(removed) = self.outbox.remove(client_seq) else { return };
        store.append_after_flush(Record::Settled { client_seq });
        self.schedule_flush(now);
        self.counters.confirmed += 1;
        self.progress.count_uploaded();
        if let Some(accepted_us) = removed.accepted_us() {
            self.counters.sync_us.record(now.mono_us.saturating_sub(accepted_us));
        }
    }

    /// The watches that may show a pending write, which is about to change, look again.
    fn touch_pending(&mut self, client_seq: u64, store: &dyn Store) {
        let Some((room, collection)) = self.outbox.scope(client_seq) else { return };
        if !self.queries.reach(room, collection) {
            return;
        }
        match self.outbox.entry(client_seq, store) {
            Ok(Entry { room, mutation, .. }) => self.queries.touch(&document_key(&room, &mutation)),
            // Of which document it is cannot be told.
            Err(_) => self.queries.touch_room(&room.clone()),
        }
    }

    /// The write is rolled back, alone; its outcome stays until the app has seen it. One that cannot be read stays in
    /// the outbox: pushed again, it is refused again.
    pub(super) fn reject(
        &mut self,
        now: Now,
        client_seq: u64,
        error: WireError,
        conflict: Option<Conflict>,
        store: &mut dyn Store,
    ) {
        let Some((room, _)) = self.outbox.scope(client_seq) else { return };
        let entry = match self.outbox.entry(client_seq, store) {
            Ok(entry) => entry,
            Err(unreadable) => {
                let room = room.clone();
                self.outbox.start_over(&room, now.after_ms(self.settings.retry_delay_ms));
                return self.handle_store_error(unreadable);
            }
        };
        self.outbox.remove(client_seq);
        self.counters.rejected += 1;
        if !is_active(Sabotage::RejectedVisible) {
            self.queries.touch(&document_key(&entry.room, &entry.mutation));
        }
        let outcome = Outcome { entry, error, conflict };
        self.notices.push(Event::Outcome { outcome: (&outcome).into() });
        self.outcomes.insert(outcome.clone());
        self.append(Record::Failed(outcome), store);
    }
}
