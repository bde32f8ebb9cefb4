//! What the rest of the store needs of the file system.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::StoreError;

/// How many files the quarantine keeps; the oldest goes first.
const QUARANTINE_FILES_MAX: usize = 16;

/// Makes a new name in a directory as durable as the file it names.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    // Elsewhere a directory cannot be opened as a file, and the file system journals names by itself.
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

/// Replaces a file so that a crash leaves the old or the new contents.
pub(super) fn write_atomically(path: &Path, contents: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = File::create(&temporary)?;
        io::Write::write_all(&mut file, contents)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    if let Err(error) = write() {
        remove_if_there(&temporary)?;
        return Err(error);
    }
    path.parent().map_or(Ok(()), sync_directory)
}

pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether the disk, or what this app may use of it, is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// An error that left things as they were.
pub(super) fn harmless(error: io::Error) -> StoreError {
    if is_full(&error) { StoreError::Full } else { StoreError::Io(error) }
}

/// Where damaged data is kept for a look at it, or for a rescue by hand.
#[derive(Debug, Clone)]
pub(super) struct Quarantine {
    directory: PathBuf,
}

impl Quarantine {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Creates a file whose name begins with a running number and ends with `what`.
    pub(super) fn create(&self, what: &str) -> io::Result<(File, PathBuf)> {
        fs::create_dir_all(&self.directory)?;
        let mut kept = self.numbered_files()?;
        let number = kept.last().map_or(1, |(number, _)| number.saturating_add(1));
        kept.truncate((kept.len() + 1).saturating_sub(QUARANTINE_FILES_MAX));
        for (_, oldest) in kept {
            fs::remove_file(oldest)?;
        }
        let path = self.directory.join(format!("{number:06}-{what}"));
        Ok((File::options().write(true).create_new(true).open(&path)?, path))
    }

    /// Oldest first.
    fn numbered_files(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let mut files = Vec::new();
        for item in fs::read_dir(&self.directory)? {
            let item = item?;
            let name = item.file_name();
            let number =
                name.to_str().and_then(|name| name.split_once('-')).and_then(|(n, _)| n.parse().ok());
            if let Some(number) = number {
                files.push((number, item.path()));
            }
        }
        files.sort_unstable();
        Ok(files)
    }
}
