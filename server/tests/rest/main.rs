//! Documents over HTTP, against a server process on a real socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// `json!` literals read better without a borrow.
#![allow(clippy::needless_pass_by_value)]

mod aliases;
mod client;
mod documents;
mod keys;
mod limits;
mod lists;
mod pages;
#[path = "../e2e/support.rs"]
#[allow(dead_code)]
mod support;
mod webhooks;
