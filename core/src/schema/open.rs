//! Brings a store to the app's schema.

use super::journal::migrate_journal;
use super::{Schema, SchemaError};
use crate::store::{Identity, Recovered, Store};

/// Runs the migrations that a store just opened lacks, and returns what the engine begins with. A store of which no
/// version is known counts as one of this version.
///
/// A crash leaves the journal as it was or as it shall be, and never a mix.
///
/// # Errors
/// `TooNew`, `Missing`, and those of [`Schema::validate`]: nothing was touched. `Store`: the store is as it was, and
/// opening it again goes on.
pub fn bring_up_to_date(
    schema: &Schema,
    store: &mut dyn Store,
    recovered: Recovered,
) -> Result<Recovered, SchemaError> {
    schema.validate()?;
    let found = recovered.identity.schema_version;
    let migrations = schema.path_from(found.unwrap_or(schema.version))?;
    if found == Some(schema.version) {
        return Ok(recovered);
    }
    let identity = Identity { schema_version: Some(schema.version), ..recovered.identity };
    let refused_before = recovered.outcomes.len();
    let migrated = migrate_journal(migrations, Recovered { identity, ..recovered });
    store.replace_journal(&migrated.records())?;
    if let Some(found) = found {
        let emptied = migrated.outcomes.len() - refused_before;
        tracing::info!(found, version = schema.version, emptied, "the data was migrated");
    }
    Ok(migrated)
}

#[cfg(test)]
#[path = "open_tests.rs"]
mod tests;
