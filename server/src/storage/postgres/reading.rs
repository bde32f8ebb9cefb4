//! Pages, heads and owners: each of one moment.

use std::collections::HashMap;

use syncline_protocol::message::Page;
use syncline_protocol::{ClientId, Document, Room};
use tokio_postgres::Row;

use super::connections::{Connections, Lease};
use super::snapshot::{Log, NotRead, Snapshot};
use super::statements::{self, Parameter};
use super::{PostgresError, Settings};
use crate::config::HubConfig;
use crate::hub::{self, DocumentKey, Logged, PageRequest};
use crate::storage::{ListRequest, Listing, StorageError};

/// How often a page is read again, from another place.
const READS_MAX: usize = 8;

pub(super) async fn page(
    connections: &Connections,
    settings: &Settings,
    request: &PageRequest,
) -> Result<Page, StorageError> {
    let lease = connections.lease().await?;
    let mut stretch = Stretch::of(settings, request);
    for _ in 0..READS_MAX {
        let snapshot = connections.answer(read(&lease, request, &stretch)).await?;
        match hub::page(&snapshot, request, &settings.limits, &settings.hub) {
            Ok(page) => {
                lease.done();
                return Ok(page);
            }
            Err(NotRead::LogAfter(seq)) => stretch.after = seq,
            // No page asks for a document by its name.
            Err(NotRead::Document) => break,
        }
    }
    lease.done();
    Err(PostgresError::Failed("the place where a page begins was never found".to_owned()).into())
}

pub(super) async fn heads(
    connections: &Connections,
    rooms: Vec<Room>,
) -> Result<Vec<(Room, u64)>, StorageError> {
    if rooms.is_empty() {
        return Ok(Vec::new());
    }
    let lease = connections.lease().await?;
    let names: Vec<&str> = rooms.iter().map(Room::as_str).collect();
    let rows = connections.answer(async {
        let client = lease.client()?;
        let heads = client.prepare_cached(statements::HEADS).await?;
        Ok::<_, StorageError>(client.query(&heads, &[&names]).await?)
    });
    let rows = rows.await?;
    lease.done();
    let mut known = HashMap::new();
    for row in rows {
        known.insert(statements::room(&row, 0)?, statements::number(&row, 1)?);
    }
    let head = |room: Room| {
        let seq = known.get(&room).copied().unwrap_or(0);
        (room, seq)
    };
    Ok(rooms.into_iter().map(head).collect())
}

/// The rooms after one, in the order of their names.
pub(super) async fn rooms(
    connections: &Connections,
    after: Option<Room>,
    limit: usize,
) -> Result<Vec<(Room, u64)>, StorageError> {
    let lease = connections.lease().await?;
    // No name is empty.
    let (after, limit) = (after.as_ref().map_or("", Room::as_str), i64::try_from(limit).unwrap_or(i64::MAX));
    let rows = connections.answer(async {
        let client = lease.client()?;
        let rooms = client.prepare_cached(statements::ROOMS).await?;
        Ok::<_, StorageError>(client.query(&rooms, &[&after, &limit]).await?)
    });
    let rows = rows.await?;
    lease.done();
    rows.iter().map(|row| Ok((statements::room(row, 0)?, statements::number(row, 1)?))).collect()
}

/// Documents by their names, tombstones left out; `None` when they are more than so many bytes.
pub(super) async fn documents(
    connections: &Connections,
    room: &Room,
    keys: Vec<DocumentKey>,
    bytes_max: usize,
) -> Result<Option<Vec<Option<Document>>>, StorageError> {
    let lease = connections.lease().await?;
    let (collections, ids): (Vec<&str>, Vec<&str>) =
        keys.iter().map(|(collection, id)| (collection.as_str(), id.as_str())).unzip();
    let bytes_max = i64::try_from(bytes_max.max(1)).unwrap_or(i64::MAX);
    let rows = connections.answer(async {
        let client = lease.client()?;
        let documents = client.prepare_cached(statements::DOCUMENTS).await?;
        Ok::<_, StorageError>(
            client.query(&documents, &[&room.as_str(), &collections, &ids, &bytes_max]).await?,
        )
    });
    let rows = rows.await?;
    lease.done();
    let mut found = HashMap::new();
    for row in &rows {
        let Some(document) = statements::document(row, 2)? else { return Ok(None) };
        if !document.deleted {
            found.insert(statements::key(row, 0)?, document);
        }
    }
    // Not taken out: a name may be asked for twice.
    Ok(Some(keys.iter().map(|key| found.get(key).cloned()).collect()))
}

/// A part of a collection, in the order of ids.
pub(super) async fn list(
    connections: &Connections,
    request: &ListRequest,
    config: &HubConfig,
) -> Result<Listing, StorageError> {
    let ListRequest { room, collection, after, limit } = request;
    if hub::is_hidden(collection) {
        return Ok(Listing::default());
    }
    let limit = (*limit).min(config.page_scan_max).max(1);
    // No id is empty. One more than wanted tells whether there are more.
    let after = after.as_ref().map_or("", |id| id.as_str());
    let count_max = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
    let bytes_max = i64::try_from(config.page_bytes_max.max(1)).unwrap_or(i64::MAX);
    let (room, collection) = (room.as_str(), collection.as_str());
    let asked: [Parameter<'_>; 5] = [&room, &collection, &after, &count_max, &bytes_max];
    let lease = connections.lease().await?;
    let rows = connections.answer(async {
        let client = lease.client()?;
        let list = client.prepare_cached(statements::LIST).await?;
        Ok::<_, StorageError>(client.query(&list, &asked).await?)
    });
    let mut rows = rows.await?;
    lease.done();
    let found = rows.first().map_or(Ok(0), |row| statements::number(row, 2))?;
    rows.truncate(limit);
    let last = rows.last().filter(|_| found > rows.len() as u64);
    let next = last.map(|row| statements::id(row, 0)).transpose()?;
    let documents: Result<Vec<_>, _> =
        rows.iter().filter_map(|row| statements::document(row, 1).transpose()).collect();
    Ok(Listing { documents: documents?, looked_at: rows.len(), next })
}

pub(super) async fn owner(
    connections: &Connections,
    client: ClientId,
) -> Result<Option<String>, StorageError> {
    let lease = connections.lease().await?;
    let row = connections.answer(async {
        let database = lease.client()?;
        let owners = database.prepare_cached(statements::OWNERS).await?;
        Ok::<_, StorageError>(database.query_opt(&owners, &[&vec![statements::uuid(client)]]).await?)
    });
    let row = row.await?;
    lease.done();
    row.map(|row| row.try_get(1).map_err(StorageError::from)).transpose()
}

/// Which part of a log to read. A page ends with it, if not before.
struct Stretch {
    after: u64,
    count_max: usize,
    bytes_max: usize,
}

impl Stretch {
    /// What a page usually takes. One more change than it may hold tells whether there are more.
    fn of(settings: &Settings, request: &PageRequest) -> Self {
        let scan_max = settings.hub.page_scan_max;
        let asked = request.limit.clamp(1, settings.limits.page_count_max.max(1)) as usize;
        let count_max = if request.collections.is_some() { scan_max } else { scan_max.min(asked) };
        let bytes_max = settings.hub.page_scan_bytes_max.max(1);
        Self { after: request.cursor, count_max: count_max.saturating_add(1), bytes_max }
    }
}

async fn read(lease: &Lease, request: &PageRequest, stretch: &Stretch) -> Result<Snapshot, StorageError> {
    let client = lease.client()?;
    let head = client.prepare_cached(statements::HEAD).await?;
    let log = client.prepare_cached(statements::LOG).await?;
    let room = request.room.as_str();
    // A cursor beyond all numbers is one beyond the log.
    let after = i64::try_from(stretch.after).unwrap_or(i64::MAX);
    let count_max = i64::try_from(stretch.count_max).unwrap_or(i64::MAX);
    let bytes_max = i64::try_from(stretch.bytes_max).unwrap_or(i64::MAX);
    let collections: Option<Vec<&str>> = request
        .collections
        .as_ref()
        .map(|collections| collections.iter().map(|collection| collection.as_str()).collect());
    let of_room: [Parameter<'_>; 6] = [&room, &after, &count_max, &collections, &bytes_max, &hub::RECEIPTS];
    let ((), head, rows, ()) = tokio::try_join!(
        biased;
        client.batch_execute(statements::BEGIN_READ),
        client.query_opt(&head, &of_room[..1]),
        client.query(&log, &of_room),
        client.batch_execute(statements::COMMIT),
    )?;
    let head = head.map(|row| statements::head(&row)).transpose()?.unwrap_or_default();
    let found = rows.first().map_or(Ok(0), |row| statements::number(row, 2))?;
    let is_whole = found == rows.len() as u64 && found < stretch.count_max as u64;
    let entries = rows.iter().map(logged).collect::<Result<_, _>>()?;
    let log = Log { after: stretch.after, entries, is_whole };
    Ok(Snapshot { head, log, ..Snapshot::default() })
}

/// An entry of the log. Of a document that is not wanted only its place is told.
fn logged(row: &Row) -> Result<Logged, StorageError> {
    match statements::document(row, 1)? {
        Some(document) => Ok(Logged::Wanted(document)),
        None => Ok(Logged::Unwanted { seq: statements::number(row, 0)? }),
    }
}
