#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use syncline_protocol::ClientId;
use tempfile::TempDir;

use super::*;
use crate::store::fixtures::{
    CLIENT, Random, copy_directory, entry, entry_with, identity, outcome, parked, resent,
};
use crate::store::{
    DiskSettings, DiskStore, EncryptionKey, Identity, KEY_BYTES, Live, OsFiles, Recovered, SledCache, Store,
};

fn try_open(
    directory: &Path,
    keys: &[u8],
    summary_bytes_min: u64,
) -> Result<(DiskStore, Recovered), StoreError> {
    let keys: Vec<_> = keys.iter().map(|byte| EncryptionKey::from_bytes([*byte; KEY_BYTES])).collect();
    let keyring = match keys.split_first() {
        Some((current, previous)) => Keyring::new(Some(current), previous)?,
        None => Keyring::default(),
    };
    let tag_seed = uuid::Uuid::now_v7().as_u64_pair().1;
    let settings =
        DiskSettings { summary_bytes_min, keyring: keyring.clone(), ..DiskSettings::new(CLIENT, tag_seed) };
    DiskStore::assemble(OsFiles, directory, settings, || {
        SledCache::open_sealed(directory.join("cache"), directory.join("quarantine/cache"), keyring)
    })
}

/// Opens it, and writes no summary.
fn open(directory: &Path) -> (DiskStore, Recovered) {
    try_open(directory, &[], u64::MAX).unwrap()
}

/// Opens it, and leaves a summary of what was found.
fn summarize(directory: &Path, keys: &[u8]) {
    let (store, _) = try_open(directory, keys, 0).unwrap();
    assert!(store.is_summarized());
}

fn queue(directory: &Path, records: &[Record]) {
    let (mut store, _) = open(directory);
    records.iter().for_each(|record| store.append(record).unwrap());
    store.commit().unwrap();
}

/// What a process that dies now leaves, with the summary or without.
fn left_by(directory: &Path, with_summary: bool) -> TempDir {
    let copy = TempDir::new().unwrap();
    copy_directory(directory, copy.path());
    if !with_summary && copy.path().join(FILE).exists() {
        fs::remove_file(copy.path().join(FILE)).unwrap();
    }
    copy
}

fn bytes(directory: &Path) -> Vec<u8> {
    fs::read(directory.join(FILE)).unwrap()
}

/// A directory with some entries, a summary of them, and some records behind it.
fn summarized() -> TempDir {
    let directory = TempDir::new().unwrap();
    queue(directory.path(), &(1..=20).map(|number| Record::Queued(vec![entry(number)])).collect::<Vec<_>>());
    summarize(directory.path(), &[]);
    let behind = [Record::Settled { client_seq: 3 }, Record::Queued(vec![entry(21), entry(22)])];
    queue(directory.path(), &behind);
    directory
}

/// Any record that may follow, about a few numbers.
fn any_record(random: &mut Random, last: &mut u64) -> Record {
    let any = 1 + random.below(*last + 1);
    match random.below(12) {
        0..=4 => {
            let first = *last + 1;
            *last += 1 + random.below(3);
            Record::Queued((first..=*last).map(entry).collect())
        }
        5 => Record::Queued(vec![entry_with(any, &"y".repeat(random.below(300) as usize))]),
        6 => Record::Settled { client_seq: any },
        7 => Record::Failed(outcome(any)),
        8 => Record::OutcomeSeen { client_seq: any },
        9 => {
            *last += 1;
            Record::Resent { client_seqs: vec![any], entries: vec![resent(any, *last)] }
        }
        10 => Record::Parked(parked(entry(any))),
        _ => {
            *last += 1;
            let entry = random.below(2).eq(&0).then(|| resent(any, *last));
            Record::Resolved { client_seq: any, entry }
        }
    }
}

#[test]
fn an_open_by_a_summary_finds_what_one_by_all_records_finds() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let directory = TempDir::new().unwrap();
        let mut last = 0;
        for _ in 0..3 {
            let records: Vec<_> = (0..random.below(12)).map(|_| any_record(&mut random, &mut last)).collect();
            queue(directory.path(), &records);
            // Not always, so that records stand behind it.
            if random.below(3) > 0 {
                let _summary = try_open(directory.path(), &[], 0).unwrap();
            }
        }
        let with = left_by(directory.path(), true);
        let has_summary = with.path().join(FILE).exists();
        let (with, found) = open(with.path());
        let without = left_by(directory.path(), false);
        let (without, expected) = open(without.path());
        assert_eq!(with.is_summarized(), has_summary, "seed {seed}");
        assert_eq!(found, expected, "seed {seed}");
        assert_eq!(
            with.entries(&found.queued).unwrap(),
            without.entries(&expected.queued).unwrap(),
            "seed {seed}"
        );
        assert_eq!(with.needed_bytes(), without.needed_bytes(), "seed {seed}");
    }
}

#[test]
fn what_follows_a_summary_counts() {
    let directory = summarized();
    let (store, recovered) = open(directory.path());
    assert!(store.is_summarized());
    let expected: Vec<_> = (1..=22).filter(|number| *number != 3).map(entry).collect();
    assert_eq!(store.entries(&recovered.queued).unwrap(), expected);
    assert_eq!((recovered.identity, recovered.damage), (identity(22), vec![]));
}

#[test]
fn a_summary_with_any_byte_flipped_or_cut_off_is_left_alone() {
    let directory = summarized();
    let (_, expected) = open(left_by(directory.path(), false).path());
    let whole = bytes(directory.path());
    let check = |bytes: &[u8]| {
        let copy = left_by(directory.path(), true);
        fs::write(copy.path().join(FILE), bytes).unwrap();
        let (store, found) = open(copy.path());
        assert!(!store.is_summarized());
        assert_eq!(found, expected);
        assert!(!copy.path().join(FILE).exists());
    };
    for at in (0..whole.len()).step_by(29) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        check(&flipped);
        check(&whole[..at]);
    }
}

#[test]
fn contents_of_any_kind_are_no_summary_and_no_panic() {
    let directory = summarized();
    let whole = bytes(directory.path());
    let contents = unseal(&whole).unwrap();
    let decode = |contents: &[u8]| Begun::of(contents.to_vec())?.finish();
    assert!(decode(contents).is_some());
    let mut random = Random(1);
    for _ in 0..20_000 {
        let mut contents = contents.to_vec();
        for _ in 0..=random.below(3) {
            let at = random.below(contents.len() as u64) as usize;
            contents[at] = random.next().to_le_bytes()[0];
        }
        contents.truncate(contents.len() - random.below(9) as usize);
        let _any = decode(&contents);
    }
}

#[test]
fn damage_in_the_journal_is_found_as_without_a_summary() {
    let directory = summarized();
    let journal = fs::read(directory.path().join("journal")).unwrap();
    let used = journal.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut random = Random(7);
    for case in 0..45 {
        let mut damaged = journal.clone();
        let at = random.below(used as u64) as usize;
        match case % 3 {
            0 => damaged[at] ^= 1 << random.below(8),
            1 => damaged.truncate(at),
            _ => damaged[at..(at + 300).min(used)].fill(0),
        }
        let found = [true, false].map(|with_summary| {
            let copy = left_by(directory.path(), with_summary);
            fs::write(copy.path().join("journal"), &damaged).unwrap();
            let (store, recovered) = open(copy.path());
            let entries = store.entries(&recovered.queued).unwrap();
            (recovered, entries)
        });
        assert!(!found[0].0.damage.is_empty(), "case {case} at {at}");
        assert_eq!(found[0], found[1], "case {case} at {at}");
    }
}

#[test]
fn damage_is_found_in_each_part_of_a_journal_that_is_checked_side_by_side() {
    let directory = TempDir::new().unwrap();
    let text = "x".repeat(300 << 10);
    queue(
        directory.path(),
        &(1..=15).map(|n| Record::Queued(vec![entry_with(n, &text)])).collect::<Vec<_>>(),
    );
    summarize(directory.path(), &[]);
    let ends = Begun::of(unseal(&bytes(directory.path())).unwrap().to_vec()).unwrap().ends().to_vec();
    assert!(ends.len() > 2, "{ends:?}");
    assert!(open(left_by(directory.path(), true).path()).0.is_summarized());
    let journal = fs::read(directory.path().join("journal")).unwrap();
    for end in ends {
        let mut damaged = journal.clone();
        damaged[end as usize - 1] ^= 1;
        let left = left_by(directory.path(), true);
        fs::write(left.path().join("journal"), &damaged).unwrap();
        let (store, recovered) = open(left.path());
        assert!(!store.is_summarized());
        assert_eq!((recovered.queued.len(), recovered.damage.len()), (14, 1), "before byte {end}");
    }
}

#[test]
fn a_summary_of_another_segment_is_not_believed() {
    let directory = summarized();
    let old = bytes(directory.path());
    let (mut store, recovered) = open(directory.path());
    store.replace_journal(&Live { records: recovered.records(), kept: vec![21] }).unwrap();
    assert!(!directory.path().join(FILE).exists());
    fs::write(directory.path().join(FILE), old).unwrap();
    let left = left_by(directory.path(), true);
    let (store, recovered) = open(left.path());
    assert!(!store.is_summarized());
    assert_eq!(store.entries(&recovered.queued).unwrap(), [entry(21)]);
}

#[test]
fn an_older_summary_of_the_segment_does() {
    let directory = summarized();
    let old = bytes(directory.path());
    queue(directory.path(), &[Record::Settled { client_seq: 5 }]);
    summarize(directory.path(), &[]);
    assert_ne!(bytes(directory.path()), old);
    fs::write(directory.path().join(FILE), old).unwrap();
    let (store, recovered) = open(directory.path());
    assert!(store.is_summarized());
    let expected: Vec<_> = (1..=22).filter(|number| ![3, 5].contains(number)).map(entry).collect();
    assert_eq!(store.entries(&recovered.queued).unwrap(), expected);
}

#[test]
fn what_waits_for_a_flush_is_queued_in_a_summary_as_in_the_journal() {
    let directory = summarized();
    let (mut store, _) = open(directory.path());
    store.append_after_flush(Record::Settled { client_seq: 1 });
    let left = left_by(directory.path(), true);
    summarize(left.path(), &[]);
    let (store, recovered) = open(left.path());
    assert!(store.is_summarized());
    assert!(store.entries(&recovered.queued).unwrap().contains(&entry(1)));
}

#[test]
fn a_summary_is_written_when_much_was_read_and_not_again() {
    let directory = summarized();
    let old = bytes(directory.path());
    let (mut store, _) = try_open(directory.path(), &[], 1000).unwrap();
    assert_eq!(bytes(directory.path()), old);
    store.append(&Record::Queued((23..30).map(entry).collect())).unwrap();
    store.commit().unwrap();
    drop(store);
    let (store, recovered) = try_open(directory.path(), &[], 1000).unwrap();
    let new = bytes(directory.path());
    assert_ne!(new, old);
    drop(store);
    let (_, again) = try_open(directory.path(), &[], 1000).unwrap();
    assert_eq!((bytes(directory.path()), again), (new, recovered));
}

#[test]
fn what_would_be_repeated_is_little() {
    let directory = TempDir::new().unwrap();
    let parked = |number| Record::Parked(parked(entry_with(number, &"z".repeat(100_000))));
    queue(directory.path(), &(1..=11).map(parked).collect::<Vec<_>>());
    let (store, recovered) = try_open(directory.path(), &[], 0).unwrap();
    assert_eq!(recovered.parked.len(), 11);
    assert!(!store.is_summarized() && !directory.path().join(FILE).exists());
}

#[test]
fn a_summary_is_sealed_as_the_journal_is() {
    let directory = TempDir::new().unwrap();
    let is_clear = || bytes(directory.path()).windows(7).any(|window| window == b"user:42");
    queue(directory.path(), &[Record::Queued(vec![entry(1)])]);
    summarize(directory.path(), &[]);
    assert!(is_clear());

    // Sealed from now on: what is in the clear goes.
    drop(try_open(directory.path(), &[1], 0).unwrap());
    assert!(!directory.path().join(FILE).exists());
    summarize(directory.path(), &[1]);
    assert!(!is_clear());

    let before = bytes(directory.path());
    for keys in [&[][..], &[2]] {
        assert!(matches!(try_open(directory.path(), keys, 0), Err(StoreError::WrongKey)));
        assert_eq!(bytes(directory.path()), before);
    }
    let (store, recovered) = try_open(directory.path(), &[1], u64::MAX).unwrap();
    assert!(store.is_summarized());
    assert_eq!(store.entries(&recovered.queued).unwrap(), [entry(1)]);
    drop(store);
    let (store, recovered) = try_open(directory.path(), &[2, 1], u64::MAX).unwrap();
    assert!(!store.is_summarized() && !directory.path().join(FILE).exists());
    assert_eq!(store.entries(&recovered.queued).unwrap(), [entry(1)]);
}

#[test]
fn data_of_another_installation_fails_its_entries_behind_a_summary_too() {
    let directory = summarized();
    let identity = Identity { installation: Some(8), ..identity(22) };
    queue(directory.path(), &[Record::Identity(identity)]);
    let other = ClientId::from_bytes([5; 16]);
    let opened = DiskStore::open_with(directory.path(), other, Keyring::default(), Some(9));
    let (store, recovered) = opened.unwrap();
    assert!(store.is_summarized());
    assert_eq!(recovered.identity.client_id, other);
    assert_eq!((recovered.queued.len(), recovered.outcomes.len()), (0, 21));
}

proptest! {
    #[test]
    fn numbers_of_any_size_are_read_as_they_were_written(numbers in proptest::collection::vec(any::<u64>(), 0..9), small in 0u64..300) {
        let mut bytes = Vec::new();
        for number in numbers.iter().chain([&small, &u64::MAX]) {
            put(&mut bytes, zigzag(*number));
        }
        let mut rest = bytes.as_slice();
        for number in numbers.iter().chain([&small, &u64::MAX]) {
            prop_assert_eq!(take(&mut rest).map(unzigzag), Some(*number));
        }
        prop_assert_eq!(take(&mut rest), None);
    }
}
