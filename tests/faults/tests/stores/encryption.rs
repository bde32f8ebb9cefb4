//! The files of an encrypted client: nothing of the app's stands in them in the clear, whatever happens to them.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

use serde_json::json;
use syncline::store::{EncryptionKey, KEY_BYTES};
use syncline::{ClientConfig, Code, Reply};
use syncline_faults::damage::copy;
use syncline_faults::{cases, damage, drained, random::Random};
use syncline_integration::{Device, TestServer, token};
use tempfile::TempDir;

const ROOM: &str = "canary:room-name";
const COLLECTION: &str = "canarycollection";
const ID: &str = "canary-identifier";
const FIELD: &str = "canaryfield";
const VALUE: &str = "canary value";

fn config(directory: &Path, url: &str, key: Option<u8>) -> ClientConfig {
    ClientConfig {
        directory: Some(directory.to_path_buf()),
        token: Some(token("ada", &["canary:*"])),
        auto_connect: false,
        encryption_key: key.map(|byte| EncryptionKey::from_bytes([byte; KEY_BYTES])),
        installation_id: Some("canary installation".to_owned()),
        ..ClientConfig::new(url)
    }
}

/// Which of the canaries stand in a directory's files or in their names.
fn canaries(directory: &Path, found: &mut BTreeSet<String>) {
    let token = token("ada", &["canary:*"]);
    // A token is signed anew for each second; its head is always the same.
    let texts = [ROOM, COLLECTION, ID, FIELD, VALUE, "canary installation", &token[..16]];
    // What vanishes in the meantime is no file any more.
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let items = match fs::read_dir(directory) {
        Err(error) if gone(&error) => return,
        items => items.unwrap(),
    };
    for item in items {
        let path = item.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        found.extend(texts.iter().filter(|text| name.contains(**text)).map(|text| (*text).to_owned()));
        if path.is_dir() {
            canaries(&path, found);
            continue;
        }
        let bytes = match fs::read(&path) {
            Err(error) if gone(&error) => continue,
            bytes => bytes.unwrap(),
        };
        let stands = |text: &&&str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        found.extend(texts.iter().filter(stands).map(|text| (*text).to_owned()));
    }
}

fn found(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    canaries(directory, &mut found);
    found
}

async fn write(device: &Device, number: u64) {
    // One in five is long enough to be kept in parts.
    let text = VALUE.repeat(if number.is_multiple_of(5) { 5_000 } else { 5 });
    let write = json!({
        "room": ROOM, "collection": COLLECTION, "id": format!("{ID}-{number}"),
        "write": {"create": {FIELD: text}},
    });
    device.run(json!({"type": "write", "writes": [write]})).await.unwrap();
}

/// Confirmed documents, refused writes, unsent writes; the files while they are open, closed, and written anew.
async fn live(directory: &Path, url: &str, key: Option<u8>, look: &mut dyn FnMut(&Path)) {
    let device = Device::open(config(directory, url, key)).await.unwrap();
    device.run(json!({"type": "subscribe", "room": ROOM})).await.unwrap();
    device.run(json!({"type": "connect"})).await.unwrap();
    for number in 0..20 {
        write(&device, number).await;
    }
    drained(&device, &[ROOM]).await;
    device.run(json!({"type": "disconnect"})).await.unwrap();
    for number in 20..30 {
        write(&device, number).await;
    }
    let killed = TempDir::new().unwrap();
    copy(directory, killed.path());
    look(killed.path());
    device.close().await;
    look(directory);
    // Another version of the schema: the journal and the cache are written anew.
    let schema =
        serde_json::from_value(json!({"version": 2, "migrations": [{"to": 2, "steps": []}]})).unwrap();
    let device = Device::open(ClientConfig { schema, ..config(directory, url, key) }).await.unwrap();
    device.close().await;
    look(directory);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nothing_of_an_encrypted_client_stands_in_its_files() {
    let data = TempDir::new().unwrap();
    let server = TestServer::start(data.path()).await;
    let directory = TempDir::new().unwrap();
    live(directory.path(), &server.url(), Some(1), &mut |directory| {
        assert_eq!(found(directory), BTreeSet::new());
    })
    .await;
    // What is set aside of damaged files neither.
    let mut quarantined = 0;
    for seed in 0..cases(40, 400) {
        let damaged = TempDir::new().unwrap();
        copy(directory.path(), damaged.path());
        let damage = damage::inflict(damaged.path(), &mut Random::new(seed));
        let schema =
            serde_json::from_value(json!({"version": 2, "migrations": [{"to": 2, "steps": []}]})).unwrap();
        let config = ClientConfig { schema, ..config(damaged.path(), &server.url(), Some(1)) };
        let device = Device::open(config).await.unwrap();
        device.run(json!({"type": "watch", "room": ROOM, "collection": COLLECTION})).await.ok();
        device.close().await;
        quarantined += u64::from(damaged.path().join("quarantine").exists());
        assert_eq!(found(damaged.path()), BTreeSet::new(), "seed {seed}: {damage}");
    }
    assert!(quarantined > 0, "nothing was set aside");
    server.stop().await;
}

async fn cache_bytes(device: &Device) -> u64 {
    match device.run(json!({"type": "stats"})).await.unwrap() {
        Reply::Stats(stats) => stats.cache_bytes,
        other => panic!("{other:?}"),
    }
}

/// The cache fills with rooms that nobody follows any more, lets them go, and is written anew, which makes its file small
/// again.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nothing_stands_in_the_files_of_an_encrypted_client_that_evicts_and_rewrites() {
    const DOCUMENTS: usize = 30;
    const DOCUMENT_BYTES: usize = 20 << 10;
    const CACHE_BYTES_MAX: u64 = 1 << 20;
    let data = TempDir::new().unwrap();
    let server = TestServer::start(data.path()).await;
    let directory = TempDir::new().unwrap();
    let mut config = config(directory.path(), &server.url(), Some(1));
    config.settings.cache_bytes_max = CACHE_BYTES_MAX;
    config.settings.cache_check_ms = 1;
    config.settings.cache_flush_ms = 1;
    let device = Device::open(config.clone()).await.unwrap();
    device.run(json!({"type": "connect"})).await.unwrap();
    for number in 0..3 {
        let room = format!("{ROOM}-{number}");
        device.run(json!({"type": "subscribe", "room": room})).await.unwrap();
        for document in 0..DOCUMENTS {
            // Does not compress.
            let rest = (0..DOCUMENT_BYTES).map(|at| char::from(b'a' + (at * at * (document + 7) % 26) as u8));
            let text: String = VALUE.chars().chain(rest).collect();
            let id = format!("{ID}-{document}");
            let write =
                json!({"room": room, "collection": COLLECTION, "id": id, "write": {"create": {FIELD: text}}});
            device.run(json!({"type": "write", "writes": [write]})).await.unwrap();
        }
        drained(&device, &[&room]).await;
        device.run(json!({"type": "unsubscribe", "room": room})).await.unwrap();
        assert_eq!(found(directory.path()), BTreeSet::new(), "after {room}");
    }
    let full = cache_bytes(&device).await;
    assert!(full > CACHE_BYTES_MAX, "only {full} bytes: nothing has to go");
    device.run(json!({"type": "setAppState", "state": "background"})).await.unwrap();
    let fits = async {
        while cache_bytes(&device).await > CACHE_BYTES_MAX {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            assert_eq!(found(directory.path()), BTreeSet::new(), "while the cache is written anew");
        }
    };
    tokio::time::timeout(syncline_integration::PATIENCE, fits).await.expect("the cache is small again");
    assert_eq!(found(directory.path()), BTreeSet::new(), "after the cache was written anew");
    device.close().await;
    // What a killed rewrite may leave, and the next open clears away or goes on with.
    let device = Device::open(config).await.unwrap();
    device.close().await;
    assert_eq!(found(directory.path()), BTreeSet::new(), "once more closed");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_stood_in_the_clear_is_gone_once_a_key_is_given() {
    let data = TempDir::new().unwrap();
    let server = TestServer::start(data.path()).await;
    let directory = TempDir::new().unwrap();
    let mut all = BTreeSet::new();
    live(directory.path(), &server.url(), None, &mut |directory| all.extend(found(directory))).await;
    for text in [ROOM, COLLECTION, ID, FIELD, VALUE] {
        assert!(all.contains(text), "{text}: the tests would not notice");
    }
    let schema: syncline::Schema =
        serde_json::from_value(json!({"version": 2, "migrations": [{"to": 2, "steps": []}]})).unwrap();
    let open = |key| {
        let config = ClientConfig { schema: schema.clone(), ..config(directory.path(), &server.url(), key) };
        Device::open(config)
    };
    let device = open(Some(1)).await.unwrap();
    assert_eq!(syncline_faults::rows(&device, ROOM, COLLECTION).await.len(), 30);
    device.close().await;
    assert_eq!(found(directory.path()), BTreeSet::new());
    for wrong in [None, Some(2)] {
        let Err(error) = open(wrong).await else { panic!("it opened") };
        assert_eq!((error.code, error.retryable()), (Code::WrongKey, false));
    }
    let device = open(Some(1)).await.unwrap();
    assert_eq!(syncline_faults::rows(&device, ROOM, COLLECTION).await.len(), 30);
    device.close().await;
    server.stop().await;
}

/// The queue of a backup was sent by the device that it was made of.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_restored_copy_uses_no_number_twice_and_leaves_its_queue_to_the_app() {
    let data = TempDir::new().unwrap();
    let server = TestServer::start(data.path()).await;
    let (original, restored) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let named = |directory: &Path, installation: &str| ClientConfig {
        installation_id: Some(installation.to_owned()),
        ..config(directory, &server.url(), None)
    };
    let device = Device::open(named(original.path(), "first")).await.unwrap();
    for number in 0..3 {
        write(&device, number).await;
    }
    copy(original.path(), restored.path());
    let copied = Device::open(named(restored.path(), "second")).await.unwrap();
    for device in [&device, &copied] {
        device.run(json!({"type": "subscribe", "room": ROOM})).await.unwrap();
        device.run(json!({"type": "connect"})).await.unwrap();
        drained(device, &[ROOM]).await;
    }
    let Reply::Outcomes { outcomes } = copied.run(json!({"type": "outcomes"})).await.unwrap() else {
        panic!("outcomes are answered by outcomes");
    };
    assert_eq!(outcomes.len(), 3);
    // Both go on, and every new write of either takes effect.
    for (device, number) in [(&device, 10), (&copied, 11), (&device, 12), (&copied, 13)] {
        write(device, number).await;
        drained(device, &[ROOM]).await;
    }
    for device in [device, copied] {
        device.run(json!({"type": "pull", "room": ROOM})).await.unwrap();
        assert_eq!(syncline_faults::rows(&device, ROOM, COLLECTION).await.len(), 7);
        device.close().await;
    }
    server.stop().await;
}
