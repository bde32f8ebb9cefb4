//! The tables, and how an older database gets them.
//!
//! Each table but that of the owners is keyed by the room first, so all of them can be partitioned by its hash.

use std::fmt::Write as _;
use std::time::Duration;

use super::PostgresError;
use super::connections::{Connections, within};
use crate::config::PostgresConfig;
use crate::storage::StorageError;

/// Each one brings a database one version further. Its effect is never changed once released; new ones are added at the end.
const MIGRATIONS: [&str; 1] = [include_str!("schema/1.sql")];

/// Two servers that start at once run the migrations one after the other.
const MIGRATION_LOCK: i64 = 0x0073_796e_636c_696e;

/// The tables of rooms, and how full their pages are made, in percent: those whose rows every push updates have room for the
/// next version on the same page.
const TABLES: [(&str, u8); 4] = [
    ("syncline_rooms", 50),
    ("syncline_documents", 100),
    ("syncline_clients", 50),
    ("syncline_rejections", 100),
];

/// All are made in one transaction, whose locks Postgres has place for without settings of its own.
const PARTITIONS_MAX: u16 = 128;

const FIND_PARTITIONS: &str = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'syncline_rooms'::regclass";

/// Brings the database to the version that this server knows, and refuses one that is further.
pub(super) async fn migrate(connections: &Connections, config: &PostgresConfig) -> Result<(), StorageError> {
    let asked = config.partitions;
    if asked > PARTITIONS_MAX {
        return Err(PostgresError::TooManyPartitions { asked, max: PARTITIONS_MAX }.into());
    }
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
            client.batch_execute(&told(migration, asked)).await?;
            client.execute("INSERT INTO syncline_schema (version) VALUES ($1)", &[&version]).await?;
            tracing::info!(version, "the database's schema was brought further");
        }
        if found == 0 {
            client.batch_execute(&partitions(asked)).await?;
        }
        let found: i64 = client.query_one(FIND_PARTITIONS, &[]).await?.try_get(0)?;
        if found != i64::from(asked) {
            return Err(PostgresError::Partitions { asked, found }.into());
        }
        client.batch_execute("COMMIT").await?;
        Ok(())
    };
    within(Duration::from_millis(config.migration_timeout_ms), run).await?;
    lease.done();
    Ok(())
}

/// A migration that says how each table is kept.
fn told(migration: &str, partitions: u16) -> String {
    TABLES.iter().fold(migration.to_owned(), |migration, (table, fill)| {
        let kept = match partitions {
            0 => format!(" WITH (fillfactor = {fill})"),
            // Its pages are those of its parts.
            _ => " PARTITION BY HASH (room)".to_owned(),
        };
        migration.replace(&format!("{{{table}}}"), &kept)
    })
}

/// Makes the parts of all tables. A room is in the same part of each, so a part of all is rooms as a whole.
fn partitions(count: u16) -> String {
    let mut statements = String::new();
    for (table, fill) in TABLES {
        for part in 0..count {
            // Nothing fails that is written to a text.
            let _ = writeln!(
                statements,
                "CREATE TABLE {table}_{part} PARTITION OF {table}
                   FOR VALUES WITH (MODULUS {count}, REMAINDER {part}) WITH (fillfactor = {fill});"
            );
        }
    }
    statements
}
