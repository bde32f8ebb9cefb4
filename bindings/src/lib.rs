//! The only crate that knows UniFFI.
//!
//! - [`client`], [`types`], [`listener`], [`error`], [`cancel`]: the typed API for Swift, Kotlin and Python.
//! - [`json`]: the façade for JavaScript: commands and events as JSON text, so that a host carries strings and
//!   knows no domain name.
//! - `contract`: the TypeScript declarations of that façade.

pub mod cancel;
pub mod client;
#[cfg(feature = "contract")]
pub mod contract;
pub mod error;
pub mod json;
pub mod listener;
pub mod types;

uniffi::setup_scaffolding!();
