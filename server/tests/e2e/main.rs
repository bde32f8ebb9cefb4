//! The server over a real socket, spoken to by the npm package `socket.io-client`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// `json!` literals read better without a borrow.
#![allow(clippy::needless_pass_by_value)]

mod access;
mod compaction;
mod deploy;
mod development;
mod door;
mod durability;
mod keys;
mod load;
mod operations;
#[cfg(feature = "postgres")]
mod postgres;
mod presence;
mod reload;
mod revocation;
mod rights;
#[cfg(feature = "postgres")]
#[path = "../storage/schema.rs"]
mod schema;
mod schemas;
mod support;
mod sync;
mod tls;
mod traces;
