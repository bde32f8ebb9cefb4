//! All records of the tables, room by room, and putting them into new tables.

use std::ops::Bound;

use sled::{Batch, Tree};
use syncline_protocol::Room;

use super::{HeadRecord, StorageError, Tables, decode, encode};
use crate::hub::Head;
use crate::storage::codec::{read_room, room_end, room_prefix};

/// One record of one table. The number of its table is part of the format of backups.
#[derive(Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) table: u8,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

pub(super) const ROOMS: u8 = 1;
pub(super) const DOCUMENTS: u8 = 2;
pub(super) const LOG: u8 = 3;
pub(super) const TOMBSTONES: u8 = 4;
pub(super) const OWNERS: u8 = 5;
pub(super) const CLIENTS: u8 = 6;
pub(super) const REJECTIONS: u8 = 7;
/// What is known of revoked tokens, in parts, in their order: only in backups, and in no table.
pub(crate) const REVOCATIONS: u8 = 8;

/// The tables that hold more of a room than its head, in the order of backups.
const OF_A_ROOM: [u8; 5] = [DOCUMENTS, LOG, TOMBSTONES, CLIENTS, REJECTIONS];

/// How far a restored room's log goes on beyond its end. No room gets so far between a backup and its restoration, so
/// whatever a client holds from then is below the floor, and it reads the room anew.
const RESTORED_GAP: u64 = 1 << 32;

/// A way through all tables, a step at a time: rooms in the order of their names, then the owners of clients, so that these
/// tell of every client that is in any room.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    at: At,
}

#[derive(Debug)]
enum At {
    /// Between two rooms.
    After(Option<Room>),
    /// Within a room: after a key of one of [`OF_A_ROOM`].
    Within {
        room: Room,
        table: usize,
        after: Vec<u8>,
    },
    /// Among the owners, after a key.
    Owners(Option<Vec<u8>>),
    End,
}

impl Default for At {
    fn default() -> Self {
        Self::After(None)
    }
}

impl Record {
    pub(crate) fn byte_len(&self) -> usize {
        self.key.len() + self.value.len()
    }
}

impl Walk {
    /// The next records, as many as have `bytes_max` bytes, and at least one; `None` at the end. A step that begins within a
    /// room goes no further than that.
    ///
    /// A room that is walked in several steps must not change meanwhile.
    pub(crate) fn step(
        &mut self,
        tables: &Tables,
        bytes_max: usize,
    ) -> Result<Option<Vec<Record>>, StorageError> {
        let mut records = Vec::new();
        let mut bytes = 0;
        let room = self.within().cloned();
        while records.is_empty() || (bytes < bytes_max && (room.is_none() || self.within() == room.as_ref()))
        {
            let Some(record) = self.next(tables)? else { break };
            bytes += record.byte_len();
            records.push(record);
        }
        Ok((!records.is_empty()).then_some(records))
    }

    /// The room of which some records are read, and others are not.
    pub(crate) fn within(&self) -> Option<&Room> {
        match &self.at {
            At::Within { room, .. } => Some(room),
            At::After(_) | At::Owners(_) | At::End => None,
        }
    }

    fn next(&mut self, tables: &Tables) -> Result<Option<Record>, StorageError> {
        loop {
            match &mut self.at {
                At::After(after) => {
                    let start = after
                        .as_ref()
                        .map_or(Bound::Unbounded, |room| Bound::Excluded(room.as_str().as_bytes()));
                    let range = (start, Bound::Unbounded);
                    let Some(entry) = tables.rooms.range::<&[u8], _>(range).next() else {
                        self.at = At::Owners(None);
                        continue;
                    };
                    let (key, value) = entry?;
                    let room = read_room("rooms", &key)?;
                    self.at = At::Within { after: room_prefix(&room), table: 0, room };
                    return Ok(Some(Record { table: ROOMS, key: key.to_vec(), value: value.to_vec() }));
                }
                At::Within { room, table, after } => {
                    let Some(&number) = OF_A_ROOM.get(*table) else {
                        self.at = At::After(Some(room.clone()));
                        continue;
                    };
                    let range = (Bound::Excluded(after.clone()), Bound::Excluded(room_end(room)));
                    if let Some(record) = first_of(number, tables.numbered(number), range)? {
                        after.clone_from(&record.key);
                        return Ok(Some(record));
                    }
                    *after = room_prefix(room);
                    *table += 1;
                }
                At::Owners(after) => {
                    let start = after.clone().map_or(Bound::Unbounded, Bound::Excluded);
                    if let Some(record) = first_of(OWNERS, Some(&tables.owners), (start, Bound::Unbounded))? {
                        *after = Some(record.key.clone());
                        return Ok(Some(record));
                    }
                    self.at = At::End;
                }
                At::End => return Ok(None),
            }
        }
    }
}

fn first_of(
    table: u8,
    tree: Option<&Tree>,
    range: (Bound<Vec<u8>>, Bound<Vec<u8>>),
) -> Result<Option<Record>, StorageError> {
    let Some(entry) = tree.and_then(|tree| tree.range(range).next()) else { return Ok(None) };
    let (key, value) = entry?;
    Ok(Some(Record { table, key: key.to_vec(), value: value.to_vec() }))
}

impl Tables {
    /// A table by its number. The number of the last commit is in none: it is of the log beside the tables.
    fn numbered(&self, table: u8) -> Option<&Tree> {
        match table {
            ROOMS => Some(&self.rooms),
            DOCUMENTS => Some(&self.documents),
            LOG => Some(&self.log),
            TOMBSTONES => Some(&self.tombstones),
            OWNERS => Some(&self.owners),
            CLIENTS => Some(&self.clients),
            REJECTIONS => Some(&self.rejections),
            _ => None,
        }
    }

    /// Puts records of a backup into tables that are new.
    pub(crate) fn restore(&self, records: Vec<Record>) -> Result<(), StorageError> {
        let mut batches: [Batch; REJECTIONS as usize] = std::array::from_fn(|_| Batch::default());
        for Record { table, key, value } in records {
            let value = if table == ROOMS { restored(&value)? } else { value };
            let batch = usize::from(table).checked_sub(1).and_then(|index| batches.get_mut(index));
            batch.ok_or_else(|| unknown_table(table))?.insert(key, value);
        }
        for (table, batch) in (1..).zip(batches) {
            self.numbered(table).ok_or_else(|| unknown_table(table))?.apply_batch(batch)?;
        }
        Ok(())
    }
}

pub(super) fn unknown_table(table: u8) -> StorageError {
    StorageError::Damaged { tree: "backup", reason: format!("it names a table {table}") }
}

/// The head of a restored room: its log goes on where no client has been, and its floor is there.
pub(crate) fn moved_on(head: Head) -> Head {
    let seq = head.seq.saturating_add(RESTORED_GAP);
    Head { seq, floor: seq, ..head }
}

fn restored(value: &[u8]) -> Result<Vec<u8>, StorageError> {
    let head: HeadRecord = decode("rooms", value)?;
    encode(&HeadRecord::from(moved_on(head.into())))
}
