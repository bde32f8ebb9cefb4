//! A directory has one owner, whoever asks for it.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use syncline::{Client, ClientConfig, Code, Command as ClientCommand};
use syncline_ffi::json::{self, EventSink, Parcel};
use tempfile::TempDir;

use crate::process::Process;

fn config(directory: &Path) -> ClientConfig {
    ClientConfig {
        directory: Some(directory.to_path_buf()),
        auto_connect: false,
        ..ClientConfig::new("http://127.0.0.1:9")
    }
}

/// Starts a process that opens the directory. The second value is what came of it.
async fn other_process(directory: &Path) -> (Process, String) {
    let mut process = Process::start("hold", [directory]);
    let said = process.hear().await.expect("it says what came of it");
    (process, said)
}

#[tokio::test]
async fn a_second_open_in_the_same_process_is_refused_until_the_first_is_closed() {
    let directory = TempDir::new().unwrap();
    let first = Client::open(config(directory.path()), |_| ()).await.unwrap();
    for _ in 0..10 {
        let refused = Client::open(config(directory.path()), |_| ()).await.unwrap_err();
        assert_eq!(refused.code, Code::InUse);
    }
    let other_spelling = directory.path().join(".");
    assert_eq!(Client::open(config(&other_spelling), |_| ()).await.unwrap_err().code, Code::InUse);
    first.execute(ClientCommand::Close).await.unwrap();
    let second = Client::open(config(directory.path()), |_| ()).await.unwrap();
    second.execute(ClientCommand::Close).await.unwrap();
}

#[tokio::test]
async fn a_second_process_is_refused_until_the_first_is_gone() {
    let directory = TempDir::new().unwrap();
    let mine = Client::open(config(directory.path()), |_| ()).await.unwrap();
    assert_eq!(other_process(directory.path()).await.1, "refused in_use");
    mine.execute(ClientCommand::Close).await.unwrap();

    let (mut other, said) = other_process(directory.path()).await;
    assert_eq!(said, "opened");
    assert_eq!(Client::open(config(directory.path()), |_| ()).await.unwrap_err().code, Code::InUse);
    other.kill().await;
    let mine = Client::open(config(directory.path()), |_| ()).await.unwrap();
    mine.execute(ClientCommand::Close).await.unwrap();
}

struct Deaf;

impl EventSink for Deaf {
    fn events(&self, _client: u64, _events: Parcel) {}
}

async fn open(directory: &Path) -> u64 {
    let config = json!({"url": "http://127.0.0.1:9", "directory": directory, "autoConnect": false});
    let reply: Json = serde_json::from_str(&json::open(config.to_string(), Arc::new(Deaf)).await).unwrap();
    reply["ok"]["client"].as_u64().unwrap_or_else(|| panic!("{reply}"))
}

async fn call(client: u64, command: Json) -> Json {
    serde_json::from_str(&json::call(client, command.to_string().into()).await.text).unwrap()
}

#[tokio::test]
async fn javascript_that_was_reloaded_takes_the_directory_over_with_every_write() {
    let directory = TempDir::new().unwrap();
    let create = |id: &str| {
        let write = json!({"room": "user:ada", "collection": "notes", "id": id, "write": {"create": {}}});
        json!({"type": "write", "writes": [write]})
    };
    let mut client = open(directory.path()).await;
    for reload in 0..20 {
        call(client, create(&format!("n{reload}"))).await;
        let former = std::mem::replace(&mut client, open(directory.path()).await);
        assert_eq!(call(former, create("late")).await["error"]["code"], "closed");
    }
    assert_eq!(call(client, json!({"type": "queue"})).await["ok"]["count"], 20);
    call(client, json!({"type": "close"})).await;
}
