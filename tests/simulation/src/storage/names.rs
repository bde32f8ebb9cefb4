//! The names of files and directories: those that are seen, and those that a loss of power leaves.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::random::Random;

pub(super) type FileId = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    File(FileId),
    Directory,
}

/// The root is always there and has no entry.
#[derive(Debug, Default)]
pub(super) struct Names {
    visible: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    unsynced: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Added(PathBuf, Node),
    Removed(PathBuf),
    /// Within one directory.
    Renamed {
        from: PathBuf,
        to: PathBuf,
        node: Node,
    },
}

impl Names {
    pub(super) fn file(&self, path: &Path) -> io::Result<FileId> {
        match self.visible.get(path) {
            Some(Node::File(id)) => Ok(*id),
            Some(Node::Directory) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn is_directory(&self, path: &Path) -> bool {
        path.parent().is_none() || self.visible.get(path) == Some(&Node::Directory)
    }

    /// # Errors
    /// `AlreadyExists`; `NotFound`: there is no directory for it.
    pub(super) fn add(&mut self, path: &Path, node: Node) -> io::Result<()> {
        if self.visible.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.change_in(path, Change::Added(path.to_owned(), node))
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = Node::File(self.file(from)?);
        if from.parent() != to.parent() || self.visible.get(to) == Some(&Node::Directory) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.change_in(to, Change::Renamed { from: from.to_owned(), to: to.to_owned(), node })
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.file(path)?;
        self.change_in(path, Change::Removed(path.to_owned()))
    }

    fn change_in(&mut self, path: &Path, change: Change) -> io::Result<()> {
        if !path.parent().is_some_and(|directory| self.is_directory(directory)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        change.apply(&mut self.visible);
        self.unsynced.push(change);
        Ok(())
    }

    pub(super) fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        if !self.is_directory(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(self.visible.keys().filter(|path| path.parent() == Some(directory)).cloned().collect())
    }

    pub(super) fn sync(&mut self, directory: &Path) -> io::Result<()> {
        if !self.is_directory(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (synced, left) = std::mem::take(&mut self.unsynced)
            .into_iter()
            .partition(|change| change.directory() == Some(directory));
        self.unsynced = left;
        let synced: Vec<Change> = synced;
        synced.iter().for_each(|change| change.apply(&mut self.durable));
        Ok(())
    }

    /// Leaves none of the changes that were not synced, all, the first ones, or any of them.
    pub(super) fn lose_power(&mut self, random: &mut Random) {
        let changes = std::mem::take(&mut self.unsynced);
        let percent = random.one_of([0, 100, 100, 50]);
        let first =
            if percent == 100 && random.percent(50) { random.index(changes.len() + 1) } else { usize::MAX };
        for change in changes.iter().take(first) {
            if random.percent(percent) {
                change.apply(&mut self.durable);
            }
        }
        // What stands in a directory that is gone is gone as well. A directory sorts before what is in it.
        let mut reachable = BTreeMap::new();
        for (path, node) in std::mem::take(&mut self.durable) {
            let is_in_root = path.parent().is_some_and(|directory| directory.parent().is_none());
            if is_in_root || path.parent().and_then(|d| reachable.get(d)) == Some(&Node::Directory) {
                reachable.insert(path, node);
            }
        }
        self.durable = reachable;
        self.visible.clone_from(&self.durable);
    }

    /// The files that a name keeps: one that is seen, or one that a loss of power brings back.
    pub(super) fn files(&self) -> impl Iterator<Item = FileId> {
        self.visible.values().chain(self.durable.values()).filter_map(|node| match node {
            Node::File(id) => Some(*id),
            Node::Directory => None,
        })
    }
}

impl Change {
    fn directory(&self) -> Option<&Path> {
        match self {
            Self::Added(path, _) | Self::Removed(path) | Self::Renamed { to: path, .. } => path.parent(),
        }
    }

    fn apply(&self, to: &mut BTreeMap<PathBuf, Node>) {
        match self {
            Self::Added(path, node) => {
                to.insert(path.clone(), *node);
            }
            Self::Removed(path) => {
                to.remove(path);
            }
            Self::Renamed { from, to: name, node } => {
                to.remove(from);
                to.insert(name.clone(), *node);
            }
        }
    }
}
