//! Plays a transcript through the façade, as a host does: text and bytes in, text and bytes out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use syncline_ffi::json::{self as facade, Parcel};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::bytes::{attached, detached};
use super::events::{Events, type_of};
use super::matching::{Bindings, UNORDERED};
use super::services::Services;
use super::step::{ExpectedError, HostCall, Outcome, Sent, Step};
use super::{Failure, Service, Transcript};

/// Folders that a transcript may name as `$folder.NAME`.
const FOLDERS: [&str; 3] = ["a", "b", "c"];

/// How long a token is good, unless the transcript says otherwise.
const TOKEN_TTL_S: i64 = 3_600;

/// Plays a transcript to its end, or to the step that fails. Nothing else of the process may use the façade meanwhile.
///
/// # Errors
///
/// The step that failed.
pub async fn play(transcript: &Transcript) -> Result<(), Failure> {
    let folder = TempDir::new().map_err(|error| Failure { step: 0, reason: error.to_string() })?;
    let mut player = Player {
        patience: Duration::from_millis(transcript.patience_ms),
        folder,
        bindings: Bindings::default(),
        services: Services::default(),
        clients: BTreeMap::new(),
        later: BTreeMap::new(),
    };
    let result = player.run(transcript).await;
    facade::close_all().await;
    for service in [Service::Server, Service::Backend] {
        player.services.stop(service).await;
    }
    result
}

struct Client {
    number: u64,
    events: Arc<Events>,
}

struct Player {
    patience: Duration,
    folder: TempDir,
    bindings: Bindings,
    services: Services,
    clients: BTreeMap<String, Client>,
    later: BTreeMap<String, JoinHandle<Parcel>>,
}

type Played = Result<(), String>;

impl Player {
    async fn run(&mut self, transcript: &Transcript) -> Result<(), Failure> {
        for name in FOLDERS {
            let path = self.folder.path().join(name).to_string_lossy().into_owned();
            self.bindings.bind(&format!("folder.{name}"), path);
        }
        let at = |step: usize| move |reason: String| Failure { step, reason };
        for service in &transcript.needs {
            self.start(*service).await.map_err(at(0))?;
        }
        for (index, step) in transcript.steps.iter().enumerate() {
            self.step(step).await.map_err(at(index + 1))?;
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Played {
        match step {
            Step::Token { token, rooms, ttl_s, name } => {
                let rooms: Vec<&str> = rooms.iter().map(String::as_str).collect();
                let ttl_s = ttl_s.unwrap_or(TOKEN_TTL_S);
                self.bindings.bind(name, syncline_integration::token_for(token, &rooms, ttl_s));
                Ok(())
            }
            Step::Open { open, sent, outcome } => self.open(open, sent, outcome).await,
            Step::Call { call, sent, outcome } => {
                let (number, parcel) = (self.client(call)?.number, self.parcel(sent)?);
                let reply = facade::call(number, parcel);
                if let Outcome::Later(name) = outcome {
                    self.later.insert(name.clone(), tokio::spawn(reply));
                    return Ok(());
                }
                let reply = tokio::time::timeout(self.patience, reply).await;
                self.check(&reply.map_err(|_| "no answer".to_owned())?, outcome)
            }
            Step::Await { r#await: name, outcome } => {
                let reply = self.later.remove(name).ok_or("nothing is awaited under this name")?;
                let reply = tokio::time::timeout(self.patience, reply).await.map_err(|_| "no answer")?;
                self.check(&reply.map_err(|error| error.to_string())?, outcome)
            }
            Step::Events { events, are } => {
                let events = Arc::clone(&self.client(events)?.events);
                self.expect_events(&events, are).await
            }
            Step::Until { until, event } => {
                let events = Arc::clone(&self.client(until)?.events);
                let mut last = Json::Null;
                loop {
                    let next = events.next(&[type_of(event)], self.patience).await;
                    last = next.map_err(|reason| format!("{reason}; the last was {last}"))?;
                    if self.bindings.matches(event, &last) {
                        return Ok(());
                    }
                }
            }
            Step::Quiet { quiet, types } => {
                let types: Vec<&str> = types.iter().map(String::as_str).collect();
                self.client(quiet)?
                    .events
                    .take(&types)
                    .map_or(Ok(()), |event| Err(format!("there was {event}")))
            }
            Step::Host(call) => {
                tell_host(call).await;
                Ok(())
            }
            Step::Stop { stop } => {
                self.services.stop(*stop).await;
                Ok(())
            }
            Step::Start { start } => self.start(*start).await,
        }
    }

    async fn start(&mut self, service: Service) -> Played {
        self.services.start(service, &self.folder.path().join("server"), &mut self.bindings).await
    }

    fn client(&self, name: &str) -> Result<&Client, String> {
        self.clients.get(name).ok_or_else(|| format!("no client {name} was opened"))
    }

    fn parcel(&self, sent: &Sent) -> Result<Parcel, String> {
        match sent {
            Sent::Text(text) => Ok(text.clone().into()),
            Sent::Config(json) | Sent::Command(json) => Ok(detached(&self.bindings.fill(json)?)),
        }
    }

    async fn open(&mut self, name: &str, sent: &Sent, outcome: &Outcome) -> Played {
        let events = Arc::new(Events::default());
        let reply = facade::open(self.parcel(sent)?.text, Arc::clone(&events) as _).await.into();
        self.check(&reply, outcome)?;
        let envelope = attached(&reply).map_err(|error| error.to_string())?;
        if let Some(number) = envelope["ok"]["client"].as_u64() {
            self.clients.insert(name.to_owned(), Client { number, events });
        }
        Ok(())
    }

    /// Compares the reply envelope with what is expected.
    fn check(&mut self, reply: &Parcel, outcome: &Outcome) -> Played {
        let actual = attached(reply).map_err(|error| format!("{error}: {}", reply.text))?;
        let expected = match outcome {
            Outcome::Answer(answer) => json!({ "ok": answer }),
            Outcome::Error(ExpectedError { code, retry }) => json!({
                "error": { "code": code, "message": "$text", "retryable": retry != "never", "retry": retry },
            }),
            Outcome::Later(_) => return Err("an answer that comes now cannot come later".to_owned()),
        };
        if self.bindings.matches(&expected, &actual) {
            Ok(())
        } else {
            Err(format!("expected {expected}, was {actual}"))
        }
    }

    /// The next events of the types that are expected must be these, in this order; those of a group in any.
    async fn expect_events(&mut self, events: &Events, are: &[Json]) -> Played {
        let groups: Vec<Vec<&Json>> = are
            .iter()
            .map(|one| one[UNORDERED].as_array().map_or_else(|| vec![one], |group| group.iter().collect()))
            .collect();
        let types: Vec<&str> = groups.iter().flatten().map(|event| type_of(event)).collect();
        for mut group in groups {
            while !group.is_empty() {
                let actual = events.next(&types, self.patience).await?;
                if !self.bindings.take_fitting(&mut group, &actual) {
                    return Err(format!("expected {}, was {actual}", json!(group)));
                }
            }
        }
        Ok(())
    }
}

async fn tell_host(call: &HostCall) {
    match call {
        HostCall::SetAppState { state } => facade::set_app_state(*state),
        HostCall::SetNetwork { available, expensive, kind } => {
            facade::set_network(*available, *expensive, kind.clone());
        }
        HostCall::CloseAll => facade::close_all().await,
    }
}
