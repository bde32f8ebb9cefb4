//! Damage done to the files of a directory, as a seed decides.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::random::Random;

const PAGE_BYTES: usize = 4096;
const GARBAGE_BYTES_MAX: u64 = 3 * 4096;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    BitsFlipped {
        file: PathBuf,
        at: Vec<usize>,
    },
    PageZeroed {
        file: PathBuf,
        at: usize,
    },
    Truncated {
        file: PathBuf,
        to: usize,
    },
    Deleted {
        file: PathBuf,
    },
    /// A snapshot of sled that was never finished.
    SnapshotLeft {
        file: PathBuf,
    },
    GarbageAppended {
        file: PathBuf,
        bytes: usize,
    },
    Swapped {
        files: [PathBuf; 2],
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BitsFlipped { file, at } => write!(f, "bits of {} flipped at {at:?}", file.display()),
            Self::PageZeroed { file, at } => write!(f, "{} zeroed from {at}", file.display()),
            Self::Truncated { file, to } => write!(f, "{} truncated to {to}", file.display()),
            Self::Deleted { file } => write!(f, "{} deleted", file.display()),
            Self::SnapshotLeft { file } => write!(f, "{} left behind", file.display()),
            Self::GarbageAppended { file, bytes } => {
                write!(f, "{bytes} bytes appended to {}", file.display())
            }
            Self::Swapped { files: [a, b] } => write!(f, "{} and {} swapped", a.display(), b.display()),
        }
    }
}

/// Damages one file of a directory, or two.
pub fn inflict(directory: &Path, random: &mut Random) -> Damage {
    let files = files(directory);
    let file = pick(&files, random);
    let path = directory.join(&file);
    let mut bytes = fs::read(&path).unwrap();
    let damage = match random.below(16) {
        0..=4 if !bytes.is_empty() => {
            let at: Vec<usize> = (0..=random.below(4)).map(|_| place(&bytes, random)).collect();
            at.iter().for_each(|&at| bytes[at] ^= 1 << random.below(8));
            Damage::BitsFlipped { file, at }
        }
        5..=7 if !bytes.is_empty() => {
            let at = place(&bytes, random) / PAGE_BYTES * PAGE_BYTES;
            let end = bytes.len().min(at + PAGE_BYTES);
            bytes[at..end].fill(0);
            Damage::PageZeroed { file, at }
        }
        8..=10 if !bytes.is_empty() => {
            let to = place(&bytes, random);
            bytes.truncate(to);
            Damage::Truncated { file, to }
        }
        11 => {
            fs::remove_file(&path).unwrap();
            return Damage::Deleted { file };
        }
        12 => {
            let file = Path::new("cache").join(format!("snap.{:016X}.generating", random.draw()));
            fs::create_dir_all(directory.join("cache")).unwrap();
            fs::write(directory.join(&file), garbage(random)).unwrap();
            return Damage::SnapshotLeft { file };
        }
        13 if files.len() > 1 => {
            let others: Vec<PathBuf> = files.into_iter().filter(|other| *other != file).collect();
            let other = pick(&others, random);
            let other_path = directory.join(&other);
            let other_bytes = fs::read(&other_path).unwrap();
            fs::write(&path, other_bytes).unwrap();
            fs::write(&other_path, bytes).unwrap();
            return Damage::Swapped { files: [file, other] };
        }
        _ => {
            let garbage = garbage(random);
            bytes.extend_from_slice(&garbage);
            Damage::GarbageAppended { file, bytes: garbage.len() }
        }
    };
    fs::write(&path, bytes).unwrap();
    damage
}

/// The files of a directory and of those in it, by their paths from there.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(folder) = open.pop() {
        for item in fs::read_dir(directory.join(&folder)).unwrap() {
            let item = item.unwrap();
            let path = folder.join(item.file_name());
            if item.file_type().unwrap().is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// Copies a directory with all it holds.
pub fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(&file);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(from.join(&file), target).unwrap();
    }
}

/// The journal and the log of sled most of the time, for there it hurts.
fn pick(files: &[PathBuf], random: &mut Random) -> PathBuf {
    let wanted = match random.below(10) {
        0..=4 => Path::new("journal"),
        5..=6 => Path::new("cache/db"),
        _ => return random.pick(files).clone(),
    };
    files.iter().find(|file| *file == wanted).unwrap_or_else(|| random.pick(files)).clone()
}

/// An offset, most of the time one before the zeros at the end.
fn place(bytes: &[u8], random: &mut Random) -> usize {
    let used = bytes.iter().rposition(|&byte| byte != 0).map_or(bytes.len(), |last| last + 1);
    let end = if random.below(8) == 0 { bytes.len() } else { used };
    usize::try_from(random.below(end as u64)).unwrap()
}

fn garbage(random: &mut Random) -> Vec<u8> {
    let bytes = 1 + random.below(GARBAGE_BYTES_MAX);
    (0..bytes).map(|_| random.draw().to_le_bytes()[0]).collect()
}
