//! The Syncline client.

pub mod store;
