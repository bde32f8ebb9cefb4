//! Rooms that move from the embedded database, or from a backup of it, into Postgres.

use std::path::Path as FilePath;
use std::sync::Arc;

use syncline_protocol::message::{MutationStatus, Page};
use syncline_protocol::{ErrorCode, Room};
use syncline_server::Config;
use syncline_server::hub::PageRequest;
use syncline_server::storage::backup::{self, BackupError, Summary};
use syncline_server::storage::postgres::PostgresError;
use syncline_server::storage::{Storage, StorageError, StorageLocation, transfer};

use crate::support::{
    Fixture, client, create, delete, eventually, increment, large, on_postgres, places, push, push_to,
    request, room, statuses,
};

const ROOMS: [&str; 4] = ["a", "ab", "list:1", "\u{fc}"];

fn named(name: &str) -> Room {
    Room::new(name).unwrap()
}

/// A server's folder with rooms of all kinds: documents of several chunks, refusals of which some are dropped, deletions of which
/// some are purged, clients that were in several rooms.
async fn fill(folder: &FilePath) -> Fixture {
    let mut fixture = Fixture::new(folder, StorageLocation::Sled);
    fixture.config.storage.rejections_kept_max = 3;
    fixture.config.hub.tombstones_kept_max = 4;
    let storage = fixture.open().await;
    for name in ROOMS {
        let room = named(name);
        let first = (1..=8).map(|seq| large(seq, &format!("d{seq}"), seq as usize * 9_000));
        push_to(&*storage, &room, 1, first.collect()).await.unwrap();
        for seq in 9..=14 {
            push_to(&*storage, &room, 1, vec![delete(seq, &format!("d{}", seq - 8))]).await.unwrap();
        }
        let refused = (15..=19).map(|seq| increment(seq, "missing"));
        push_to(&*storage, &room, 1, refused.chain([create(20, "n")]).collect()).await.unwrap();
        push_to(&*storage, &room, 2, vec![create(1, "other"), increment(2, "n")]).await.unwrap();
    }
    storage.close().await.unwrap();
    fixture
}

async fn migrate(from: &FilePath, to: &Fixture) -> Result<Summary, BackupError> {
    transfer::migrate(from, &to.config.storage, &to.config.postgres).await
}

/// The page after each cursor of a room, and one beyond.
async fn pages(storage: &dyn Storage, room: &Room) -> Vec<Page> {
    let mut pages = Vec::new();
    for cursor in 0..=26 {
        let request = PageRequest { room: room.clone(), ..request(cursor, 1_000) };
        pages.push(storage.page(request).await.unwrap());
    }
    pages
}

/// As another server on the same folder or database would have it.
fn with_bounds_of(fixture: &Fixture, other: &Fixture) -> Fixture {
    let mut fixture = fixture.clone();
    fixture.config.storage.rejections_kept_max = other.config.storage.rejections_kept_max;
    fixture.config.hub = other.config.hub.clone();
    fixture
}

#[test]
fn rooms_that_move_are_what_they_were_to_every_cursor_and_every_retry() {
    on_postgres(async |target: Fixture| {
        let folder = tempfile::tempdir().unwrap();
        let source = fill(folder.path()).await;
        let target = with_bounds_of(&target, &source);
        let summary = migrate(folder.path(), &target).await.unwrap();
        assert!(summary.records > 0 && summary.bytes > 0);

        let (before, after) = (source.open().await, target.open().await);
        let rooms = before.rooms(None, 100).await.unwrap();
        assert_eq!(rooms.len(), ROOMS.len());
        assert_eq!(after.rooms(None, 100).await.unwrap(), rooms);
        for name in ROOMS {
            let room = named(name);
            let was = pages(&*before, &room).await;
            assert!(was.iter().any(|page| page.reset) && was.iter().any(|page| !page.reset));
            assert_eq!(pages(&*after, &room).await, was, "{name}");
            let again: Vec<_> = (9..=14)
                .map(|seq| delete(seq, &format!("d{}", seq - 8)))
                .chain((15..=19).map(|seq| increment(seq, "missing")))
                .collect();
            let told = push_to(&*before, &room, 1, again.clone()).await.unwrap();
            assert_eq!(statuses(&told), [MutationStatus::Duplicate; 11]);
            assert_eq!(push_to(&*after, &room, 1, again).await.unwrap(), told, "{name}");
            // Whoever goes on gets the next number, and the refusals that are kept go on from what there was.
            let next = vec![increment(21, "missing"), increment(22, "n"), delete(23, "d8")];
            let told = push_to(&*before, &room, 1, next.clone()).await.unwrap();
            assert_eq!(push_to(&*after, &room, 1, next).await.unwrap(), told, "{name}");
            let kept = (15..=21).map(|seq| increment(seq, "missing")).collect::<Vec<_>>();
            let told = push_to(&*before, &room, 1, kept.clone()).await.unwrap();
            assert_eq!(push_to(&*after, &room, 1, kept).await.unwrap(), told, "{name}");
        }
        for byte in 1..=3 {
            let owner = before.owner(client(byte)).await.unwrap();
            assert_eq!(after.owner(client(byte)).await.unwrap(), owner);
        }
    });
}

#[test]
fn a_folder_in_use_and_a_database_with_rooms_are_refused_and_nothing_is_moved() {
    on_postgres(async |target: Fixture| {
        let folder = tempfile::tempdir().unwrap();
        let source = fill(folder.path()).await;
        let running = source.open().await;
        let refused = migrate(folder.path(), &target).await.unwrap_err();
        assert!(matches!(refused, BackupError::Storage(StorageError::InUse { .. })), "{refused}");
        running.close().await.unwrap();
        let missing = migrate(&folder.path().join("nowhere"), &target).await.unwrap_err();
        assert!(matches!(missing, BackupError::NoData { .. }), "{missing}");
        let embedded =
            transfer::migrate(folder.path(), &source.config.storage, &source.config.postgres).await;
        assert!(matches!(embedded, Err(BackupError::NotToPostgres)));

        let storage = target.open().await;
        assert!(storage.rooms(None, 1).await.unwrap().is_empty());
        push(&*storage, 7, vec![create(1, "here before")]).await;
        let refused = migrate(folder.path(), &target).await.unwrap_err();
        assert!(matches!(refused, BackupError::DatabaseNotEmpty), "{refused}");
        assert_eq!(storage.rooms(None, 10).await.unwrap(), [(room(), 1)]);
    });
}

#[test]
fn a_move_that_breaks_off_leaves_nothing_and_can_be_made_again() {
    on_postgres(async |target: Fixture| {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path()).await;
        target.open().await.close().await.unwrap();
        let database = &target.schema().client;
        // It gets past the documents of the first room, and waits for this.
        database.batch_execute("BEGIN; LOCK TABLE syncline_clients IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let moving = tokio::spawn({
            let (from, target) = (folder.path().to_owned(), target.clone());
            async move { migrate(&from, &target).await }
        });
        let ended = "SELECT pg_terminate_backend(pid) FROM pg_locks
             WHERE relation = 'syncline_clients'::regclass AND NOT granted";
        eventually("it waits for the clients", async || {
            !database.query(ended, &[]).await.unwrap().is_empty()
        })
        .await;
        let broken = moving.await.unwrap().unwrap_err();
        let told =
            matches!(broken, BackupError::Storage(StorageError::Postgres(PostgresError::Unavailable(_))));
        assert!(told, "{broken}");
        database.batch_execute("ROLLBACK").await.unwrap();

        let storage = target.open().await;
        assert!(storage.rooms(None, 1).await.unwrap().is_empty());
        assert_eq!(storage.owner(client(1)).await.unwrap(), None);
        migrate(folder.path(), &target).await.unwrap();
        assert_eq!(storage.rooms(None, 100).await.unwrap().len(), ROOMS.len());
    });
}

#[test]
fn a_server_on_the_database_waits_for_the_move_and_sees_all_of_it() {
    on_postgres(async |target: Fixture| {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path()).await;
        let storage = target.open().await;
        let writing = tokio::spawn({
            let storage = Arc::clone(&storage);
            async move { push_to(&*storage, &named("a"), 2, vec![create(3, "late")]).await }
        });
        let moved = migrate(folder.path(), &target).await;
        let answer = writing.await.unwrap();
        match moved {
            Ok(_) => assert_eq!(answer.unwrap().results[0].seq, Some(18), "it goes on after what was moved"),
            Err(error) => {
                assert!(matches!(error, BackupError::DatabaseNotEmpty), "{error}");
                assert_eq!(answer.unwrap().results[0].seq, Some(1), "it was first");
            }
        }
    });
}

#[test]
fn a_backup_is_restored_into_a_database_whole_or_not_at_all_and_every_reader_starts_anew() {
    on_postgres(async |target: Fixture| {
        let folder = tempfile::tempdir().unwrap();
        let (data, file) = (folder.path().join("data"), folder.path().join("file"));
        let source = fill(&data).await;
        let target = with_bounds_of(&target, &source);
        let revocations = r#"{"users":{"ann":1000},"tokens":{"t":1001},"everybody_s":0}"#;
        std::fs::write(data.join("revocations.json"), revocations).unwrap();
        let kept = target.config.data_dir.join("revocations.json");
        let summary = backup::backup(&data, &source.config.storage, &file).unwrap();
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() - 20]).unwrap();
        let restore = async || {
            let Config { data_dir, storage, postgres, .. } = &target.config;
            transfer::restore(&file, data_dir, storage, postgres).await
        };
        let torn = restore().await.unwrap_err();
        assert!(matches!(torn, BackupError::Damaged { .. }), "{torn}");
        assert!(target.open().await.rooms(None, 1).await.unwrap().is_empty());
        assert!(!kept.exists());

        std::fs::write(&file, &whole).unwrap();
        assert_eq!(restore().await.unwrap(), summary);
        assert_eq!(std::fs::read_to_string(&kept).unwrap(), revocations);
        let (before, after) = (source.open().await, target.open().await);
        for name in ROOMS {
            let request = |cursor| PageRequest { room: named(name), ..request(cursor, 1_000) };
            let (was, is) = (before.page(request(0)).await.unwrap(), after.page(request(0)).await.unwrap());
            assert_eq!((places(&is), is.checksum), (places(&was), was.checksum));
            assert!(after.page(request(was.cursor)).await.unwrap().reset);
            assert!(!after.page(request(is.cursor)).await.unwrap().reset);
        }
        let refused = after.push(
            syncline_protocol::message::Push { room: room(), after: None, mutations: vec![create(30, "x")] },
            syncline_server::hub::Author::client("another user", client(1)),
        );
        assert_eq!(refused.await.unwrap_err().code, ErrorCode::Forbidden, "clients keep their owners");
    });
}
