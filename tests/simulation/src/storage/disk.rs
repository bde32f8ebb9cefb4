//! A disk in memory that forgets, tears and refuses what a real one may.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::contents::Contents;
use super::mount::Mount;
use super::names::{FileId, Names};
use crate::random::Random;

/// What is lost at once when a disk breaks, in bytes.
const PAGE_BYTES: u64 = 4096;

/// The disk of one device. Clones are handles of the same one. What a process does with it goes through a [`Mount`].
#[derive(Debug, Clone)]
pub struct SimulatedDisk {
    pub(super) state: Rc<RefCell<State>>,
}

/// What the disk has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    Free,
    /// Only for what overwrites bytes in place.
    Full,
    /// For nothing at all: a file system that never overwrites in place.
    FullForOverwrites,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) random: Random,
    pub(super) files: BTreeMap<FileId, Contents>,
    pub(super) names: Names,
    pub(super) locked: BTreeSet<PathBuf>,
    pub(super) space: Space,
    next_file: FileId,
    /// The process that may use the disk; those before it are dead.
    life: u64,
    is_dead: bool,
    operations: u64,
    dies_at: Option<u64>,
    sync_fails: bool,
    read_fails: bool,
}

impl SimulatedDisk {
    /// An empty disk, whose faults are drawn from `random`.
    pub fn new(random: Random) -> Self {
        let state = State {
            random,
            files: BTreeMap::new(),
            names: Names::default(),
            locked: BTreeSet::new(),
            space: Space::Free,
            next_file: 0,
            life: 0,
            is_dead: false,
            operations: 0,
            dies_at: None,
            sync_fails: false,
            read_fails: false,
        };
        Self { state: Rc::new(RefCell::new(state)) }
    }

    /// The disk as the process that lives now sees it; of no use after its death.
    pub fn mount(&self) -> Mount {
        let life = self.state.borrow().life;
        Mount::new(self.clone(), life)
    }

    /// The power goes: of everything that was not synced any part may be gone. The process is dead.
    pub fn crash(&self) {
        let state = &mut *self.state.borrow_mut();
        state.names.lose_power(&mut state.random);
        for contents in state.files.values_mut() {
            contents.lose_power(&mut state.random);
        }
        state.end_life();
    }

    /// The process dies, and nothing else: what it wrote is still seen, and still not durable.
    pub fn kill(&self) {
        let state = &mut *self.state.borrow_mut();
        state.files.values_mut().for_each(Contents::kill);
        state.end_life();
    }

    /// Lets the process die at its n-th operation from now, 1 for the next. Later operations fail until
    /// [`crash`](Self::crash) or [`kill`](Self::kill).
    pub fn die_at(&self, operation: u64) {
        let mut state = self.state.borrow_mut();
        state.dies_at = Some(state.operations + operation);
    }

    /// Takes back [`die_at`](Self::die_at), if the process still lives.
    pub fn spare(&self) {
        self.state.borrow_mut().dies_at = None;
    }

    /// Whether the process died at an operation.
    pub fn is_dead(&self) -> bool {
        self.state.borrow().is_dead
    }

    /// How many operations there were, of all processes.
    pub fn operations(&self) -> u64 {
        self.state.borrow().operations
    }

    pub fn set_space(&self, space: Space) {
        self.state.borrow_mut().space = space;
    }

    /// Lets the next sync fail. What it should have made durable never is.
    pub fn fail_next_sync(&self) {
        self.state.borrow_mut().sync_fails = true;
    }

    /// Lets the next read of a file fail.
    pub fn fail_next_read(&self) {
        self.state.borrow_mut().read_fails = true;
    }

    /// Flips a bit of a file, or zeroes a page, also of what was durable. Returns where, in bytes; `None` if the
    /// file is missing or empty.
    pub fn damage(&self, path: &Path) -> Option<Range<u64>> {
        let state = &mut *self.state.borrow_mut();
        let contents = state.files.get_mut(&state.names.file(path).ok()?)?;
        let end = contents.bytes().iter().rposition(|&byte| byte != 0)? as u64 + 1;
        let at = state.random.below(end);
        if state.random.percent(70) {
            let bit = state.random.below(8);
            contents.damage(at..at + 1, |bytes| bytes.iter_mut().for_each(|byte| *byte ^= 1 << bit));
            return Some(at..at + 1);
        }
        let page = at / PAGE_BYTES * PAGE_BYTES;
        contents.damage(page..page + PAGE_BYTES, |bytes| bytes.fill(0));
        Some(page..(page + PAGE_BYTES).min(contents.len()))
    }

    /// What a read of a file would see.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state.borrow();
        let id = state.names.file(path).ok()?;
        state.files.get(&id).map(|contents| contents.bytes().to_vec())
    }
}

impl State {
    fn end_life(&mut self) {
        self.life += 1;
        self.is_dead = false;
        self.dies_at = None;
        self.sync_fails = false;
        self.read_fails = false;
        self.locked.clear();
        // Nobody has a file open any more, so only names keep one.
        let named: BTreeSet<FileId> = self.names.files().collect();
        self.files.retain(|id, _| named.contains(id));
    }

    /// Counts an operation of a process, and does it unless the process is dead. Where it dies, `effect` may or may
    /// not have happened; it finds [`is_dying`](Self::is_dying).
    pub(super) fn operate<T>(
        &mut self,
        life: u64,
        effect: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        if life != self.life || self.is_dead {
            return Err(dead());
        }
        self.operations += 1;
        if self.dies_at != Some(self.operations) {
            return effect(self);
        }
        self.is_dead = true;
        if self.random.percent(50) {
            // Nobody lives who could hear of an error.
            let _unheard = effect(self);
        }
        Err(dead())
    }

    pub(super) fn is_dying(&self) -> bool {
        self.is_dead
    }

    pub(super) fn may_use(&self, life: u64) -> bool {
        life == self.life && !self.is_dead
    }

    pub(super) fn is_current(&self, life: u64) -> bool {
        life == self.life
    }

    pub(super) fn add_file(&mut self) -> FileId {
        self.next_file += 1;
        self.files.insert(self.next_file, Contents::default());
        self.next_file
    }

    pub(super) fn file(&mut self, id: FileId) -> io::Result<&mut Contents> {
        self.files.get_mut(&id).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn take_sync_failure(&mut self) -> bool {
        std::mem::take(&mut self.sync_fails)
    }

    pub(super) fn take_read_failure(&mut self) -> bool {
        std::mem::take(&mut self.read_fails)
    }

    /// How many of the bytes of a write there is room for.
    pub(super) fn room_for(&mut self, id: FileId, range: &Range<u64>) -> io::Result<u64> {
        let length = self.file(id)?.len();
        let fits = match self.space {
            Space::Free => range.end,
            Space::Full => range.end.min(length.max(range.start)),
            Space::FullForOverwrites => range.start,
        };
        if fits == range.end {
            return Ok(fits - range.start);
        }
        // The system may have written less before it noticed.
        Ok(self.random.between(0, fits - range.start))
    }
}

fn dead() -> io::Error {
    io::Error::other("the process is dead")
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
