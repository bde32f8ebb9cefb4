//! What records say, for a storage that keeps them in another way.

use syncline_protocol::{ClientId, Collection, Document, DocumentId, Room};

use super::copy::{CLIENTS, DOCUMENTS, LOG, OWNERS, REJECTIONS, ROOMS, TOMBSTONES, unknown_table};
use super::{ClientRecord, HeadRecord, Record, StorageError, decode, read_first_chunk};
use crate::hub::Head;
use crate::storage::codec::{read_last_number, room_prefix};

/// What one or more records say.
#[derive(Debug)]
pub(crate) enum Row {
    /// All rows until the next of these are of this room, except owners.
    Room {
        room: Room,
        head: Head,
    },
    Document(DocumentRow),
    /// When the deletion that stands at a place was committed.
    Deletion {
        seq: u64,
        at_ms: u64,
    },
    Client {
        client: ClientId,
        last_client_seq: u64,
        rejections: u64,
        dropped_through: u64,
    },
    /// The error as it is encoded.
    Rejection {
        client: ClientId,
        client_seq: u64,
        error: Vec<u8>,
    },
    Owner {
        client: ClientId,
        user: String,
    },
}

#[derive(Debug)]
pub(crate) struct DocumentRow {
    pub(crate) collection: Collection,
    pub(crate) id: DocumentId,
    pub(crate) seq: u64,
    /// The whole document as it is encoded.
    pub(crate) body: Vec<u8>,
}

/// Reads records in the order of a [`Walk`](super::Walk).
#[derive(Debug, Default)]
pub(crate) struct Rows {
    room: Option<Room>,
    /// The first chunks of a document, and how many are missing.
    partial: Option<(Vec<u8>, u16)>,
}

impl Rows {
    /// The row that a record completes, if it completes one.
    pub(crate) fn read(&mut self, record: Record) -> Result<Option<Row>, StorageError> {
        let Record { table, key, value } = record;
        if self.partial.is_some() && table != DOCUMENTS {
            return Err(damaged("documents", "the end of a document is missing"));
        }
        let of_room = match (&self.room, table) {
            (_, ROOMS | OWNERS) => &key[..],
            (Some(room), _) => key
                .strip_prefix(&room_prefix(room)[..])
                .ok_or_else(|| damaged("backup", "a record stands among those of another room"))?,
            (None, _) => return Err(damaged("backup", "a record is of no room")),
        };
        match table {
            ROOMS => {
                let name = std::str::from_utf8(&key).map_err(|_| damaged("rooms", "a name is no text"))?;
                let room = Room::new(name).map_err(|_| damaged("rooms", "a name is not valid"))?;
                let head: HeadRecord = decode("rooms", &value)?;
                self.room = Some(room.clone());
                Ok(Some(Row::Room { room, head: head.into() }))
            }
            DOCUMENTS => self.chunk(&value),
            // Told by the documents.
            LOG => Ok(None),
            TOMBSTONES => {
                let seq = read_last_number("tombstones", &key)?;
                Ok(Some(Row::Deletion { seq, at_ms: decode("tombstones", &value)? }))
            }
            OWNERS => {
                let client = read_client("owners", of_room)?;
                Ok(Some(Row::Owner { client, user: decode("owners", &value)? }))
            }
            CLIENTS => {
                let record: ClientRecord = decode("clients", &value)?;
                Ok(Some(Row::Client {
                    client: read_client("clients", of_room)?,
                    last_client_seq: record.last_client_seq,
                    rejections: record.rejections,
                    dropped_through: record.rejections_dropped_through,
                }))
            }
            REJECTIONS => {
                let client_seq = read_last_number("rejections", of_room)?;
                let client = of_room.split_last_chunk::<8>().map_or(of_room, |(client, _)| client);
                Ok(Some(Row::Rejection {
                    client: read_client("rejections", client)?,
                    client_seq,
                    error: value,
                }))
            }
            _ => Err(unknown_table(table)),
        }
    }

    fn chunk(&mut self, value: &[u8]) -> Result<Option<Row>, StorageError> {
        let (body, missing) = match self.partial.take() {
            Some((mut body, missing)) => {
                body.extend_from_slice(value);
                (body, missing - 1)
            }
            None => {
                let (count, part) = read_first_chunk("documents", value)?;
                let missing = count.checked_sub(1);
                (part.to_vec(), missing.ok_or_else(|| damaged("documents", "one has no chunks"))?)
            }
        };
        if missing > 0 {
            self.partial = Some((body, missing));
            return Ok(None);
        }
        let Document { collection, id, seq, .. } = decode("documents", &body)?;
        Ok(Some(Row::Document(DocumentRow { collection, id, seq, body })))
    }
}

fn read_client(tree: &'static str, key: &[u8]) -> Result<ClientId, StorageError> {
    let bytes = <[u8; 16]>::try_from(key).map_err(|_| damaged(tree, "a client's id has not 16 bytes"))?;
    Ok(ClientId::from_bytes(bytes))
}

fn damaged(tree: &'static str, reason: &str) -> StorageError {
    StorageError::Damaged { tree, reason: reason.to_owned() }
}
