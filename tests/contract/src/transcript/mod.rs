//! Transcripts of the façade: what they are ([`step`]), and how they are played. The format is told in
//! `tests/contract/README.md`; every language has a player of its own.

mod bytes;
mod events;
mod matching;
mod player;
mod services;
mod step;

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

pub use player::play;
use step::Step;

/// One scenario.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transcript {
    pub title: String,
    /// What it talks to.
    #[serde(default)]
    needs: Vec<Service>,
    /// How long a step waits before it fails.
    #[serde(rename = "patienceMs", default = "patience_ms")]
    patience_ms: u64,
    /// Of a transcript that is wrong on purpose: the step, from 1, at which it must fail.
    #[serde(rename = "failsAt")]
    pub fails_at: Option<usize>,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Service {
    Server,
    Backend,
}

fn patience_ms() -> u64 {
    20_000
}

/// Where a transcript failed, from 1, and why.
#[derive(Debug, thiserror::Error)]
#[error("step {step}: {reason}")]
pub struct Failure {
    pub step: usize,
    pub reason: String,
}

/// The transcripts of a folder of `tests/contract`, with their files' names, in order.
///
/// # Panics
///
/// If one cannot be read, or there is none.
pub fn all(folder: &str) -> Vec<(String, Transcript)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files =
        fs::read_dir(&folder).expect("the folder is there").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|it| it == "json")).collect();
    files.sort();
    assert!(!files.is_empty(), "there are no transcripts in {}", folder.display());
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a readable file");
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let transcript = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, transcript)
    };
    files.into_iter().map(read).collect()
}
