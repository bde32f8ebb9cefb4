//! What documents may become: the hook [`Validate`], and JSON Schemas per collection.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use jsonschema::Validator;
use serde::{Deserialize, Serialize};
use syncline_protocol::{Document, Room};

use crate::current::Current;

/// What a mutation would make of a document.
#[derive(Debug)]
pub struct Effect<'a> {
    pub room: &'a Room,
    /// Who writes.
    pub user: &'a str,
    /// The document before; none where there was none.
    pub before: Option<&'a Document>,
    /// The document as it would be. A deleted one keeps its fields.
    pub after: &'a Document,
}

/// Says whether documents may become what a mutation makes of them.
///
/// It is asked within the transaction of the push, with the effect as it would be: it must be quick, and must not wait for
/// anything. A mutation that it refuses is rejected as `invalid` with its message, alone: the others of the push go on. What
/// must ask somebody first belongs into [`Authorize`](crate::access::Authorize).
pub trait Validate: Send + Sync + 'static {
    /// Refuses with a message for the author, who may not be allowed to read the document.
    fn validate(&self, effect: &Effect<'_>) -> Result<(), String>;
}

/// All that a document must satisfy.
#[derive(Clone, Default)]
pub struct Validation(Vec<Arc<dyn Validate>>);

impl Validation {
    pub fn new(checks: impl IntoIterator<Item = Arc<dyn Validate>>) -> Self {
        Self(checks.into_iter().collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn validate(&self, effect: &Effect<'_>) -> Result<(), String> {
        self.0.iter().try_for_each(|check| check.validate(effect))
    }
}

impl fmt::Debug for Validation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Validation").field(&self.0.len()).finish()
    }
}

/// Where a collection's schema is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaSource {
    /// In a file, as JSON.
    File(PathBuf),
    /// Here.
    Inline(serde_json::Value),
}

/// Why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("cannot read the schema of `{collection}` from {path}: {reason}")]
    Unreadable { collection: String, path: PathBuf, reason: String },
    #[error("the schema of `{collection}` is none: {reason}")]
    NotASchema { collection: String, reason: String },
}

/// JSON Schemas for the fields of documents, by collection, compiled.
#[derive(Debug)]
pub struct Schemas(BTreeMap<String, Validator>);

impl Schemas {
    pub fn load(sources: &BTreeMap<String, SchemaSource>) -> Result<Self, SchemaError> {
        let compile = |(collection, source): (&String, &SchemaSource)| {
            let schema = source.read(collection)?;
            let validator = jsonschema::validator_for(&schema).map_err(|error| SchemaError::NotASchema {
                collection: collection.clone(),
                reason: error.to_string(),
            })?;
            Ok((collection.clone(), validator))
        };
        Ok(Self(sources.iter().map(compile).collect::<Result<_, _>>()?))
    }
}

impl SchemaSource {
    fn read(&self, collection: &str) -> Result<serde_json::Value, SchemaError> {
        let path = match self {
            Self::Inline(schema) => return Ok(schema.clone()),
            Self::File(path) => path,
        };
        let unreadable = |reason: String| SchemaError::Unreadable {
            collection: collection.to_owned(),
            path: path.clone(),
            reason,
        };
        let text = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
        serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))
    }
}

impl Validate for Schemas {
    fn validate(&self, Effect { after, .. }: &Effect<'_>) -> Result<(), String> {
        let Some(schema) = self.0.get(after.collection.as_str()) else { return Ok(()) };
        if after.deleted {
            return Ok(());
        }
        let fields = serde_json::to_value(&after.fields).map_err(|error| error.to_string())?;
        // The values stay out of it: others may have written them.
        schema.validate(&fields).map_err(|error| {
            let (place, reason) = (error.instance_path().to_string(), error.masked().to_string());
            let place = if place.is_empty() { "the document".to_owned() } else { place };
            format!("the schema of its collection does not allow this: {place}: {reason}")
        })
    }
}

impl Validate for Current<Schemas> {
    fn validate(&self, effect: &Effect<'_>) -> Result<(), String> {
        self.get().validate(effect)
    }
}
