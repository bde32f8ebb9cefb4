//! The whole system in one thread and in virtual time: engines with their real journal, the server's real room
//! logic, and between them a disk and a network that do what a seed says.

pub mod app;
mod backend;
pub mod book;
pub mod device;
mod errands;
pub mod failure;
pub mod farm;
mod faults;
mod invariants;
mod jobbook;
mod ledger;
mod links;
pub mod network;
pub mod plan;
mod query;
pub mod random;
mod requests;
pub mod run;
pub mod server;
mod session;
pub mod storage;
pub mod store;
pub mod trace;
mod user;
mod world;
