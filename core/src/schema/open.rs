//! Brings a store to the app's schema.

use syncline_protocol::{Document, Room};

use super::journal::{migrate_document, migrate_journal};
use super::{Migration, Schema, SchemaError};
use crate::store::{Identity, Live, Record, Recovered, Retain, RoomState, Store, StoreError};

/// Runs the migrations that a store just opened lacks, and returns what the engine begins with. A store of which no
/// version is known counts as one of this version.
///
/// The journal comes first, the cache after it, and each knows its own version: a crash leaves either of them as it was
/// or as it shall be, and the next open does the rest.
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
    let recovered = bring_journal(schema, store, recovered)?;
    match bring_cache(schema, store) {
        // It starts empty, of this version; the engine hears of the loss from the store.
        Err(StoreError::CacheLost { .. }) => {}
        result => result?,
    }
    Ok(recovered)
}

fn bring_journal(
    schema: &Schema,
    store: &mut dyn Store,
    recovered: Recovered,
) -> Result<Recovered, SchemaError> {
    let found = recovered.identity.schema_version;
    let migrations = schema.path_from(found.unwrap_or(schema.version))?;
    if found == Some(schema.version) {
        return Ok(recovered);
    }
    let identity = Identity { schema_version: Some(schema.version), ..recovered.identity };
    if migrations.is_empty() {
        let noted = Recovered { identity, ..recovered };
        store.replace_journal(&Live { records: noted.records(), kept: noted.queued.numbers().collect() })?;
        return Ok(noted);
    }
    let refused_before = recovered.outcomes.len();
    let entries = store.entries(&recovered.queued)?;
    let (migrated, entries) = migrate_journal(migrations, Recovered { identity, ..recovered }, entries);
    let mut records = migrated.records();
    records.extend(entries.into_iter().map(|entry| Record::Queued(vec![entry])));
    store.replace_journal(&records.into())?;
    if let Some(found) = found {
        let emptied = migrated.outcomes.len() - refused_before;
        tracing::info!(found, version = schema.version, emptied, "the data was migrated");
    }
    Ok(migrated)
}

fn bring_cache(schema: &Schema, store: &mut dyn Store) -> Result<(), StoreError> {
    let found = store.cache_schema_version()?;
    if found == Some(schema.version) {
        return Ok(());
    }
    match schema.path_from(found.unwrap_or(schema.version)) {
        Ok(migrations) => store.rewrite_cache(Some(schema.version), &mut Migrated { migrations }),
        // Nothing leads from there to here, and the server has it all.
        Err(_) => store.rewrite_cache(Some(schema.version), &mut Nothing),
    }
}

/// Everything, after these migrations. The server's documents are another matter: each room is read again.
struct Migrated<'a> {
    migrations: &'a [Migration],
}

impl Retain for Migrated<'_> {
    fn room(&mut self, _: &Room, state: RoomState) -> Option<RoomState> {
        Some(RoomState { stale: state.stale || !self.migrations.is_empty(), ..state })
    }

    fn document(&mut self, document: Document) -> Option<Document> {
        migrate_document(self.migrations, document)
    }
}

struct Nothing;

impl Retain for Nothing {
    fn room(&mut self, _: &Room, _: RoomState) -> Option<RoomState> {
        None
    }

    fn document(&mut self, _: Document) -> Option<Document> {
        None
    }
}

#[cfg(test)]
#[path = "open_tests.rs"]
mod tests;
