//! How the database is opened, and copied into a fresh folder.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::{HEADROOM_BYTES, LOSSES_MAX, SledCache};
use crate::store::database::{Database, Failure, guarded};
use crate::store::envelope::unseal;
use crate::store::file_system::{FileSystem, OsFiles};
use crate::store::files::{remove_if_there, sync_parent};
use crate::store::sled_rewrite::{Folders, copy, remove_folder};
use crate::store::{Retain, StoreError, Without};

/// How many bytes a copy of the database takes for each byte of its documents.
const COPY_AMPLIFICATION: u64 = 2;

impl SledCache {
    /// The open database; opens it if it is closed.
    pub(super) fn database(&self) -> Result<Arc<Database>, StoreError> {
        let state = self.state.borrow();
        if let Some(database) = &state.database {
            return Ok(Arc::clone(database));
        }
        if state.losses >= LOSSES_MAX {
            return Err(StoreError::CacheLost { reason: "it was lost too often".to_owned() });
        }
        drop(state);
        let opened = guarded(|| {
            // Even an open writes.
            self.space.prove(HEADROOM_BYTES)?;
            Folders::of(&self.folder).settle()?;
            let database = self.open_database()?;
            let (mark, flushed) = open_mark(&self.mark)?;
            // sled syncs what it writes, and not the names of its files.
            OsFiles.sync_directory(&self.folder)?;
            sync_parent(&OsFiles, &self.folder)?;
            match (database.schema_version()?, self.schema_version.get()) {
                (None, Some(version)) => database.note_schema_version(version)?,
                (found, None) => self.schema_version.set(found),
                (Some(_), Some(_)) => {}
            }
            let changes = database.changes()?;
            if changes < flushed {
                return Err(format!("only {changes} of {flushed} changes are left").into());
            }
            Ok((Arc::new(database), changes, mark))
        });
        let (database, changes, mark) = opened.map_err(|failure| self.give_up(failure))?;
        let mut state = self.state.borrow_mut();
        state.database = Some(Arc::clone(&database));
        state.changes = changes;
        state.mark = Some(mark);
        Ok(database)
    }

    /// Copies what is kept into a fresh folder, which takes the place of the old one when the database is closed.
    pub(in crate::store) fn copy(
        &self,
        schema_version: Option<u32>,
        retain: &mut dyn Retain,
    ) -> Result<(), StoreError> {
        self.run(|database| self.copy_from(database, schema_version, retain))
    }

    fn copy_from(
        &self,
        database: &Database,
        schema_version: Option<u32>,
        retain: &mut dyn Retain,
    ) -> Result<(), Failure> {
        let folders = Folders::of(&self.folder);
        let live_bytes: u64 = database.all_rooms()?.iter().map(|(_, room)| room.bytes).sum();
        self.space.ensure(HEADROOM_BYTES + COPY_AMPLIFICATION * live_bytes)?;
        folders.forget_others()?;
        let fresh = Database::open(&folders.fresh, &self.keyring)?;
        if let Some(version) = schema_version {
            fresh.note_schema_version(version)?;
        }
        copy(database, &fresh, &self.indexes, &|bytes| Ok(self.ensure_room(bytes)?), retain)?;
        fresh.flush()
    }

    /// Opens the database, and goes over to the key of today if it has another one.
    fn open_database(&self) -> Result<Database, Failure> {
        let database = Database::open(&self.folder, &self.keyring)?;
        if !database.is_sealed_otherwise(&self.keyring) {
            return Ok(database);
        }
        let schema_version = database.schema_version()?;
        let copied = self.copy_from(&database, schema_version, &mut Without(&BTreeSet::new()));
        drop(database);
        let folders = Folders::of(&self.folder);
        // Once the folders are switched, nothing says any more that it is to go.
        remove_folder(&self.quarantine)?;
        match copied {
            Ok(()) => folders.switch()?,
            // What it holds comes again from the server; as it is it must not stay.
            Err(_) => {
                folders.forget_others()?;
                remove_if_there(&OsFiles, &self.mark)?;
                remove_folder(&self.folder)?;
            }
        }
        Database::open(&self.folder, &self.keyring)
    }
}

/// The mark, and how many changes it says were flushed; 0 if it is missing or torn.
pub(super) fn open_mark(path: &Path) -> io::Result<(File, u64)> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    let mut sealed = Vec::new();
    file.read_to_end(&mut sealed)?;
    let flushed = unseal(&sealed).ok().and_then(|count| count.try_into().ok()).map_or(0, u64::from_le_bytes);
    Ok((file, flushed))
}
