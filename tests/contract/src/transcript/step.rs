//! The steps of a transcript.

use serde::Deserialize;
use serde_json::Value as Json;
use syncline_ffi::json::AppState;

use super::Service;

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Step {
    Token {
        token: String,
        rooms: Vec<String>,
        #[serde(rename = "ttlS")]
        ttl_s: Option<i64>,
        #[serde(rename = "as")]
        name: String,
    },
    Open {
        open: String,
        #[serde(flatten)]
        sent: Sent,
        #[serde(flatten)]
        outcome: Outcome,
    },
    Call {
        call: String,
        #[serde(flatten)]
        sent: Sent,
        #[serde(flatten)]
        outcome: Outcome,
    },
    Await {
        r#await: String,
        #[serde(flatten)]
        outcome: Outcome,
    },
    Events {
        events: String,
        are: Vec<Json>,
    },
    Until {
        until: String,
        event: Json,
    },
    Quiet {
        quiet: String,
        types: Vec<String>,
    },
    Host(HostCall),
    Stop {
        stop: Service,
    },
    Start {
        start: Service,
    },
}

/// What is handed over: JSON, or a text that need not be any.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sent {
    Config(Json),
    Command(Json),
    Text(String),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    Answer(Json),
    Error(ExpectedError),
    /// It comes later: a step `await` of this name expects it.
    Later(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedError {
    pub(super) code: String,
    pub(super) retry: String,
}

/// What the host tells every client of the process.
#[derive(Debug, Deserialize)]
#[serde(tag = "host", rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum HostCall {
    SetAppState { state: AppState },
    SetNetwork { available: bool, expensive: bool, kind: String },
    CloseAll,
}
