#![allow(clippy::unwrap_used)]

use syncline_protocol::{ClientId, Room};

use super::*;
use crate::hub::Head;

fn commit(seq: u64) -> Commit {
    Commit {
        room: Room::new("r").unwrap(),
        client: ClientId::from_bytes([1; 16]),
        owner: None,
        head: Head { seq, ..Head::default() },
        last_client_seq: seq,
        committed_at_ms: seq,
        documents: Vec::new(),
        rejections: Vec::new(),
    }
}

fn open(folder: &Path, applied: u64) -> (AheadLog, Vec<u64>) {
    let (log, replayed) = AheadLog::open(folder, 1 << 10, applied).unwrap();
    assert!(replayed.iter().all(|(number, found)| *found == commit(*number)));
    (log, replayed.into_iter().map(|(number, _)| number).collect())
}

/// Adds groups of so many commits.
fn write(log: &mut AheadLog, groups: &[u64]) {
    for group in groups {
        for _ in 0..*group {
            let number = log.next;
            assert_eq!(log.append(&commit(number)).unwrap().0, number);
        }
        log.sync().unwrap();
    }
}

#[test]
fn what_was_synced_is_replayed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, replayed) = open(folder.path(), 0);
    assert_eq!(replayed, [0; 0]);
    write(&mut log, &[2, 1, 3]);
    log.append(&commit(7)).unwrap();
    assert_eq!(open(folder.path(), 0).1, [1, 2, 3, 4, 5, 6]);
    assert_eq!(open(folder.path(), 4).1, [5, 6], "the tables hold the others");
}

#[test]
fn it_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    write(&mut open(folder.path(), 0).0, &[2]);
    let (mut log, _) = open(folder.path(), 2);
    write(&mut log, &[1]);
    assert_eq!(open(folder.path(), 2).1, [3]);
}

#[test]
fn a_number_that_only_the_tables_know_is_not_given_again() {
    let folder = tempfile::tempdir().unwrap();
    write(&mut open(folder.path(), 0).0, &[2]);
    let (mut log, replayed) = open(folder.path(), 9);
    assert_eq!(replayed, [0; 0]);
    write(&mut log, &[1]);
    assert_eq!(open(folder.path(), 9).1, [10]);
}

#[test]
fn full_files_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path(), 0);
    let mut applied = 0;
    for round in 0..200 {
        write(&mut log, &[1 + round % 3]);
        if let Some(in_the_other) = log.is_full() {
            applied = in_the_other;
            log.begin_other();
        }
        let expected: Vec<u64> = (applied + 1..log.next).collect();
        assert_eq!(open(folder.path(), applied).1, expected);
    }
    assert!(applied > 100);
    let bytes = |name| std::fs::metadata(folder.path().join(name)).unwrap().len();
    assert_eq!(NAMES.map(bytes), [PREALLOCATION_BYTES; 2]);
}

/// Changes the bytes of a file from an offset on.
fn hurt(folder: &Path, offset: usize, with: &[u8]) {
    let path = folder.join(NAMES[0]);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[offset..offset + with.len()].copy_from_slice(with);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_torn_group_is_left_out_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path(), 0);
    write(&mut log, &[2]);
    let end = usize::try_from(log.files[0].end).unwrap();
    write(&mut log, &[3]);
    for torn in [0, 5, FRAME_HEADER_BYTES + 1] {
        hurt(folder.path(), end + torn, &[0xFF; 8]);
        assert_eq!(open(folder.path(), 0).1, [1, 2]);
    }
}

#[test]
fn a_torn_group_before_older_ones_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path(), 0);
    write(&mut log, &[1; 40]);
    hurt(folder.path(), 30, &[0xFF; 8]);
    assert_eq!(open(folder.path(), 40).1, [0; 0]);
}

#[test]
fn damage_before_newer_groups_is_not_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    write(&mut open(folder.path(), 0).0, &[1, 1, 1]);
    hurt(folder.path(), 30, &[0xFF]);
    assert!(matches!(AheadLog::open(folder.path(), 1 << 10, 0), Err(StorageError::Damaged { .. })));
}

#[test]
fn a_lost_file_is_not_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path(), 0);
    write(&mut log, &[1; 40]);
    log.begin_other();
    write(&mut log, &[1]);
    std::fs::remove_file(folder.path().join(NAMES[0])).unwrap();
    assert!(matches!(AheadLog::open(folder.path(), 1 << 10, 0), Err(StorageError::Damaged { .. })));
}

#[test]
fn the_memory_of_a_large_group_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path(), 0);
    let large = Commit { owner: Some("x".repeat(4 * GROUP_BYTES_KEPT)), ..commit(1) };
    log.append(&large).unwrap();
    assert!(log.group_bytes() > 4 * GROUP_BYTES_KEPT);
    log.sync().unwrap();
    assert_eq!(log.group_bytes(), 0);
    assert!(log.group.capacity() <= GROUP_BYTES_KEPT);
}
