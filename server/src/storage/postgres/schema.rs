//! The tables, and how an older database gets them.
//!
//! Each table but that of the owners is keyed by the room first, so all of them can be partitioned by its hash.

use std::time::Duration;

use super::PostgresError;
use super::connections::{Connections, within};
use crate::storage::StorageError;

/// Each one brings a database one version further. Never changed once released; new ones are added at the end.
const MIGRATIONS: [&str; 1] = [include_str!("schema/1.sql")];

/// Two servers that start at once run the migrations one after the other.
const MIGRATION_LOCK: i64 = 0x0073_796e_636c_696e;

/// Brings the database to the version that this server knows, and refuses one that is further.
pub(super) async fn migrate(connections: &Connections, timeout: Duration) -> Result<(), StorageError> {
    let lease = connections.lease().await?;
    let client = lease.client()?;
    let run = async {
        // A statement waits for the lock for as long as all of this may take.
        client.batch_execute("BEGIN; SET LOCAL statement_timeout = 0").await?;
        client.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
        client
            .batch_execute(
                "CREATE TABLE IF NOT EXISTS syncline_schema (
                   version integer PRIMARY KEY,
                   applied_at timestamptz NOT NULL DEFAULT now()
                 )",
            )
            .await?;
        let row = client.query_one("SELECT coalesce(max(version), 0) FROM syncline_schema", &[]).await?;
        let found: i32 = row.try_get(0)?;
        let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
        if found > known {
            return Err(StorageError::from(PostgresError::SchemaNewer { found, known }));
        }
        for (version, migration) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
            client.batch_execute(migration).await?;
            client.execute("INSERT INTO syncline_schema (version) VALUES ($1)", &[&version]).await?;
            tracing::info!(version, "the database's schema was brought further");
        }
        client.batch_execute("COMMIT").await?;
        Ok(())
    };
    within(timeout, run).await?;
    lease.done();
    Ok(())
}
