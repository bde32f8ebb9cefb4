//! The version of an app's data, and how data of an older version gets the shape of a newer one.
//!
//! An app declares it as data, because migrations also run where no JavaScript does. They run when the client is
//! opened, on everything that the device holds: writes on their way, refused ones, those in conflict, and the cache.
//!
//! `step` says what a step does to a document and to a write, `journal` what it does to the journal's entries, and
//! `open` carries it out on a store.

mod journal;
mod open;
mod step;

use serde::{Deserialize, Serialize};
use syncline_protocol::{Collection, Path, Value};

use crate::store::StoreError;

pub use open::bring_up_to_date;

/// The version of an app that declares none.
const VERSION_FIRST: u32 = 1;

/// The shape that the app's documents have, as a number, and how to come to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[cfg_attr(feature = "contract", ts(optional_fields))]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// From 1 on.
    pub version: u32,
    /// One for each version up to this one, without gaps; those to versions that no device has any more may be
    /// left out.
    #[serde(default)]
    #[cfg_attr(feature = "contract", ts(as = "Option<Vec<Migration>>"))]
    pub migrations: Vec<Migration>,
}

impl Default for Schema {
    fn default() -> Self {
        Self { version: VERSION_FIRST, migrations: Vec::new() }
    }
}

/// What leads from one version to the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct Migration {
    pub to: u32,
    /// In this order.
    pub steps: Vec<MigrationStep>,
}

/// One change of shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum MigrationStep {
    /// Gives a field another name within the same object. What already stands under the new name stays.
    RenameField {
        collection: Collection,
        from: Path,
        to: Path,
    },
    RemoveField {
        collection: Collection,
        path: Path,
    },
    /// Sets a field that is missing, where the object that it belongs to exists.
    SetDefault {
        collection: Collection,
        path: Path,
        value: Value,
    },
    /// What already stands in the collection with the new name stays.
    RenameCollection {
        from: Collection,
        to: Collection,
    },
    RemoveCollection {
        collection: Collection,
    },
}

/// Why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("a schema's version begins at {VERSION_FIRST}")]
    Version,
    #[error("the migrations must lead to one version after the other, up to {version}; {to} is out of order")]
    Order { to: u32, version: u32 },
    #[error("the data has schema version {found}, and no migration leads to {missing}")]
    Missing { found: u32, missing: u32 },
    #[error("in the migration to {to}, {reason}")]
    Step { to: u32, reason: String },
    #[error("the data has schema version {found}, this app's is {wanted}")]
    TooNew { found: u32, wanted: u32 },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Schema {
    /// Checks what can be told without any data.
    pub fn validate(&self) -> Result<(), SchemaError> {
        if self.version < VERSION_FIRST {
            return Err(SchemaError::Version);
        }
        // From the end: the last one leads to the version, the one before it to the one before.
        for (migration, version) in self.migrations.iter().rev().zip((0..=self.version).rev()) {
            if migration.to != version || version <= VERSION_FIRST {
                return Err(SchemaError::Order { to: migration.to, version: self.version });
            }
        }
        let steps = self
            .migrations
            .iter()
            .flat_map(|migration| migration.steps.iter().map(|step| (migration.to, step)));
        for (to, step) in steps {
            step.validate().map_err(|reason| SchemaError::Step { to, reason })?;
        }
        Ok(())
    }

    /// The migrations that data of version `found` lacks, in their order. The schema must be a valid one.
    pub fn path_from(&self, found: u32) -> Result<&[Migration], SchemaError> {
        if found > self.version {
            return Err(SchemaError::TooNew { found, wanted: self.version });
        }
        let needed = (self.version - found) as usize;
        match self.migrations.len().checked_sub(needed) {
            Some(first) => Ok(&self.migrations[first..]),
            None => Err(SchemaError::Missing { found, missing: found.saturating_add(1) }),
        }
    }
}

impl MigrationStep {
    fn validate(&self) -> Result<(), String> {
        match self {
            Self::RenameField { from, to, .. } => {
                let enclosing = |path: &Path| path.segments().split_last().map(|(_, rest)| rest.to_vec());
                if from == to {
                    return Err(format!("{from} is renamed to itself"));
                }
                if enclosing(from) != enclosing(to) {
                    return Err(format!("{from} and {to} are not within the same object"));
                }
            }
            Self::RenameCollection { from, to } if from == to => {
                return Err(format!("{from} is renamed to itself"));
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
