//! Pages of a room's log as they come in: the next one travels while one is written to the cache.

use syncline_protocol::Room;
use syncline_protocol::message::Page;

use super::Engine;
use super::io::{Now, Output};
use super::pulls::Ask;
use super::replica::NextPull;
use crate::store::Store;

/// A page that is applied with the next input, after what it set in motion is sent.
#[derive(Debug)]
pub(super) struct WaitingPage {
    room: Room,
    asked: u64,
    page: Page,
    /// What is said with the request for the page after it, so that a reading from 0 may go on.
    snapshot: Option<u64>,
    /// When it came, on the monotonic clock.
    at_us: u64,
}

impl Engine {
    /// Takes the page that was asked for after the cursor `asked`.
    pub(super) fn take_page(
        &mut self,
        now: Now,
        room: Room,
        asked: u64,
        page: Page,
        store: &mut dyn Store,
        out: &mut Vec<Output>,
    ) {
        let Some(snapshot) = self.replica.pull_ahead(&room, asked, &page) else {
            let applied = self.replica.apply_page(&room, asked, page, &self.queries, store);
            return self.handle_applied(now, &room, applied, store, out);
        };
        self.pulls.push(&room, Ask::PageAfter(page.cursor));
        self.waiting_page = Some(WaitingPage { room, asked, page, snapshot, at_us: now.mono_us });
    }

    /// Applies the page that waits, if one does.
    pub(super) fn apply_waiting_page(&mut self, now: Now, store: &mut dyn Store, out: &mut Vec<Output>) {
        let Some(WaitingPage { room, asked, page, .. }) = self.waiting_page.take() else { return };
        let asked_ahead = NextPull::After(page.cursor);
        let mut applied = self.replica.apply_page(&room, asked, page, &self.queries, store);
        if let Ok(applied) = &mut applied
            && applied.next == asked_ahead
        {
            applied.next = NextPull::Asked;
        }
        self.handle_applied(now, &room, applied, store, out);
    }

    /// What is said with the request for the page after a cursor.
    pub(super) fn snapshot_to_tell(&self, room: &Room, cursor: u64) -> Option<u64> {
        match &self.waiting_page {
            Some(waiting) if waiting.room == *room && waiting.page.cursor == cursor => waiting.snapshot,
            _ => self.replica.snapshot_to_tell(room, cursor),
        }
    }

    /// When the page that waits is due.
    pub(super) fn page_deadline(&self) -> Option<u64> {
        self.waiting_page.as_ref().map(|waiting| waiting.at_us)
    }
}
