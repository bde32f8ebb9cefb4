//! Purging deletions: in the background through all rooms that hold any, and at once in a room that holds too many.

use std::time::Duration;

use syncline_protocol::Room;

use super::connections::{Connections, Lease};
use super::snapshot::Snapshot;
use super::statements::{self, Parameter};
use super::{PostgresError, Settings};
use crate::hub::{self, Compaction, Tombstone};
use crate::storage::StorageError;
use crate::storage::sled::now_ms;

/// Rooms asked for at a time.
const ROOMS_MAX: i64 = 64;

/// Searches all rooms, for ever, every so often.
pub(super) async fn sweep_for_ever(connections: &Connections, settings: &Settings, interval: Duration) {
    loop {
        if let Err(error) = sweep(connections, settings).await {
            tracing::warn!(%error, "the search for deletions to purge goes on later");
        }
        tokio::time::sleep(interval).await;
    }
}

async fn sweep(connections: &Connections, settings: &Settings) -> Result<(), StorageError> {
    let mut after = String::new();
    loop {
        let rooms = rooms_with_tombstones(connections, &after).await?;
        let Some(last) = rooms.last() else { return Ok(()) };
        after = last.as_str().to_owned();
        for room in &rooms {
            purge_all(connections, settings, room).await?;
        }
    }
}

/// A room that cannot be purged is passed over, unless the database does not answer at all.
async fn purge_all(connections: &Connections, settings: &Settings, room: &Room) -> Result<(), StorageError> {
    loop {
        match purge(connections, settings, room, statements::LOCK_IDLE_ROOM).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) if error.may_pass() => return Err(error),
            Err(error) => {
                tracing::error!(%error, "a room's deletions cannot be purged");
                return Ok(());
            }
        }
    }
}

async fn rooms_with_tombstones(connections: &Connections, after: &str) -> Result<Vec<Room>, StorageError> {
    let lease = connections.lease().await?;
    let rows = connections.answer(async {
        let client = lease.client()?;
        let rooms = client.prepare_cached(statements::ROOMS_WITH_TOMBSTONES).await?;
        Ok::<_, StorageError>(client.query(&rooms, &[&after, &ROOMS_MAX]).await?)
    });
    let rows = rows.await?;
    lease.done();
    rows.iter().map(|row| statements::room(row, 0)).collect()
}

/// Purges one step's worth of a room's deletions, if there are any; whether there were. `lock` says what becomes of a
/// room that is busy.
pub(super) async fn purge(
    connections: &Connections,
    settings: &Settings,
    room: &Room,
    lock: &'static str,
) -> Result<bool, StorageError> {
    let lease = connections.lease().await?;
    let count_max = i64::try_from(settings.hub.compaction_count_max).unwrap_or(i64::MAX);
    let compaction = match connections.answer(read(&lease, room, lock, count_max)).await? {
        Some(snapshot) => hub::compact(&snapshot, room, now_ms(), &settings.hub).map_err(|not_read| {
            PostgresError::Failed(format!("the purge needs what was not read: {not_read:?}"))
        })?,
        None => None,
    };
    match &compaction {
        Some(compaction) => connections.answer(write(&lease, compaction)).await?,
        None => connections.answer(lease.client()?.batch_execute("ROLLBACK")).await?,
    }
    lease.done();
    Ok(compaction.is_some())
}

async fn read(
    lease: &Lease,
    room: &Room,
    lock: &'static str,
    count_max: i64,
) -> Result<Option<Snapshot>, StorageError> {
    let client = lease.client()?;
    let lock = client.prepare_cached(lock).await?;
    let tombstones = client.prepare_cached(statements::TOMBSTONES).await?;
    let room = room.as_str();
    let of_room: [Parameter<'_>; 2] = [&room, &count_max];
    let ((), head, rows) = tokio::try_join!(
        biased;
        client.batch_execute(statements::BEGIN_PUSH),
        client.query_opt(&lock, &of_room[..1]),
        client.query(&tombstones, &of_room),
    )?;
    let Some(head) = head else { return Ok(None) };
    let mut snapshot = Snapshot { head: statements::head(&head)?, ..Snapshot::default() };
    for row in rows {
        snapshot.tombstones.push(Tombstone {
            seq: statements::number(&row, 0)?,
            deleted_at_ms: statements::number(&row, 1)?,
            key: statements::key(&row, 2)?,
        });
    }
    Ok(Some(snapshot))
}

async fn write(lease: &Lease, compaction: &Compaction) -> Result<(), StorageError> {
    use statements::to_bigint;
    let client = lease.client()?;
    let purge = client.prepare_cached(statements::PURGE).await?;
    let write_head = client.prepare_cached(statements::WRITE_HEAD).await?;
    let Compaction { room, head, removed } = compaction;
    let room = room.as_str();
    let seqs = removed.iter().map(|tombstone| to_bigint(tombstone.seq)).collect::<Result<Vec<_>, _>>()?;
    let (seq, checksum) = (to_bigint(head.seq)?, head.checksum.to_string());
    let (floor, tombstones) = (to_bigint(head.floor)?, to_bigint(head.tombstones)?);
    let purged: [Parameter<'_>; 2] = [&room, &seqs];
    let head: [Parameter<'_>; 5] = [&room, &seq, &checksum, &floor, &tombstones];
    tokio::try_join!(
        biased;
        client.execute(&purge, &purged),
        client.execute(&write_head, &head),
        client.batch_execute(statements::COMMIT),
    )?;
    tracing::debug!(removed = seqs.len(), floor, "purged deletions");
    Ok(())
}
