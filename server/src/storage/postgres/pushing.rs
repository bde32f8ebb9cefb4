//! The transaction of a group of pushes to one room: one round trip to read what they need with the room's row locked,
//! and one to write what they make of it.

use std::collections::HashSet;

use syncline_protocol::message::{Push, PushAnswer};
use syncline_protocol::{ErrorCode, Room, WireError};

use super::connections::{Connections, Lease};
use super::effects::Effects;
use super::snapshot::{ClientState, Snapshot};
use super::statements::{self, Parameter};
use super::{PostgresError, Settings};
use crate::hub::{self, Author, Head, LiveChanges, PushError};
use crate::storage::StorageError;
use crate::storage::codec::decode;

/// What became of a group.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Of the first pushes; the others were not tried.
    pub(super) answers: Vec<Result<PushAnswer, WireError>>,
    /// In the order of the log.
    pub(super) changes: Vec<LiveChanges>,
    pub(super) head: Head,
}

/// What is known of the tries that failed.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// One was asked to commit, so nobody knows whether it did.
    pub(super) may_have_committed: bool,
}

/// Makes the pushes, each seeing what those before it did, and commits.
pub(super) async fn push_group(
    connections: &Connections,
    settings: &Settings,
    room: &Room,
    pushes: &[(&Push, &Author)],
    now_ms: u64,
    progress: &mut Progress,
) -> Result<Made, StorageError> {
    let lease = connections.lease().await?;
    let bytes_max = settings.hub.transaction_bytes_max;
    let mut snapshot = connections.answer(read(&lease, room, pushes, bytes_max)).await?;
    let clients_before = snapshot.clients.clone();
    let mut effects = Effects::default();
    let mut made = Made::default();
    let mut written_bytes = 0;
    for (push, author) in pushes {
        let told = push.mutations.iter().take_while(|mutation| {
            !snapshot.unread.contains(&(mutation.collection.clone(), mutation.id.clone()))
        });
        let count = told.count();
        if count == 0 || written_bytes > bytes_max {
            break;
        }
        let is_cut = count < push.mutations.len();
        if is_cut && author.terms.is_some() {
            // All or nothing, so it gets a transaction of its own, or none.
            if made.answers.is_empty() {
                let message = "the documents of the batch are too large to be written at once";
                made.answers.push(Err(WireError::new(ErrorCode::TooLarge, message)));
            }
            break;
        }
        // It is tried again if the transaction fails.
        let push =
            Push { room: push.room.clone(), after: push.after, mutations: push.mutations[..count].to_vec() };
        match hub::push(&snapshot, push, author, now_ms, &settings.limits, &settings.hub) {
            Ok(mut pushed) => {
                if let Some(commit) = pushed.commit {
                    written_bytes +=
                        commit.documents.iter().map(|written| written.document.byte_len()).sum::<usize>();
                    snapshot.apply(&commit);
                    effects.add(commit);
                }
                made.changes.extend(pushed.changes);
                if is_cut && pushed.answer.error.is_none() {
                    pushed.answer.error = Some(hub::rest_later());
                }
                made.answers.push(Ok(pushed.answer));
            }
            Err(PushError::Refused(error)) => made.answers.push(Err(error)),
            Err(PushError::Store(not_read)) => {
                return Err(
                    PostgresError::Failed(format!("a push needs what was not read: {not_read:?}")).into()
                );
            }
        }
        if is_cut {
            break;
        }
    }
    made.head = snapshot.head;
    if effects.is_empty() {
        connections.answer(lease.client()?.batch_execute("ROLLBACK")).await?;
    } else {
        let kept_max = settings.rejections_kept_max;
        let writes = effects.writes(snapshot.head, &clients_before, kept_max)?;
        let committed = connections.answer(writes.commit(&lease, room)).await;
        progress.may_have_committed |= committed.is_err();
        committed?;
    }
    lease.done();
    Ok(made)
}

/// Opens the transaction, locks the room's row, and reads what the pushes need. All is asked for at once: each
/// statement sees what was committed before it began, which is after the lock.
async fn read(
    lease: &Lease,
    room: &Room,
    pushes: &[(&Push, &Author)],
    bytes_max: usize,
) -> Result<Snapshot, StorageError> {
    let client = lease.client()?;
    let add_room = client.prepare_cached(statements::ADD_ROOM).await?;
    let lock_room = client.prepare_cached(statements::LOCK_ROOM).await?;
    let owners = client.prepare_cached(statements::OWNERS).await?;
    let clients = client.prepare_cached(statements::CLIENTS).await?;
    let rejections = client.prepare_cached(statements::REJECTIONS).await?;
    let documents = client.prepare_cached(statements::DOCUMENTS).await?;

    let room = room.as_str();
    let authors: HashSet<_> = pushes.iter().map(|(_, author)| statements::uuid(author.client)).collect();
    let authors: Vec<_> = authors.into_iter().collect();
    let mut numbered = (Vec::new(), Vec::new());
    let mut keys = HashSet::new();
    let mut named = (Vec::new(), Vec::new());
    for (push, author) in pushes {
        for mutation in &push.mutations {
            numbered.0.push(statements::uuid(author.client));
            numbered.1.push(statements::to_bigint(mutation.client_seq)?);
            if keys.insert((&mutation.collection, &mutation.id)) {
                named.0.push(mutation.collection.as_str());
                named.1.push(mutation.id.as_str());
            }
        }
    }
    let bytes_max = i64::try_from(bytes_max.max(1)).unwrap_or(i64::MAX);
    let of_room: [Parameter<'_>; 2] = [&room, &authors];
    let numbered: [Parameter<'_>; 3] = [&room, &numbered.0, &numbered.1];
    let named: [Parameter<'_>; 4] = [&room, &named.0, &named.1, &bytes_max];

    let (_, _, head, owners, clients, rejections, documents) = tokio::try_join!(
        biased;
        client.batch_execute(statements::BEGIN_PUSH),
        client.execute(&add_room, &of_room[..1]),
        client.query_one(&lock_room, &of_room[..1]),
        client.query(&owners, &of_room[1..]),
        client.query(&clients, &of_room),
        client.query(&rejections, &numbered),
        client.query(&documents, &named),
    )?;

    let mut snapshot = Snapshot { head: statements::head(&head)?, ..Snapshot::default() };
    for row in owners {
        snapshot.owners.insert(statements::client(&row, 0)?, row.try_get(1)?);
    }
    for row in clients {
        let state = ClientState {
            last_client_seq: statements::number(&row, 1)?,
            rejections: statements::number(&row, 2)?,
            rejections_dropped_through: statements::number(&row, 3)?,
        };
        snapshot.clients.insert(statements::client(&row, 0)?, state);
    }
    for row in rejections {
        let key = (statements::client(&row, 0)?, statements::number(&row, 1)?);
        snapshot.rejections.insert(key, decode("rejections", row.try_get(2)?)?);
    }
    for row in documents {
        let key = statements::key(&row, 0)?;
        match statements::document(&row, 2)? {
            Some(document) => {
                snapshot.documents.insert(key, document);
            }
            None => {
                snapshot.unread.insert(key);
            }
        }
    }
    Ok(snapshot)
}
