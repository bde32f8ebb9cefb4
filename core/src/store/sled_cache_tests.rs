#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::store::fixtures::{Random, collection, copy_directory, document, key, room, state};

const SEEDS: u64 = 150;
const DOCUMENTS: u64 = 300;

fn open(directory: &Path) -> (SledCache, Option<String>) {
    let mut cache = SledCache::open(directory.join("cache"), directory.join("quarantine").join("cache"));
    let lost = cache.take_loss();
    (cache, lost)
}

fn fill(cache: &mut SledCache) {
    for round in 0..DOCUMENTS / 10 {
        let documents: Vec<_> = (round * 10..round * 10 + 10)
            .map(|n| document(&format!("d{n:04}"), n, &"text ".repeat(if n % 50 == 0 { 30_000 } else { 60 })))
            .collect();
        let update = RoomUpdate { reset: false, documents: &documents, state: state(round + 1) };
        cache.apply(&room("user:42"), &update).unwrap();
        cache.flush().unwrap();
    }
}

fn contents(cache: &SledCache) -> Result<Vec<Document>, StoreError> {
    let mut found = Vec::new();
    cache.visit_collection(&room("user:42"), &collection("tasks"), &mut |document| found.push(document))?;
    Ok(found)
}

fn is_usable(cache: &mut SledCache) {
    let documents = [document("new", 1, "text")];
    let update = RoomUpdate { reset: true, documents: &documents, state: state(1) };
    cache.apply(&room("list:9"), &update).unwrap();
    cache.flush().unwrap();
    assert_eq!(cache.document(&key("list:9", "new")).unwrap(), Some(documents[0].clone()));
}

#[test]
fn an_open_waits_for_the_end_of_the_database_before_it() {
    let directory = TempDir::new().unwrap();
    let (mut cache, _) = open(directory.path());
    fill(&mut cache);
    drop(cache);
    let before = Database::open(&directory.path().join("cache"), &Keyring::default()).unwrap();
    let (opened, opening) = std::sync::mpsc::sync_channel(1);
    let folder = directory.path().to_owned();
    std::thread::spawn(move || {
        let (cache, lost) = open(&folder);
        opened.send((contents(&cache).unwrap().len(), lost)).unwrap();
    });
    let early = opening.recv_timeout(Duration::from_millis(100));
    assert_eq!(early, Err(RecvTimeoutError::Timeout), "it must not give up");
    drop(before);
    assert_eq!(opening.recv().unwrap(), (usize::try_from(DOCUMENTS).unwrap(), None));
}

#[test]
fn what_a_reading_from_nothing_finds_again_beyond_its_snapshot_replaces_the_older_state() {
    let folder = TempDir::new().unwrap();
    let (mut cache, _) = open(folder.path());
    let reading = |cursor| RoomState { snapshot: Some(4), ..state(cursor) };
    let pages = [
        (vec![document("a", 1, "old"), document("b", 2, "b")], reading(2)),
        (vec![document("c", 4, "c")], reading(4)),
        (vec![document("a", 5, "new"), document("d", 6, "d")], state(6)),
    ];
    for (documents, state) in &pages {
        let update = RoomUpdate { reset: false, documents, state: *state };
        cache.apply(&room("user:42"), &update).unwrap();
    }
    cache.flush().unwrap();
    drop(cache);
    // An open compares the documents with the digest that was kept along.
    let (cache, lost) = open(folder.path());
    let expected =
        [document("a", 5, "new"), document("b", 2, "b"), document("c", 4, "c"), document("d", 6, "d")];
    assert_eq!((contents(&cache).unwrap(), lost), (expected.to_vec(), None));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for item in fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// Damages a file, one way or another.
fn damage(path: &Path, random: &mut Random) -> String {
    let mut bytes = fs::read(path).unwrap();
    let length = bytes.len() as u64;
    let what = match random.below(4) {
        0 => {
            bytes.truncate(random.below(length) as usize);
            format!("truncated to {}", bytes.len())
        }
        1 => {
            let flips: Vec<_> = (0..=random.below(3)).map(|_| random.below(length) as usize).collect();
            flips.iter().for_each(|&at| bytes[at] ^= 1 << random.below(8));
            format!("flipped at {flips:?}")
        }
        2 => {
            let at = random.below(length) as usize / 4096 * 4096;
            let end = bytes.len().min(at + 4096);
            bytes[at..end].fill(0);
            format!("zeroed at {at}")
        }
        _ => {
            bytes.iter_mut().for_each(|byte| *byte = random.next() as u8);
            "replaced by garbage".to_owned()
        }
    };
    fs::write(path, bytes).unwrap();
    format!("{} {what}", path.display())
}

#[test]
fn damage_costs_the_cache_at_most_and_never_more() {
    let original = TempDir::new().unwrap();
    let mut cache = open(original.path()).0;
    fill(&mut cache);
    drop(cache);
    // A second run leaves a snapshot as well.
    drop(open(original.path()));
    let whole = contents(&open(original.path()).0).unwrap();
    assert_eq!(whole.len() as u64, DOCUMENTS);
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let copy = TempDir::new().unwrap();
        copy_directory(original.path(), copy.path());
        let mut files = files(&copy.path().join("cache"));
        // Half of the time the log itself, which is where it hurts.
        if random.below(2) == 0 {
            files.retain(|path| path.ends_with("db"));
        }
        let what = damage(&files[random.below(files.len() as u64) as usize], &mut random);
        let (mut cache, lost) = open(copy.path());
        match contents(&cache) {
            // Everything is there, or nothing is, and then it was said.
            Ok(found) if lost.is_none() => assert!(found == whole, "seed {seed}: {what}: {}", found.len()),
            Ok(found) => assert_eq!(found.len(), 0, "seed {seed}: {what}"),
            Err(StoreError::CacheLost { .. }) => {
                assert_eq!(contents(&cache).unwrap().len(), 0, "seed {seed}: {what}");
                assert_eq!(cache.rooms().unwrap(), [], "seed {seed}: {what}");
            }
            Err(error) => panic!("seed {seed}: {what}: {error}"),
        }
        if lost.is_some() {
            assert!(copy.path().join("quarantine").join("cache").exists(), "seed {seed}: {what}");
        }
        let _loss = cache.take_loss();
        is_usable(&mut cache);
    }
}

#[test]
fn an_unfinished_snapshot_does_not_keep_the_cache_from_opening() {
    let directory = TempDir::new().unwrap();
    let mut cache = open(directory.path()).0;
    fill(&mut cache);
    drop(cache);
    fs::write(directory.path().join("cache").join("snap.00000000000FFFFF.generating"), b"half").unwrap();
    let (cache, lost) = open(directory.path());
    assert_eq!(lost, None);
    assert_eq!(contents(&cache).unwrap().len() as u64, DOCUMENTS);
}

#[test]
fn a_value_that_does_not_check_costs_the_cache_and_the_old_one_is_kept_for_a_look() {
    let directory = TempDir::new().unwrap();
    let mut cache = open(directory.path()).0;
    fill(&mut cache);
    let stored = cached_key("user:42", "d0007");
    cache.run(|database| Ok(database.documents.insert(stored, b"nonsense")?.map(drop))).unwrap();
    assert!(matches!(cache.document(&key("user:42", "d0007")), Ok(None) | Err(StoreError::CacheLost { .. })));
    assert_eq!(cache.rooms().unwrap(), []);
    assert!(directory.path().join("quarantine").join("cache").join("db").exists());
    is_usable_after_loss(&mut cache);
}

fn cached_key(room_name: &str, id: &str) -> Vec<u8> {
    Layout::default().key(&key(room_name, id))
}

#[test]
fn a_cache_that_went_back_in_time_is_not_trusted() {
    let directory = TempDir::new().unwrap();
    let earlier = TempDir::new().unwrap();
    let mut cache = open(directory.path()).0;
    fill(&mut cache);
    copy_directory(&directory.path().join("cache"), earlier.path());
    let documents = [document("later", 1, "text")];
    cache
        .apply(&room("list:9"), &RoomUpdate { reset: false, documents: &documents, state: state(1) })
        .unwrap();
    cache.flush().unwrap();
    drop(cache);
    fs::remove_dir_all(directory.path().join("cache")).unwrap();
    copy_directory(earlier.path(), &directory.path().join("cache"));
    let (cache, lost) = open(directory.path());
    assert!(lost.is_some());
    assert_eq!(cache.rooms().unwrap(), []);
}

#[test]
fn a_cache_that_keeps_breaking_is_given_up() {
    let directory = TempDir::new().unwrap();
    let mut cache = open(directory.path()).0;
    for _ in 0..LOSSES_MAX {
        is_usable(&mut cache);
        break_it(&cache);
        assert!(cache.take_loss().is_some());
    }
    assert!(matches!(cache.rooms(), Err(StoreError::CacheLost { .. })));
}

fn break_it(cache: &SledCache) {
    let broken = cache.run(|_| -> Result<(), _> { panic!("as sled does") });
    assert!(matches!(broken, Err(StoreError::CacheLost { .. })));
}

/// Keeps everything.
struct All;

impl Retain for All {
    fn room(&mut self, _: &Room, state: RoomState) -> Option<RoomState> {
        Some(state)
    }

    fn document(&mut self, document: Document) -> Option<Document> {
        Some(document)
    }
}

#[test]
fn the_cache_that_takes_the_place_of_a_lost_one_has_its_schema_version() {
    let directory = TempDir::new().unwrap();
    let mut cache = open(directory.path()).0;
    fill(&mut cache);
    cache.rewrite(Some(3), &mut All).unwrap();
    drop(cache);
    let mut cache = open(directory.path()).0;
    assert_eq!(cache.schema_version().unwrap(), Some(3));
    break_it(&cache);
    is_usable_after_loss(&mut cache);
    assert_eq!(cache.schema_version().unwrap(), Some(3));
}

fn is_usable_after_loss(cache: &mut SledCache) {
    assert!(cache.take_loss().is_some());
    is_usable(cache);
}

#[test]
fn nothing_is_added_to_an_empty_cache_by_who_does_not_know_that_it_is() {
    let directory = TempDir::new().unwrap();
    let mut cache = open(directory.path()).0;
    fill(&mut cache);
    break_it(&cache);
    let update = RoomUpdate { reset: false, documents: &[document("next", 900, "text")], state: state(900) };
    assert!(matches!(cache.apply(&room("user:42"), &update), Err(StoreError::CacheLost { .. })));
    assert_eq!(cache.rooms().unwrap(), []);
    is_usable_after_loss(&mut cache);
}

#[test]
fn a_room_that_is_read_anew_is_whole_whatever_it_was_before() {
    let directory = TempDir::new().unwrap();
    let mut cache = open(directory.path()).0;
    let reading = |cursor| RoomState { cursor, snapshot: Some(100), ..RoomState::default() };
    let mut apply = |reset, documents: &[Document], state| {
        cache.apply(&room("user:42"), &RoomUpdate { reset, documents, state }).unwrap();
    };
    apply(false, &[document("a", 1, "text")], reading(1));
    // A log that was put back gives numbers anew: the document comes a second time within one reading.
    apply(false, &[document("a", 50, "again")], reading(50));
    apply(true, &[document("a", 2, "read anew")], state(2));
    cache.flush().unwrap();
    drop(cache);
    let (cache, lost) = open(directory.path());
    assert_eq!(contents(&cache).unwrap(), [document("a", 2, "read anew")]);
    assert_eq!(lost, None);
}

#[cfg(target_os = "linux")]
#[test]
fn an_index_that_finds_no_room_on_the_disk_is_done_without() {
    use syncline_protocol::Path;

    let directory = TempDir::new().unwrap();
    let mut cache = open(directory.path()).0;
    fill(&mut cache);
    let index = Index { fields: vec![Path::field("text")] };
    cache.declare_indexes(Indexes::new([(collection("tasks"), vec![index; 16])]).unwrap());
    let all = IndexRange { number: 0, low: vec![], high: vec![] };
    let count = |cache: &SledCache| {
        let mut count = 0;
        cache.visit_range(&room("user:42"), &collection("tasks"), &all, &mut |_| count += 1).unwrap();
        count
    };
    // Where it is looked whether there is room, there is none.
    std::os::unix::fs::symlink("/dev/full", &cache.space.probe).unwrap();
    cache.space.plenty_bytes = u64::MAX;
    assert_eq!(count(&cache), DOCUMENTS);
    assert!(cache.state.borrow().indexed.is_empty(), "it was not built");
    assert_eq!(count(&cache), DOCUMENTS);
    assert!(!cache.state.borrow().indexed.is_empty(), "it was built");
    assert_eq!(cache.take_loss(), None);
}

#[test]
fn what_waits_for_a_slow_disk_is_bounded() {
    let directory = TempDir::new().unwrap();
    let mut cache = open(directory.path()).0;
    let text = "x".repeat(UNFLUSHED_BYTES_MAX as usize / 4);
    for round in 1..=8 {
        let documents = [document(&format!("d{round}"), round, &text)];
        let update = RoomUpdate { reset: false, documents: &documents, state: state(round) };
        cache.apply(&room("user:42"), &update).unwrap();
        assert!(cache.state.borrow().unflushed_bytes < 2 * UNFLUSHED_BYTES_MAX);
    }
    let (_, flushed) = open::open_mark(&cache.mark).unwrap();
    assert!(flushed > 0, "nobody asked for a flush");
}

#[test]
fn a_cache_whose_files_are_locked_is_neither_lost_nor_set_aside() {
    let directory = TempDir::new().unwrap();
    let (mut cache, _) = open(directory.path());
    fill(&mut cache);
    for _ in 0..LOSSES_MAX + 1 {
        let locked: Result<(), _> =
            cache.run(|_| Err(io::Error::from(io::ErrorKind::PermissionDenied).into()));
        assert!(matches!(locked, Err(StoreError::Locked)));
    }
    assert_eq!(contents(&cache).unwrap().len() as u64, DOCUMENTS);
    assert_eq!(cache.take_loss(), None);
    assert!(!directory.path().join("quarantine").exists());
}
