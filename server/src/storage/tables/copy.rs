//! All records of the tables, room by room, and putting them into new tables.

use std::ops::Bound;

use sled::{Batch, Tree};
use syncline_protocol::Room;

use super::{HeadRecord, StorageError, Tables, decode, encode};
use crate::storage::codec::{read_room, room_prefix};

/// One record of one table. The number of its table is part of the format of backups.
#[derive(Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) table: u8,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

const ROOMS: u8 = 1;
const OWNERS: u8 = 5;

/// How far a restored room's log goes on beyond its end. No room gets so far between a backup and its restoration, so
/// whatever a client holds from then is below the floor, and it reads the room anew.
const RESTORED_GAP: u64 = 1 << 32;

impl Tables {
    /// The tables but the number of the last commit, which is of the log beside them.
    fn numbered(&self) -> [(u8, &Tree); 7] {
        [
            (ROOMS, &self.rooms),
            (2, &self.documents),
            (3, &self.log),
            (4, &self.tombstones),
            (OWNERS, &self.owners),
            (6, &self.clients),
            (7, &self.rejections),
        ]
    }

    /// The first room after this one, in the order of their names.
    pub(crate) fn room_after(&self, after: Option<&Room>) -> Result<Option<Room>, StorageError> {
        let start = after.map_or(Bound::Unbounded, |room| Bound::Excluded(room.as_str().as_bytes()));
        let Some(entry) = self.rooms.range::<&[u8], _>((start, Bound::Unbounded)).next() else {
            return Ok(None);
        };
        read_room("rooms", &entry?.0).map(Some)
    }

    /// Every record of a room.
    pub(crate) fn records_of(
        &self,
        room: &Room,
        mut visit: impl FnMut(Record) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        for (table, tree) in self.numbered() {
            let prefix = match table {
                ROOMS => {
                    if let Some(value) = tree.get(room.as_str())? {
                        visit(Record { table, key: room.as_str().into(), value: value.to_vec() })?;
                    }
                    continue;
                }
                OWNERS => continue,
                _ => room_prefix(room),
            };
            for entry in tree.scan_prefix(prefix) {
                let (key, value) = entry?;
                visit(Record { table, key: key.to_vec(), value: value.to_vec() })?;
            }
        }
        Ok(())
    }

    /// Whose each client is.
    pub(crate) fn owner_records(
        &self,
        mut visit: impl FnMut(Record) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        for entry in &self.owners {
            let (key, value) = entry?;
            visit(Record { table: OWNERS, key: key.to_vec(), value: value.to_vec() })?;
        }
        Ok(())
    }

    /// Puts records of a backup into tables that are new.
    pub(crate) fn restore(&self, records: Vec<Record>) -> Result<(), StorageError> {
        let mut batches: [Batch; 7] = std::array::from_fn(|_| Batch::default());
        for Record { table, key, value } in records {
            let value = if table == ROOMS { restored(&value)? } else { value };
            let index = usize::from(table).checked_sub(1).filter(|index| *index < batches.len());
            let Some(index) = index else {
                let reason = format!("the backup names a table {table}");
                return Err(StorageError::Damaged { tree: "backup", reason });
            };
            batches[index].insert(key, value);
        }
        for ((_, tree), batch) in self.numbered().into_iter().zip(batches) {
            tree.apply_batch(batch)?;
        }
        Ok(())
    }
}

/// A room's head whose log goes on where no client has been, and whose floor is there.
fn restored(value: &[u8]) -> Result<Vec<u8>, StorageError> {
    let mut head: HeadRecord = decode("rooms", value)?;
    head.seq = head.seq.saturating_add(RESTORED_GAP);
    head.floor = head.seq;
    encode(&head)
}
