//! Golden vectors of protocol v1: the messages as typed values, and the files that hold their encodings; and transcripts of
//! the façade, which every language replays.
//!
//! - [`messages`]: every message, by hand.
//! - [`frames`]: a short session, frame by frame.
//! - [`merges`]: histories of a document, and what comes of them.
//! - [`values`]: the documents, stamps and names that both use.
//! - [`vector`]: one message in all of its encodings.
//! - [`transcript`]: plays transcripts.
//! - [`golden`]: the files: compared, and written anew only when asked to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod frames;
pub mod golden;
pub mod merges;
pub mod messages;
pub mod transcript;
pub mod values;
pub mod vector;
