//! Rooms from the embedded database or a backup, put into a database that has none: in one transaction, and read back before
//! it counts.

use std::mem::discriminant;

use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use syncline_protocol::Room;
use uuid::Uuid;

use super::connect;
use super::connections::{Connections, Lease};
use super::statements::{self, Parameter, to_bigint, uuid};
use crate::config::PostgresConfig;
use crate::hub::Head;
use crate::storage::backup::BackupError;
use crate::storage::tables::{DocumentRow, Record, Row, Rows};
use crate::storage::{DatabaseUrl, StorageError};

/// Rows are written when they have so many bytes, or are so many.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_COUNT: usize = 1000;

/// It may take long, and waits for what it reads from elsewhere. Servers on the same database wait for its end. Tables that just
/// filled are known to nobody as large, so it is said that their indexes are to be used.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL statement_timeout = 0;
    SET LOCAL idle_in_transaction_session_timeout = 0;
    SET LOCAL enable_seqscan = off;
    LOCK TABLE syncline_rooms, syncline_owners IN EXCLUSIVE MODE";

const IS_EMPTY: &str =
    "SELECT NOT EXISTS (SELECT FROM syncline_rooms) AND NOT EXISTS (SELECT FROM syncline_owners)";

const PUT_ROOM: &str =
    "INSERT INTO syncline_rooms (room, seq, checksum, floor, tombstones) VALUES ($1, $2, $3, $4, $5)";

const PUT_DOCUMENTS: &str = "INSERT INTO syncline_documents (room, collection, id, seq, document)
     SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bytea[])";

const PUT_DELETIONS: &str = "UPDATE syncline_documents AS document SET deleted_at_ms = deletion.at_ms
     FROM unnest($2::bigint[], $3::bigint[]) AS deletion (seq, at_ms)
     WHERE document.room = $1 AND document.seq = deletion.seq";

const PUT_CLIENTS: &str =
    "INSERT INTO syncline_clients (room, client, last_client_seq, rejections, rejections_dropped_through)
     SELECT $1, * FROM unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[])";

const PUT_OWNERS: &str =
    "INSERT INTO syncline_owners (client, user_id) SELECT * FROM unnest($1::uuid[], $2::text[])";

/// Rows that are there, and how one is read.
type There = (&'static str, fn(&tokio_postgres::Row) -> Result<Row, StorageError>);

// In the order in which records come.
const DOCUMENTS_THERE: There = (
    "SELECT collection, id, seq, document FROM syncline_documents WHERE room = $1 ORDER BY collection, id",
    document,
);
const DELETIONS_THERE: There = (
    "SELECT seq, deleted_at_ms FROM syncline_documents
     WHERE room = $1 AND deleted_at_ms IS NOT NULL ORDER BY seq",
    deletion,
);
const CLIENTS_THERE: There = (
    "SELECT client, last_client_seq, rejections, rejections_dropped_through
     FROM syncline_clients WHERE room = $1 ORDER BY client",
    client,
);
const REJECTIONS_THERE: There = (
    "SELECT client, client_seq, error FROM syncline_rejections WHERE room = $1 ORDER BY client, client_seq",
    rejection,
);
const OWNERS_THERE: There = ("SELECT client, user_id FROM syncline_owners ORDER BY client", owner);

/// The transaction. Nothing of it counts before [`finish`](Self::finish).
pub(crate) struct Import {
    connections: Connections,
    lease: Lease,
    reading: Rows,
    /// The room whose rows are written, and its head as it was written; `None` before the first and after the last one.
    room: Option<(Room, Head)>,
    /// Rows of one kind, to be written at once.
    batch: Vec<Row>,
    batch_bytes: usize,
    /// Of the rows of the room, or of the owners.
    written: Fingerprint,
    /// What becomes of the head of each room.
    head_of: fn(Head) -> Head,
}

/// A checksum over rows: those that were written, and those that are there.
#[derive(Default)]
struct Fingerprint(Sha256);

impl Fingerprint {
    fn add(&mut self, row: &Row) {
        match row {
            // Compared apart.
            Row::Room { .. } => {}
            Row::Document(DocumentRow { collection, id, seq, body }) => {
                self.columns(&[
                    collection.as_str().as_bytes(),
                    id.as_str().as_bytes(),
                    &seq.to_le_bytes(),
                    body,
                ]);
            }
            Row::Deletion { seq, at_ms } => self.columns(&[&seq.to_le_bytes(), &at_ms.to_le_bytes()]),
            Row::Client { client, last_client_seq, rejections, dropped_through } => {
                let numbers =
                    [last_client_seq, rejections, dropped_through].map(|number| number.to_le_bytes());
                self.columns(&[client.as_bytes(), &numbers.concat()]);
            }
            Row::Rejection { client, client_seq, error } => {
                self.columns(&[client.as_bytes(), &client_seq.to_le_bytes(), error]);
            }
            Row::Owner { client, user } => self.columns(&[client.as_bytes(), user.as_bytes()]),
        }
    }

    fn columns(&mut self, columns: &[&[u8]]) {
        for column in columns {
            self.0.update((column.len() as u64).to_le_bytes());
            self.0.update(column);
        }
    }

    fn end(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

impl Import {
    /// Connects, makes the tables, and takes a database without rooms for itself.
    pub(crate) async fn begin(
        url: &DatabaseUrl,
        config: &PostgresConfig,
        head_of: fn(Head) -> Head,
    ) -> Result<Self, BackupError> {
        let connections = connect(url, config).await?;
        let lease = connections.lease().await?;
        connections.answer(lease.client()?.batch_execute(BEGIN)).await?;
        let row = connections.answer(lease.client()?.query_one(IS_EMPTY, &[])).await?;
        if !row.try_get::<_, bool>(0).map_err(StorageError::from)? {
            return Err(BackupError::DatabaseNotEmpty);
        }
        Ok(Self {
            connections,
            lease,
            reading: Rows::default(),
            room: None,
            batch: Vec::new(),
            batch_bytes: 0,
            written: Fingerprint::default(),
            head_of,
        })
    }

    /// Puts more records in, in the order of backups.
    pub(crate) async fn take(&mut self, records: Vec<Record>) -> Result<(), BackupError> {
        for record in records {
            self.batch_bytes += record.byte_len();
            let Some(row) = self.reading.read(record)? else { continue };
            let is_other_kind = |before: &Row| discriminant(before) != discriminant(&row);
            if self.batch.last().is_some_and(is_other_kind)
                || self.batch_bytes > BATCH_BYTES
                || self.batch.len() >= BATCH_COUNT
            {
                self.write().await?;
            }
            match row {
                Row::Room { room, head } => {
                    self.compare().await?;
                    let head = (self.head_of)(head);
                    self.write_room(&room, head).await?;
                    self.room = Some((room, head));
                }
                row => {
                    if matches!(row, Row::Owner { .. }) && self.room.is_some() {
                        self.compare().await?;
                    }
                    self.written.add(&row);
                    self.batch.push(row);
                }
            }
        }
        Ok(())
    }

    /// Compares the last rows, and commits.
    pub(crate) async fn finish(mut self) -> Result<(), BackupError> {
        self.compare().await?;
        self.connections.answer(self.lease.client()?.batch_execute(statements::COMMIT)).await?;
        self.lease.done();
        Ok(())
    }

    async fn write_room(&self, room: &Room, head: Head) -> Result<(), StorageError> {
        let (seq, checksum) = (to_bigint(head.seq)?, head.checksum.to_string());
        let (floor, tombstones) = (to_bigint(head.floor)?, to_bigint(head.tombstones)?);
        self.execute(PUT_ROOM, &[&room.as_str(), &seq, &checksum, &floor, &tombstones]).await
    }

    /// Writes the rows that wait.
    async fn write(&mut self) -> Result<(), StorageError> {
        self.batch_bytes = 0;
        let mut columns = Columns::default();
        let mut statement = None;
        for row in std::mem::take(&mut self.batch) {
            statement = columns.add(row)?;
        }
        let Columns { names, numbers, clients, bytes } = &columns;
        let [first, second] = names;
        let [one, two, three] = numbers;
        let room = self.room.as_ref().map(|(room, _)| room.as_str()).unwrap_or_default();
        match statement {
            None => Ok(()),
            Some(Put::Documents) => self.execute(PUT_DOCUMENTS, &[&room, first, second, one, bytes]).await,
            Some(Put::Deletions) => self.execute(PUT_DELETIONS, &[&room, one, two]).await,
            Some(Put::Clients) => self.execute(PUT_CLIENTS, &[&room, clients, one, two, three]).await,
            Some(Put::Rejections) => {
                self.execute(statements::WRITE_REJECTIONS, &[&room, clients, one, bytes]).await
            }
            Some(Put::Owners) => self.execute(PUT_OWNERS, &[clients, first]).await,
        }
    }

    async fn execute(&self, statement: &str, parameters: &[Parameter<'_>]) -> Result<(), StorageError> {
        let client = self.lease.client()?;
        let written = self.connections.answer(async {
            let statement = client.prepare_cached(statement).await?;
            Ok::<_, StorageError>(client.execute(&statement, parameters).await?)
        });
        written.await.map(drop)
    }

    /// Writes what waits, and reads back what was written of the room, or of the owners after the last one.
    async fn compare(&mut self) -> Result<(), BackupError> {
        self.write().await?;
        let written = std::mem::take(&mut self.written).end();
        let mut there = Fingerprint::default();
        let Some((room, head)) = self.room.take() else {
            self.read_back(OWNERS_THERE, &[], &mut there).await?;
            let what = "the owners of clients".to_owned();
            return if written == there.end() { Ok(()) } else { Err(BackupError::Differs { what }) };
        };
        let name = room.as_str();
        let asked: [Parameter<'_>; 1] = [&name];
        let row = self.connections.answer(self.lease.client()?.query_one(statements::HEAD, &asked)).await?;
        for rows in [DOCUMENTS_THERE, DELETIONS_THERE, CLIENTS_THERE, REJECTIONS_THERE] {
            self.read_back(rows, &asked, &mut there).await?;
        }
        let what = format!("the room {room}");
        let is_same = statements::head(&row)? == head && written == there.end();
        if is_same { Ok(()) } else { Err(BackupError::Differs { what }) }
    }

    async fn read_back(
        &self,
        (statement, read): There,
        asked: &[Parameter<'_>],
        there: &mut Fingerprint,
    ) -> Result<(), StorageError> {
        let client = self.lease.client()?;
        let rows = self.connections.answer(client.query_raw(statement, asked.iter().copied())).await?;
        let mut rows = std::pin::pin!(rows);
        while let Some(row) = self.connections.answer(rows.try_next()).await? {
            there.add(&read(&row)?);
        }
        Ok(())
    }
}

/// Which rows are put in.
#[derive(Clone, Copy)]
enum Put {
    Documents,
    Deletions,
    Clients,
    Rejections,
    Owners,
}

/// Rows of one kind, column by column.
#[derive(Default)]
struct Columns {
    names: [Vec<String>; 2],
    numbers: [Vec<i64>; 3],
    clients: Vec<Uuid>,
    bytes: Vec<Vec<u8>>,
}

impl Columns {
    fn add(&mut self, row: Row) -> Result<Option<Put>, StorageError> {
        Ok(match row {
            Row::Room { .. } => None,
            Row::Document(DocumentRow { collection, id, seq, body }) => {
                self.names[0].push(collection.as_str().to_owned());
                self.names[1].push(id.as_str().to_owned());
                self.numbers[0].push(to_bigint(seq)?);
                self.bytes.push(body);
                Some(Put::Documents)
            }
            Row::Deletion { seq, at_ms } => {
                self.numbers[0].push(to_bigint(seq)?);
                self.numbers[1].push(to_bigint(at_ms)?);
                Some(Put::Deletions)
            }
            Row::Client { client, last_client_seq, rejections, dropped_through } => {
                self.clients.push(uuid(client));
                self.numbers[0].push(to_bigint(last_client_seq)?);
                self.numbers[1].push(to_bigint(rejections)?);
                self.numbers[2].push(to_bigint(dropped_through)?);
                Some(Put::Clients)
            }
            Row::Rejection { client, client_seq, error } => {
                self.clients.push(uuid(client));
                self.numbers[0].push(to_bigint(client_seq)?);
                self.bytes.push(error);
                Some(Put::Rejections)
            }
            Row::Owner { client, user } => {
                self.clients.push(uuid(client));
                self.names[0].push(user);
                Some(Put::Owners)
            }
        })
    }
}

fn document(row: &tokio_postgres::Row) -> Result<Row, StorageError> {
    let (collection, id) = statements::key(row, 0)?;
    let (seq, body) = (statements::number(row, 2)?, row.try_get(3)?);
    Ok(Row::Document(DocumentRow { collection, id, seq, body }))
}

fn deletion(row: &tokio_postgres::Row) -> Result<Row, StorageError> {
    Ok(Row::Deletion { seq: statements::number(row, 0)?, at_ms: statements::number(row, 1)? })
}

fn client(row: &tokio_postgres::Row) -> Result<Row, StorageError> {
    Ok(Row::Client {
        client: statements::client(row, 0)?,
        last_client_seq: statements::number(row, 1)?,
        rejections: statements::number(row, 2)?,
        dropped_through: statements::number(row, 3)?,
    })
}

fn rejection(row: &tokio_postgres::Row) -> Result<Row, StorageError> {
    let (client, client_seq) = (statements::client(row, 0)?, statements::number(row, 1)?);
    Ok(Row::Rejection { client, client_seq, error: row.try_get(2)? })
}

fn owner(row: &tokio_postgres::Row) -> Result<Row, StorageError> {
    Ok(Row::Owner { client: statements::client(row, 0)?, user: row.try_get(1)? })
}
