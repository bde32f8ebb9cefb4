//! The Syncline reference server, as a library: [`Server::bind`] and [`Server::run`].
//!
//! - [`config`]: every setting.
//! - [`server`]: a server from start to stop.
//! - `http`: the routes beside Socket.IO.
//! - `gateway`: the Socket.IO end, its handshake.
//! - `inbox`: the requests of one socket, in order and bounded.
//! - `session`: one socket's requests and live events.
//! - [`rest`]: documents over HTTP.
//! - `server_client`: the client ids under which the server itself writes.
//! - `membership`: the rooms one connection is in.
//! - [`wire`]: how arguments and answers are encoded.
//! - [`auth`]: tokens and rights.
//! - `operate`: health, metrics and the admin page.
//! - [`hub`]: pure: what a room does with pushes and pulls.
//! - [`presence`]: pure: who is connected, and what they show.
//! - [`storage`]: where rooms are kept.
//! - [`webhooks`]: who is told of changes over HTTP.
//! - [`fanout`]: how what happens reaches the connections that care.
//! - [`error`]: why a server did not start.

pub mod auth;
pub mod config;
pub mod error;
pub mod fanout;
mod gateway;
mod http;
pub mod hub;
mod inbox;
mod membership;
mod operate;
pub mod presence;
pub mod rest;
pub mod server;
mod server_client;
mod session;
pub mod storage;
pub mod webhooks;
pub mod wire;

pub use config::{Config, Mode};
pub use error::ServerError;
pub use server::Server;
