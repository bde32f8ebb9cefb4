//! A storage to test, and what is asked of it.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use syncline_protocol::message::{Changes, MutationStatus, Page, Push, PushAnswer};
use syncline_protocol::value::Fields;
use syncline_protocol::{
    ClientId, Collection, DocumentId, HybridTime, Mutation, Op, Patch, Path, Room, Value, WireError, Write,
};
use syncline_server::hub::{Author, PageRequest};
use syncline_server::storage::{Storage, StorageLocation};
use syncline_server::{Config, Mode};

/// No step of a test takes longer.
pub(crate) const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// Where a test's rooms are, and what was told of them.
pub(crate) struct Fixture {
    pub(crate) config: Config,
    pub(crate) told: Arc<Mutex<Vec<Changes>>>,
}

impl Fixture {
    pub(crate) fn new(folder: &FilePath, location: StorageLocation) -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = Config::new(listen, folder.to_owned(), Mode::Development { jwt_secret: None });
        config.storage.location = location;
        config.postgres.connections_max = 4;
        Self { config, told: Arc::default() }
    }

    /// Opens the storage, as a start of a server does.
    pub(crate) async fn open(&self) -> Arc<dyn Storage> {
        let told = Arc::clone(&self.told);
        let on_commit = Arc::new(move |changes| told.lock().unwrap().push(changes));
        syncline_server::storage::open(&self.config, on_commit).await.unwrap()
    }

    pub(crate) fn told(&self) -> Vec<Changes> {
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
    let Ok(url) = std::env::var("SYNCLINE_POSTGRES_URL") else {
        // Past the harness, which keeps what a test prints.
        let _ = writeln!(std::io::stderr(), "skipped: SYNCLINE_POSTGRES_URL names no database");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let schema = Schema::create(&url).await;
        scenario(Fixture::new(folder.path(), schema.location())).await;
        schema.drop().await;
    });
}

fn run(scenario: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(scenario);
}

/// A schema that only one test uses.
pub(crate) struct Schema {
    url: String,
    name: String,
    pub(crate) client: tokio_postgres::Client,
}

impl Schema {
    pub(crate) async fn create(url: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let create = format!("CREATE SCHEMA {name}; SET search_path TO {name}");
        client.batch_execute(&create).await.unwrap();
        Self { url: url.to_owned(), name, client }
    }

    pub(crate) fn location(&self) -> StorageLocation {
        format!("{}?options=-csearch_path%3D{}", self.url, self.name).parse().unwrap()
    }

    pub(crate) async fn drop(self) {
        self.client.batch_execute(&format!("DROP SCHEMA {} CASCADE", self.name)).await.unwrap();
    }
}

pub(crate) fn room() -> Room {
    Room::new("list:1").unwrap()
}

pub(crate) fn client(byte: u8) -> ClientId {
    ClientId::from_bytes([byte; 16])
}

/// The user whose client it is.
pub(crate) fn author(byte: u8) -> Author {
    Author { user: format!("user {byte}"), client: client(byte) }
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
    mutation(client_seq, id, Write::Create(Fields::from([("n".to_owned(), Value::Int(0))])))
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
    let fields = Fields::from([("t".to_owned(), Value::from("x".repeat(bytes)))]);
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
