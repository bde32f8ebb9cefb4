//! Three real servers with one Postgres and one Redis.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fanout;
mod faults;
mod migration;
mod moving;
mod presence;
mod revocation;
mod tls;
mod webhooks;
