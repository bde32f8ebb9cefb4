//! A store with a key, without it, with another one, and on its way from one to the other.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::crypt::{EncryptionKey, KEY_BYTES, Keyring};
use super::fixtures::{CLIENT, collection, copy_directory, document, entry, key, room, state};
use super::*;

const OLD: u8 = 1;
const NEW: u8 = 2;

fn keyring(current: Option<u8>, previous: &[u8]) -> Keyring {
    let key = |byte: u8| EncryptionKey::from_bytes([byte; KEY_BYTES]);
    let previous: Vec<_> = previous.iter().map(|&byte| key(byte)).collect();
    Keyring::new(current.map(key).as_ref(), &previous).unwrap()
}

fn open(directory: &Path, keyring: Keyring) -> Result<(DiskStore, Recovered), StoreError> {
    DiskStore::open_with(directory, CLIENT, keyring, None)
}

/// A few entries, and a room with a small document and a large one.
fn fill(directory: &Path, keyring: Keyring) {
    let (mut store, _) = open(directory, keyring).unwrap();
    store.append(&Record::Queued(vec![entry(1), entry(2)])).unwrap();
    store.commit().unwrap();
    let documents = [document("task-1", 1, "small"), document("task-2", 2, &"large ".repeat(20_000))];
    let update = RoomUpdate { reset: false, documents: &documents, state: state(2) };
    store.apply(&room("user:42"), &update).unwrap();
    store.flush().unwrap();
}

/// Opens it, and finds all that `fill` wrote.
fn is_whole(directory: &Path, keyring: Keyring) {
    let (mut store, recovered) = open(directory, keyring).unwrap();
    assert_eq!(recovered.damage, [] as [String; 0]);
    assert_eq!(recovered.identity.client_id, CLIENT);
    assert_eq!(store.entries(&recovered.queued).unwrap(), [entry(1), entry(2)]);
    assert_eq!(store.document(&key("user:42", "task-1")).unwrap(), Some(document("task-1", 1, "small")));
    let mut found = Vec::new();
    store
        .visit_collection(&room("user:42"), &collection("tasks"), &mut |document| found.push(document))
        .unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(store.rooms().unwrap(), [(room("user:42"), state(2))]);
    assert_eq!(store.take_loss(), None);
}

fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for item in fs::read_dir(directory).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

fn says(directory: &Path, text: &str) -> bool {
    files(directory).iter().any(|(path, bytes)| {
        path.to_string_lossy().contains(text) || bytes.windows(text.len()).any(|part| part == text.as_bytes())
    })
}

#[test]
fn a_sealed_store_comes_back_with_its_key() {
    let directory = TempDir::new().unwrap();
    fill(directory.path(), keyring(Some(OLD), &[]));
    is_whole(directory.path(), keyring(Some(OLD), &[]));
}

#[test]
fn a_sealed_store_says_nothing_in_the_clear() {
    let (sealed, clear) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fill(sealed.path(), keyring(Some(OLD), &[]));
    fill(clear.path(), keyring(None, &[]));
    // What sled may compress is not looked for.
    for text in ["user:42", "tasks", "task-1", "small"] {
        assert!(says(clear.path(), text), "{text}: the test would not notice");
        assert!(!says(sealed.path(), text), "{text}");
    }
}

#[test]
fn another_key_or_none_is_refused_and_nothing_is_touched() {
    let directory = TempDir::new().unwrap();
    fill(directory.path(), keyring(Some(OLD), &[]));
    // What an interrupted compaction leaves behind stays as well.
    fs::write(directory.path().join("journal.new"), b"left behind").unwrap();
    let before = files(directory.path());
    for wrong in [keyring(Some(NEW), &[]), keyring(None, &[]), keyring(Some(NEW), &[3, 4])] {
        assert!(matches!(open(directory.path(), wrong), Err(StoreError::WrongKey)));
        assert_eq!(files(directory.path()), before);
    }
    is_whole(directory.path(), keyring(Some(OLD), &[]));
}

#[test]
fn another_key_is_refused_also_when_the_journals_header_is_damaged_or_it_is_gone() {
    let directory = TempDir::new().unwrap();
    fill(directory.path(), keyring(Some(OLD), &[]));
    let journal = directory.path().join("journal");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[..32].fill(0);
    fs::write(&journal, bytes).unwrap();
    let before = files(directory.path());
    assert!(matches!(open(directory.path(), keyring(Some(NEW), &[])), Err(StoreError::WrongKey)));
    assert_eq!(files(directory.path()), before);
    let (store, recovered) = open(directory.path(), keyring(Some(OLD), &[])).unwrap();
    assert_eq!(store.entries(&recovered.queued).unwrap(), [entry(1), entry(2)]);
    drop(store);

    fs::remove_file(&journal).unwrap();
    let before = files(directory.path());
    assert!(matches!(open(directory.path(), keyring(Some(NEW), &[])), Err(StoreError::WrongKey)));
    assert_eq!(files(directory.path()), before);
    let (_, recovered) = open(directory.path(), keyring(Some(OLD), &[])).unwrap();
    assert_eq!(recovered.identity.client_id, CLIENT);
}

#[test]
fn a_store_in_the_clear_is_sealed_when_it_is_opened_with_a_key() {
    let directory = TempDir::new().unwrap();
    fill(directory.path(), keyring(None, &[]));
    let quarantine = directory.path().join("quarantine");
    fs::create_dir_all(quarantine.join("cache")).unwrap();
    fs::write(quarantine.join("000001-journal"), b"task-1").unwrap();
    fs::write(quarantine.join("cache").join("db"), b"task-1").unwrap();
    is_whole(directory.path(), keyring(Some(NEW), &[]));
    for text in ["user:42", "tasks", "task-1", "small"] {
        assert!(!says(directory.path(), text), "{text}");
    }
    is_whole(directory.path(), keyring(Some(NEW), &[]));
}

#[test]
fn a_key_is_changed_and_the_old_one_is_of_no_use_afterwards() {
    let directory = TempDir::new().unwrap();
    fill(directory.path(), keyring(Some(OLD), &[]));
    is_whole(directory.path(), keyring(Some(NEW), &[3, OLD]));
    assert!(matches!(open(directory.path(), keyring(Some(OLD), &[])), Err(StoreError::WrongKey)));
    is_whole(directory.path(), keyring(Some(NEW), &[]));
}

#[test]
fn a_store_is_written_in_the_clear_again_when_its_key_is_only_a_previous_one() {
    let directory = TempDir::new().unwrap();
    fill(directory.path(), keyring(Some(OLD), &[]));
    is_whole(directory.path(), keyring(None, &[OLD]));
    is_whole(directory.path(), keyring(None, &[]));
}

/// The steps are: the cache, the spare identity, the journal. After each of them the process may end.
#[test]
fn a_crash_between_the_steps_of_a_change_of_key_leaves_every_write() {
    let (before, after) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fill(before.path(), keyring(Some(OLD), &[]));
    copy_directory(before.path(), after.path());
    drop(open(after.path(), keyring(Some(NEW), &[OLD])).unwrap());
    let is_done = [["cache", "cache.mark"].as_slice(), &["identity"], &["journal"]];
    for steps in 0..=is_done.len() {
        let crashed = TempDir::new().unwrap();
        copy_directory(before.path(), crashed.path());
        for name in is_done[..steps].iter().copied().flatten() {
            let (from, to) = (after.path().join(name), crashed.path().join(name));
            if from.is_dir() {
                fs::remove_dir_all(&to).unwrap();
                fs::create_dir(&to).unwrap();
                copy_directory(&from, &to);
            } else {
                fs::copy(&from, &to).unwrap();
            }
        }
        // With one of the keys every write is there, though the cache may be lost.
        let alone = if steps < is_done.len() { OLD } else { NEW };
        let copied = TempDir::new().unwrap();
        copy_directory(crashed.path(), copied.path());
        let (store, recovered) = open(copied.path(), keyring(Some(alone), &[])).unwrap();
        assert_eq!(store.entries(&recovered.queued).unwrap(), [entry(1), entry(2)], "after {steps} steps");
        is_whole(crashed.path(), keyring(Some(NEW), &[OLD]));
        is_whole(crashed.path(), keyring(Some(NEW), &[]));
    }
}

#[test]
fn a_record_that_was_altered_with_a_valid_checksum_is_set_aside_and_reported() {
    let directory = TempDir::new().unwrap();
    fill(directory.path(), keyring(Some(OLD), &[]));
    let other = TempDir::new().unwrap();
    fill(other.path(), keyring(Some(OLD), &[]));
    // The frames of another journal of the same key, under the tag of this one.
    let journal = directory.path().join("journal");
    let tag = fs::read(&journal).unwrap()[12..16].try_into().map(u32::from_le_bytes).unwrap();
    let stolen = fs::read(other.path().join("journal")).unwrap();
    let stolen_tag = stolen[12..16].try_into().map(u32::from_le_bytes).unwrap();
    let mut forged =
        frame::Header::encode(tag, keyring(Some(OLD), &[]).current().map(|v| v.key_id())).to_vec();
    frame::scan(&stolen[32..], 32, Some(stolen_tag), &mut |_, _, payload| {
        frame::encode_frame(&mut forged, tag, payload);
    })
    .unwrap();
    forged.resize(forged.len() + 4096, 0);
    fs::write(&journal, forged).unwrap();
    let (store, recovered) = open(directory.path(), keyring(Some(OLD), &[])).unwrap();
    assert_eq!(store.entries(&recovered.queued).unwrap(), []);
    assert!(recovered.damage.iter().any(|line| line.contains("seal is broken")), "{:?}", recovered.damage);
    assert_eq!(fs::read_dir(directory.path().join("quarantine")).unwrap().count(), 1);
}

#[test]
fn a_copied_store_takes_another_id_and_leaves_the_entries_to_the_app() {
    let directory = TempDir::new().unwrap();
    let open = |client_id, installation| {
        DiskStore::open_with(directory.path(), client_id, Keyring::default(), installation).unwrap()
    };
    let other = fixtures::OTHER_CLIENT;
    fill(directory.path(), Keyring::default());
    // Told for the first time, it is noted; untold, it stays.
    for installation in [Some(1), Some(1), None, Some(1)] {
        let (_, recovered) = open(other, installation);
        assert_eq!((recovered.identity.client_id, recovered.identity.installation), (CLIENT, Some(1)));
        assert_eq!(recovered.queued.len(), 2);
    }
    let (_, recovered) = open(other, Some(2));
    assert_eq!((recovered.identity.client_id, recovered.identity.installation), (other, Some(2)));
    assert_eq!(recovered.identity.last_client_seq, 2, "no number comes twice");
    assert!(recovered.queued.is_empty());
    let failed: Vec<_> = recovered.outcomes.iter().map(|outcome| outcome.entry.clone()).collect();
    assert_eq!(failed, [entry(1), entry(2)]);
    let (_, again) = open(CLIENT, Some(2));
    assert_eq!(again, recovered);
}
