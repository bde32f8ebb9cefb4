//! What becomes of a client's directory, its process, and the listener in it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cycles;
mod damage;
mod encryption;
mod job_kills;
mod kills;
mod listener;
mod ownership;
mod process;
