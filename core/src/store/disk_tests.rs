#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::*;
use crate::store::RoomUpdate;
use crate::store::fixtures::{
    CLIENT, OTHER_CLIENT, collection, copy_directory, document, entry, identity, key, room, state,
};
use crate::store::recovery::SKIPPED_AFTER_DAMAGE;

fn open(directory: &Path) -> (DiskStore, Recovered) {
    DiskStore::open(directory, CLIENT).unwrap()
}

fn queue(store: &mut DiskStore, numbers: std::ops::RangeInclusive<u64>) -> Result<(), StoreError> {
    for number in numbers {
        store.append(&Record::Queued(vec![entry(number)]))?;
    }
    store.commit()
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Where the contents of a record begin.
fn position(bytes: &[u8], needle: &str) -> usize {
    bytes.windows(needle.len()).position(|window| window == needle.as_bytes()).unwrap()
}

#[test]
fn a_second_open_is_refused_until_the_first_is_closed() {
    let directory = TempDir::new().unwrap();
    let (store, _) = open(directory.path());
    assert!(matches!(DiskStore::open(directory.path(), CLIENT), Err(StoreError::InUse)));
    let detour = directory.path().join("quarantine").join("..");
    fs::create_dir_all(directory.path().join("quarantine")).unwrap();
    assert!(matches!(DiskStore::open(&detour, CLIENT), Err(StoreError::InUse)));
    drop(store);
    open(directory.path());
}

#[test]
fn the_store_may_move_to_the_thread_that_owns_it() {
    let directory = TempDir::new().unwrap();
    let (mut store, _) = open(directory.path());
    let worker = std::thread::spawn(move || queue(&mut store, 1..=1));
    worker.join().unwrap().unwrap();
    let (store, recovered) = open(directory.path());
    assert_eq!(store.entries(&recovered.queued).unwrap(), [entry(1)]);
}

#[cfg(unix)]
#[test]
fn a_new_directory_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TempDir::new().unwrap();
    let inner = directory.path().join("app").join("store");
    open(&inner);
    assert_eq!(fs::metadata(inner).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_lost_identity_is_taken_from_the_spare_and_no_number_comes_twice() {
    let directory = TempDir::new().unwrap();
    let (mut store, _) = open(directory.path());
    queue(&mut store, 1..=5).unwrap();
    drop(store);
    edit(&directory.path().join("journal"), |bytes| {
        let at = position(bytes, "Identity");
        bytes[at] ^= 1;
    });
    let (store, recovered) = DiskStore::open(directory.path(), OTHER_CLIENT).unwrap();
    assert_eq!(recovered.identity.client_id, CLIENT);
    assert_eq!(recovered.identity.last_client_seq, 5 + u64::from(SKIPPED_AFTER_DAMAGE));
    assert_eq!(recovered.queued.len(), 5);
    assert_eq!(recovered.damage.len(), 2);
    drop(store);
    let (_, again) = DiskStore::open(directory.path(), OTHER_CLIENT).unwrap();
    assert_eq!(again, Recovered { damage: Vec::new(), ..recovered });
}

#[test]
fn entries_whose_client_is_unknown_are_neither_lost_nor_sent() {
    let directory = TempDir::new().unwrap();
    let (mut store, _) = open(directory.path());
    queue(&mut store, 1..=5).unwrap();
    drop(store);
    fs::remove_file(directory.path().join("identity")).unwrap();
    edit(&directory.path().join("journal"), |bytes| {
        let at = position(bytes, "Identity");
        bytes[at] ^= 1;
    });
    let (store, recovered) = DiskStore::open(directory.path(), OTHER_CLIENT).unwrap();
    assert_eq!(recovered.identity.client_id, OTHER_CLIENT);
    assert_eq!((recovered.queued.len(), recovered.outcomes.len()), (0, 5));
    drop(store);
    let (_, again) = open(directory.path());
    assert_eq!(again, Recovered { damage: Vec::new(), ..recovered });
}

#[test]
fn a_missing_journal_does_not_bring_numbers_back() {
    let directory = TempDir::new().unwrap();
    let (mut store, _) = open(directory.path());
    queue(&mut store, 1..=5).unwrap();
    drop(store);
    fs::remove_file(directory.path().join("journal")).unwrap();
    let (_, recovered) = DiskStore::open(directory.path(), OTHER_CLIENT).unwrap();
    assert_eq!(recovered.identity.client_id, CLIENT);
    assert!(recovered.identity.last_client_seq >= u64::from(SKIPPED_AFTER_DAMAGE));
    assert!(!recovered.damage.is_empty());
}

#[test]
fn a_damaged_spare_identity_is_written_anew() {
    let directory = TempDir::new().unwrap();
    drop(open(directory.path()));
    let spare = directory.path().join("identity");
    let whole = fs::read(&spare).unwrap();
    fs::write(&spare, b"nonsense").unwrap();
    let (_, recovered) = open(directory.path());
    assert_eq!((recovered.identity, recovered.damage), (identity(0), Vec::new()));
    assert_eq!(fs::read(&spare).unwrap(), whole);
}

#[test]
fn a_record_that_cannot_be_decoded_is_set_aside() {
    let directory = TempDir::new().unwrap();
    let (mut store, _) = open(directory.path());
    queue(&mut store, 1..=1).unwrap();
    store.journal.append(b"from another world").unwrap();
    queue(&mut store, 2..=2).unwrap();
    drop(store);
    let (store, recovered) = open(directory.path());
    assert_eq!(store.entries(&recovered.queued).unwrap(), [entry(1), entry(2)]);
    assert_eq!(recovered.damage.len(), 1);
    let kept = directory.path().join("quarantine").join("000001-records");
    assert_eq!(fs::read(kept).unwrap(), b"from another world");
}

#[test]
fn a_crash_between_the_steps_of_a_compaction_leaves_the_old_or_the_new_records() {
    let directory = TempDir::new().unwrap();
    let (mut store, _) = open(directory.path());
    queue(&mut store, 1..=5).unwrap();
    drop(store);
    // The identity beside the journal is already new, the journal is not yet.
    let spare = seal(&encode(&identity(5)).unwrap());
    fs::write(directory.path().join("identity"), &spare).unwrap();
    fs::write(directory.path().join("journal.new"), b"half of the new one").unwrap();
    fs::write(directory.path().join("identity.new"), b"half").unwrap();
    let (_, recovered) = open(directory.path());
    assert_eq!((recovered.queued.len(), recovered.identity), (5, identity(5)));
    assert_eq!(recovered.damage, Vec::<String>::new());
}

#[test]
fn closing_makes_everything_durable() {
    let directory = TempDir::new().unwrap();
    let (mut store, _) = open(directory.path());
    queue(&mut store, 1..=1).unwrap();
    let documents = [document("task-1", 1, "text")];
    let update = RoomUpdate { reset: false, documents: &documents, state: state(1) };
    store.apply(&room("user:42"), &update).unwrap();
    store.append_after_flush(Record::Settled { client_seq: 1 });
    drop(store);
    let (store, recovered) = open(directory.path());
    assert_eq!(store.entries(&recovered.queued).unwrap(), []);
    assert_eq!(store.rooms().unwrap(), [(room("user:42"), state(1))]);
    assert!(store.stats().journal_bytes > 0 && store.stats().cache_bytes > 0);
}

#[test]
fn a_hundred_thousand_entries_come_back() {
    const COUNT: u64 = 100_000;
    let directory = TempDir::new().unwrap();
    let (mut store, _) = open(directory.path());
    queue(&mut store, 1..=COUNT).unwrap();
    drop(store);
    let started = std::time::Instant::now();
    let (store, recovered) = open(directory.path());
    println!("reopened {COUNT} entries in {} ms", started.elapsed().as_millis());
    assert_eq!(recovered.queued.len() as u64, COUNT);
    assert_eq!(store.entry(COUNT).unwrap(), entry(COUNT));
    assert_eq!(recovered.identity, identity(COUNT));
}

/// Set for a test that runs as a child process: the directory to work in.
const CHILD_DIRECTORY: &str = "SYNCLINE_TEST_DIRECTORY";

fn spawn(test: &str, directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", &format!("store::disk::tests::{test}")])
        .env(CHILD_DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "runs as a child of a_second_process_is_refused"]
fn child_opens() {
    let Ok(directory) = std::env::var(CHILD_DIRECTORY) else { return };
    match DiskStore::open(Path::new(&directory), CLIENT) {
        Ok(_) => println!("answer: opened"),
        Err(StoreError::InUse) => println!("answer: in use"),
        Err(error) => println!("answer: {error}"),
    }
}

fn answer_of_child(directory: &Path) -> String {
    let output = spawn("child_opens", directory).wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.split_once("answer: ")).unwrap().1.to_owned()
}

#[test]
fn a_second_process_is_refused() {
    let directory = TempDir::new().unwrap();
    let (store, _) = open(directory.path());
    assert_eq!(answer_of_child(directory.path()), "in use");
    drop(store);
    assert_eq!(answer_of_child(directory.path()), "opened");
}

#[test]
#[ignore = "runs as a child of what_a_killed_process_had_accepted_is_there"]
fn child_writes_until_it_is_killed() {
    let Ok(directory) = std::env::var(CHILD_DIRECTORY) else { return };
    let (mut store, recovered) = open(Path::new(&directory));
    let mut cursor = store.rooms().unwrap().first().map_or(0, |(_, state)| state.cursor);
    let mut next = recovered.identity.last_client_seq + 1;
    loop {
        queue(&mut store, next..=next + 2).unwrap();
        println!("accepted: {}", next + 2);
        store.append(&Record::Settled { client_seq: next }).unwrap();
        store.commit().unwrap();
        cursor += 1;
        let documents = [document(&format!("d{:03}", cursor % 100), cursor, &"text ".repeat(300))];
        let update = RoomUpdate { reset: false, documents: &documents, state: state(cursor) };
        store.apply(&room("user:42"), &update).unwrap();
        if cursor.is_multiple_of(5) {
            store.append_after_flush(Record::Settled { client_seq: next + 1 });
            store.flush().unwrap();
        }
        store.compact_if_worthwhile(&mut || panic!("a compaction is tested elsewhere")).unwrap();
        next += 3;
    }
}

#[test]
fn what_a_killed_process_had_accepted_is_there() {
    let directory = TempDir::new().unwrap();
    let mut accepted = 0;
    for round in 1..=12 {
        let mut child = spawn("child_writes_until_it_is_killed", directory.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut left = round * 7;
        let mut note = |line: String| match line.split_once("accepted: ") {
            Some((_, number)) => {
                accepted = number.parse().unwrap();
                1
            }
            None => 0,
        };
        while left > 0 {
            left -= note(lines.next().unwrap().unwrap());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        lines.map_while(Result::ok).filter(|line| !line.is_empty()).for_each(|line| {
            note(line);
        });
        let copy = TempDir::new().unwrap();
        copy_directory(directory.path(), copy.path());
        let (store, recovered) = open(copy.path());
        assert!(recovered.identity.last_client_seq >= accepted, "round {round}");
        let found: std::collections::BTreeSet<_> = recovered.queued.numbers().collect();
        // The last of each three is never settled.
        let missing = (1..=accepted / 3).map(|n| n * 3).find(|number| !found.contains(number));
        assert_eq!(missing, None, "round {round}");
        assert_eq!(store.rooms().unwrap().len(), 1);
        store.visit_collection(&room("user:42"), &collection("tasks"), &mut |_| ()).unwrap();
    }
}

/// A small file system of its own; unmounted when dropped.
#[cfg(target_os = "linux")]
struct SmallDisk(TempDir);

#[cfg(target_os = "linux")]
impl SmallDisk {
    fn mount(bytes: u64) -> Option<Self> {
        let directory = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(directory.path())
            .stderr(Stdio::null())
            .status();
        match mounted {
            Ok(status) if status.success() => Some(Self(directory)),
            _ => {
                println!("skipped: a file system cannot be mounted here");
                None
            }
        }
    }

    /// Leaves so many bytes free.
    fn fill(&self, bytes_left: u64) {
        let ballast = self.0.path().join("ballast");
        let mut file = File::create(&ballast).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(bytes_left)).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.0.path().join("ballast")).unwrap();
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[cfg(target_os = "linux")]
use std::fs::File;

#[cfg(target_os = "linux")]
#[test]
fn on_a_full_disk_what_was_accepted_is_intact_and_it_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(8 << 20) else { return };
    let directory = disk.0.path().join("store");
    let (mut store, _) = open(&directory);
    let documents = [document("a", 1, "text")];
    let update = RoomUpdate { reset: false, documents: &documents, state: state(1) };
    store.apply(&room("user:42"), &update).unwrap();
    store.flush().unwrap();
    disk.fill(64 << 10);

    let mut accepted = 0;
    let error = loop {
        match queue(&mut store, accepted + 1..=accepted + 50) {
            Ok(()) => accepted += 50,
            Err(error) => break error,
        }
        assert!(accepted < 100_000, "the disk never became full");
    };
    assert!(matches!(error, StoreError::Full), "{error:?}");
    assert!(matches!(queue(&mut store, 900_001..=901_000), Err(StoreError::Full)));
    // What is small enough still fits.
    assert_eq!(store.document(&key("user:42", "a")).unwrap().as_ref(), Some(&documents[0]));
    let copy = TempDir::new().unwrap();
    copy_directory(&directory, copy.path());
    let recovered = open(copy.path()).1;
    assert_eq!(recovered.queued.len() as u64, accepted);
    assert_eq!(recovered.damage, Vec::<String>::new());

    disk.free();
    queue(&mut store, accepted + 1..=accepted + 50).unwrap();
    drop(store);
    let (store, recovered) = open(&directory);
    assert_eq!(recovered.queued.len() as u64, accepted + 50);
    assert_eq!(recovered.identity, identity(accepted + 50));
    assert_eq!(store.document(&key("user:42", "a")).unwrap().as_ref(), Some(&documents[0]));
}

#[cfg(target_os = "linux")]
#[test]
fn a_cache_on_a_full_disk_is_not_lost() {
    let Some(disk) = SmallDisk::mount(16 << 20) else { return };
    let directory = disk.0.path().join("store");
    let (mut store, _) = open(&directory);
    let apply = |store: &mut DiskStore, cursor: u64| {
        let documents = [document(&format!("d{cursor}"), cursor, &"text ".repeat(4000))];
        let update = RoomUpdate { reset: false, documents: &documents, state: state(cursor) };
        store.apply(&room("user:42"), &update)
    };
    for cursor in 1..=20 {
        apply(&mut store, cursor).unwrap();
        store.flush().unwrap();
    }
    disk.fill(3 << 20);
    let mut cursor = 20;
    let error = loop {
        if let Err(error) = apply(&mut store, cursor + 1) {
            break error;
        }
        cursor += 1;
        if let Err(error) = store.flush() {
            break error;
        }
        assert!(cursor < 10_000, "the disk never became full");
    };
    assert!(matches!(error, StoreError::Full), "{error:?}");
    // Reads and the journal go on.
    assert_eq!(store.rooms().unwrap(), [(room("user:42"), state(cursor))]);
    queue(&mut store, 1..=20).unwrap();
    disk.free();
    apply(&mut store, cursor + 1).unwrap();
    drop(store);
    let (store, recovered) = open(&directory);
    assert_eq!((recovered.queued.len(), recovered.damage.len()), (20, 0));
    let mut count = 0;
    store.visit_collection(&room("user:42"), &collection("tasks"), &mut |_| count += 1).unwrap();
    assert_eq!(count, cursor + 1);
}
