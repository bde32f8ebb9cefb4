//! A storage to test, and what is asked of it.

use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use syncline_protocol::message::{MutationStatus, Page, Push, PushAnswer};
use syncline_protocol::value::Fields;
use syncline_protocol::{
    ClientId, Collection, DocumentId, HybridTime, Mutation, Op, Patch, Path, Room, Value, WireError, Write,
};
use syncline_server::hub::{Author, LiveChanges, PageRequest};
use syncline_server::storage::{Storage, StorageError, StorageLocation};
use syncline_server::{Config, Mode};

use crate::schema::{self, Schema};

/// No step of a test takes longer.
pub(crate) const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// Where a test's rooms are, and what was told of them.
#[derive(Clone)]
pub(crate) struct Fixture {
    pub(crate) config: Config,
    pub(crate) told: Arc<Mutex<Vec<LiveChanges>>>,
    pub(crate) schema: Option<Arc<Schema>>,
}

impl Fixture {
    pub(crate) fn new(folder: &FilePath, location: StorageLocation) -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = Config::new(listen, folder.to_owned(), Mode::Development { jwt_secret: None });
        config.storage.location = location;
        config.postgres.connections_max = 4;
        Self { config, told: Arc::default(), schema: None }
    }

    /// Opens the storage, as a start of a server does.
    pub(crate) async fn open(&self) -> Arc<dyn Storage> {
        self.try_open().await.unwrap()
    }

    pub(crate) async fn try_open(&self) -> Result<Arc<dyn Storage>, StorageError> {
        let told = Arc::clone(&self.told);
        let on_commit = Arc::new(move |changes| told.lock().unwrap().push(changes));
        syncline_server::storage::open(&self.config, on_commit).await
    }

    /// The schema of a test on Postgres.
    pub(crate) fn schema(&self) -> &Schema {
        self.schema.as_ref().unwrap()
    }

    pub(crate) fn told(&self) -> Vec<LiveChanges> {
        self.told.lock().unwrap().clone()
    }
}

/// Runs a scenario on the embedded database.
pub(crate) fn on_sled<F: Future<Output = ()>>(scenario: impl FnOnce(Fixture) -> F) {
    let folder = tempfile::tempdir().unwrap();
    run(scenario(Fixture::new(folder.path(), StorageLocation::Sled)));
}

/// Runs a scenario in a schema of its own, or says that there is no database.
pub(crate) fn on_postgres<F: Future<Output = ()>>(scenario: impl FnOnce(Fixture) -> F) {
    let Some(url) = schema::url() else { return };
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let schema = Arc::new(Schema::create(&url).await);
        let fixture = Fixture::new(folder.path(), schema.url().parse().unwrap());
        scenario(Fixture { schema: Some(Arc::clone(&schema)), ..fixture }).await;
        schema.remove().await;
    });
}

/// The same with tables in parts.
pub(crate) fn on_partitions<F: Future<Output = ()>>(scenario: impl FnOnce(Fixture) -> F) {
    on_postgres(|mut fixture| {
        fixture.config.postgres.partitions = 2;
        scenario(fixture)
    });
}

pub(crate) fn run(scenario: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(scenario);
}

pub(crate) fn room() -> Room {
    Room::new("list:1").unwrap()
}

pub(crate) fn client(byte: u8) -> ClientId {
    ClientId::from_bytes([byte; 16])
}

/// The user whose client it is.
pub(crate) fn author(byte: u8) -> Author {
    Author::client(format!("user {byte}"), client(byte))
}

pub(crate) fn mutation(client_seq: u64, id: &str, write: Write) -> Mutation {
    Mutation {
        client_seq,
        collection: Collection::new("todos").unwrap(),
        id: DocumentId::new(id).unwrap(),
        write,
        time: HybridTime { wall_ms: 1_000 + client_seq, counter: 0 },
        base: None,
    }
}

pub(crate) fn create(client_seq: u64, id: &str) -> Mutation {
    mutation(client_seq, id, Write::Create(Fields::from([("n".into(), Value::Int(0))])))
}

pub(crate) fn increment(client_seq: u64, id: &str) -> Mutation {
    let patch = Patch::new().with(Path::field("n"), Op::Increment(Value::Int(1)));
    mutation(client_seq, id, Write::Update(patch))
}

pub(crate) fn delete(client_seq: u64, id: &str) -> Mutation {
    mutation(client_seq, id, Write::Delete)
}

/// A document with a text of so many bytes.
pub(crate) fn large(client_seq: u64, id: &str, bytes: usize) -> Mutation {
    let fields = Fields::from([("t".into(), Value::from("x".repeat(bytes)))]);
    mutation(client_seq, id, Write::Create(fields))
}

pub(crate) async fn push_to(
    storage: &dyn Storage,
    room: &Room,
    byte: u8,
    mutations: Vec<Mutation>,
) -> Result<PushAnswer, WireError> {
    storage.push(Push { room: room.clone(), after: None, mutations }, author(byte)).await
}

pub(crate) async fn push(storage: &dyn Storage, byte: u8, mutations: Vec<Mutation>) -> PushAnswer {
    push_to(storage, &room(), byte, mutations).await.unwrap()
}

pub(crate) fn request(cursor: u64, limit: u32) -> PageRequest {
    PageRequest { room: room(), cursor, limit, collections: None, snapshot: None }
}

pub(crate) async fn page(storage: &dyn Storage, cursor: u64, limit: u32) -> Page {
    storage.page(request(cursor, limit)).await.unwrap()
}

/// The ids and places of a page's documents.
pub(crate) fn places(page: &Page) -> Vec<(String, u64)> {
    page.changes.iter().map(|document| (document.id.as_str().to_owned(), document.seq)).collect()
}

pub(crate) fn statuses(answer: &PushAnswer) -> Vec<MutationStatus> {
    answer.results.iter().map(|result| result.status).collect()
}

/// Looks every few milliseconds until it is so.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let looks = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(STEP_TIMEOUT, looks).await.expect(what);
}
