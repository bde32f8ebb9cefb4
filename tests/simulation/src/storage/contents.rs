//! The bytes of one file: those that a read sees, and those that a loss of power leaves.

use std::ops::Range;

use crate::random::Random;

/// What a disk writes at once, in bytes.
const SECTOR_BYTES: u64 = 512;

#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    visible: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    /// Whether a sync failed: some of what is visible will never be durable, and only memory holds it.
    forsaken: bool,
}

#[derive(Debug, Clone)]
enum Change {
    Bytes { offset: u64, bytes: Vec<u8> },
    Zeros(Range<u64>),
    Length(u64),
}

/// What a loss of power leaves of the changes that were not synced.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Lost,
    Kept,
    /// The changes up to one that is torn at a byte.
    Torn,
    /// Any sectors of any changes.
    Scattered,
}

impl Contents {
    pub(super) fn len(&self) -> u64 {
        self.visible.len() as u64
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.visible
    }

    pub(super) fn read(&self, offset: u64, into: &mut [u8]) -> usize {
        let from = index(offset).min(self.visible.len());
        let length = into.len().min(self.visible.len() - from);
        into[..length].copy_from_slice(&self.visible[from..from + length]);
        length
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.change(Change::Bytes { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn write_zeros(&mut self, range: Range<u64>) {
        self.change(Change::Zeros(range));
    }

    pub(super) fn set_len(&mut self, bytes: u64) {
        self.change(Change::Length(bytes));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.visible);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// As Linux does it: the bytes stay in memory, count as written, and are not.
    pub(super) fn fail_sync(&mut self) {
        self.unsynced.clear();
        self.forsaken = true;
    }

    /// The process died. The system's memory is still there, but for the pages whose sync had failed: those come
    /// from the disk again.
    pub(super) fn kill(&mut self) {
        if std::mem::take(&mut self.forsaken) {
            self.visible.clone_from(&self.durable);
            for change in &self.unsynced {
                change.apply(&mut self.visible);
            }
        }
    }

    pub(super) fn lose_power(&mut self, random: &mut Random) {
        let changes = std::mem::take(&mut self.unsynced);
        match random.one_of([Fate::Lost, Fate::Kept, Fate::Torn, Fate::Scattered, Fate::Scattered]) {
            Fate::Lost => {}
            Fate::Kept => changes.iter().for_each(|change| change.apply(&mut self.durable)),
            Fate::Torn => {
                let whole = random.index(changes.len() + 1);
                changes[..whole].iter().for_each(|change| change.apply(&mut self.durable));
                if let Some(torn) = changes.get(whole) {
                    torn.apply_torn(&mut self.durable, random);
                }
            }
            Fate::Scattered => {
                let percent = random.one_of([50, 80]);
                for change in &changes {
                    change.apply_scattered(&mut self.durable, percent, random);
                }
            }
        }
        self.visible.clone_from(&self.durable);
        self.forsaken = false;
    }

    /// Damages bytes that had been durable.
    pub(super) fn damage(&mut self, range: Range<u64>, change: impl Fn(&mut [u8])) {
        for copy in [&mut self.visible, &mut self.durable] {
            let end = index(range.end).min(copy.len());
            let start = index(range.start).min(end);
            change(&mut copy[start..end]);
        }
    }
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Bytes { offset, bytes } => place(to, *offset, bytes.len() as u64).copy_from_slice(bytes),
            Self::Zeros(range) => place(to, range.start, range.end - range.start).fill(0),
            Self::Length(bytes) => to.resize(index(*bytes), 0),
        }
    }

    /// Its first bytes are written; what stands after the tear may be nonsense.
    fn apply_torn(&self, to: &mut Vec<u8>, random: &mut Random) {
        match self {
            Self::Bytes { offset, bytes } => {
                let (kept, rest) = bytes.split_at(random.index(bytes.len() + 1));
                place(to, *offset, kept.len() as u64).copy_from_slice(kept);
                if random.percent(25) {
                    let nonsense = rest.len().min(index(SECTOR_BYTES));
                    place(to, *offset + kept.len() as u64, nonsense as u64)
                        .fill_with(|| random.number().to_le_bytes()[0]);
                }
            }
            Self::Zeros(range) => {
                place(to, range.start, random.between(0, range.end - range.start)).fill(0);
            }
            // A length changes or it does not.
            Self::Length(_) => {}
        }
    }

    /// Each sector is written with this probability, in percent.
    fn apply_scattered(&self, to: &mut Vec<u8>, percent: u64, random: &mut Random) {
        let (start, end) = match self {
            Self::Bytes { offset, bytes } => (*offset, offset + bytes.len() as u64),
            Self::Zeros(range) => (range.start, range.end),
            Self::Length(_) if random.percent(percent) => return self.apply(to),
            Self::Length(_) => return,
        };
        let mut from = start;
        while from < end {
            let until = (from + 1).next_multiple_of(SECTOR_BYTES).min(end);
            if random.percent(percent) {
                let sector = place(to, from, until - from);
                match self {
                    Self::Bytes { bytes, .. } => {
                        sector.copy_from_slice(&bytes[index(from - start)..index(until - start)]);
                    }
                    _ => sector.fill(0),
                }
            }
            from = until;
        }
    }
}

/// The bytes at a place, which grows the file as far as needed.
fn place(to: &mut Vec<u8>, offset: u64, length: u64) -> &mut [u8] {
    let (start, end) = (index(offset), index(offset + length));
    if to.len() < end {
        to.resize(end, 0);
    }
    &mut to[start..end]
}

/// The simulation's files are small.
fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
