//! What a client told, until a step looks at it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value as Json;
use syncline_ffi::json::{EventSink, Parcel};
use tokio::sync::Notify;

use super::bytes::attached;

#[derive(Debug, Default)]
pub(super) struct Events {
    told: Mutex<Vec<Json>>,
    arrived: Notify,
}

/// The type of an event, or of an expected one.
pub(super) fn type_of(event: &Json) -> &str {
    event["type"].as_str().unwrap_or_default()
}

impl EventSink for Events {
    fn events(&self, _: u64, events: Parcel) {
        // A sink has nobody to tell of an array that is none: the step that waits for it fails.
        let Ok(Json::Array(events)) = attached(&events) else { return };
        self.told.lock().unwrap_or_else(PoisonError::into_inner).extend(events);
        self.arrived.notify_one();
    }
}

impl Events {
    /// The first that is of one of the types, if there is any.
    pub(super) fn take(&self, types: &[&str]) -> Option<Json> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let at = told.iter().position(|event| types.contains(&type_of(event)))?;
        Some(told.remove(at))
    }

    /// The next that is of one of the types.
    pub(super) async fn next(&self, types: &[&str], patience: Duration) -> Result<Json, String> {
        let next = async {
            loop {
                if let Some(event) = self.take(types) {
                    return event;
                }
                self.arrived.notified().await;
            }
        };
        tokio::time::timeout(patience, next)
            .await
            .map_err(|_| format!("no more events of the types {types:?}"))
    }
}
