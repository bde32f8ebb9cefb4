//! The transcripts, through the façade in Rust.

#![allow(clippy::expect_used)]

use syncline_contract::transcript::{all, play};
use tokio::sync::Mutex;

/// The façade is the process's own: one transcript at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn every_transcript_is_what_the_facade_does() {
    let _alone = ALONE.lock().await;
    let mut failures = Vec::new();
    for (name, transcript) in all("transcripts") {
        if let Err(failure) = play(&transcript).await {
            failures.push(format!("{name} ({}): {failure}", transcript.title));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn a_wrong_transcript_fails_where_it_is_wrong() {
    let _alone = ALONE.lock().await;
    for (name, transcript) in all("transcripts/wrong") {
        let failure = play(&transcript).await.expect_err(&name);
        assert_eq!(Some(failure.step), transcript.fails_at, "{name}: {failure}");
    }
}
