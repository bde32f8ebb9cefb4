//! Why Postgres did not do as it was asked.

use std::error::Error as _;

use deadpool_postgres::{HookError, PoolError};
use tokio_postgres::error::SqlState;

use crate::storage::StorageError;

/// Errors of the database. None of them holds a password: the driver keeps it out of its own.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    #[error("the database's URL is not valid: see its user, host, port, name and options")]
    Url,
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    #[error("the database's schema has version {found}, this server knows none above {known}")]
    SchemaNewer { found: i32, known: i32 },
    #[error(
        "postgres.partitions is {asked}, and the tables have {found}: that is decided when they are made"
    )]
    Partitions { asked: u16, found: i64 },
    #[error("postgres.partitions is {asked}, at most {max} are possible")]
    TooManyPartitions { asked: u16, max: u16 },
    /// May go by itself. What was asked for may have been done all the same.
    #[error("the database does not answer now: {0}")]
    Unavailable(String),
    #[error("the database lets this server not in: {0}")]
    Denied(String),
    #[error("the database refused a statement: {0}")]
    Failed(String),
}

impl From<PostgresError> for StorageError {
    fn from(error: PostgresError) -> Self {
        Self::Postgres(error)
    }
}

impl From<tokio_postgres::Error> for StorageError {
    fn from(error: tokio_postgres::Error) -> Self {
        PostgresError::from(error).into()
    }
}

impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        let reason = reason(&error);
        match error.code() {
            Some(code) => of_state(code, reason),
            None if error.is_closed() || is_of_the_network(&error) => Self::Unavailable(reason),
            None => Self::Failed(reason),
        }
    }
}

impl From<PoolError> for PostgresError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                // Whatever else keeps a connection from being made may go by itself.
                let reason = reason(&error);
                match error.code().map(|code| of_state(code, reason.clone())) {
                    Some(Self::Denied(reason)) => Self::Denied(reason),
                    _ => Self::Unavailable(reason),
                }
            }
            other => Self::Unavailable(other.to_string()),
        }
    }
}

fn of_state(code: &SqlState, reason: String) -> PostgresError {
    /// Connections, resources, the operator, the system.
    const PASSING_CLASSES: [&str; 4] = ["08", "53", "57", "58"];
    /// Authorization, no such database.
    const DENIED_CLASSES: [&str; 2] = ["28", "3D"];
    let passing = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::LOCK_NOT_AVAILABLE,
        // This server hung, and the database let the room go.
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        // A standby, until the pool has found the new primary.
        SqlState::READ_ONLY_SQL_TRANSACTION,
        // How the binding of a client that another server bound meanwhile ends; see `statements::BIND_OWNERS`.
        SqlState::NOT_NULL_VIOLATION,
    ];
    let class = code.code().get(..2).unwrap_or_default();
    if passing.contains(code) || PASSING_CLASSES.contains(&class) {
        PostgresError::Unavailable(reason)
    } else if DENIED_CLASSES.contains(&class) {
        PostgresError::Denied(reason)
    } else {
        PostgresError::Failed(reason)
    }
}

fn is_of_the_network(error: &tokio_postgres::Error) -> bool {
    error.source().is_some_and(|source| source.is::<std::io::Error>())
}

fn reason(error: &tokio_postgres::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
