//! The engine against a scripted server, in scripted time. `bench` plays the driver and the wire.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod asked;
mod backpressure;
mod batching;
mod bench;
mod between_pages;
mod conflicts;
mod connection;
mod durability;
mod evicting;
mod faulty_store;
mod folding;
mod job_deaths;
mod job_expiry;
mod job_failures;
mod job_names;
mod jobs;
mod liveness;
mod presence;
mod priorities;
mod pushing;
mod refreshing;
mod resets;
mod rooms;
mod samples;
mod server_log;
mod session_properties;
mod socket;
mod spans;
mod streaming;
mod tokens;
mod triggers;
mod unreadable;
mod watching;
mod writes;
