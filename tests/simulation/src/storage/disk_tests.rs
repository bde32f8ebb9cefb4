#![allow(clippy::unwrap_used)]

use syncline::store::{FileSystem, OpenMode, RandomAccessFile, StoreError};

use super::*;
use crate::storage::SimulatedFile;

const SEEDS: u64 = 1000;

fn file() -> &'static Path {
    Path::new("/file")
}

/// A disk with a durable file that holds `old`.
fn disk_with(seed: u64, old: &[u8]) -> (SimulatedDisk, Mount, SimulatedFile) {
    let disk = SimulatedDisk::new(Random::new(seed));
    let mount = disk.mount();
    let mut opened = mount.open(file(), OpenMode::New).unwrap();
    opened.write_at(0, old).unwrap();
    opened.sync_all().unwrap();
    mount.sync_directory(Path::new("/")).unwrap();
    (disk, mount, opened)
}

/// What a loss of power leaves of a change, over many seeds.
fn outcomes(change: impl Fn(&mut SimulatedFile, &Mount)) -> BTreeSet<Option<Vec<u8>>> {
    let after_crash = |seed| {
        let (disk, mount, mut opened) = disk_with(seed, b"old");
        change(&mut opened, &mount);
        disk.crash();
        disk.contents(file())
    };
    (0..SEEDS).map(after_crash).collect()
}

#[test]
fn unsynced_bytes_may_be_lost_kept_or_torn_anywhere() {
    let outcomes = outcomes(|file, _| file.write_at(3, b"newer").unwrap());
    for kept in 0..=5 {
        assert!(outcomes.contains(&Some([b"old", &b"newer"[..kept]].concat())), "{kept} bytes");
    }
    assert!(outcomes.iter().all(|left| left.as_ref().unwrap().starts_with(b"old")));
}

#[test]
fn synced_bytes_stay() {
    let outcomes = outcomes(|file, _| {
        file.write_at(3, b"newer").unwrap();
        file.sync_data().unwrap();
    });
    assert_eq!(outcomes, BTreeSet::from([Some(b"oldnewer".to_vec())]));
}

#[test]
fn the_sectors_of_a_fill_with_zeros_arrive_in_any_order() {
    let holes = |seed| {
        let (disk, _, mut opened) = disk_with(seed, &[1; 2048]);
        opened.write_zeros(0..2048).unwrap();
        disk.crash();
        let bytes = disk.contents(file()).unwrap();
        bytes.chunks(512).map(|sector| sector.iter().all(|&byte| byte == 0)).collect::<Vec<_>>()
    };
    let found: BTreeSet<Vec<bool>> = (0..SEEDS).map(holes).collect();
    assert!(found.contains(&vec![false, true, false, true]), "{found:?}");
    assert!(found.contains(&vec![true; 4]) && found.contains(&vec![false; 4]));
}

#[test]
fn names_are_durable_after_the_sync_of_their_directory() {
    let renamed = |file_system: &Mount| {
        let mut new = file_system.open(Path::new("/new"), OpenMode::New).unwrap();
        new.write_at(0, b"new").unwrap();
        new.sync_all().unwrap();
        file_system.rename(Path::new("/new"), file()).unwrap();
    };
    let (old, new) = (Some(b"old".to_vec()), Some(b"new".to_vec()));
    assert_eq!(outcomes(|_, mount| renamed(mount)), BTreeSet::from([old, new.clone()]));
    let synced = outcomes(|_, mount| {
        renamed(mount);
        mount.sync_directory(Path::new("/")).unwrap();
    });
    assert_eq!(synced, BTreeSet::from([new]));
    let removed = outcomes(|_, mount| mount.remove(file()).unwrap());
    assert_eq!(removed, BTreeSet::from([None, Some(b"old".to_vec())]));
}

#[test]
fn what_stands_in_a_directory_that_was_lost_is_lost() {
    let inner = Path::new("/directory/file");
    let left = |seed| {
        let disk = SimulatedDisk::new(Random::new(seed));
        let mount = disk.mount();
        mount.create_directory(Path::new("/directory")).unwrap();
        mount.open(inner, OpenMode::New).unwrap().sync_all().unwrap();
        mount.sync_directory(Path::new("/directory")).unwrap();
        disk.crash();
        disk.contents(inner).is_some()
    };
    assert_eq!((0..SEEDS).map(left).collect::<BTreeSet<_>>(), BTreeSet::from([false, true]));
}

#[test]
fn what_a_failed_sync_should_have_written_is_seen_and_never_durable() {
    let (disk, _, mut opened) = disk_with(1, b"old");
    opened.write_at(3, b"newer").unwrap();
    disk.fail_next_sync();
    assert!(opened.sync_data().is_err());
    assert_eq!(disk.contents(file()).unwrap(), b"oldnewer");
    opened.sync_data().unwrap();
    disk.crash();
    assert_eq!(disk.contents(file()).unwrap(), b"old");
}

#[test]
fn a_killed_process_leaves_what_it_wrote_and_nothing_of_it_is_durable() {
    let (disk, _, mut opened) = disk_with(1, b"old");
    opened.write_at(3, b"newer").unwrap();
    disk.kill();
    assert!(opened.sync_data().is_err());
    assert_eq!(disk.contents(file()).unwrap(), b"oldnewer");
    let lost = (0..SEEDS).any(|seed| {
        let (disk, _, mut opened) = disk_with(seed, b"old");
        opened.write_at(3, b"newer").unwrap();
        disk.kill();
        disk.crash();
        disk.contents(file()).unwrap() == b"old"
    });
    assert!(lost);
}

#[test]
fn the_process_dies_at_the_operation_that_was_named() {
    let (disk, mount, mut opened) = disk_with(1, b"old");
    disk.die_at(2);
    opened.write_at(0, b"o").unwrap();
    assert!(!disk.is_dead());
    assert!(opened.sync_data().is_err());
    assert!(disk.is_dead());
    let before = disk.operations();
    assert!(opened.sync_data().is_err() && mount.list(Path::new("/")).is_err());
    assert_eq!(disk.operations(), before);
    disk.crash();
    assert!(mount.list(Path::new("/")).is_err());
    assert_eq!(disk.mount().list(Path::new("/")).unwrap(), [file()]);
}

#[test]
fn a_full_disk_takes_what_overwrites_and_nothing_else() {
    let (disk, mount, mut opened) = disk_with(1, b"old");
    let is_full = |result: io::Result<()>| result.is_err_and(|e| e.kind() == io::ErrorKind::StorageFull);
    disk.set_space(Space::Full);
    opened.write_at(0, b"new").unwrap();
    assert!(is_full(opened.write_at(0, b"longer")));
    assert!(is_full(mount.open(Path::new("/other"), OpenMode::New).map(drop)));
    disk.set_space(Space::FullForOverwrites);
    assert!(is_full(opened.write_at(0, b"new")));
    disk.set_space(Space::Free);
    opened.write_at(0, b"longer").unwrap();
    assert_eq!(disk.contents(file()).unwrap(), b"longer");
}

#[test]
fn damage_changes_what_was_durable() {
    for seed in 0..SEEDS {
        let (disk, _, _) = disk_with(seed, &[7; 10_000]);
        let range = disk.damage(file()).unwrap();
        let (start, end) = (usize::try_from(range.start).unwrap(), usize::try_from(range.end).unwrap());
        disk.crash();
        let bytes = disk.contents(file()).unwrap();
        assert!(bytes[start..end].iter().all(|&byte| byte != 7));
        assert!(bytes[..start].iter().chain(&bytes[end..]).all(|&byte| byte == 7));
    }
}

#[test]
fn a_lock_holds_until_it_is_dropped_or_its_process_ends() {
    let disk = SimulatedDisk::new(Random::new(1));
    let mount = disk.mount();
    let root = Path::new("/");
    let lock = mount.lock(root).unwrap();
    assert!(matches!(mount.lock(root), Err(StoreError::InUse)));
    disk.kill();
    let next = disk.mount();
    let _held = next.lock(root).unwrap();
    drop(lock);
    assert!(matches!(next.lock(root), Err(StoreError::InUse)));
}
