//! The embedded database's one thread: a room that is copied in steps, while it serves, holds up nobody in other rooms, and is in
//! the copy as it was at one time; writes that wait share a sync, up to a bound.

use std::fs::File;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Waker};

use syncline_protocol::message::{Page, Push, PushAnswer};
use syncline_protocol::{ErrorCode, Mutation, Room, WireError};
use syncline_server::hub::{LiveChanges, PageRequest};
use syncline_server::storage::{Storage, StorageLocation, backup};

use crate::support::{Fixture, STEP_TIMEOUT, author, create, delete, push_to, request, run};

const DOCUMENTS: u64 = 200;

/// More than any test makes.
const COMMITS_MAX: usize = 16;

/// The large room is the first one, by its name.
const LARGE: &str = "a";
const OTHER: &str = "b";

type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, WireError>> + Send + 'a>>;

fn named(name: &str) -> Room {
    Room::new(name).unwrap()
}

/// A storage whose thread stops at each commit, before its answer, until it is let on.
struct Scene {
    storage: Arc<dyn Storage>,
    commits: mpsc::Receiver<Room>,
    go_on: mpsc::SyncSender<()>,
}

impl Scene {
    /// A copy takes a record at a time.
    async fn start(fixture: &mut Fixture) -> Self {
        fixture.config.storage.backup_step_bytes = 1;
        let filling = fixture.open().await;
        let documents = (1..=DOCUMENTS).map(|seq| create(seq, &format!("d{seq}"))).collect();
        push_to(&*filling, &named(LARGE), 1, documents).await.unwrap();
        filling.close().await.unwrap();
        let (told, commits) = mpsc::sync_channel(COMMITS_MAX);
        let (go_on, gate) = mpsc::sync_channel::<()>(COMMITS_MAX);
        let gate = Mutex::new(gate);
        let on_commit = Arc::new(move |changes: LiveChanges| {
            // Nobody listens when the test has failed.
            if told.send(changes.room).is_ok() {
                let _ = gate.lock().unwrap().recv();
            }
        });
        let storage = syncline_server::storage::open(&fixture.config, on_commit).await.unwrap();
        Self { storage, commits, go_on }
    }

    fn push(&self, room: &str, mutation: Mutation) -> Asked<'_, PushAnswer> {
        let push = Push { room: named(room), after: None, mutations: vec![mutation] };
        asked(self.storage.push(push, author(if room == LARGE { 1 } else { 2 })))
    }

    fn page(&self) -> Asked<'_, Page> {
        asked(self.storage.page(PageRequest { room: named(LARGE), ..request(0, 1_000) }))
    }

    /// Waits until a push to this room is committed and not yet answered.
    fn stopped_in(&self, room: &str) {
        assert_eq!(self.commits.recv_timeout(STEP_TIMEOUT).unwrap(), named(room));
    }

    fn let_on(&self) {
        self.go_on.send(()).unwrap();
    }

    /// Begins a copy, and stops when it is within the large room.
    async fn copying(&self) -> Asked<'_, File> {
        let first = self.push(OTHER, create(1, "x"));
        self.stopped_in(OTHER);
        let copy = asked(self.storage.backup());
        let second = self.push(OTHER, create(2, "y"));
        self.let_on();
        first.await.unwrap();
        self.stopped_in(OTHER);
        // Answered when the thread goes on, and nobody listens.
        drop(second);
        copy
    }
}

/// Something that the storage was asked: it waits at the thread's door.
fn asked<T>(mut reply: Asked<'_, T>) -> Asked<'_, T> {
    assert!(is_waiting(&mut reply));
    reply
}

fn is_waiting<T>(reply: &mut Asked<'_, T>) -> bool {
    reply.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[test]
fn other_rooms_are_served_while_a_large_one_is_copied_and_its_own_writes_wait() {
    let folder = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::new(&folder.path().join("data"), StorageLocation::Sled);
    run(async {
        let scene = Scene::start(&mut fixture).await;
        let mut copy = scene.copying().await;
        let mut held = scene.push(LARGE, delete(DOCUMENTS + 1, "d1"));
        let (page, elsewhere) = (scene.page(), scene.push(OTHER, create(3, "z")));
        scene.let_on();
        scene.stopped_in(OTHER);
        assert!(is_waiting(&mut copy) && is_waiting(&mut held));
        scene.let_on();
        elsewhere.await.unwrap();
        assert_eq!(page.await.unwrap().changes.len() as u64, DOCUMENTS, "it is read meanwhile");
        scene.stopped_in(LARGE);
        scene.let_on();
        assert_eq!(held.await.unwrap().results[0].seq, Some(DOCUMENTS + 1));

        let (path, restored) = (folder.path().join("copy"), folder.path().join("restored"));
        std::io::copy(&mut copy.await.unwrap(), &mut File::create(&path).unwrap()).unwrap();
        backup::restore(&path, &restored, &fixture.config.storage).unwrap();
        let restored = Fixture::new(&restored, StorageLocation::Sled).open().await;
        let page = restored.page(PageRequest { room: named(LARGE), ..request(0, 1_000) }).await.unwrap();
        assert_eq!(page.changes.len() as u64, DOCUMENTS);
        assert!(page.changes.iter().all(|document| !document.deleted), "what waited is not in it");
    });
}

#[test]
fn a_storage_that_closes_during_a_copy_makes_the_writes_that_wait_and_no_copy() {
    let folder = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::new(folder.path(), StorageLocation::Sled);
    run(async {
        let scene = Scene::start(&mut fixture).await;
        let copy = scene.copying().await;
        let held = scene.push(LARGE, delete(DOCUMENTS + 1, "d1"));
        let closed = asked(scene.storage.close());
        scene.let_on();
        scene.stopped_in(LARGE);
        scene.let_on();
        closed.await.unwrap();
        assert_eq!(held.await.unwrap().results[0].seq, Some(DOCUMENTS + 1));
        assert_eq!(copy.await.unwrap_err().code, ErrorCode::Unavailable);
        let again = fixture.open().await;
        assert_eq!(again.heads(vec![named(LARGE)]).await.unwrap(), [(named(LARGE), DOCUMENTS + 1)]);
    });
}

#[test]
fn a_copy_that_cannot_begin_concerns_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let (data, away) = (folder.path().join("data"), folder.path().join("away"));
    let fixture = Fixture::new(&data, StorageLocation::Sled);
    run(async {
        let storage = fixture.open().await;
        push_to(&*storage, &named(OTHER), 1, vec![create(1, "x")]).await.unwrap();
        // The files stay open; there is no place for another one.
        std::fs::rename(&data, &away).unwrap();
        assert_eq!(storage.backup().await.unwrap_err().code, ErrorCode::Unavailable);
        std::fs::rename(&away, &data).unwrap();
        assert!(storage.is_healthy());
        push_to(&*storage, &named(OTHER), 1, vec![create(2, "y")]).await.unwrap();
        assert!(storage.backup().await.unwrap().metadata().unwrap().len() > 0);
    });
}

/// Groups of commits in the log of a folder, each of which was synced by itself.
fn groups(folder: &Path) -> usize {
    const MARKER: [u8; 4] = [0xF5, 0xA4, 0xED, 1];
    let log = std::fs::read(folder.join("ahead-0")).unwrap();
    log.windows(MARKER.len()).filter(|window| **window == MARKER).count()
}

#[test]
fn writes_that_wait_share_a_sync_until_they_are_too_much() {
    const WRITES: u64 = 10;
    for (group_bytes_max, expected) in [(1 << 20, 1), (1, WRITES as usize)] {
        let folder = tempfile::tempdir().unwrap();
        let mut fixture = Fixture::new(folder.path(), StorageLocation::Sled);
        fixture.config.storage.group_bytes_max = group_bytes_max;
        run(async {
            let scene = Scene::start(&mut fixture).await;
            let first = scene.push(OTHER, create(1, "d1"));
            scene.stopped_in(OTHER);
            let before = groups(folder.path());
            let waiting: Vec<_> =
                (2..2 + WRITES).map(|seq| scene.push(OTHER, create(seq, &format!("d{seq}")))).collect();
            (0..=WRITES).for_each(|_| scene.let_on());
            first.await.unwrap();
            for push in waiting {
                push.await.unwrap();
            }
            assert_eq!(groups(folder.path()) - before, expected, "{group_bytes_max} bytes");
        });
    }
}
