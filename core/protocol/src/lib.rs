//! What both ends of the Syncline wire agree on: serde types and pure functions, no IO and no clock.
//!
//! - [`name`]: validated names of rooms, collections, documents and clients.
//! - [`field`]: the names of fields.
//! - [`value`]: the dynamic value a document's fields hold.
//! - [`patch`]: field operations, and the paths they act on.
//! - [`stamp`]: hybrid logical clock.
//! - [`version`]: version vectors.
//! - [`document`]: a document as the server confirmed it, and the room checksum.
//! - [`conflict`]: when two writes are in conflict, and in what.
//! - [`merge`]: the one rule by which a mutation changes a document, on both ends.
//! - [`message`]: every request, answer and event of protocol v1, and its compact encoding.
//! - [`messagepack`]: reads that encoding, and the readable one.
//! - [`presence`]: the state that a client shows in a room, some of which vanishes by itself.
//! - [`collation`]: the order of values. [`query`]: filters, orders and windows over documents.
//! - [`error`]: error codes on the wire.
//! - [`gather`]: filling ordered maps. [`limits`]: sizes both ends enforce.
//! - [`sabotage`]: deliberate bugs for the simulation to find; not compiled in otherwise.

pub mod collation;
pub mod conflict;
#[cfg(feature = "contract")]
mod contract;
pub mod document;
pub mod error;
pub mod field;
pub mod fnv;
pub mod gather;
pub mod limits;
pub mod measure;
pub mod merge;
pub mod message;
pub mod messagepack;
pub mod name;
pub mod patch;
pub mod presence;
pub mod query;
pub mod sabotage;
pub mod stamp;
pub mod value;
pub mod version;

pub use conflict::ConflictKind;
pub use document::{Checksum, Document, Stamps};
pub use error::{ErrorCode, WireError};
pub use field::FieldName;
pub use limits::Limits;
pub use message::{Mutation, Write};
pub use name::{ClientId, Collection, DocumentId, NameError, Room};
pub use patch::{Op, Patch, PatchError, Path};
pub use stamp::{HybridClock, HybridTime, Stamp};
pub use value::{Fields, Value};
pub use version::{Causality, VersionVector};
