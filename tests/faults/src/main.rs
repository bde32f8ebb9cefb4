//! The processes that the tests start, to kill them or to keep a crash away from themselves. Each says what it does
//! on its standard output, a line at a time, and ends with its standard input: no test leaves one behind.
//!
//! - `write DIRECTORY URL ROOM TOKEN PROCESS`: writes until it is killed; offline when the URL is empty.
//! - `enqueue DIRECTORY URL ROOM TOKEN PROCESS`: queues requests to a backend, which it sends, until it is killed.
//! - `hold DIRECTORY`: opens the directory and keeps it.
//! - `cycle DIRECTORY URL CYCLES`: opens and closes a client again and again, and tells what it holds of the system.
//! - `rescue MASTERS URL VARIANT FROM TO`: damages copies of a directory, one per seed, and checks what is left.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use syncline::{Client, ClientConfig, Command};
use syncline_faults::errands::{Errand, LANES};
use syncline_faults::{cycles, ledger, master, rescue};
use tokio::task::JoinSet;

/// What a client under test waits before it dials again, in milliseconds.
const RECONNECT_DELAY_MS: u64 = 20;
/// How often a client under test makes its cache durable, in milliseconds: as often as it can.
const CACHE_FLUSH_MS: u64 = 1;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let work = async {
        match arguments.as_slice() {
            ["write", directory, url, room, token, process] => {
                let process = process.parse().unwrap();
                let (encryption_key, previous_encryption_keys) = ledger::keys(room, process);
                let config = writer_config(directory, url, token);
                let config = ClientConfig { encryption_key, previous_encryption_keys, ..config };
                write(config, room, process).await;
            }
            ["enqueue", directory, url, _, token, process] => {
                let config = writer_config(directory, url, token);
                enqueue(ClientConfig { auto_connect: false, ..config }, process.parse().unwrap()).await;
            }
            ["hold", directory] => hold(directory).await,
            ["cycle", directory, url, cycles] => {
                cycles::run(Path::new(directory), url, cycles.parse().unwrap(), &say).await;
            }
            ["rescue", masters, url, variant, from, to] => {
                let seeds = from.parse().unwrap()..to.parse().unwrap();
                let variant: master::Variant = variant.parse().unwrap();
                rescue::run(Path::new(masters), url, variant, seeds, &say).await;
            }
            other => panic!("not a role: {other:?}"),
        }
    };
    std::thread::spawn(|| {
        let _ended = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0)
    });
    work.await;
    std::process::exit(0)
}

fn say(line: &str) {
    // Fails when the test has ended.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn writer_config(directory: &str, url: &str, token: &str) -> ClientConfig {
    let server = if url.is_empty() { "http://127.0.0.1:9" } else { url };
    let mut config = ClientConfig {
        directory: Some(directory.into()),
        token: Some(token.to_owned()),
        auto_connect: !url.is_empty(),
        ..ClientConfig::new(server)
    };
    config.settings.reconnect_delay_ms = RECONNECT_DELAY_MS;
    config.settings.cache_flush_ms = CACHE_FLUSH_MS;
    config.settings.job_retry_delay_ms = RECONNECT_DELAY_MS;
    config.settings.job_retry_delay_ms_max = RECONNECT_DELAY_MS;
    config
}

async fn write(config: ClientConfig, room: &str, process: u64) {
    let client = Client::open(config, |_| ()).await.unwrap();
    say("opened");
    let next = Arc::new(AtomicU64::new(0));
    write_next(&client, room, process, &next).await;
    let mut writers = JoinSet::new();
    for _ in 0..ledger::WRITERS {
        let (client, room, next) = (client.clone(), room.to_owned(), Arc::clone(&next));
        writers.spawn(async move {
            loop {
                write_next(&client, &room, process, &next).await;
            }
        });
    }
    let ended: Option<Result<(), _>> = writers.join_next().await;
    panic!("a writer ended: {ended:?}");
}

async fn write_next(client: &Client, room: &str, process: u64, next: &AtomicU64) {
    let number = next.fetch_add(1, Ordering::Relaxed);
    let command: Command = serde_json::from_value(ledger::command(room, process, number)).unwrap();
    client.execute(command).await.unwrap();
    say(&format!("accepted {number}"));
}

async fn enqueue(config: ClientConfig, process: u64) {
    let client = Client::open(config, |_| ()).await.unwrap();
    say("opened");
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let client = client.clone();
        lanes.spawn(async move {
            for number in (lane..).step_by(usize::try_from(LANES).unwrap()) {
                let command = Errand { process, number }.command();
                client.execute(serde_json::from_value(command).unwrap()).await.unwrap();
                say(&format!("accepted {number}"));
            }
        });
    }
    let ended: Option<Result<(), _>> = lanes.join_next().await;
    panic!("a lane ended: {ended:?}");
}

async fn hold(directory: &str) {
    let config = ClientConfig {
        directory: Some(directory.into()),
        auto_connect: false,
        ..ClientConfig::new("http://127.0.0.1:9")
    };
    match Client::open(config, |_| ()).await {
        Ok(_client) => {
            say("opened");
            std::future::pending::<()>().await;
        }
        Err(error) => say(&format!("refused {}", error.code.as_str())),
    }
}
