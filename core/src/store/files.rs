//! What the rest of the store needs of the file system.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::StoreError;
use super::file_system::{FileSystem, OpenMode, Part, RandomAccessFile, Stream};

/// How many files the quarantine keeps; the oldest goes first.
const QUARANTINE_FILES_MAX: usize = 16;

/// Creates a directory, and those above it, durably; nothing happens if it exists.
pub(super) fn create_directory(files: &impl FileSystem, directory: &Path) -> io::Result<()> {
    let created = match (files.create_directory(directory), directory.parent()) {
        (Err(error), Some(parent)) if error.kind() == io::ErrorKind::NotFound => {
            create_directory(files, parent)?;
            files.create_directory(directory)
        }
        (created, _) => created,
    };
    match created {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_parent(files, directory),
    }
}

/// Makes the name of a directory durable.
pub(super) fn sync_parent(files: &impl FileSystem, directory: &Path) -> io::Result<()> {
    let Some(parent) = directory.parent() else { return Ok(()) };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    match files.sync_directory(parent) {
        // Whoever made it can do no more.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

/// Replaces a file so that a crash leaves the old or the new contents.
pub(super) fn write_atomically(files: &impl FileSystem, path: &Path, contents: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = files.open(&temporary, OpenMode::Empty)?;
        file.write_at(0, contents)?;
        file.sync_all()?;
        files.rename(&temporary, path)
    };
    if let Err(error) = write() {
        remove_if_there(files, &temporary)?;
        return Err(error);
    }
    path.parent().map_or(Ok(()), |directory| files.sync_directory(directory))
}

/// The contents of a file, `None` if it is not there.
pub(super) fn read_if_there(files: &impl FileSystem, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match files.open(path, OpenMode::Existing) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut contents = Vec::new();
    Part::of(&file, 0..u64::MAX).read_to_end(&mut contents)?;
    Ok(Some(contents))
}

pub(super) fn remove_if_there(files: &impl FileSystem, path: &Path) -> io::Result<()> {
    match files.remove(path) {
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
    if is_full(&error) { StoreError::Full } else { error.into() }
}

/// Where damaged data is kept for a look at it, or for a rescue by hand.
#[derive(Debug, Clone)]
pub(super) struct Quarantine<F> {
    files: F,
    directory: PathBuf,
}

impl<F: FileSystem> Quarantine<F> {
    pub(super) fn new(files: F, directory: PathBuf) -> Self {
        Self { files, directory }
    }

    /// Keeps what `fill` writes, durably, in a file whose name begins with a running number and ends with `what`.
    pub(super) fn keep(
        &self,
        what: &str,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        create_directory(&self.files, &self.directory)?;
        let mut kept = self.numbered_files()?;
        let number = kept.last().map_or(1, |(number, _)| number.saturating_add(1));
        kept.truncate((kept.len() + 1).saturating_sub(QUARANTINE_FILES_MAX));
        for (_, oldest) in kept {
            self.files.remove(&oldest)?;
        }
        let mut file = self.files.open(&self.directory.join(format!("{number:06}-{what}")), OpenMode::New)?;
        fill(&mut Stream::at(&mut file, 0))?;
        file.sync_all()?;
        self.files.sync_directory(&self.directory)
    }

    /// Removes every file that was kept.
    pub(super) fn clear(&self) -> io::Result<()> {
        let kept = match self.numbered_files() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            kept => kept?,
        };
        kept.iter().try_for_each(|(_, path)| self.files.remove(path))?;
        self.files.sync_directory(&self.directory)
    }

    /// Oldest first.
    fn numbered_files(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let mut files = Vec::new();
        for path in self.files.list(&self.directory)? {
            let name = path.file_name().and_then(|name| name.to_str());
            let number = name.and_then(|name| name.split_once('-')).and_then(|(n, _)| n.parse().ok());
            if let Some(number) = number {
                files.push((number, path));
            }
        }
        files.sort_unstable();
        Ok(files)
    }
}
