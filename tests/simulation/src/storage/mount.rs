//! The disk as one process sees it: the operations that the real journal asks for.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use syncline::store::{FileSystem, OpenMode, RandomAccessFile, StoreError};

use super::disk::{SimulatedDisk, Space, State};
use super::names::{FileId, Node};

/// A process's view of a [`SimulatedDisk`]. Every operation fails once the process is dead.
#[derive(Debug, Clone)]
pub struct Mount {
    disk: SimulatedDisk,
    life: u64,
}

/// An open file of a [`Mount`].
#[derive(Debug)]
pub struct SimulatedFile {
    mount: Mount,
    id: FileId,
}

/// Holds a directory of a [`Mount`] until it is dropped, or the process dies.
#[derive(Debug)]
pub struct SimulatedLock {
    mount: Mount,
    directory: PathBuf,
}

impl Mount {
    pub(super) fn new(disk: SimulatedDisk, life: u64) -> Self {
        Self { disk, life }
    }

    pub(super) fn operate<T>(&self, effect: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        self.disk.state.borrow_mut().operate(self.life, effect)
    }

    pub(super) fn is_alive(&self) -> bool {
        self.disk.state.borrow().may_use(self.life)
    }
}

impl FileSystem for Mount {
    type File = SimulatedFile;
    type Lock = SimulatedLock;

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<SimulatedFile> {
        let id = self.operate(|state| {
            let found = state.names.file(path);
            match (found, mode) {
                (Ok(_), OpenMode::New) => Err(io::ErrorKind::AlreadyExists.into()),
                (Ok(id), OpenMode::Empty) => {
                    state.file(id)?.set_len(0);
                    Ok(id)
                }
                (Err(error), OpenMode::Empty | OpenMode::New) if error.kind() == io::ErrorKind::NotFound => {
                    refuse_if_full(state)?;
                    let id = state.add_file();
                    state.names.add(path, Node::File(id))?;
                    Ok(id)
                }
                (found, _) => found,
            }
        })?;
        Ok(SimulatedFile { mount: self.clone(), id })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operate(|state| state.names.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.operate(|state| state.names.remove_file(path))
    }

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        self.operate(|state| {
            refuse_if_full(state)?;
            state.names.add(directory, Node::Directory)
        })
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.operate(|state| {
            // Where the journal of names cannot be written the names stay to be written.
            if state.take_sync_failure() { Err(sync_failed()) } else { state.names.sync(directory) }
        })
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        self.operate(|state| state.names.list(directory))
    }

    fn is_named(&self, file: &SimulatedFile, path: &Path) -> bool {
        self.operate(|state| state.names.file(path)).is_ok_and(|id| id == file.id)
    }

    fn lock(&self, directory: &Path) -> Result<SimulatedLock, StoreError> {
        let is_free = self.operate(|state| {
            if state.names.is_directory(directory) {
                Ok(state.locked.insert(directory.to_owned()))
            } else {
                Err(io::ErrorKind::NotFound.into())
            }
        })?;
        if is_free {
            Ok(SimulatedLock { mount: self.clone(), directory: directory.to_owned() })
        } else {
            Err(StoreError::InUse)
        }
    }
}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        let mut state = self.mount.disk.state.borrow_mut();
        // Otherwise it is the lock of a later process.
        if state.is_current(self.mount.life) {
            state.locked.remove(&self.directory);
        }
    }
}

impl SimulatedFile {
    fn write(&mut self, range: Range<u64>, bytes: Option<&[u8]>) -> io::Result<()> {
        let id = self.id;
        self.mount.operate(|state| {
            let mut length = state.room_for(id, &range)?;
            if state.is_dying() {
                length = state.random.between(0, length);
            }
            if length > 0 {
                let contents = state.file(id)?;
                match bytes {
                    Some(bytes) => {
                        let written = usize::try_from(length).unwrap_or(bytes.len()).min(bytes.len());
                        contents.write(range.start, &bytes[..written]);
                    }
                    None => contents.write_zeros(range.start..range.start + length),
                }
            }
            if range.start + length == range.end { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        let id = self.id;
        self.mount.operate(|state| {
            let fails = state.take_sync_failure();
            let contents = state.file(id)?;
            if fails {
                contents.fail_sync();
                return Err(sync_failed());
            }
            contents.sync();
            Ok(())
        })
    }
}

impl RandomAccessFile for SimulatedFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let id = self.id;
        self.mount.operate(|state| {
            if state.take_read_failure() {
                return Err(io::Error::other("the disk could not be read"));
            }
            Ok(state.file(id)?.read(offset, into))
        })
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write(offset..offset + bytes.len() as u64, Some(bytes))
    }

    fn write_zeros(&mut self, range: Range<u64>) -> io::Result<()> {
        self.write(range, None)
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        let id = self.id;
        self.mount.operate(|state| {
            if bytes > state.file(id)?.len() {
                refuse_if_full(state)?;
            }
            state.file(id)?.set_len(bytes);
            Ok(())
        })
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&mut self) -> io::Result<()> {
        self.sync()
    }
}

fn refuse_if_full(state: &State) -> io::Result<()> {
    if state.space == Space::Free { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
}

fn sync_failed() -> io::Error {
    io::Error::other("the disk could not be written")
}
