//! What is said to the database. Numbers are `bigint` there.

use serde::Deserialize;
use serde::de::value::{Error as ValueError, StrDeserializer};
use syncline_protocol::{Checksum, ClientId, Collection, Document, DocumentId, Room};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::PostgresError;
use crate::hub::{DocumentKey, Head};
use crate::storage::StorageError;
use crate::storage::codec::decode;

/// What a statement is said with.
pub(super) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// Said outright: under a stricter level, a push would see the room as it was before it waited for its row.
pub(super) const BEGIN_PUSH: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// All statements see one moment.
pub(super) const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

pub(super) const COMMIT: &str = "COMMIT";

pub(super) const ADD_ROOM: &str = "INSERT INTO syncline_rooms (room) VALUES ($1) ON CONFLICT DO NOTHING";

/// Waits for other pushes to the room.
pub(super) const LOCK_ROOM: &str =
    "SELECT seq, checksum, floor, tombstones FROM syncline_rooms WHERE room = $1 FOR UPDATE";

/// Passes over a room that is busy.
pub(super) const LOCK_IDLE_ROOM: &str =
    "SELECT seq, checksum, floor, tombstones FROM syncline_rooms WHERE room = $1 FOR UPDATE SKIP LOCKED";

pub(super) const HEAD: &str = "SELECT seq, checksum, floor, tombstones FROM syncline_rooms WHERE room = $1";

pub(super) const HEADS: &str = "SELECT room, seq FROM syncline_rooms WHERE room = ANY($1)";

pub(super) const ROOMS: &str = "SELECT room, seq FROM syncline_rooms WHERE room > $1 ORDER BY room LIMIT $2";

pub(super) const OWNERS: &str = "SELECT client, user_id FROM syncline_owners WHERE client = ANY($1)";

pub(super) const CLIENTS: &str = "SELECT client, last_client_seq, rejections, rejections_dropped_through
     FROM syncline_clients WHERE room = $1 AND client = ANY($2)";

pub(super) const REJECTIONS: &str = "SELECT client, client_seq, error
     FROM unnest($2::uuid[], $3::bigint[]) AS asked (client, client_seq)
     JOIN syncline_rejections USING (client, client_seq) WHERE room = $1";

/// In the order asked for, up to so many bytes: beyond, a document is named and not told.
pub(super) const DOCUMENTS: &str = "SELECT collection, id, CASE WHEN bytes_before < $4 THEN document END
     FROM (
       SELECT collection, id, document,
         sum(octet_length(document)) OVER (ORDER BY place) - octet_length(document) AS bytes_before
       FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS asked (collection, id, place)
       JOIN syncline_documents USING (collection, id) WHERE room = $1
     ) AS found";

/// So many changes after a place, up to so many bytes, at least one; of other collections than those wanted, and of the
/// hidden one, only the place. A deleted document weighs all that is kept of it. Each row tells how many there were without
/// the bound of bytes.
pub(super) const LOG: &str = "SELECT seq, CASE WHEN wanted THEN document END, total
     FROM (
       SELECT seq, wanted, document, count(*) OVER () AS total,
         sum(bytes) OVER (ORDER BY seq) - bytes AS bytes_before
       FROM (
         SELECT seq, document, wanted,
           CASE WHEN wanted THEN octet_length(document) ELSE 0 END AS bytes
         FROM (
           SELECT seq, document,
             (collection <> $6 AND ($4::text[] IS NULL OR collection = ANY($4))) AS wanted
           FROM syncline_documents WHERE room = $1 AND seq > $2 ORDER BY seq LIMIT $3
         ) AS newer
       ) AS weighed
     ) AS measured
     WHERE bytes_before < $5 ORDER BY seq";

/// So many documents of a collection after an id, up to so many bytes, at least one; of deleted ones only the id. Each row tells
/// how many there were without the bound of bytes.
pub(super) const LIST: &str = "SELECT id, document, total
     FROM (
       SELECT id, document, count(*) OVER () AS total,
         sum(bytes) OVER (ORDER BY id) - bytes AS bytes_before
       FROM (
         SELECT id, CASE WHEN deleted_at_ms IS NULL THEN document END AS document,
           CASE WHEN deleted_at_ms IS NULL THEN octet_length(document) ELSE 0 END AS bytes
         FROM (
           SELECT id, deleted_at_ms, document FROM syncline_documents
           WHERE room = $1 AND collection = $2 AND id > $3 ORDER BY id LIMIT $4
         ) AS next
       ) AS weighed
     ) AS measured
     WHERE bytes_before < $5 ORDER BY id";

pub(super) const TOMBSTONES: &str = "SELECT seq, deleted_at_ms, collection, id
     FROM syncline_documents WHERE room = $1 AND deleted_at_ms IS NOT NULL ORDER BY seq LIMIT $2";

pub(super) const ROOMS_WITH_TOMBSTONES: &str =
    "SELECT room FROM syncline_rooms WHERE tombstones > 0 AND room > $1 ORDER BY room LIMIT $2";

pub(super) const WRITE_HEAD: &str =
    "UPDATE syncline_rooms SET seq = $2, checksum = $3, floor = $4, tombstones = $5 WHERE room = $1";

/// A client that another server bound to somebody else meanwhile gets no user, which the table does not take: the
/// whole transaction fails, and is tried again with what is there by then.
pub(super) const BIND_OWNERS: &str = "INSERT INTO syncline_owners AS bound (client, user_id)
     SELECT * FROM unnest($1::uuid[], $2::text[])
     ON CONFLICT (client) DO UPDATE
       SET user_id = CASE WHEN bound.user_id = excluded.user_id THEN bound.user_id END";

pub(super) const WRITE_DOCUMENTS: &str =
    "INSERT INTO syncline_documents (room, collection, id, seq, deleted_at_ms, document)
     SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bytea[])
     ON CONFLICT (room, collection, id) DO UPDATE
       SET seq = excluded.seq, deleted_at_ms = excluded.deleted_at_ms, document = excluded.document";

pub(super) const WRITE_CLIENTS: &str =
    "INSERT INTO syncline_clients AS client (room, client, last_client_seq, rejections)
     SELECT $1, * FROM unnest($2::uuid[], $3::bigint[], $4::bigint[])
     ON CONFLICT (room, client) DO UPDATE
       SET last_client_seq = excluded.last_client_seq, rejections = client.rejections + excluded.rejections";

pub(super) const WRITE_REJECTIONS: &str = "INSERT INTO syncline_rejections (room, client, client_seq, error)
     SELECT $1, * FROM unnest($2::uuid[], $3::bigint[], $4::bytea[])";

/// Drops the oldest rejections, so many of each client.
pub(super) const DROP_REJECTIONS: &str = "WITH oldest AS (
       SELECT surplus.client, kept.client_seq
       FROM unnest($2::uuid[], $3::bigint[]) AS surplus (client, count)
       CROSS JOIN LATERAL (
         SELECT client_seq FROM syncline_rejections
         WHERE room = $1 AND client = surplus.client ORDER BY client_seq LIMIT surplus.count
       ) AS kept
     ), dropped AS (
       DELETE FROM syncline_rejections AS rejection USING oldest
       WHERE rejection.room = $1 AND rejection.client = oldest.client
         AND rejection.client_seq = oldest.client_seq
     )
     UPDATE syncline_clients AS client
     SET rejections = client.rejections - gone.count, rejections_dropped_through = gone.through
     FROM (
       SELECT client, count(*) AS count, max(client_seq) AS through FROM oldest GROUP BY client
     ) AS gone
     WHERE client.room = $1 AND client.client = gone.client";

pub(super) const PURGE: &str = "DELETE FROM syncline_documents WHERE room = $1 AND seq = ANY($2)";

/// A number as the database keeps it.
pub(super) fn to_bigint(number: u64) -> Result<i64, StorageError> {
    i64::try_from(number).map_err(|_| PostgresError::Failed(format!("{number} is too large")).into())
}

/// A number of a row.
pub(super) fn number(row: &Row, column: usize) -> Result<u64, StorageError> {
    u64::try_from(row.try_get::<_, i64>(column)?).map_err(|_| damaged("a number is below 0".to_owned()))
}

pub(super) fn client(row: &Row, column: usize) -> Result<ClientId, StorageError> {
    Ok(ClientId::from_bytes(row.try_get::<_, Uuid>(column)?.into_bytes()))
}

pub(super) fn uuid(client: ClientId) -> Uuid {
    Uuid::from_bytes(*client.as_bytes())
}

/// A room's head, of `seq, checksum, floor, tombstones`.
pub(super) fn head(row: &Row) -> Result<Head, StorageError> {
    let checksum: &str = row.try_get(1)?;
    let checksum = Checksum::deserialize(StrDeserializer::<ValueError>::new(checksum));
    Ok(Head {
        seq: number(row, 0)?,
        checksum: checksum.map_err(|error| damaged(error.to_string()))?,
        floor: number(row, 2)?,
        tombstones: number(row, 3)?,
    })
}

pub(super) fn room(row: &Row, column: usize) -> Result<Room, StorageError> {
    Room::new(row.try_get::<_, String>(column)?).map_err(|error| damaged(error.to_string()))
}

/// A document's name, of two columns.
pub(super) fn key(row: &Row, column: usize) -> Result<DocumentKey, StorageError> {
    let collection = Collection::new(row.try_get::<_, String>(column)?);
    let collection = collection.map_err(|error| damaged(error.to_string()))?;
    Ok((collection, id(row, column + 1)?))
}

pub(super) fn id(row: &Row, column: usize) -> Result<DocumentId, StorageError> {
    DocumentId::new(row.try_get::<_, String>(column)?).map_err(|error| damaged(error.to_string()))
}

/// A document, unless it was not told.
pub(super) fn document(row: &Row, column: usize) -> Result<Option<Document>, StorageError> {
    let bytes: Option<&[u8]> = row.try_get(column)?;
    bytes.map(|bytes| decode("documents", bytes)).transpose()
}

fn damaged(reason: String) -> StorageError {
    StorageError::Damaged { tree: "postgres", reason }
}
