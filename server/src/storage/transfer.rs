//! Rooms that move into Postgres: from the embedded database, or from a backup of it.

use std::path::Path;

use tokio::sync::mpsc;

use super::backup::{self, BackupError, Contents, Summary};
use super::postgres::Import;
use super::tables::{Record, Walk, moved_on};
use super::{DatabaseUrl, StorageLocation};
use crate::auth::revocation;
use crate::config::{PostgresConfig, StorageConfig};

/// What is read of the embedded database at a time, in bytes.
const STEP_BYTES: usize = 256 << 10;
/// Parts that were read and are not yet written.
const PARTS_WAITING_MAX: usize = 4;

/// Where parts of a copy are handed over. An error when nobody takes them any more.
type Parts = mpsc::Sender<Vec<Record>>;

/// Moves all rooms of a folder that no server uses into a database that has none: all, or nothing. Clients go on with it
/// where they were. The folder stays as it is.
pub async fn migrate(
    from: &Path,
    storage: &StorageConfig,
    postgres: &PostgresConfig,
) -> Result<Summary, BackupError> {
    let (folder, config) = (from.to_owned(), storage.clone());
    let read = move |parts: &Parts| {
        let mut rooms = backup::open_data(&folder, &config)?;
        let tables = rooms.with_all()?;
        let mut walk = Walk::default();
        let mut summary = Summary { records: 0, bytes: 0 };
        while let Some(records) = walk.step(tables, STEP_BYTES)? {
            summary.records += records.len() as u64;
            summary.bytes += records.iter().map(|record| record.byte_len() as u64).sum::<u64>();
            if parts.blocking_send(records).is_err() {
                break;
            }
        }
        Ok(summary)
    };
    transfer(&storage.location, postgres, |head| head, read).await
}

/// Puts a backup into a database without rooms; as with [`backup::restore`], every client reads its rooms anew. What it holds
/// of revoked tokens is kept in a folder of data.
pub async fn restore(
    from: &Path,
    folder: &Path,
    storage: &StorageConfig,
    postgres: &PostgresConfig,
) -> Result<Summary, BackupError> {
    let (file, folder) = (from.to_owned(), folder.to_owned());
    let read = move |parts: &Parts| {
        let Contents { summary, revocations } = backup::read(&file, |records| {
            // When nobody takes it, whoever should have tells why.
            parts.blocking_send(records).map_err(|_| BackupError::ReaderFailed)
        })?;
        revocation::keep_in(&folder, &revocations)
            .map_err(|source| BackupError::Io { path: folder, source })?;
        Ok(summary)
    };
    transfer(&storage.location, postgres, moved_on, read).await
}

async fn transfer(
    to: &StorageLocation,
    postgres: &PostgresConfig,
    head_of: fn(crate::hub::Head) -> crate::hub::Head,
    read: impl FnOnce(&Parts) -> Result<Summary, BackupError> + Send + 'static,
) -> Result<Summary, BackupError> {
    let url: &DatabaseUrl = match to {
        StorageLocation::Postgres(url) => url,
        StorageLocation::Sled => return Err(BackupError::NotToPostgres),
    };
    let mut import = Import::begin(url, postgres, head_of).await?;
    let (parts, mut read_parts) = mpsc::channel(PARTS_WAITING_MAX);
    let reading = tokio::task::spawn_blocking(move || read(&parts));
    while let Some(records) = read_parts.recv().await {
        import.take(records).await?;
    }
    // Nothing counts that was not read to its end.
    let summary = reading.await.map_err(|_| BackupError::ReaderFailed)??;
    import.finish().await?;
    Ok(summary)
}
