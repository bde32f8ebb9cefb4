//! What a group of pushes writes.

use std::collections::{BTreeMap, HashMap};

use deadpool_postgres::ClientWrapper;
use syncline_protocol::{ClientId, Room, WireError};
use tokio_postgres::Statement;

use super::connections::Lease;
use super::snapshot::ClientState;
use super::statements::{self, Parameter, to_bigint, uuid};
use crate::hub::{Commit, DocumentKey, Head, SharedDocument};
use crate::storage::StorageError;
use crate::storage::codec::encode;

/// What the pushes of a group add up to.
#[derive(Debug, Default)]
pub(super) struct Effects {
    owners: BTreeMap<ClientId, String>,
    documents: HashMap<DocumentKey, (u64, SharedDocument)>,
    /// The last number of each client, and how many rejections are new.
    clients: BTreeMap<ClientId, (u64, u64)>,
    rejections: Vec<(ClientId, u64, WireError)>,
}

impl Effects {
    pub(super) fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    pub(super) fn add(&mut self, commit: Commit) {
        let Commit { client, committed_at_ms, .. } = commit;
        self.owners.extend(commit.owner.map(|owner| (client, owner)));
        for written in commit.documents {
            let document = written.document;
            let key = (document.collection.clone(), document.id.clone());
            self.documents.insert(key, (committed_at_ms, document));
        }
        let state = self.clients.entry(client).or_default();
        state.0 = commit.last_client_seq;
        state.1 += commit.rejections.len() as u64;
        self.rejections
            .extend(commit.rejections.into_iter().map(|(client_seq, error)| (client, client_seq, error)));
    }

    pub(super) fn writes(
        &self,
        head: Head,
        clients_before: &HashMap<ClientId, ClientState>,
        rejections_kept_max: usize,
    ) -> Result<Writes, StorageError> {
        let mut writes = Writes {
            head: [to_bigint(head.seq)?, to_bigint(head.floor)?, to_bigint(head.tombstones)?],
            checksum: head.checksum.to_string(),
            ..Writes::default()
        };
        for (client, owner) in &self.owners {
            writes.owners.0.push(uuid(*client));
            writes.owners.1.push(owner.clone());
        }
        for ((collection, id), (committed_at_ms, document)) in &self.documents {
            writes.documents.collections.push(collection.as_str().to_owned());
            writes.documents.ids.push(id.as_str().to_owned());
            writes.documents.seqs.push(to_bigint(document.seq)?);
            writes
                .documents
                .deleted_at_ms
                .push(document.deleted.then(|| to_bigint(*committed_at_ms)).transpose()?);
            writes.documents.bodies.push(encode(document)?);
        }
        for (client, (last_client_seq, rejections)) in &self.clients {
            writes.clients.0.push(uuid(*client));
            writes.clients.1.push(to_bigint(*last_client_seq)?);
            writes.clients.2.push(to_bigint(*rejections)?);
            let before = clients_before.get(client).map_or(0, |before| before.rejections);
            let surplus = (before + rejections).saturating_sub(rejections_kept_max as u64);
            if surplus > 0 {
                writes.surplus.0.push(uuid(*client));
                writes.surplus.1.push(to_bigint(surplus)?);
            }
        }
        for (client, client_seq, error) in &self.rejections {
            writes.rejections.0.push(uuid(*client));
            writes.rejections.1.push(to_bigint(*client_seq)?);
            writes.rejections.2.push(encode(error)?);
        }
        Ok(writes)
    }
}

/// Documents, column by column.
#[derive(Debug, Default)]
struct Documents {
    collections: Vec<String>,
    ids: Vec<String>,
    seqs: Vec<i64>,
    deleted_at_ms: Vec<Option<i64>>,
    bodies: Vec<Vec<u8>>,
}

/// [`Effects`] as the database takes them: column by column.
#[derive(Debug, Default)]
pub(super) struct Writes {
    /// The last number, the floor, how many tombstones.
    head: [i64; 3],
    checksum: String,
    owners: (Vec<uuid::Uuid>, Vec<String>),
    documents: Documents,
    clients: (Vec<uuid::Uuid>, Vec<i64>, Vec<i64>),
    rejections: (Vec<uuid::Uuid>, Vec<i64>, Vec<Vec<u8>>),
    surplus: (Vec<uuid::Uuid>, Vec<i64>),
}

impl Writes {
    /// Writes everything and commits; after a statement that failed, the commit takes all back.
    pub(super) async fn commit(&self, lease: &Lease, room: &Room) -> Result<(), StorageError> {
        let client = lease.client()?;
        let room = room.as_str();
        let Self {
            head: [seq, floor, tombstones],
            checksum,
            owners,
            documents,
            clients,
            rejections,
            surplus,
        } = self;
        let head: [Parameter<'_>; 5] = [&room, seq, checksum, floor, tombstones];
        let writes = [
            prepared(client, statements::BIND_OWNERS, owners.0.len(), vec![&owners.0, &owners.1]).await?,
            prepared(
                client,
                statements::WRITE_DOCUMENTS,
                documents.ids.len(),
                vec![
                    &room,
                    &documents.collections,
                    &documents.ids,
                    &documents.seqs,
                    &documents.deleted_at_ms,
                    &documents.bodies,
                ],
            )
            .await?,
            prepared(
                client,
                statements::WRITE_CLIENTS,
                clients.0.len(),
                vec![&room, &clients.0, &clients.1, &clients.2],
            )
            .await?,
            prepared(
                client,
                statements::WRITE_REJECTIONS,
                rejections.0.len(),
                vec![&room, &rejections.0, &rejections.1, &rejections.2],
            )
            .await?,
            prepared(
                client,
                statements::DROP_REJECTIONS,
                surplus.0.len(),
                vec![&room, &surplus.0, &surplus.1],
            )
            .await?,
        ];
        let write_head = client.prepare_cached(statements::WRITE_HEAD).await?;
        let [owners, documents, clients, rejections, surplus] = &writes;
        tokio::try_join!(
            biased;
            client.execute(&write_head, &head),
            execute(client, owners),
            execute(client, documents),
            execute(client, clients),
            execute(client, rejections),
            execute(client, surplus),
            client.batch_execute(statements::COMMIT),
        )?;
        Ok(())
    }
}

/// A statement and what it is said with.
type Prepared<'a> = (Statement, Vec<Parameter<'a>>);

/// A statement about so many rows, unless they are none.
async fn prepared<'a>(
    client: &ClientWrapper,
    statement: &'static str,
    rows: usize,
    parameters: Vec<Parameter<'a>>,
) -> Result<Option<Prepared<'a>>, tokio_postgres::Error> {
    if rows == 0 {
        return Ok(None);
    }
    Ok(Some((client.prepare_cached(statement).await?, parameters)))
}

async fn execute(
    client: &ClientWrapper,
    prepared: &Option<Prepared<'_>>,
) -> Result<u64, tokio_postgres::Error> {
    match prepared {
        Some((statement, parameters)) => client.execute(statement, parameters).await,
        None => Ok(0),
    }
}
