//! Where rooms are kept.

mod ahead;
mod ahead_log;
pub mod backup;
mod codec;
mod location;
pub mod memory;
mod opening;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod sled;
mod sweep;
pub(crate) mod tables;
#[cfg(feature = "postgres")]
pub mod transfer;

pub use self::location::open;
pub use self::location::{DatabaseUrl, LocationError, StorageLocation};

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use syncline_protocol::message::{Page, Push, PushAnswer};
use syncline_protocol::{ClientId, Collection, Document, DocumentId, ErrorCode, Room, WireError};

use crate::hub::{Author, DocumentKey, LiveChanges, PageRequest};

/// Why a store failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("cannot open the data in {path}: {reason}")]
    Open { path: PathBuf, reason: String },
    #[error("the data in {path} is in use by another process")]
    InUse { path: PathBuf },
    #[error("a record in {tree} is damaged: {reason}")]
    Damaged { tree: &'static str, reason: String },
    #[error("cannot encode a record: {0}")]
    Encode(#[from] rmp_serde::encode::Error),
    #[error("the database failed: {0}")]
    Database(#[from] ::sled::Error),
    #[error("cannot write: {0}")]
    Io(#[from] std::io::Error),
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Postgres(postgres::PostgresError),
    #[cfg(not(feature = "postgres"))]
    #[error("this server was built without Postgres")]
    NotBuiltIn,
}

/// A store's answer, later.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, WireError>> + Send + 'a>>;

/// Told of every durable push, in the order of its room's log, before the push is answered.
pub type OnCommit = Arc<dyn Fn(LiveChanges) + Send + Sync>;

/// A store of rooms, shared by all connections. A failure is answered `unavailable`, or `internal` for a damaged
/// record.
pub trait Storage: Send + Sync + 'static {
    /// Applies a push: durable when it is answered.
    fn push(&self, push: Push, author: Author) -> Reply<'_, PushAnswer>;

    /// Reads a page; never sees what is not yet durable.
    fn page(&self, request: PageRequest) -> Reply<'_, Page>;

    /// Where the log of each room ends.
    fn heads(&self, rooms: Vec<Room>) -> Reply<'_, Vec<(Room, u64)>>;

    /// Whose client it is, once it has pushed.
    fn owner(&self, client: ClientId) -> Reply<'_, Option<String>>;

    /// Documents by their names, tombstones left out. Never sees what is not yet durable. Together they have at most
    /// `hub.transaction_bytes_max`, or are `too_large`.
    fn documents(&self, room: Room, keys: Vec<DocumentKey>) -> Reply<'_, Vec<Option<Document>>>;

    /// A part of a collection, in the order of ids.
    fn list(&self, request: ListRequest) -> Reply<'_, Listing>;

    /// The rooms after this one, in the order of their names, at most `limit`, and where the log of each ends.
    fn rooms(&self, after: Option<Room>, limit: usize) -> Reply<'_, Vec<(Room, u64)>>;
    /// Copies everything into a file without a name, for [`backup::restore`]. Every write that was answered before is in
    /// it, and each room as it was at one time.
    fn backup(&self) -> Reply<'_, std::fs::File> {
        Box::pin(async {
            Err(WireError::new(ErrorCode::Invalid, "this storage is backed up with its own tools"))
        })
    }

    /// Whether it still works.
    fn is_healthy(&self) -> bool;

    /// Finishes what was accepted and closes.
    fn close(&self) -> Reply<'_, ()>;
}

/// Which part of a collection to list.
#[derive(Debug, Clone)]
pub struct ListRequest {
    pub room: Room,
    pub collection: Collection,
    /// Begins after this one.
    pub after: Option<DocumentId>,
    /// Documents to look at, deleted ones included; `hub.page_scan_max`, `hub.page_scan_bytes_max` and `hub.page_bytes_max`
    /// apply as well.
    pub limit: usize,
}

/// A part of a collection.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Listing {
    /// Those that are not deleted.
    pub documents: Vec<Document>,
    pub looked_at: usize,
    /// The last one that was looked at, unless there is none after it.
    pub next: Option<DocumentId>,
}

impl StorageError {
    /// What a client is told; the reason goes to the log only.
    pub(crate) fn to_wire(&self) -> WireError {
        match self {
            Self::Damaged { .. } | Self::Encode(_) => {
                WireError::new(ErrorCode::Internal, "the server cannot read or write this")
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres::PostgresError::Failed(_)) => {
                WireError::new(ErrorCode::Internal, "the server's storage failed")
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => unavailable(),
            #[cfg(not(feature = "postgres"))]
            Self::NotBuiltIn => unavailable(),
            Self::Open { .. } | Self::InUse { .. } | Self::Database(_) | Self::Io(_) => unavailable(),
        }
    }

    /// Whether the same may succeed by itself a little later.
    #[cfg(feature = "postgres")]
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Postgres(postgres::PostgresError::Unavailable(_)))
    }
}

/// Documents that are too much to be read at once.
pub(crate) fn too_much() -> WireError {
    WireError::new(ErrorCode::TooLarge, "the documents are too large to be read at once")
}

pub(crate) fn unavailable() -> WireError {
    WireError::new(ErrorCode::Unavailable, "the server's storage does not answer")
}
