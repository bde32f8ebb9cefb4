//! When the cache is made durable, and what follows from its loss.

use super::Engine;
use super::io::{Event, Now, RoomPhase};
use crate::error::{Code, Error};
use crate::store::{Spilled, Store, StoreError};

impl Engine {
    pub(super) fn schedule_flush(&mut self, now: Now) {
        self.flush_at_us.get_or_insert(now.after_ms(self.settings.cache_flush_ms));
    }

    /// As [`flush`](Self::flush), by parts: between two of them the app and the server are heard.
    pub(super) fn flush_by_parts(&mut self, now: Now, store: &mut dyn Store) {
        match store.spill() {
            Ok(Spilled::Some) => self.flush_at_us = Some(now.mono_us),
            Ok(Spilled::All) => self.flush(now, store),
            Err(error) => {
                self.flush_at_us = None;
                self.schedule_flush(now);
                self.handle_store_error(error);
            }
        }
    }

    pub(super) fn flush(&mut self, now: Now, store: &mut dyn Store) {
        if self.needs_commit() {
            // A flush also writes the journal: on its own, so that an error there is the commit's.
            self.flush_at_us = Some(now.mono_us);
            return;
        }
        self.flush_at_us = None;
        let noted = self.replica.note_used(now.wall_ms, store);
        if let Err(error) = noted.and_then(|()| store.flush()) {
            // What waits for the flush must not wait for another change.
            self.schedule_flush(now);
            self.handle_store_error(error);
        }
    }

    pub(super) fn handle_store_error(&mut self, error: StoreError) {
        // A loss is told once, by `handle_cache_lost`.
        if !matches!(error, StoreError::CacheLost { .. }) {
            self.notices.push(Event::Error { error: Error::from(error).into() });
        }
    }

    /// Every room is read again from the server; the outbox is not touched.
    pub(super) fn handle_cache_lost(&mut self, now: Now, reason: &str) {
        let retry_at_us = now.after_ms(self.settings.retry_delay_ms);
        self.replica.reset_cache();
        self.pulls.clear();
        for (room, followed) in self.replica.rooms_mut() {
            followed.phase = RoomPhase::Waiting;
            followed.retry_at_us = followed.retry_at_us.max(Some(retry_at_us));
            self.queries.touch_room(room);
            self.changed_rooms.insert(room.clone());
        }
        let error = Error::new(Code::Storage, format!("the cache was lost and starts empty: {reason}"));
        self.notices.push(Event::Error { error: error.into() });
    }
}
