//! What a job is, in the journal and in memory: what the store keeps and the queue of the engine works on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use syncline_protocol::error::Retry;
use syncline_protocol::fnv::Fnv1a;
use url::Url;

use crate::argument::Argument;
use crate::error::{Code, Error};
use crate::transport::RequestError;

/// Names a job; never used twice by a client's journal.
pub type JobId = u64;

/// Jobs that one job may follow.
const AFTER_MAX: usize = 64;
/// The longest name of an event, a lane, a key or a method, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// The longest address, in bytes.
const URL_BYTES_MAX: usize = 8 << 10;
const HEADERS_MAX: usize = 64;

/// The longest code and message kept of an error, in bytes.
pub(crate) const CODE_BYTES_MAX: usize = 64;
const MESSAGE_BYTES_MAX: usize = 1024;

/// Headers that the client sets itself.
const RESERVED_HEADERS: [&str; 6] =
    ["host", "content-length", "connection", "transfer-encoding", "upgrade", "idempotency-key"];

/// How a job is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    Event,
    Request,
    Handler,
}

impl JobKind {
    pub const ALL: [Self; 3] = [Self::Event, Self::Request, Self::Handler];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Request => "request",
            Self::Handler => "handler",
        }
    }
}

/// What a job does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum JobWork {
    /// A Socket.IO event that the server acknowledges.
    Event {
        /// `/` when absent.
        #[serde(default)]
        #[cfg_attr(feature = "contract", ts(optional))]
        namespace: Option<String>,
        name: String,
        #[serde(default, with = "args")]
        #[cfg_attr(feature = "contract", ts(type = "unknown[]"))]
        args: Vec<Argument>,
    },
    /// An HTTP request.
    Request {
        method: String,
        /// Absolute, or a path on the server.
        url: String,
        #[serde(default)]
        #[cfg_attr(feature = "contract", ts(as = "Option<BTreeMap<String, String>>", optional))]
        headers: BTreeMap<String, String>,
        /// Bytes are sent as they are, anything else as JSON.
        #[serde(default, with = "optional_arg")]
        #[cfg_attr(feature = "contract", ts(optional, type = "unknown"))]
        body: Option<Argument>,
    },
    /// A function of the app, by the key that it is registered under.
    Handler {
        key: String,
        #[serde(default = "null", with = "arg")]
        #[cfg_attr(feature = "contract", ts(optional, type = "unknown"))]
        payload: Argument,
    },
}

fn null() -> Argument {
    Argument::Null
}

impl JobWork {
    pub fn kind(&self) -> JobKind {
        match self {
            Self::Event { .. } => JobKind::Event,
            Self::Request { .. } => JobKind::Request,
            Self::Handler { .. } => JobKind::Handler,
        }
    }

    /// The lane of a job that names none.
    pub fn default_lane(&self) -> String {
        let name = match self {
            Self::Event { name, .. } => name,
            // Without the query: what differs there concerns the same endpoint.
            Self::Request { url, .. } => url.split(['?', '#']).next().unwrap_or_default(),
            Self::Handler { key, .. } => key,
        };
        shortened(format!("{}:{name}", self.kind().as_str()))
    }

    /// What it takes in memory and, roughly, in the journal, in bytes.
    pub fn byte_len(&self) -> usize {
        match self {
            Self::Event { namespace, name, args } => {
                let args: usize = args.iter().map(Argument::byte_len).sum();
                namespace.as_ref().map_or(0, String::len) + name.len() + args
            }
            Self::Request { method, url, headers, body } => {
                let headers: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
                method.len() + url.len() + headers + body.as_ref().map_or(0, Argument::byte_len)
            }
            Self::Handler { key, payload } => key.len() + payload.byte_len(),
        }
    }

    /// Refuses what could never be sent.
    pub fn validate(&self) -> Result<(), Error> {
        match self {
            Self::Event { namespace, name, .. } => {
                check_name("the event's name", name)?;
                match namespace.as_deref() {
                    None | Some("/") => Ok(()),
                    Some(_) => Err(invalid("events are queued for the namespace / only")),
                }
            }
            Self::Request { method, url, headers, body } => {
                validate_request(method, url, headers, body.as_ref())
            }
            Self::Handler { key, .. } => check_name("the handler's key", key),
        }
    }
}

fn validate_request(
    method: &str,
    url: &str,
    headers: &BTreeMap<String, String>,
    body: Option<&Argument>,
) -> Result<(), Error> {
    check_name("the method", method)?;
    if !method.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(invalid("the method is not a word"));
    }
    if url.len() > URL_BYTES_MAX {
        return Err(invalid("the URL is too long"));
    }
    let parsed = match Url::parse(url) {
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            Url::parse("http://relative.invalid").and_then(|base| base.join(url))
        }
        parsed => parsed,
    };
    let parsed = parsed.map_err(|error| invalid(&RequestError::from(error).to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(invalid("the URL must be a path or begin with http or https"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(invalid("the URL holds credentials"));
    }
    if headers.len() > HEADERS_MAX {
        return Err(invalid("there are too many headers"));
    }
    for (name, value) in headers {
        let token = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if !token || !value.bytes().all(|byte| byte == b'\t' || (32..=126).contains(&byte)) {
            return Err(invalid("a header cannot be sent"));
        }
        if RESERVED_HEADERS.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
            return Err(invalid(&format!("the client sets the header {name}")));
        }
    }
    match body {
        Some(body) if !matches!(body, Argument::Bytes(_)) && body.has_bytes() => {
            Err(invalid("a body is bytes, or JSON without bytes in it"))
        }
        _ => Ok(()),
    }
}

/// A lane's name within its limit: what does not fit is told by its hash, so that nobody who queues must know the limit.
fn shortened(lane: String) -> String {
    /// A tilde and the hash.
    const HASH_BYTES: usize = 17;
    if lane.len() <= NAME_BYTES_MAX {
        return lane;
    }
    let kept = cut(&lane, NAME_BYTES_MAX - HASH_BYTES);
    let mut rest = Fnv1a::default();
    rest.write(&lane.as_bytes()[kept.len()..]);
    format!("{kept}~{:016x}", rest.hash())
}

fn check_name(what: &str, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(invalid(&format!("{what} has {} bytes, 1 to {NAME_BYTES_MAX} are allowed", name.len())));
    }
    Ok(())
}

fn invalid(message: &str) -> Error {
    Error::new(Code::Invalid, message)
}

/// What becomes of a lane when one of its jobs fails for good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum LanePolicy {
    /// The jobs behind it go on.
    #[default]
    Continue,
    /// They wait until the app has retried or dropped the dead letter.
    Hold,
    /// As `continue`, and an event is sent without waiting for the answers to those before it. They arrive in order; one
    /// that the server cannot take for now is sent again behind those that were already under way.
    Stream,
}

/// An accepted job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub id: JobId,
    pub work: JobWork,
    pub lane: String,
    /// What the app gave; without, the work itself tells duplicates.
    pub dedupe_key: Option<String>,
    /// Whether an equal job behind it is taken for the same while it is the last of its lane and waits.
    pub dedupe: bool,
    /// A UUID by which the backend recognizes a repetition.
    pub idempotency_key: String,
    /// The higher, the sooner, among the jobs at the head of their lanes.
    pub priority: i32,
    /// Jobs that must have succeeded first.
    pub after: Vec<JobId>,
    /// In milliseconds since the epoch; none for never.
    pub expires_at_ms: Option<u64>,
    pub attempts_max: u32,
    pub policy: LanePolicy,
    /// Whether its result stays until the app has acknowledged it.
    pub keep_outcome: bool,
    /// In milliseconds since the epoch.
    pub queued_at_ms: u64,
    /// Attempts used up.
    pub attempts: u32,
}

impl Job {
    pub fn kind(&self) -> JobKind {
        self.work.kind()
    }

    /// Whether it need not wait for the answers to those before it.
    pub fn streams(&self) -> bool {
        self.policy == LanePolicy::Stream && self.kind() == JobKind::Event
    }

    /// What it counts against the caps, in bytes.
    pub fn byte_len(&self) -> u64 {
        let names = self.lane.len() + self.dedupe_key.as_ref().map_or(0, String::len);
        (self.work.byte_len() + names + self.idempotency_key.len() + 8 * self.after.len() + 64) as u64
    }

    pub fn validate(&self) -> Result<(), Error> {
        self.work.validate()?;
        check_name("the lane", &self.lane)?;
        if let Some(key) = &self.dedupe_key {
            check_name("the dedupe key", key)?;
        }
        if self.after.len() > AFTER_MAX {
            return Err(invalid(&format!("a job follows at most {AFTER_MAX} others")));
        }
        if self.attempts_max == 0 {
            return Err(invalid("a job needs at least one attempt"));
        }
        Ok(())
    }
}

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Category {
    /// No answer came. Never uses up an attempt.
    Network,
    /// The server could not do it now.
    Server,
    /// Another token is needed. Never uses up an attempt.
    Auth,
    /// Something else was there first; tried again.
    Conflict,
    /// It will not be taken as it is, ever.
    Validation,
    Unknown,
}

impl Category {
    /// What helps after such a failure.
    pub fn retry(self) -> Retry {
        match self {
            Self::Network | Self::Server | Self::Conflict | Self::Unknown => Retry::Later,
            Self::Auth => Retry::AfterAuth,
            Self::Validation => Retry::Never,
        }
    }
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct JobError {
    pub category: Category,
    /// The server's or the handler's word for it, or one of [`Code`].
    pub code: String,
    pub message: String,
    /// Of an HTTP response.
    pub status: Option<u16>,
}

impl JobError {
    /// Codes and messages come from elsewhere: they are cut.
    pub fn new(category: Category, code: &str, message: &str) -> Self {
        Self {
            category,
            code: cut(code, CODE_BYTES_MAX).to_owned(),
            message: cut(message, MESSAGE_BYTES_MAX).to_owned(),
            status: None,
        }
    }

    pub fn byte_len(&self) -> usize {
        self.code.len() + self.message.len() + 16
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// Why a job was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum DeadReason {
    /// The server, or the handler, will not take it as it is.
    Refused,
    AttemptsSpent,
    /// Its time to live passed.
    Expired,
    /// A job that it was to follow failed, or was dropped.
    Dependency,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum JobEnd {
    /// What the server, or the handler, answered.
    Done(Vec<Argument>),
    Dead {
        reason: DeadReason,
        error: JobError,
    },
}

/// A job that ended, kept until the app has dealt with that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndedJob {
    pub job: Job,
    pub end: JobEnd,
    /// In milliseconds since the epoch.
    pub ended_at_ms: u64,
}

impl EndedJob {
    pub fn is_dead(&self) -> bool {
        matches!(self.end, JobEnd::Dead { .. })
    }

    /// Whether the lane waits for the app's decision about it.
    pub fn holds_lane(&self) -> bool {
        self.is_dead() && self.job.policy == LanePolicy::Hold
    }

    pub fn byte_len(&self) -> u64 {
        let end = match &self.end {
            JobEnd::Done(result) => result.iter().map(Argument::byte_len).sum(),
            JobEnd::Dead { error, .. } => error.byte_len(),
        };
        self.job.byte_len() + end as u64
    }
}

/// Arguments: in JSON text as [`portable`](crate::argument::portable), in the journal as they are.
pub(crate) mod args {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::argument::{Argument, portable};

    pub(crate) fn serialize<S: Serializer>(args: &[Argument], serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            portable::serialize(args, serializer)
        } else {
            args.serialize(serializer)
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Argument>, D::Error> {
        if deserializer.is_human_readable() {
            portable::deserialize(deserializer)
        } else {
            Vec::deserialize(deserializer)
        }
    }
}

/// One argument, in the same two forms.
pub(crate) mod arg {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::argument::Argument;

    pub(crate) fn serialize<S: Serializer>(arg: &Argument, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            crate::argument::portable::serialize_one(arg, serializer)
        } else {
            arg.serialize(serializer)
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Argument, D::Error> {
        if deserializer.is_human_readable() {
            crate::argument::portable::deserialize_one(deserializer)
        } else {
            Argument::deserialize(deserializer)
        }
    }
}

/// An argument that may be absent, in the same two forms; `null` counts as absent.
pub(crate) mod optional_arg {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::arg;
    use crate::argument::Argument;

    #[derive(Serialize, Deserialize)]
    struct Wrapped(#[serde(with = "arg")] Argument);

    #[allow(clippy::ref_option)]
    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Argument>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.clone().map(Wrapped).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Argument>, D::Error> {
        Ok(Option::<Wrapped>::deserialize(deserializer)?.map(|Wrapped(argument)| argument))
    }
}
