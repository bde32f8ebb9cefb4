//! What must hold on a device after a turn, and of all devices and the server once everything is quiet.

use std::collections::{BTreeMap, BTreeSet};

use syncline::engine::io::{Now, Row};
use syncline::store::{DocumentKey, Entry, Record, RoomState, Store};
use syncline_protocol::message::PresenceStatus;
use syncline_protocol::{ClientId, Collection, Document, Fields, Room, merge};

use crate::app::Shown;
use crate::book::{Book, Fate};
use crate::device::{Device, Life};
use crate::failure::{Failure, ensure};
use crate::ledger;
use crate::query;
use crate::server::Server;

/// What the engine holds of an app's writes, read from what it would write into a new journal.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    pub(crate) queued: Vec<Entry>,
    pub(crate) failed: BTreeSet<u64>,
    pub(crate) parked: BTreeSet<u64>,
}

impl Holdings {
    pub(crate) fn of(life: &Life) -> Result<Self, Failure> {
        let mut holdings = Self::default();
        let live = life.engine.live();
        let queued = live.kept.iter().map(|client_seq| life.store.entry(*client_seq));
        let queued = queued.collect::<Result<_, _>>();
        holdings.queued =
            queued.map_err(|error| Failure(format!("a pending write is not there: {error}")))?;
        for record in live.records {
            match record {
                Record::Failed(outcome) => drop(holdings.failed.insert(outcome.entry.accepted().client_seq)),
                Record::Parked(parked) => drop(holdings.parked.insert(parked.entry.accepted().client_seq)),
                _ => {}
            }
        }
        Ok(holdings)
    }
}

/// What an app should see: the cache, with pending writes merged in anew.
pub(crate) struct Visible<'a> {
    life: &'a Life,
    client: ClientId,
    now: Now,
    pub(crate) holdings: Holdings,
}

impl<'a> Visible<'a> {
    pub(crate) fn of(life: &'a Life, client: ClientId, now: Now) -> Result<Self, Failure> {
        Ok(Self { life, client, now, holdings: Holdings::of(life)? })
    }

    /// All rows of a collection, by id.
    pub(crate) fn rows(&self, room: &Room, collection: &Collection) -> Result<Vec<Row>, Failure> {
        let mut documents = BTreeMap::new();
        let visited = self.life.store.visit_collection(room, collection, &mut |document| {
            documents.insert(document.id.clone(), (Some(document), false));
        });
        visited.map_err(|error| Failure(format!("the cache cannot be read: {error}")))?;
        let here = |entry: &&Entry| entry.room == *room && entry.mutation.collection == *collection;
        for Entry { mutation, .. } in self.holdings.queued.iter().filter(here) {
            let (document, pending) = documents.entry(mutation.id.clone()).or_default();
            let held = document.as_ref().map_or(0, |document| document.version.seen(self.client));
            // What is applied here already raised it, too: numbers of one document ascend.
            if mutation.client_seq > held {
                *pending = true;
                let _nothing_to_change = merge::apply(document, mutation, self.client, self.now.wall_ms);
            }
        }
        let rows = documents.into_iter().filter_map(|(id, (document, pending))| {
            let document: Document = document?;
            let shown = !document.deleted;
            shown.then(|| Row { id: id.to_string(), fields: document.fields, seq: document.seq, pending })
        });
        Ok(rows.collect())
    }
}

/// The time that a pending write sets is that of the moment of looking: it is left out of comparisons.
fn timeless(row: &Row) -> Row {
    let mut row = row.clone();
    if row.pending {
        row.fields.remove(ledger::TIME);
    }
    row
}

/// A watch shows what follows from the visible documents.
pub(crate) fn check_watch(shown: &Shown, visible: &Visible<'_>) -> Result<(), Failure> {
    let mut rows = visible.rows(&shown.room, &shown.collection)?;
    rows.retain(|row| shown.id.as_ref().is_none_or(|id| row.id == id.as_str()));
    let (expected, count) = query::evaluate(&shown.selection, &rows);
    ensure!(
        shown.rows.iter().map(timeless).eq(expected.iter().map(timeless)),
        "a watch of {} in {} by {:?} shows {:?}, it should show {expected:?}",
        shown.collection,
        shown.room,
        shown.selection,
        shown.rows
    );
    ensure!(shown.count == count, "a watch counts {}, it should count {count}", shown.count);
    Ok(())
}

/// Every promise to the app still stands.
pub(crate) fn check_promises(book: &Book, holdings: &Holdings) -> Result<(), Failure> {
    let queued = holdings.queued.iter().map(|entry| entry.accepted().client_seq).collect();
    book.check_standing(&queued, &holdings.failed, &holdings.parked)
}

/// Read your writes, and monotonic reads, of one ledger.
///
/// A ledger that is not in the cache says nothing: the room is not loaded, or is being read anew after a reset. Where
/// the room may not be read, or was not since the process began, the app does not see what the server confirmed.
pub(crate) fn check_session(
    device: usize,
    life: &mut Life,
    book: &Book,
    key: &DocumentKey,
    fields: Option<&Fields>,
) -> Result<(), Failure> {
    let cached = life.store.document(key).ok().flatten();
    let (Some(fields), Some(cached)) = (fields, cached) else { return Ok(()) };
    ledger::check_sums(fields)?;
    let tags: BTreeSet<&str> = ledger::tags(fields).into_iter().collect();
    for (number, noted) in book.writes().filter(|(_, noted)| ledger::is_in(noted, key)) {
        let shown = |tag: &&str| tags.contains(tag);
        match noted.fate {
            Fate::Accepted => ensure!(
                noted.tags().iter().all(shown) || life.app.denied.contains(&key.room),
                "write {number} was accepted, and its app does not see it; it was applied: {}; seen is {tags:?}; the cache \
                 holds {cached:?}",
                noted.applied
            ),
            Fate::Offered => {}
            _ if book.is_undecided(*number) => {}
            Fate::Refused { .. } | Fate::Parked | Fate::Withdrawn | Fate::Forgotten => {
                ensure!(
                    !noted.tags().iter().any(shown),
                    "write {number} is {:?}, and its app sees it",
                    noted.fate
                );
            }
        }
    }
    let own = format!("{device}.");
    let seen = life.app.seen.entry((key.room.clone(), key.collection.clone())).or_default();
    let vanished = seen.iter().find(|tag| !tags.contains(tag.as_str()));
    ensure!(vanished.is_none(), "the app saw {vanished:?} of another device, and does not any more");
    seen.extend(tags.into_iter().filter(|tag| !tag.starts_with(&own)).map(str::to_owned));
    Ok(())
}

/// The device holds, and shows, what the server has.
pub(crate) fn check_equal(
    device: &Device,
    server: &Server,
    rooms: &[Room],
    world_us: u64,
) -> Result<(), Failure> {
    let Some(life) = &device.life else { return Err(Failure("the process does not run".to_owned())) };
    let states = life.store.rooms().map_err(|error| Failure(error.to_string()))?;
    let states: BTreeMap<Room, RoomState> = states.into_iter().collect();
    let visible = Visible::of(life, device.client(), device.now(world_us))?;
    ensure!(visible.holdings.queued.is_empty(), "the outbox is not empty");
    for room in rooms {
        let head = server.head(room);
        let state = states.get(room).copied().unwrap_or_default();
        ensure!(state.cursor == head.seq, "{room} stands at {}, the server at {}", state.cursor, head.seq);
        ensure!(state.checksum == head.checksum, "the checksum of {room} is not the server's");
        ensure!(state.complete, "{room} is not complete");
        let expected = server.documents(room);
        let mut cached = Vec::new();
        let collections: BTreeSet<_> = expected.iter().map(|document| document.collection.clone()).collect();
        for collection in &collections {
            let visited =
                life.store.visit_collection(room, collection, &mut |document| cached.push(document));
            visited.map_err(|error| Failure(error.to_string()))?;
        }
        ensure!(cached == expected, "the cache holds {cached:?} in {room}, the server {expected:?}");
    }
    for shown in life.app.watches.values() {
        check_watch(shown, &visible)?;
    }
    check_promises(&device.book, &visible.holdings)
}

/// The ledgers hold exactly what the apps were promised.
pub(crate) fn check_ledgers(
    devices: &[Device],
    server: &Server,
    keys: &[DocumentKey],
) -> Result<(), Failure> {
    let books: Vec<&Book> = devices.iter().map(|device| &device.book).collect();
    for key in keys {
        let documents = server.documents(&key.room);
        let ledger =
            documents.iter().find(|document| document.collection == key.collection && document.id == key.id);
        let ledger = ledger.ok_or_else(|| Failure(format!("{key:?} is gone from the server")))?;
        ledger::check_entries(key, &ledger.fields, &books)?;
    }
    Ok(())
}

/// Whoever is present in a room knows of everybody there.
pub(crate) fn check_presence(device: &Device, server: &Server, now_ms: u64) -> Result<(), Failure> {
    let Some(life) = &device.life else { return Ok(()) };
    for (room, state) in &life.present {
        let members = server.roster.members(room, now_ms).into_iter();
        let expected: BTreeMap<String, (Fields, PresenceStatus)> =
            members.map(|member| (member.client_id.to_string(), (member.state, member.status))).collect();
        let own = expected.get(&device.client().to_string()).map(|(state, _)| state);
        ensure!(own == Some(state), "the server shows {own:?} of its presence in {room}, it said {state:?}");
        let members = life.app.members.get(room).into_iter().flatten();
        let members: BTreeMap<String, (Fields, PresenceStatus)> =
            members.map(|member| (member.client_id.clone(), (member.state.clone(), member.status))).collect();
        ensure!(members == expected, "it knows {members:?} in {room}, the server {expected:?}");
    }
    Ok(())
}

/// In every room are those who say so, and no ghost; nobody is online who is not connected.
pub(crate) fn check_no_ghosts(
    devices: &[Device],
    rooms: &[Room],
    server: &Server,
    now_ms: u64,
) -> Result<(), Failure> {
    for room in rooms {
        let is_there =
            |device: &&Device| device.life.as_ref().is_some_and(|life| life.present.contains_key(room));
        let there: BTreeSet<_> = devices.iter().filter(is_there).map(Device::client).collect();
        let members = server.roster.members(room, now_ms).into_iter();
        let shown: BTreeSet<_> = members.map(|member| member.client_id).collect();
        ensure!(shown == there, "the server shows {shown:?} in {room}, there are {there:?}");
    }
    let (connected, online) = (server.connected_users(), server.roster.user_count());
    ensure!(connected == online, "{online} users are online, {connected} are connected");
    Ok(())
}
