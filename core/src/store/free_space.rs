//! Whether the disk has room for what the database is about to write. sled must never meet a full disk: a flush that
//! cannot be written waits for ever.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::file_system::OsFiles;
use super::files::remove_if_there;

/// The file that is written, and removed, to see whether there is room.
const PROBE_EXTENSION: &str = "probe";
/// With so many bytes to spare the file system is believed. Closer to the end it may be wrong
/// about what it keeps for itself and for others.
const PLENTY_BYTES: u64 = 256 << 20;

/// The disk that a folder is on.
#[derive(Debug)]
pub(super) struct FreeSpace {
    pub(super) probe: PathBuf,
    /// What must be free beyond what is asked for, before that is believed without a try.
    pub(super) plenty_bytes: u64,
}

impl FreeSpace {
    /// Beside a folder, which need not exist.
    pub(super) fn beside(folder: &Path) -> Self {
        Self { probe: folder.with_extension(PROBE_EXTENSION), plenty_bytes: PLENTY_BYTES }
    }

    /// Makes sure that so many bytes fit.
    pub(super) fn ensure(&self, bytes: u64) -> io::Result<()> {
        let available_bytes = self.probe.parent().and_then(available_bytes).unwrap_or(0);
        if available_bytes >= self.plenty_bytes.saturating_add(bytes) {
            return Ok(());
        }
        self.prove(bytes)
    }

    /// Makes sure that so many bytes fit by writing them: a quota of this user's is not in what the file system says.
    pub(super) fn prove(&self, bytes: u64) -> io::Result<()> {
        let write = || io::copy(&mut io::repeat(1).take(bytes), &mut fs::File::create(&self.probe)?);
        let written = write();
        remove_if_there(&OsFiles, &self.probe)?;
        written.map(drop)
    }
}

/// What the file system of a folder has left for this user; `None` if it does not say.
#[cfg(unix)]
fn available_bytes(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    found.f_bavail.checked_mul(found.f_frsize)
}

#[cfg(not(unix))]
fn available_bytes(_folder: &Path) -> Option<u64> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::symlink;

    use super::*;
    use crate::store::files::is_full;

    #[test]
    fn bytes_are_only_written_when_little_is_left() {
        let directory = tempfile::TempDir::new().unwrap();
        let mut space = FreeSpace::beside(&directory.path().join("cache"));
        // A try would fail.
        symlink("/dev/full", &space.probe).unwrap();
        space.plenty_bytes = 0;
        space.ensure(1).unwrap();
        space.plenty_bytes = u64::MAX;
        assert!(is_full(&space.ensure(1).unwrap_err()));
        // The try removed what it wrote to.
        space.ensure(1).unwrap();
        assert!(!space.probe.exists());
    }

    #[test]
    fn a_folder_that_tells_nothing_is_tried() {
        let directory = tempfile::TempDir::new().unwrap();
        let space = FreeSpace::beside(&directory.path().join("missing").join("cache"));
        assert_eq!(space.ensure(1).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
