//! What an app shows: its watches, kept by replaying what it is told, and the rest of the events.

use std::collections::{BTreeMap, BTreeSet};

use syncline::ErrorBody;
use syncline::engine::io::{
    ConnectionStatus, Event, ParkedWrite, PresentMember, QueueStatus, RoomPhase, RoomStatus, Row, WatchId,
};
use syncline::engine::query::selection::Selection;
use syncline::engine::queue::command::JobEvent;
use syncline::job::JobId;
use syncline_protocol::{Collection, DocumentId, Room};

use crate::failure::{Failure, ensure};

/// How the errors begin that only another open of the store can mend.
const JOURNAL_FAILED: &str = "the journal failed";
const CACHE_LOST: &str = "the cache was lost";
/// How a room tells that its documents are not the server's.
const CHECKSUM_MISMATCH: &str = "the room's checksum does not match";
/// Caches that one process loses before it opens its store anew.
const CACHES_LOST_MAX: u32 = 3;

/// One watch, as its rows look to the app.
#[derive(Debug)]
pub struct Shown {
    pub room: Room,
    pub collection: Collection,
    pub id: Option<DocumentId>,
    pub selection: Selection,
    pub rows: Vec<Row>,
    pub count: u64,
}

/// Everything an app holds in memory while its process lives.
#[derive(Debug, Default)]
pub struct App {
    pub watches: BTreeMap<WatchId, Shown>,
    pub connection: ConnectionStatus,
    pub queue: QueueStatus,
    pub rooms: BTreeMap<Room, RoomStatus>,
    /// As last told.
    pub members: BTreeMap<Room, Vec<PresentMember>>,
    /// See [`Device::denied`](crate::device::Device::denied).
    pub denied: BTreeSet<Room>,
    pub conflicts: BTreeMap<u64, ParkedWrite>,
    pub outcomes: BTreeSet<u64>,
    /// The store reported an error that only another open can mend.
    pub store_failed: bool,
    pub caches_lost: u32,
    /// The last events told of a lost cache: what is shown follows in the next ones.
    pub has_just_lost: bool,
    /// It is about to close its client for that.
    pub leaving: bool,
    /// A token is asked for.
    pub token_needed: bool,
    /// Tags of others that were seen in each ledger, by room and collection.
    pub seen: BTreeMap<(Room, Collection), BTreeSet<String>>,
    /// A watch that is asked for, until it is answered.
    pub starting: Option<Shown>,
    /// Numbers that the last events reported as refused and as parked.
    pub refused: Vec<u64>,
    pub parked: Vec<u64>,
    /// Jobs that were given up and wait for a decision.
    pub letters: BTreeSet<JobId>,
    /// Whether it is about to decide about them.
    pub deciding_letters: bool,
    /// What the last events told of jobs.
    pub told_of_jobs: Vec<JobEvent>,
}

impl App {
    /// An app opens its store again when its journal has failed, or when its cache is lost time and again.
    fn hear_error(&mut self, error: &ErrorBody) {
        let is_loss = error.message.starts_with(CACHE_LOST);
        self.has_just_lost |= is_loss;
        self.caches_lost += u32::from(is_loss);
        self.store_failed |= error.message.starts_with(JOURNAL_FAILED) || self.caches_lost > CACHES_LOST_MAX;
    }

    /// The watch that was asked for begins.
    pub fn begin(&mut self, watch: WatchId, rows: &[Row], count: u64) {
        if let Some(starting) = self.starting.take() {
            self.watches.insert(watch, Shown { rows: rows.to_vec(), count, ..starting });
        }
    }

    pub fn take(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Rows { watch, reset, upserted, removed, indexes, count } => {
                let shown = self.watches.get_mut(&watch);
                let shown =
                    shown.ok_or_else(|| Failure(format!("an event of watch {watch}, which is over")))?;
                shown.count = count.unwrap_or(shown.count);
                return shown.replay(reset, upserted, &removed, indexes);
            }
            Event::Connection { status } => {
                self.connection = status;
            }
            Event::Room { status } => {
                // A mismatch mends itself, but nothing that is modelled may bring one about.
                let error = status.error.as_ref().map(|error| error.message.as_str());
                ensure!(error != Some(CHECKSUM_MISMATCH), "{} is not what the server has", status.room);
                if status.state == RoomPhase::Denied {
                    self.denied.insert(status.room.clone());
                }
                self.rooms.insert(status.room.clone(), status);
            }
            Event::Queue { status } => self.queue = status,
            Event::Presence { room, members, .. } => {
                self.members.insert(room, members);
            }
            Event::Outcome { outcome } => {
                self.outcomes.insert(outcome.client_seq);
                self.refused.push(outcome.client_seq);
            }
            Event::Conflict { conflict } => {
                self.parked.push(conflict.client_seq);
                self.conflicts.insert(conflict.client_seq, *conflict);
            }
            Event::TokenNeeded { .. } => self.token_needed = true,
            Event::Error { error } => self.hear_error(&error),
            Event::Job { event } => {
                if let JobEvent::Dead { letter } = &event {
                    self.letters.insert(letter.job);
                }
                self.told_of_jobs.push(event);
            }
            Event::Progress { .. }
            | Event::User { .. }
            | Event::Message(_)
            | Event::Namespace { .. }
            | Event::JoinRefused { .. } => {}
        }
        Ok(())
    }
}

impl Shown {
    /// The rule of [`Event::Rows`].
    fn replay(
        &mut self,
        reset: bool,
        upserted: Vec<Row>,
        removed: &[String],
        indexes: Option<Vec<u64>>,
    ) -> Result<(), Failure> {
        if reset {
            self.rows = upserted;
            return Ok(());
        }
        for id in removed {
            let known = self.rows.iter().any(|row| row.id == *id);
            ensure!(known, "row {id} is removed, and was never shown");
        }
        self.rows.retain(|row| !removed.contains(&row.id) && upserted.iter().all(|new| new.id != row.id));
        let Some(indexes) = indexes else {
            ensure!(
                self.selection == Selection::default(),
                "rows of a watch that selects come without indexes"
            );
            self.rows.extend(upserted);
            self.rows.sort_by(|a, b| a.id.cmp(&b.id));
            return Ok(());
        };
        ensure!(indexes.len() == upserted.len(), "{} indexes for {} rows", indexes.len(), upserted.len());
        for (row, index) in upserted.into_iter().zip(indexes) {
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            ensure!(index <= self.rows.len(), "row {} is put at {index} of {}", row.id, self.rows.len());
            self.rows.insert(index, row);
        }
        Ok(())
    }
}
