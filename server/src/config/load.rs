//! Settings from a file, the environment and flags: flags win over the environment, that over the file, that over the
//! defaults. Generic over the settings' types: what [`Config`] has is a setting everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use ::config::{File, FileFormat, Map, Value, ValueKind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Config;

/// What the names of settings in the environment begin with.
const ENVIRONMENT_PREFIX: &str = "SYNCLINE_";

/// What stands in the environment where the file has a section's dot.
const ENVIRONMENT_SEPARATOR: &str = "__";

/// Names that the command line reads: the path of the file itself, and where the rooms are kept.
pub(super) const COMMAND_VARIABLES: [&str; 3] = ["SYNCLINE_CLUSTER", "SYNCLINE_CONFIG", "SYNCLINE_STORAGE"];

/// A setting's name and its value, as text.
type Assignment = (String, String);

/// Where settings come from.
#[derive(Clone, Default)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// All of the environment: names and values.
    pub environment: Vec<(String, String)>,
    /// Settings and values, such as `connection.ping_interval_ms` and `5000`; of two that are equal the last one counts.
    pub flags: Vec<(String, String)>,
}

/// What the command needs to know beside a [`Config`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessSettings {
    /// Whether to issue tokens to anybody who asks; on loopback only.
    pub dev: bool,
    /// The file with the secret that tokens are signed with (HS256), at least 32 bytes.
    pub jwt_secret_file: Option<PathBuf>,
    /// What to log, as `tracing` filter directives.
    pub log: String,
    /// How a line of the log is written.
    pub log_format: LogFormat,
}

impl Default for ProcessSettings {
    fn default() -> Self {
        Self { dev: false, jwt_secret_file: None, log: "info".to_owned(), log_format: LogFormat::Text }
    }
}

/// How a line of the log is written: for people, or as one JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

/// All settings, read.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// Its mode is not set yet: the secret is read later.
    pub config: Config,
    pub process: ProcessSettings,
    /// Names in the environment that begin as settings do and are none.
    pub ignored: Vec<String>,
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the settings in {path}: {source}")]
    File { path: PathBuf, source: Box<::config::ConfigError> },
    #[error("the setting `{key}`: {reason}")]
    Value { key: String, reason: String },
    #[error("there is no setting `{key}`")]
    UnknownKey { key: String },
    #[error("a setting is `name=value`, not `{text}`")]
    NotAnAssignment { text: String },
}

/// Reads all settings; one that does not exist is an error that names it. Only names in the environment that have no
/// section are passed over, because Kubernetes makes such names of a service's.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let (environment, ignored) = from_environment(&sources.environment)?;
    let mut builder = ::config::Config::builder();
    if let Some(path) = &sources.file {
        builder = builder.add_source(File::from(path.as_path()).format(FileFormat::Toml));
    }
    for (key, text) in environment.iter().chain(&sources.flags) {
        let unknown = |_| ConfigError::UnknownKey { key: key.clone() };
        builder = builder.set_override(key, value(text)).map_err(unknown)?;
    }
    let path = || sources.file.clone().unwrap_or_default();
    let merged = builder
        .build()
        .and_then(::config::Config::try_deserialize::<Map<String, Value>>)
        .map_err(|source| ConfigError::File { path: path(), source: Box::new(source) })?;
    let of_process = keys_of(&ProcessSettings::default());
    let (process, server): (Map<_, _>, Map<_, _>) =
        merged.into_iter().partition(|(key, _)| of_process.contains(key));
    let lease_is_set = match server.get("limits").map(|limits| &limits.kind) {
        Some(ValueKind::Table(limits)) => limits.contains_key("presence_lease_ms"),
        _ => false,
    };
    let process = typed(process)?;
    let mut config: Config = typed(server)?;
    if !lease_is_set {
        let connection = &config.connection;
        let lease_ms = connection.ping_interval_ms.saturating_mul(2);
        config.limits.presence_lease_ms = lease_ms.saturating_add(connection.ping_timeout_ms);
    }
    Ok(Loaded { config, process, ignored })
}

// Values may be secrets.
impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.flags.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Sources").field("file", &self.file).field("flags", &names).finish_non_exhaustive()
    }
}

impl Sources {
    /// Notes a setting as the flag `--set` has it: `name=value`.
    pub fn set(&mut self, text: &str) -> Result<(), ConfigError> {
        let (key, value) =
            text.split_once('=').ok_or_else(|| ConfigError::NotAnAssignment { text: text.to_owned() })?;
        self.flags.push((key.trim().to_owned(), value.trim().to_owned()));
        Ok(())
    }
}

/// The settings that the environment has, and the names that are none.
fn from_environment(environment: &[(String, String)]) -> Result<(Vec<Assignment>, Vec<String>), ConfigError> {
    let mut known = keys_of(&Config::default());
    known.extend(keys_of(&ProcessSettings::default()));
    let (mut settings, mut ignored) = (Vec::new(), Vec::new());
    for (name, value) in environment.iter().filter(|(name, _)| !COMMAND_VARIABLES.contains(&name.as_str())) {
        let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
        let key = rest.to_lowercase().replace(ENVIRONMENT_SEPARATOR, ".");
        let (section, has_section) =
            key.split_once('.').map_or((key.as_str(), false), |(first, _)| (first, true));
        if known.contains(section) {
            settings.push((key, value.clone()));
        } else if has_section {
            return Err(ConfigError::UnknownKey { key: format!("{key} ({name})") });
        } else {
            ignored.push(name.clone());
        }
    }
    // Sorted, so that what wins does not depend on the order of the environment.
    settings.sort();
    ignored.sort();
    Ok((settings, ignored))
}

/// A value as text has it. Lists and tables are written as in TOML; what is none is text, such as `[::]:4800`, and numbers
/// and booleans are told by the setting's type.
fn value(text: &str) -> Value {
    let may_be_toml = text.starts_with(['[', '{', '"']);
    let parsed = may_be_toml.then(|| {
        let document = format!("value = {text}");
        let file = File::from_str(&document, FileFormat::Toml);
        ::config::Config::builder().add_source(file).build().and_then(|parsed| parsed.get("value")).ok()
    });
    parsed.flatten().unwrap_or_else(|| Value::from(text))
}

/// The settings of a type out of a table, all of which must be settings.
fn typed<T: Serialize + DeserializeOwned>(table: Map<String, Value>) -> Result<T, ConfigError> {
    let given = Value::new(None, ValueKind::Table(table));
    let settings: T = serde_path_to_error::deserialize(given.clone()).map_err(|error| {
        let key = error.path().to_string();
        let reason = match error.into_inner() {
            ::config::ConfigError::At { error, .. } => error.to_string(),
            other => other.to_string(),
        };
        ConfigError::Value { key, reason }
    })?;
    match serde_json::to_value(&settings) {
        Ok(taken) => {
            unknown(&given, &taken, "").map_or(Ok(settings), |key| Err(ConfigError::UnknownKey { key }))
        }
        Err(error) => Err(ConfigError::Value { key: String::new(), reason: error.to_string() }),
    }
}

/// The first key that was given and not taken: types that also travel on the wire pass over what they do not know.
fn unknown(given: &Value, taken: &serde_json::Value, at: &str) -> Option<String> {
    let (ValueKind::Table(given), serde_json::Value::Object(taken)) = (&given.kind, taken) else {
        return None;
    };
    let given: BTreeMap<_, _> = given.iter().collect();
    given.into_iter().find_map(|(key, value)| {
        let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
        match taken.get(key) {
            Some(taken) => unknown(value, taken, &path),
            None => Some(path),
        }
    })
}

/// The names of a struct's fields as a file has them.
fn keys_of<T: Serialize>(settings: &T) -> BTreeSet<String> {
    match serde_json::to_value(settings) {
        Ok(serde_json::Value::Object(fields)) => fields.into_iter().map(|(key, _)| key).collect(),
        _ => BTreeSet::new(),
    }
}
