//! Carries the façade for JavaScript into Node: text and bytes in, text and bytes out. What they mean is known to
//! `syncline-ffi` and to TypeScript only.

// JavaScript's arguments come owned.
#![allow(clippy::needless_pass_by_value)]

use std::fmt;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::{Error, FnArgs, PromiseRaw, Result, Status, Uint8Array};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use syncline_ffi::json::{self, AppState, EventSink};

/// Batches of events that may wait for a busy JavaScript thread; the core waits when they are spent.
const EVENT_BATCHES_MAX: usize = 1024;

/// Batches of lines of the log that may wait for a busy JavaScript thread; beyond, they are lost.
const LOG_BATCHES_MAX: usize = 4096;

/// JSON text, and the bytes that it names as `{ $attachment: index }`.
#[napi(object)]
// JavaScript's arrays have no form for people.
#[allow(missing_debug_implementations)]
pub struct Parcel {
    pub text: String,
    pub attachments: Vec<Uint8Array>,
}

impl From<json::Parcel> for Parcel {
    fn from(parcel: json::Parcel) -> Self {
        Self { text: parcel.text, attachments: parcel.attachments.into_iter().map(Uint8Array::new).collect() }
    }
}

impl From<Parcel> for json::Parcel {
    /// Copies the bytes, which JavaScript may change at any time: only on its thread.
    fn from(parcel: Parcel) -> Self {
        Self {
            text: parcel.text,
            attachments: parcel.attachments.iter().map(|bytes| bytes.to_vec()).collect(),
        }
    }
}

/// `(client, events) => void`. Weak: listening alone does not keep the process alive.
type EventsCallback = ThreadsafeFunction<
    FnArgs<(i64, Parcel)>,
    (),
    FnArgs<(i64, Parcel)>,
    Status,
    false,
    true,
    EVENT_BATCHES_MAX,
>;

struct CallbackSink(EventsCallback);

impl fmt::Debug for CallbackSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallbackSink")
    }
}

impl EventSink for CallbackSink {
    fn events(&self, client: u64, events: json::Parcel) {
        let Ok(client) = i64::try_from(client) else { return };
        // Fails only while the JavaScript environment is closing: nobody is left to tell.
        self.0.call(FnArgs::from((client, events.into())), ThreadsafeFunctionCallMode::Blocking);
    }
}

/// Opens a client; resolves to the reply envelope. `on_events` gets the client's number and a JSON array.
#[napi(ts_args_type = "config: string, onEvents: (client: number, events: Parcel) => void")]
pub async fn open(config: String, on_events: EventsCallback) -> String {
    json::open(config, Arc::new(CallbackSink(on_events))).await
}

/// Sends one command to an open client; resolves to the reply envelope.
#[napi]
pub fn call(env: &Env, client: i64, command: Parcel) -> Result<PromiseRaw<'_, Parcel>> {
    let command = command.into();
    env.spawn_future(async move {
        let client = u64::try_from(client)
            .map_err(|_| Error::new(Status::InvalidArg, format!("client {client} is negative")))?;
        Ok(json::call(client, command).await.into())
    })
}

/// Tells every client of the process whether the app is seen: `active`, `inactive` or `background`.
#[napi(ts_args_type = "state: 'active' | 'inactive' | 'background'")]
pub fn set_app_state(state: String) -> Result<()> {
    json::set_app_state(match state.as_str() {
        "active" => AppState::Active,
        "inactive" => AppState::Inactive,
        "background" => AppState::Background,
        _ => return Err(Error::new(Status::InvalidArg, format!("unknown app state {state}"))),
    });
    Ok(())
}

/// Tells every client of the process about the network.
#[napi]
pub fn set_network(available: bool, expensive: bool, kind: String) {
    json::set_network(available, expensive, kind);
}

/// `(lines) => void`, weak as well.
type LogCallback =
    ThreadsafeFunction<FnArgs<(String,)>, (), FnArgs<(String,)>, Status, false, true, LOG_BATCHES_MAX>;

/// Sets where the log of the process goes, and from which level on; nothing ends it. `onLines` gets a JSON array.
/// Returns the reply envelope.
#[napi(ts_args_type = "level: string, onLines: ((lines: string) => void) | null")]
pub fn set_log_sink(level: String, on_lines: Option<LogCallback>) -> String {
    let sink = on_lines.map(|callback| {
        let sink: json::LogSink = Arc::new(move |lines| {
            // Fails while JavaScript has too many lines to take, or is going away.
            callback.call(FnArgs::from((lines,)), ThreadsafeFunctionCallMode::NonBlocking) == Status::Ok
        });
        sink
    });
    json::set_log_sink(&level, sink)
}

/// Closes every client of the process; resolves when their files are closed.
#[napi]
pub async fn close_all() {
    json::close_all().await;
}
