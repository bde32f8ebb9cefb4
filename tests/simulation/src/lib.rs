//! The whole system in one thread and in virtual time: engines with their real journal, the server's real room
//! logic, and between them a disk and a network that do what a seed says.

pub mod app;
pub mod book;
pub mod device;
pub mod failure;
pub mod farm;
mod faults;
mod invariants;
mod ledger;
mod links;
pub mod network;
pub mod plan;
mod query;
pub mod random;
pub mod run;
pub mod server;
mod session;
pub mod storage;
pub mod store;
pub mod trace;
mod user;
mod world;
