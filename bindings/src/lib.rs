//! The only crate that knows UniFFI.
//!
//! - [`client`], [`socket`], [`types`], [`listener`], [`logging`], [`error`], [`cancel`], [`trust`]: the typed API for
//!   Swift, Kotlin and Python.
//! - [`jobs`]: jobs in the typed API.
//! - [`parcel`]: how JSON with bytes in it crosses, in both.
//! - [`json`]: the façade for JavaScript: commands and events as JSON text, so that a host carries strings and
//!   knows no domain name.
//! - [`device`]: what the façade wants of the device: secrets kept, and to be woken up. [`background`]: what it does then,
//!   without JavaScript. [`rest`]: whether the clients need time in the background.
//! - `contract`: the TypeScript declarations of that façade.

pub mod background;
pub mod cancel;
pub mod client;
#[cfg(feature = "contract")]
pub mod contract;
pub mod device;
pub mod error;
pub mod jobs;
pub mod json;
pub mod listener;
pub mod logging;
pub mod parcel;
pub mod progress;
pub mod rest;
pub mod socket;
pub mod trust;
pub mod types;

// Dependencies of others, named for how they are built: see the manifests.
use idna_adapter as _;
use log as _;

uniffi::setup_scaffolding!();
