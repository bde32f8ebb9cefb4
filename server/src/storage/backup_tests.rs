#![allow(clippy::unwrap_used)]

use syncline_protocol::message::{Mutation, Push};
use syncline_protocol::{
    ClientId, Collection, DocumentId, Fields, HybridTime, Limits, Value, Write as Written,
};

use super::*;
use crate::auth::{Revocations, revocation};
use crate::config::{HubConfig, SecurityConfig};
use crate::hub::{self, Author, PageRequest, PushStore};

fn author() -> Author {
    Author::client("ann", ClientId::from_bytes([1; 16]))
}

fn push(rooms: &mut Ahead, room: &str, client_seq: u64, write: Written) {
    let mutation = Mutation {
        client_seq,
        collection: Collection::new("notes").unwrap(),
        id: DocumentId::new(format!("d{}", client_seq % 7)).unwrap(),
        write,
        time: HybridTime { wall_ms: client_seq, counter: 0 },
        base: None,
    };
    let push = Push { room: Room::new(room).unwrap(), after: None, mutations: vec![mutation] };
    let (limits, config) = (Limits::default(), HubConfig::default());
    let pushed = hub::push(rooms, push, &author(), 1_000, &limits, &config).unwrap();
    rooms.commit(pushed.commit.unwrap()).unwrap();
    rooms.sync().unwrap();
}

fn text(length: usize) -> Written {
    Written::Create(Fields::from([("t".into(), Value::String("x".repeat(length)))]))
}

/// Data of some rooms, one of a name that begins as another's, a document of several chunks, deletions and refusals.
fn filled(folder: &Path) -> Ahead {
    let mut rooms = Ahead::open(folder, &StorageConfig::default()).unwrap();
    for room in ["a", "ab", "b"] {
        for client_seq in 1..=6 {
            push(&mut rooms, room, client_seq, text(client_seq as usize * 20_000));
        }
        push(&mut rooms, room, 8, Written::Delete);
        push(&mut rooms, room, 14, text(1));
    }
    rooms
}

fn page(rooms: &mut Ahead, room: &str, cursor: u64) -> syncline_protocol::message::Page {
    let room = Room::new(room).unwrap();
    let request = PageRequest { room: room.clone(), cursor, limit: 1000, collections: None, snapshot: None };
    let tables = rooms.with_all_of(&room).unwrap();
    // All that a room here has, at once.
    let config = HubConfig { page_bytes_max: 1 << 20, ..HubConfig::default() };
    hub::page(tables, &request, &Limits::default(), &config).unwrap()
}

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn backed_up() -> Self {
        let scene = Self { folder: tempfile::tempdir().unwrap() };
        drop(filled(&scene.path("data")));
        let summary = backup(&scene.path("data"), &StorageConfig::default(), &scene.path("file")).unwrap();
        assert_eq!(summary.bytes, std::fs::metadata(scene.path("file")).unwrap().len());
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn restore(&self) -> Result<Summary, BackupError> {
        restore(&self.path("file"), &self.path("restored"), &StorageConfig::default())
    }
}

#[test]
fn a_restored_room_has_every_document_and_knows_what_each_client_sent() {
    let scene = Scene::backed_up();
    scene.restore().unwrap();
    let mut before = Ahead::open(&scene.path("data"), &StorageConfig::default()).unwrap();
    let mut after = Ahead::open(&scene.path("restored"), &StorageConfig::default()).unwrap();
    for name in ["a", "ab", "b"] {
        let (old, new) = (page(&mut before, name, 0), page(&mut after, name, 0));
        assert_eq!((&old.changes, old.checksum), (&new.changes, new.checksum), "{name}");
        let room = Room::new(name).unwrap();
        assert_eq!(after.last_client_seq(&room, author().client).unwrap(), 14);
    }
    assert_eq!(after.owner(author().client).unwrap().as_deref(), Some("ann"));
}

#[test]
fn every_cursor_of_before_the_restoration_starts_anew_and_those_of_after_it_go_on() {
    let scene = Scene::backed_up();
    scene.restore().unwrap();
    let mut rooms = Ahead::open(&scene.path("restored"), &StorageConfig::default()).unwrap();
    for cursor in [1, 8, 9, 5_000] {
        assert!(page(&mut rooms, "a", cursor).reset, "{cursor}");
    }
    let first = page(&mut rooms, "a", 0);
    assert!(!first.reset);
    push(&mut rooms, "a", 20, text(5));
    let next = page(&mut rooms, "a", first.cursor);
    assert_eq!((next.reset, next.changes.len(), next.cursor), (false, 1, first.cursor + 1));
    // Deletions from below the floor do not lower it.
    let hub = HubConfig { tombstone_retention_ms: 0, ..HubConfig::default() };
    let room = Room::new("a").unwrap();
    let compaction = hub::compact(rooms.with_all().unwrap(), &room, u64::MAX, &hub).unwrap().unwrap();
    rooms.compact(&compaction).unwrap();
    assert!(page(&mut rooms, "a", 9).reset);
    assert!(!page(&mut rooms, "a", first.cursor).reset);
}

#[test]
fn a_file_with_any_byte_wrong_or_missing_is_refused_and_leaves_nothing() {
    let scene = Scene::backed_up();
    let whole = std::fs::read(scene.path("file")).unwrap();
    let places = (0..whole.len()).step_by(whole.len() / 97).chain([16, 20, 24, whole.len() - 1]);
    for place in places {
        let mut wrong = whole.clone();
        wrong[place] ^= 0x40;
        for bytes in [&wrong[..], &whole[..place]] {
            std::fs::write(scene.path("file"), bytes).unwrap();
            let error = scene.restore().unwrap_err();
            let told = matches!(error, BackupError::Damaged { .. } | BackupError::NotABackup { .. });
            assert!(told, "{place}: {error}");
        }
    }
    let left: Vec<_> =
        std::fs::read_dir(scene.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn data_in_use_or_missing_and_folders_with_something_in_them_are_refused() {
    let scene = Scene::backed_up();
    let config = StorageConfig::default();
    let open = Ahead::open(&scene.path("data"), &config).unwrap();
    let in_use = backup(&scene.path("data"), &config, &scene.path("other")).unwrap_err();
    assert!(matches!(in_use, BackupError::Storage(StorageError::InUse { .. })), "{in_use}");
    drop(open);
    let missing = backup(&scene.path("nowhere"), &config, &scene.path("other")).unwrap_err();
    assert!(matches!(missing, BackupError::NoData { .. }), "{missing}");
    let location = "postgres://app@localhost/app".parse().unwrap();
    let elsewhere = StorageConfig { location, ..StorageConfig::default() };
    let elsewhere = backup(&scene.path("data"), &elsewhere, &scene.path("other")).unwrap_err();
    assert!(matches!(elsewhere, BackupError::InPostgres), "{elsewhere}");
    let taken = backup(&scene.path("data"), &config, &scene.path("file")).unwrap_err();
    assert!(matches!(taken, BackupError::Io { .. }), "{taken}");
    let not_empty = restore(&scene.path("file"), &scene.path("data"), &config).unwrap_err();
    assert!(matches!(not_empty, BackupError::NotEmpty { .. }), "{not_empty}");
}

#[test]
fn a_restoration_knows_which_tokens_were_revoked_before_the_backup() {
    let scene = Scene { folder: tempfile::tempdir().unwrap() };
    drop(filled(&scene.path("data")));
    let config = SecurityConfig { revocations_kept_max: 30_000, ..SecurityConfig::default() };
    let revocations = Revocations::open(&scene.path("data"), &config).unwrap();
    // More than a record holds.
    let many = (0..20_000).map(|number| (format!("the user number {number}"), 1_000));
    let told = serde_json::json!({"users": many.collect::<std::collections::BTreeMap<_, _>>()});
    revocations.merge(&serde_json::from_value(told).unwrap(), 1_000).unwrap();
    let kept = revocation::kept_in(&scene.path("data")).unwrap();
    assert!(kept.len() > BLOCK_BYTES);
    let summary = backup(&scene.path("data"), &StorageConfig::default(), &scene.path("file")).unwrap();
    assert_eq!(scene.restore().unwrap(), summary);
    assert_eq!(revocation::kept_in(&scene.path("restored")).unwrap(), kept);
}

#[test]
fn a_backup_of_before_revocations_were_in_it_is_restored() {
    let scene = Scene::backed_up();
    let mut file = std::fs::read(scene.path("file")).unwrap();
    for (version, is_read) in [(0, false), (VERSION + 1, false), (OLDEST_VERSION, true)] {
        file[HEADING.len()] = version;
        std::fs::write(scene.path("file"), &file).unwrap();
        match scene.restore() {
            Err(BackupError::NotABackup { .. }) => assert!(!is_read, "{version}"),
            restored => assert!(is_read && restored.is_ok(), "{version}"),
        }
    }
}
