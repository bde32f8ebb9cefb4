//! The system does not open the files, as before a device is unlocked for the first time.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tempfile::TempDir;

use super::file_system::{FileSystem, OpenMode, OsFiles};
use super::fixtures::{CLIENT, entry};
use super::*;
use crate::error::{Code, Error};

/// The files of the system, which it opens or not.
#[derive(Debug, Clone, Default)]
struct Guarded {
    is_locked: Rc<Cell<bool>>,
}

impl Guarded {
    fn check(&self) -> io::Result<()> {
        if self.is_locked.get() { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
    }
}

impl FileSystem for Guarded {
    type File = File;
    type Lock = DirectoryLock;

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<File> {
        self.check()?;
        OsFiles.open(path, mode)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsFiles.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsFiles.remove(path)
    }

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        OsFiles.create_directory(directory)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        OsFiles.sync_directory(directory)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        OsFiles.list(directory)
    }

    fn is_named(&self, file: &File, path: &Path) -> bool {
        OsFiles.is_named(file, path)
    }

    fn lock(&self, directory: &Path) -> Result<DirectoryLock, StoreError> {
        OsFiles.lock(directory)
    }
}

fn open(files: &Guarded, directory: &Path) -> Result<(DiskStore<Guarded>, Recovered), StoreError> {
    let settings = DiskSettings::new(CLIENT, 1);
    DiskStore::assemble(files.clone(), directory, settings, || {
        SledCache::open(directory.join("cache"), directory.join("quarantine"))
    })
}

#[test]
fn a_store_whose_files_are_locked_is_not_taken_for_damaged() {
    let directory = TempDir::new().unwrap();
    let files = Guarded::default();
    let (mut store, _) = open(&files, directory.path()).unwrap();
    store.append(&Record::Queued(vec![entry(1)])).unwrap();
    store.commit().unwrap();
    drop(store);
    let journal = std::fs::read(directory.path().join("journal")).unwrap();

    files.is_locked.set(true);
    for _ in 0..3 {
        let error = Error::from(open(&files, directory.path()).unwrap_err());
        assert_eq!(error.code, Code::Locked);
        assert!(error.retryable());
    }
    assert_eq!(std::fs::read(directory.path().join("journal")).unwrap(), journal);
    assert!(!directory.path().join("quarantine").exists());

    files.is_locked.set(false);
    let (store, recovered) = open(&files, directory.path()).unwrap();
    assert_eq!((store.entries(&recovered.queued).unwrap(), recovered.damage), (vec![entry(1)], Vec::new()));
}
