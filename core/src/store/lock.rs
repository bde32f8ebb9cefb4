//! One client per directory, in this process and in others.

use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use once_cell::sync::Lazy;

use super::StoreError;

const FILE: &str = "lock";

/// The directories that this process has open: locks on files do not tell two owners in one process apart
/// everywhere.
static OPEN: Lazy<Mutex<HashSet<PathBuf>>> = Lazy::new(Mutex::default);

fn open_paths() -> MutexGuard<'static, HashSet<PathBuf>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds a directory until it is dropped.
#[derive(Debug)]
pub struct DirectoryLock {
    path: PathBuf,
    /// Its lock goes when it is closed, so also when the process dies.
    file: File,
}

impl DirectoryLock {
    /// Takes a directory that exists.
    pub(super) fn acquire(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.canonicalize()?;
        if !open_paths().insert(path.clone()) {
            return Err(StoreError::InUse);
        }
        match lock_file(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(error) => {
                open_paths().remove(&path);
                Err(error)
            }
        }
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // First, so that whoever finds the path free finds the file free as well. A failure leaves it to the close.
        let _ = self.file.unlock();
        open_paths().remove(&self.path);
    }
}

fn lock_file(directory: &Path) -> Result<File, StoreError> {
    let file = File::options().write(true).create(true).truncate(false).open(directory.join(FILE))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse),
        // Where there are no such locks an app is one process.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}
