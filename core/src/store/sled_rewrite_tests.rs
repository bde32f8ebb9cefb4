#![allow(clippy::unwrap_used)]

use tempfile::TempDir;

use super::*;
use crate::store::fixtures::{collection, copy_directory, document, room, state};
use crate::store::{Cache, SledCache, StoreError};

const ROOMS: [&str; 2] = ["list:1", "list:2"];
/// Long enough for several transactions, and one that is stored in chunks.
const DOCUMENTS: u64 = 40;

fn open(directory: &Path) -> SledCache {
    let mut cache = SledCache::open(directory.join("cache"), directory.join("quarantine").join("cache"));
    assert_eq!(cache.take_loss(), None);
    cache
}

fn filled(directory: &Path) -> SledCache {
    let mut cache = open(directory);
    for name in ROOMS {
        let text = |n: u64| "text ".repeat(if n == 7 { 30_000 } else { 2_000 });
        let documents: Vec<_> = (0..DOCUMENTS).map(|n| document(&format!("d{n:02}"), n, &text(n))).collect();
        cache
            .apply(&room(name), &RoomUpdate { reset: false, documents: &documents, state: state(5) })
            .unwrap();
    }
    cache.flush().unwrap();
    cache
}

/// The documents of each room, by their ids.
type Contents = Vec<(Room, Vec<Document>)>;

fn contents(cache: &SledCache) -> Contents {
    let rooms = cache.rooms().unwrap().into_iter().map(|(room, _)| {
        let mut documents = Vec::new();
        cache
            .visit_collection(&room, &collection("tasks"), &mut |document| documents.push(document))
            .unwrap();
        (room, documents)
    });
    rooms.collect()
}

/// Keeps the second room.
struct Second;

impl Retain for Second {
    fn room(&mut self, room: &Room, state: RoomState) -> Option<RoomState> {
        (room.as_str() == ROOMS[1]).then_some(state)
    }

    fn document(&mut self, document: Document) -> Option<Document> {
        Some(document)
    }
}

#[test]
fn what_is_kept_is_there_and_the_rest_takes_no_space() {
    let directory = TempDir::new().unwrap();
    let mut cache = filled(directory.path());
    let before = contents(&cache);
    let bytes_before = cache.bytes_on_disk();
    cache.rewrite(Some(3), &mut Second).unwrap();
    assert_eq!(contents(&cache), before[1..]);
    assert_eq!(cache.schema_version().unwrap(), Some(3));
    assert!(cache.bytes_on_disk() < bytes_before, "{bytes_before}, then {}", cache.bytes_on_disk());
    drop(cache);
    let mut cache = open(directory.path());
    assert_eq!(contents(&cache), before[1..]);
    cache.apply(&room("list:3"), &RoomUpdate { reset: false, documents: &[], state: state(1) }).unwrap();
    cache.flush().unwrap();
}

/// What there was, and what a restart finds after a kill once `steps` of the renames were made.
fn killed_after(steps: usize) -> (Contents, Contents) {
    let directory = TempDir::new().unwrap();
    let cache = filled(directory.path());
    let before = contents(&cache);
    let folders = Folders::of(&directory.path().join("cache"));
    cache.copy(Some(2), &mut Second).unwrap();
    drop(cache);
    if steps > 0 {
        fs::rename(&folders.current, &folders.old).unwrap();
    }
    if steps > 1 {
        fs::rename(&folders.fresh, &folders.current).unwrap();
    }
    let cache = open(directory.path());
    assert!(!folders.fresh.exists() && !folders.old.exists());
    (before, contents(&cache))
}

#[test]
fn a_kill_before_the_switch_leaves_the_old_one() {
    let (before, found) = killed_after(0);
    assert_eq!(found, before);
}

#[test]
fn a_kill_within_the_switch_leaves_the_new_one() {
    for steps in [1, 2] {
        let (before, found) = killed_after(steps);
        assert_eq!(found, before[1..], "after {steps} renames");
    }
}

#[test]
fn a_kill_while_it_is_copied_leaves_the_old_one() {
    let directory = TempDir::new().unwrap();
    let cache = filled(directory.path());
    let before = contents(&cache);
    /// Copies the directory in the middle of the second room, as a kill would leave it.
    struct Killed<'a> {
        directory: &'a Path,
        into: &'a Path,
        seen: u64,
    }
    impl Retain for Killed<'_> {
        fn room(&mut self, _: &Room, state: RoomState) -> Option<RoomState> {
            Some(state)
        }

        fn document(&mut self, document: Document) -> Option<Document> {
            self.seen += 1;
            if self.seen == DOCUMENTS * 3 / 2 {
                copy_directory(self.directory, self.into);
            }
            Some(document)
        }
    }
    let copy = TempDir::new().unwrap();
    cache.copy(Some(2), &mut Killed { directory: directory.path(), into: copy.path(), seen: 0 }).unwrap();
    assert!(copy.path().join("cache.fresh").exists());
    assert_eq!(contents(&open(copy.path())), before);
    assert!(!copy.path().join("cache.fresh").exists());
}

#[test]
fn a_broken_cache_takes_a_copy_that_was_interrupted_with_it() {
    let directory = TempDir::new().unwrap();
    let cache = filled(directory.path());
    cache.copy(Some(2), &mut Second).unwrap();
    drop(cache);
    // As if the switch had been interrupted, and the old one were not readable any more.
    fs::write(directory.path().join("cache").join("db"), b"garbage").unwrap();
    let mut cache = SledCache::open(directory.path().join("cache"), directory.path().join("q").join("cache"));
    assert!(cache.take_loss().is_some());
    assert_eq!(contents(&cache), []);
}

#[test]
fn a_cache_of_which_nothing_is_kept_is_not_lost() {
    struct Nothing;
    impl Retain for Nothing {
        fn room(&mut self, _: &Room, _: RoomState) -> Option<RoomState> {
            None
        }

        fn document(&mut self, _: Document) -> Option<Document> {
            None
        }
    }
    let directory = TempDir::new().unwrap();
    let mut cache = filled(directory.path());
    cache.rewrite(Some(2), &mut Nothing).unwrap();
    assert_eq!(cache.take_loss(), None);
    assert_eq!(contents(&cache), []);
    drop(cache);
    assert_eq!(open(directory.path()).schema_version().unwrap(), Some(2));
}

#[test]
fn documents_that_are_missing_do_not_go_unnoticed_because_the_rest_was_copied() {
    let directory = TempDir::new().unwrap();
    let cache = filled(directory.path());
    cache
        .run(|database| {
            database.documents.remove(document_key(
                &database.layout,
                &room(ROOMS[1]),
                &document("d03", 3, ""),
            ))?;
            Ok(())
        })
        .unwrap();
    drop(cache);
    let mut cache = open(directory.path());
    assert!(matches!(cache.rewrite(Some(2), &mut Second), Err(StoreError::CacheLost { .. })));
    assert!(cache.take_loss().is_some());
    assert_eq!(contents(&cache), []);
}

#[test]
fn long_documents_are_copied_a_few_at_a_time() {
    let directory = TempDir::new().unwrap();
    let mut cache = open(directory.path());
    let text = "x".repeat(WRITE_BYTES as usize / 2);
    let documents: Vec<_> = (0..10).map(|n| document(&format!("d{n}"), n, &text)).collect();
    cache
        .apply(&room("list:1"), &RoomUpdate { reset: false, documents: &documents, state: state(9) })
        .unwrap();
    let before = cache.run(Database::changes).unwrap();
    cache.rewrite(Some(1), &mut Everything).unwrap();
    assert!(cache.run(Database::changes).unwrap() - before >= 5);
    assert_eq!(contents(&cache), [(room("list:1"), documents)]);
}

struct Everything;

impl Retain for Everything {
    fn room(&mut self, _: &Room, state: RoomState) -> Option<RoomState> {
        Some(state)
    }

    fn document(&mut self, document: Document) -> Option<Document> {
        Some(document)
    }
}
