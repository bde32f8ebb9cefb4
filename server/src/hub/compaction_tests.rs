//! Every scenario runs against the store in memory and the one on disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use syncline_protocol::message::{MutationResult, MutationStatus, Page, Push};
use syncline_protocol::{
    ClientId, Collection, DocumentId, ErrorCode, Fields, HybridTime, Limits, Mutation, Op, Patch, Path,
    Value, VersionVector, Write,
};
use tempfile::TempDir;

use super::*;
use crate::hub::{Author, Commit, PageRequest, PushStore, page, push};
use crate::storage::memory::MemoryStore;
use crate::storage::tables::Tables;

macro_rules! on_both_stores {
    ($($scenario:ident)*) => {
        mod in_memory {
            $(#[test] fn $scenario() { super::$scenario(super::Scene::<super::MemoryStore>::new()); })*
        }
        mod on_disk {
            $(#[test] fn $scenario() { super::$scenario(super::Scene::<super::OnDisk>::new()); })*
        }
    };
}

#[path = "late_tests.rs"]
mod late;
#[path = "reader_tests.rs"]
mod readers;

const START_MS: u64 = 1_700_000_000_000;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const REJECTIONS_KEPT_MAX: usize = 2;

/// A store with the writes that the server makes.
trait TestStore {
    type Rooms: RoomStore<Error: std::fmt::Debug>;

    fn new() -> Self;
    fn rooms(&self) -> &Self::Rooms;
    fn apply(&mut self, commit: Commit);
    fn compact(&mut self, compaction: Compaction);
    /// As after a restart of the server.
    fn reopen(&mut self);
}

impl TestStore for MemoryStore {
    type Rooms = Self;

    fn new() -> Self {
        Self::new(REJECTIONS_KEPT_MAX)
    }

    fn rooms(&self) -> &Self {
        self
    }

    fn apply(&mut self, commit: Commit) {
        self.apply(commit);
    }

    fn compact(&mut self, compaction: Compaction) {
        self.compact(compaction);
    }

    fn reopen(&mut self) {}
}

struct OnDisk {
    tables: Option<Tables>,
    folder: TempDir,
}

impl OnDisk {
    fn tables(&self) -> &Tables {
        self.tables.as_ref().unwrap()
    }
}

impl TestStore for OnDisk {
    type Rooms = Tables;

    fn new() -> Self {
        let mut store = Self { tables: None, folder: tempfile::tempdir().unwrap() };
        store.reopen();
        store
    }

    fn rooms(&self) -> &Tables {
        self.tables()
    }

    fn apply(&mut self, commit: Commit) {
        self.tables().apply(&commit, 0).unwrap();
    }

    fn compact(&mut self, compaction: Compaction) {
        self.tables().compact(&compaction).unwrap();
    }

    fn reopen(&mut self) {
        if let Some(tables) = self.tables.take() {
            tables.flush().unwrap();
        }
        self.tables = Some(Tables::open(self.folder.path(), 1 << 20, REJECTIONS_KEPT_MAX).unwrap());
    }
}

struct Scene<S> {
    store: S,
    now_ms: u64,
    config: HubConfig,
}

impl<S: TestStore> Scene<S> {
    fn new() -> Self {
        Self { store: S::new(), now_ms: START_MS, config: HubConfig::default() }
    }

    fn push(&mut self, client: u8, mutations: Vec<Mutation>) -> Vec<MutationResult> {
        let push_request = Push { room: room(), after: None, mutations };
        let author = Author::client(format!("user {client}"), client_id(client));
        let rooms = self.store.rooms();
        let pushed = push(rooms, push_request, &author, self.now_ms, &Limits::default(), &self.config);
        let pushed = pushed.unwrap();
        if let Some(commit) = pushed.commit {
            self.store.apply(commit);
        }
        pushed.answer.results
    }

    /// Purges what is due, step by step; how many tombstones each step removed.
    fn compact(&mut self) -> Vec<usize> {
        let mut steps = Vec::new();
        while let Some(compaction) = self.due() {
            let before = self.head();
            assert!(compaction.head.floor > before.floor, "the floor rises");
            assert_eq!((compaction.head.seq, compaction.head.checksum), (before.seq, before.checksum));
            steps.push(compaction.removed.len());
            self.store.compact(compaction);
        }
        steps
    }

    fn due(&self) -> Option<Compaction> {
        super::compact(self.store.rooms(), &room(), self.now_ms, &self.config).unwrap()
    }

    fn head(&self) -> Head {
        self.store.rooms().head(&room()).unwrap()
    }

    fn page(&self, cursor: u64, snapshot: Option<u64>, limit: u32) -> Page {
        let request = PageRequest { room: room(), cursor, limit, collections: None, snapshot };
        page(self.store.rooms(), &request, &Limits::default(), &self.config).unwrap()
    }

    /// Ids and places in the log from its start, deleted documents marked.
    fn log(&self) -> Vec<(String, u64, bool)> {
        let changes = self.page(0, None, 1000).changes;
        changes
            .into_iter()
            .map(|document| (document.id.to_string(), document.seq, document.deleted))
            .collect()
    }
}

fn room() -> Room {
    Room::new("list:1").unwrap()
}

fn client_id(client: u8) -> ClientId {
    ClientId::from_bytes([client; 16])
}

fn mutation(client_seq: u64, id: &str, write: Write) -> Mutation {
    Mutation {
        client_seq,
        collection: Collection::new("todos").unwrap(),
        id: DocumentId::new(id).unwrap(),
        write,
        time: HybridTime { wall_ms: START_MS + client_seq, counter: 0 },
        base: None,
    }
}

fn create(client_seq: u64, id: &str) -> Mutation {
    mutation(client_seq, id, Write::Create(Fields::from([("n".into(), Value::Int(0))])))
}

fn increment(client_seq: u64, id: &str) -> Mutation {
    mutation(client_seq, id, Write::Update(Patch::new().with(Path::field("n"), Op::Increment(Value::Int(1)))))
}

fn delete(client_seq: u64, id: &str) -> Mutation {
    mutation(client_seq, id, Write::Delete)
}

fn outcome(result: &MutationResult) -> (MutationStatus, Option<u64>, Option<ErrorCode>) {
    (result.status, result.seq, result.error.as_ref().map(|error| error.code))
}

fn a_deletion_is_purged_when_its_retention_is_over<S: TestStore>(mut scene: Scene<S>) {
    scene.push(1, vec![create(1, "a"), create(2, "b"), delete(3, "a")]);
    scene.now_ms += 30 * DAY_MS - 1;
    assert_eq!(scene.due(), None);
    scene.now_ms += 1;
    assert_eq!(scene.compact(), [1]);
    scene.store.reopen();
    assert_eq!(scene.log(), [("b".to_owned(), 2, false)]);
    let head = scene.head();
    assert_eq!((head.seq, head.floor, head.tombstones), (3, 3, 0));
    assert_eq!(scene.page(0, None, 10).checksum, Some(head.checksum));
    assert_eq!(scene.page(0, None, 10).changes[0].checksum(), head.checksum);
}

fn too_many_deletions_are_purged_however_recent<S: TestStore>(mut scene: Scene<S>) {
    scene.config.tombstones_kept_max = 2;
    for (seq, id) in [(1, "a"), (3, "b"), (5, "c")] {
        scene.push(1, vec![create(seq, id), delete(seq + 1, id)]);
    }
    assert_eq!(scene.compact(), [1]);
    assert_eq!(scene.log(), [("b".to_owned(), 4, true), ("c".to_owned(), 6, true)]);
    assert_eq!((scene.head().floor, scene.head().tombstones), (2, 2));
}

fn a_step_is_bounded<S: TestStore>(mut scene: Scene<S>) {
    scene.config.compaction_count_max = 2;
    scene.push(1, (1..=5).map(|seq| create(seq, &format!("d{seq}"))).collect());
    scene.push(1, (6..=10).map(|seq| delete(seq, &format!("d{}", seq - 5))).collect());
    scene.now_ms += 90 * DAY_MS;
    assert_eq!(scene.compact(), [2, 2, 1]);
    assert_eq!((scene.log(), scene.head().floor), (vec![], 10));
}

fn only_the_beginning_of_the_log_is_purged_whatever_the_clock_does<S: TestStore>(mut scene: Scene<S>) {
    scene.push(1, vec![create(1, "a"), create(2, "b")]);
    scene.now_ms += 10 * DAY_MS;
    scene.push(1, vec![delete(3, "a")]);
    scene.now_ms -= 10 * DAY_MS;
    scene.push(1, vec![delete(4, "b")]);
    scene.now_ms += 35 * DAY_MS;
    assert_eq!(scene.due(), None, "the older one stands behind a younger one");
    scene.now_ms += 5 * DAY_MS;
    assert_eq!(scene.compact(), [2]);
}

fn a_document_that_came_back_is_not_purged<S: TestStore>(mut scene: Scene<S>) {
    scene.push(1, vec![create(1, "a"), delete(2, "a")]);
    assert_eq!(scene.head().tombstones, 1);
    scene.push(1, vec![increment(3, "a")]);
    assert_eq!(scene.head().tombstones, 0);
    scene.now_ms += 90 * DAY_MS;
    assert_eq!((scene.due(), scene.head().floor), (None, 0));
    assert_eq!(scene.log(), [("a".to_owned(), 3, false)]);
}

fn a_reader_that_missed_a_purged_deletion_starts_over<S: TestStore>(mut scene: Scene<S>) {
    scene.push(1, vec![create(1, "a"), create(2, "b"), delete(3, "a"), create(4, "c")]);
    scene.now_ms += 90 * DAY_MS;
    scene.compact();
    let behind = scene.page(2, None, 10);
    let ids: Vec<&str> = behind.changes.iter().map(|document| document.id.as_str()).collect();
    assert_eq!((behind.reset, behind.cursor, ids), (true, 4, vec!["b", "c"]));
    for cursor in [0, 3, 4] {
        assert!(!scene.page(cursor, None, 10).reset, "a reader at {cursor} missed nothing");
    }
}

fn a_reading_from_nothing_goes_on_below_the_floor<S: TestStore>(mut scene: Scene<S>) {
    scene.push(1, vec![create(1, "a"), create(2, "b"), create(3, "c"), delete(4, "a")]);
    scene.now_ms += 90 * DAY_MS;
    scene.compact();
    let first = scene.page(0, None, 1);
    assert_eq!((first.cursor, first.more, first.snapshot), (2, true, Some(4)));
    let last = scene.page(first.cursor, first.snapshot, 1);
    assert_eq!((last.reset, last.cursor, last.more, last.snapshot), (false, 4, false, None));
    // Deletions since then that are purged before it is through are missed.
    scene.push(1, vec![delete(5, "b")]);
    scene.now_ms += 90 * DAY_MS;
    scene.compact();
    let overtaken = scene.page(first.cursor, first.snapshot, 1);
    assert_eq!((overtaken.reset, overtaken.cursor), (true, 5));
}

fn a_snapshot_beyond_the_log_starts_over<S: TestStore>(mut scene: Scene<S>) {
    scene.push(1, vec![create(1, "a"), create(2, "b")]);
    assert!(scene.page(1, Some(3), 10).reset, "the server lost history");
    assert!(!scene.page(1, Some(2), 10).reset);
}

on_both_stores! {
    a_deletion_is_purged_when_its_retention_is_over
    too_many_deletions_are_purged_however_recent
    a_step_is_bounded
    only_the_beginning_of_the_log_is_purged_whatever_the_clock_does
    a_document_that_came_back_is_not_purged
    a_reader_that_missed_a_purged_deletion_starts_over
    a_reading_from_nothing_goes_on_below_the_floor
    a_snapshot_beyond_the_log_starts_over
}
