//! What an app says of its collections.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use syncline_protocol::Collection;

use crate::config::Settings;
use crate::engine::conflict::ConflictStrategy;
use crate::store::{Index, IndexError, Indexes};

/// What an app says of one collection. What it leaves out is as for every other collection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[cfg_attr(feature = "contract", ts(optional_fields))]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct CollectionOptions {
    /// Who decides when two clients write a document at once.
    pub conflict: Option<ConflictStrategy>,
    /// How long a write waits for others to be sent with; `pushDebounceMs` of the settings when absent.
    pub push_debounce_ms: Option<u64>,
    /// Whether consecutive edits of one document that wait to be sent become one; `true` when absent.
    pub coalesce: Option<bool>,
    /// By which fields documents can be found without visiting all of them; none when absent.
    #[cfg_attr(feature = "contract", ts(as = "Option<Vec<Index>>"))]
    pub indexes: Vec<Index>,
}

/// What holds for each collection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collections {
    /// Of every collection whose options name none.
    pub conflict: ConflictStrategy,
    pub options: BTreeMap<Collection, CollectionOptions>,
}

impl Collections {
    /// The same strategy for every collection.
    pub fn with_conflict(conflict: ConflictStrategy) -> Self {
        Self { conflict, ..Self::default() }
    }

    pub fn conflict(&self, collection: &Collection) -> ConflictStrategy {
        self.of(collection).and_then(|options| options.conflict).unwrap_or(self.conflict)
    }

    pub fn push_debounce_ms(&self, collection: &Collection, settings: &Settings) -> u64 {
        let own = self.of(collection).and_then(|options| options.push_debounce_ms);
        own.unwrap_or(settings.push_debounce_ms)
    }

    pub fn coalesces(&self, collection: &Collection) -> bool {
        self.of(collection).and_then(|options| options.coalesce).unwrap_or(true)
    }

    /// # Errors
    /// Why the indexes of a collection cannot be kept.
    pub fn indexes(&self) -> Result<Indexes, IndexError> {
        Indexes::new(self.options.iter().map(|(name, options)| (name.clone(), options.indexes.clone())))
    }

    fn of(&self, collection: &Collection) -> Option<&CollectionOptions> {
        self.options.get(collection)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_a_collection_leaves_out_is_as_for_every_other() {
        let options =
            r#"{"drafts": {"conflict": "manual"}, "notes": {"pushDebounceMs": 600, "coalesce": false}}"#;
        let options = serde_json::from_str(options).unwrap();
        let collections = Collections { conflict: ConflictStrategy::ServerWins, options };
        let settings = Settings::default();
        let of = |name| {
            let collection = Collection::new(name).unwrap();
            (
                collections.conflict(&collection),
                collections.push_debounce_ms(&collection, &settings),
                collections.coalesces(&collection),
            )
        };
        let default_ms = settings.push_debounce_ms;
        assert_eq!(of("drafts"), (ConflictStrategy::Manual, default_ms, true));
        assert_eq!(of("notes"), (ConflictStrategy::ServerWins, 600, false));
        assert_eq!(of("todos"), (ConflictStrategy::ServerWins, default_ms, true));
    }

    #[test]
    fn an_index_needs_fields() {
        let indexes_of = |options| {
            let options = serde_json::from_str(options).unwrap();
            Collections { options, ..Collections::default() }.indexes()
        };
        let indexes = indexes_of(r#"{"notes": {"indexes": [{"fields": ["done", "at.day"]}]}, "drafts": {}}"#);
        assert_eq!(indexes.unwrap().of(&Collection::new("notes").unwrap()).len(), 1);
        assert!(indexes_of(r#"{"notes": {"indexes": [{"fields": []}]}}"#).is_err());
    }

    #[test]
    fn an_option_that_does_not_exist_is_refused() {
        serde_json::from_str::<CollectionOptions>(r#"{"conflicts": "manual"}"#).unwrap_err();
    }
}
