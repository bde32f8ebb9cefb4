//! Syncline, the client: offline-first, real-time sync.
//!
//! ```text
//! client  ->  driver  ->  engine  ->  syncline-protocol
//!                |           |
//!                |         store (trait)
//!                +-> store (journal, cache), transport (WebSocket)
//! ```
//!
//! - [`client`]: the handle an app holds: commands in, events out.
//! - [`config`]: every setting. [`collections`]: what an app says of its collections.
//! - [`error`]: the one public error. [`metrics`]: counters and latencies.
//! - [`driver`]: the one loop that owns the clock, the socket, the timer and the disk.
//! - [`engine`]: everything that is decided, as a pure state machine.
//! - [`store`]: what survives a restart: the journal and the cache.
//! - [`job`]: what a job is: the store keeps it, the engine's queue carries it out.
//! - [`argument`]: what events and jobs carry: JSON with bytes anywhere in it. [`attachments`]: bytes beside JSON text.
//! - [`secret`]: text that nothing prints. [`logging`]: where the log goes.
//! - `numbered`: a map by numbers that mostly follow each other.
//! - [`schema`]: how what an older version of the app left there gets the shape of the newer one.
//! - `clock`: the clock that goes on while the device sleeps.
//! - `http_date`: dates in HTTP headers.
//! - `tagged`: JSON whose member `type` tells what it is.
//! - [`transport`]: how bytes travel. Engine.IO and Socket.IO as pure codecs, and the WebSocket under them.

pub mod argument;
pub mod attachments;
mod boxed_map;
pub mod client;
mod clock;
pub mod collections;
pub mod config;
pub mod driver;
pub mod engine;
pub mod error;
mod http_date;
pub mod job;
pub mod logging;
pub mod metrics;
mod numbered;
pub mod schema;
pub mod secret;
pub mod store;
mod tagged;
mod threads;
pub mod transport;

pub use argument::Argument;
pub use client::{Client, ClientConfig, EventSink, StoreKind};
pub use collections::{CollectionOptions, Collections};
pub use config::Settings;
pub use engine::conflict::ConflictStrategy;
pub use engine::io::{Command, Event, Reply};
pub use engine::queue::command::{JobCommand, JobEvent, JobReply, NewJob};
pub use error::{Code, Error, ErrorBody};
pub use job::JobWork;
pub use schema::Schema;
pub use secret::Secret;
