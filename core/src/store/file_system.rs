//! The few file operations that the store needs, so that a simulation can put a disk of its own under the real
//! journal.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::StoreError;
use super::lock::DirectoryLock;
use crate::threads::Body;

/// How many threads look at one file.
const CHECKERS: usize = 4;

/// What is to hold for a part of an open file, which it only reads.
pub type PartCheck<'c, File> = &'c (dyn Fn(&File, Range<u64>) -> bool + Sync);

/// A file system. Clones are handles of the same one.
///
/// A name that was created, renamed or removed is durable after [`sync_directory`](Self::sync_directory), the bytes
/// of a file after its own sync.
pub trait FileSystem: fmt::Debug + Clone {
    type File: RandomAccessFile;
    /// Holds a directory until it is dropped, or the process dies.
    type Lock: fmt::Debug;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// `NotFound`: there is no such file, in the mode `Existing`. `AlreadyExists`: there is one, in the mode `New`.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Self::File>;

    /// Replaces `to`, if it is there, at once.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// # Errors
    /// `NotFound`: there is no such file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Creates a directory for this user only.
    ///
    /// # Errors
    /// `AlreadyExists`; `NotFound`: there is no directory for it.
    fn create_directory(&self, directory: &Path) -> io::Result<()>;

    /// Makes the names in a directory as durable as the files that they name.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// What is in a directory, in any order.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;

    /// Whether an open file still is the one that a path names; `false` if in doubt.
    fn is_named(&self, file: &Self::File, path: &Path) -> bool;

    /// Takes a directory that exists for one owner, in this process and in others.
    ///
    /// # Errors
    /// `InUse`, `Io`.
    fn lock(&self, directory: &Path) -> Result<Self::Lock, StoreError>;

    /// Whether `check` holds for all parts of a file, and what `meanwhile` gives: side by side, where that can be done.
    fn check_parts<T>(
        &self,
        file: &Self::File,
        parts: &[Range<u64>],
        check: PartCheck<'_, Self::File>,
        meanwhile: impl FnOnce() -> T,
    ) -> (bool, T) {
        (parts.iter().all(|part| check(file, part.clone())), meanwhile())
    }
}

/// What an open expects, and what it leaves of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// The file is there and keeps its contents.
    Existing,
    /// The file is created, or its contents are dropped.
    Empty,
    /// The file is created.
    New,
}

/// An open file. Offsets and lengths are in bytes.
pub trait RandomAccessFile: fmt::Debug {
    /// Reads at most `into.len()` bytes; 0 at the end of the file.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes`. After an error any part of them may have been written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Writes zeros, as [`write_at`](Self::write_at) would.
    fn write_zeros(&mut self, range: Range<u64>) -> io::Result<()> {
        io::copy(&mut io::repeat(0).take(range.end - range.start), &mut Stream::at(self, range.start))
            .map(drop)
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()>;

    /// Makes the contents durable. After an error it is unknown which of the bytes written since the last sync are.
    fn sync_data(&mut self) -> io::Result<()>;

    /// Makes the contents and the metadata durable.
    fn sync_all(&mut self) -> io::Result<()>;
}

/// A part of a file, read from its beginning to its end or the file's.
#[derive(Debug)]
pub(super) struct Part<'f, F: ?Sized> {
    file: &'f F,
    range: Range<u64>,
}

impl<'f, F: RandomAccessFile + ?Sized> Part<'f, F> {
    pub(super) fn of(file: &'f F, range: Range<u64>) -> Self {
        Self { file, range }
    }
}

impl<F: RandomAccessFile + ?Sized> Read for Part<'_, F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.range.end - self.range.start).unwrap_or(usize::MAX);
        let length = into.len().min(left);
        let bytes = self.file.read_at(self.range.start, &mut into[..length])?;
        self.range.start += bytes as u64;
        Ok(bytes)
    }
}

/// A file written from an offset on.
#[derive(Debug)]
pub(super) struct Stream<'f, F: ?Sized> {
    file: &'f mut F,
    offset: u64,
}

impl<'f, F: RandomAccessFile + ?Sized> Stream<'f, F> {
    pub(super) fn at(file: &'f mut F, offset: u64) -> Self {
        Self { file, offset }
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }
}

impl<F: RandomAccessFile + ?Sized> Write for Stream<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(self.offset, bytes)?;
        self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The files of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsFiles;

impl FileSystem for OsFiles {
    type File = File;
    type Lock = DirectoryLock;

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<File> {
        let mut options = File::options();
        options.read(true).write(true);
        match mode {
            OpenMode::Existing => &mut options,
            OpenMode::Empty => options.create(true).truncate(true),
            OpenMode::New => options.create_new(true),
        };
        options.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        #[allow(unused_mut)]
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(directory) {
            // Some systems name another reason first.
            Err(_) if directory.is_dir() => Err(io::ErrorKind::AlreadyExists.into()),
            created => created,
        }
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        // Elsewhere a directory cannot be opened as a file, and the file system journals names by itself.
        if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(directory)?.map(|item| Ok(item?.path())).collect()
    }

    fn is_named(&self, file: &File, path: &Path) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let id = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
            matches!((file.metadata(), fs::metadata(path)), (Ok(a), Ok(b)) if id(&a) == id(&b))
        }
        #[cfg(not(unix))]
        {
            // An open file cannot be replaced here, so its name is still its own.
            let _ = (file, path);
            true
        }
    }

    fn lock(&self, directory: &Path) -> Result<DirectoryLock, StoreError> {
        DirectoryLock::acquire(directory)
    }

    fn check_parts<T>(
        &self,
        file: &File,
        parts: &[Range<u64>],
        check: PartCheck<'_, File>,
        meanwhile: impl FnOnce() -> T,
    ) -> (bool, T) {
        let (next, holds) = (AtomicUsize::new(0), AtomicBool::new(true));
        let work = || {
            while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                if !check(file, part.clone()) {
                    holds.store(false, Ordering::Relaxed);
                }
            }
        };
        let value = thread::scope(|scope| {
            for _ in 1..CHECKERS.min(parts.len()) {
                let body: Body<'_> = Box::new(work);
                // Where no thread is to be had, this one does it all.
                let _helper = thread::Builder::new().spawn_scoped(scope, body);
            }
            let value = meanwhile();
            work();
            value
        });
        (holds.load(Ordering::Relaxed), value)
    }
}

impl RandomAccessFile for File {
    #[cfg(unix)]
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, into, offset)
    }

    #[cfg(not(unix))]
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        // Its place in the file is nobody's: every access names its own.
        let mut file = self;
        file.seek(SeekFrom::Start(offset))?;
        file.read(into)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.seek(SeekFrom::Start(offset))?;
        self.write_all(bytes)
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        File::set_len(self, bytes)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn sync_all(&mut self) -> io::Result<()> {
        File::sync_all(self)
    }
}
