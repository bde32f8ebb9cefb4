//! The Syncline reference server, as a library: [`Server::bind`] and [`Server::run`].
//!
//! - [`config`]: every setting.
//! - [`server`]: a server from start to stop. `reload`: what changes without a restart.
//! - `http`: the routes beside Socket.IO.
//! - `door`: strangers: limits before anybody knows who it is, TLS, origins.
//! - `gateway`: the Socket.IO end, its handshake.
//! - `inbox`: the requests of one socket, in order and bounded.
//! - `session`: one socket's requests and live events.
//! - [`rest`]: documents over HTTP.
//! - `server_client`: the client ids under which the server itself writes.
//! - `membership`: the rooms one connection is in.
//! - [`wire`]: how arguments and answers are encoded.
//! - `operate`: health, metrics and the admin page.
//! - [`access`]: who may do what in which room.
//! - [`validate`]: what documents may become.
//! - [`auth`]: tokens, and the keys that they are signed with.
//! - [`hub`]: pure: what a room does with pushes and pulls.
//! - [`presence`]: pure: who is connected, and what they show.
//! - [`storage`]: where rooms are kept.
//! - [`webhooks`]: who is told of changes over HTTP.
//! - `cluster`: several nodes that serve the same rooms.
//! - `cut`: ending a transport. `current`: a value that is replaced while it is read.
//! - [`fanout`]: how what happens reaches the connections that care.
//! - [`traces`]: spans for OpenTelemetry.
//! - [`probe`]: asking a server whether it takes clients. `https`: the clients by which the command asks servers.
//! - [`error`]: why a server did not start.

pub mod access;
pub mod auth;
mod authorities;
mod cluster;
pub mod config;
mod current;
mod cut;
pub mod door;
pub mod error;
pub mod fanout;
mod gateway;
mod http;
mod https;
pub mod hub;
mod inbox;
mod membership;
mod operate;
pub mod presence;
pub mod probe;
mod reload;
pub mod rest;
pub mod server;
mod server_client;
mod session;
pub mod storage;
mod telling;
#[cfg(feature = "otlp")]
pub mod traces;
#[cfg(not(feature = "otlp"))]
#[path = "traces/none.rs"]
pub mod traces;
pub mod validate;
pub mod webhooks;
pub mod wire;

#[cfg(fuzzing)]
pub use cluster::fuzz_message;
pub use config::{Config, Hooks, Mode};
pub use error::ServerError;
pub use server::{Handle, Server};
