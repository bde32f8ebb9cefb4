//! A disk that is full, for real: a small file system of its own. Without the right to mount one nothing here can
//! run, so this is a test binary of its own kind, which counts its scenarios as ignored then, and says why.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, File};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use serde_json::{Value as Json, json};
use syncline::{ClientConfig, Code, StoreKind};
use syncline_faults::{drained, rows};
use syncline_integration::{Device, TestServer, config, token};
use tempfile::TempDir;

const ROOM: &str = "user:ada";
const DISK_BYTES: u64 = 24 << 20;
/// More than the disk holds of writes of [`TEXT_BYTES`].
const WRITES_MAX: u64 = 5_000;
const TEXT_BYTES: usize = 8 << 10;

/// A small file system; unmounted when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// Fails with what `mount` said.
    fn mount() -> Result<Self, String> {
        let directory = TempDir::new().unwrap();
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={DISK_BYTES}"), "tmpfs"])
            .arg(directory.path())
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(Self(directory))
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
    }

    fn store(&self) -> PathBuf {
        self.0.path().join("store")
    }

    /// Leaves so many bytes free.
    fn fill(&self, bytes_left: u64) {
        let mut file = File::create(self.0.path().join("ballast")).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(bytes_left)).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.0.path().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A mount that stays is the machine's to clean up.
        let _status = Command::new("umount").arg(self.0.path()).status();
    }
}

fn offline(directory: &Path, url: &str) -> ClientConfig {
    ClientConfig { auto_connect: false, ..config("ada", &[], url, directory) }
}

fn fields(number: u64) -> Json {
    json!({"number": number, "text": "x".repeat(TEXT_BYTES)})
}

async fn write(device: &Device, number: u64) -> Result<u64, syncline::Error> {
    device.write(ROOM, &format!("n{number:05}"), json!({"create": fields(number)})).await
}

/// Writes until the disk is full, from the number given on. Returns the first number that was refused.
async fn write_until_full(device: &Device, from: u64) -> u64 {
    for number in from..WRITES_MAX {
        if let Err(error) = write(device, number).await {
            assert_eq!(error.code, Code::DiskFull, "{error}");
            assert!(error.retryable());
            return number;
        }
    }
    panic!("the disk never became full");
}

/// Everything up to `end` is shown as it was written, and nothing else.
async fn is_intact(device: &Device, end: u64) {
    let shown = rows(device, ROOM, "notes").await;
    assert_eq!(shown.len() as u64, end);
    for (number, row) in (0..).zip(shown.values()) {
        assert_eq!(row.fields, fields(number));
    }
}

async fn writes_on_a_full_disk_are_refused_and_what_was_accepted_is_intact(disk: &SmallDisk) {
    let data = TempDir::new().unwrap();
    let server = TestServer::start(data.path()).await;
    let device = Device::open(offline(&disk.store(), &server.url())).await.unwrap();
    disk.fill(2 << 20);
    let refused = write_until_full(&device, 0).await;
    is_intact(&device, refused).await;
    for _ in 0..20 {
        assert_eq!(write(&device, refused).await.unwrap_err().code, Code::DiskFull);
    }
    is_intact(&device, refused).await;
    disk.free();
    write(&device, refused).await.unwrap();
    device.close().await;

    let device = Device::open(offline(&disk.store(), &server.url())).await.unwrap();
    is_intact(&device, refused + 1).await;
    assert_eq!(device.seen(|seen| seen.reports.clone()), [] as [String; 0]);
    device.run(json!({"type": "subscribe", "room": ROOM})).await.unwrap();
    device.run(json!({"type": "connect"})).await.unwrap();
    drained(&device, &[ROOM]).await;
    device.close().await;
    witness_counts(&server, refused + 1).await;
    server.stop().await;
}

async fn witness_counts(server: &TestServer, end: u64) {
    let witness = ClientConfig {
        store: StoreKind::Memory,
        token: Some(token("ada", &[])),
        ..ClientConfig::new(server.url())
    };
    let witness = Device::open(witness).await.unwrap();
    witness.run(json!({"type": "subscribe", "room": ROOM})).await.unwrap();
    drained(&witness, &[ROOM]).await;
    is_intact(&witness, end).await;
    witness.close().await;
}

async fn a_connected_client_on_a_full_disk_goes_on_when_there_is_room(disk: &SmallDisk) {
    let data = TempDir::new().unwrap();
    let server = TestServer::start(data.path()).await;
    let device = Device::of("ada", &[], &server.url(), &disk.store()).await;
    device.run(json!({"type": "subscribe", "room": ROOM})).await.unwrap();
    for number in 0..50 {
        write(&device, number).await.unwrap();
    }
    drained(&device, &[ROOM]).await;
    disk.fill(3 << 20);
    let refused = write_until_full(&device, 50).await;
    is_intact(&device, refused).await;
    disk.free();
    for number in refused..refused + 10 {
        write(&device, number).await.unwrap();
    }
    drained(&device, &[ROOM]).await;
    is_intact(&device, refused + 10).await;
    device.close().await;
    witness_counts(&server, refused + 10).await;
    server.stop().await;
}

async fn a_store_that_cannot_be_opened_on_a_full_disk_opens_when_there_is_room(disk: &SmallDisk) {
    let url = "http://127.0.0.1:9";
    let device = Device::open(offline(&disk.store(), url)).await.unwrap();
    for number in 0..20 {
        write(&device, number).await.unwrap();
    }
    device.close().await;
    disk.fill(0);
    // Whether it opens may depend on what is to be put right; if it does, what was accepted is there.
    for _ in 0..3 {
        match Device::open(offline(&disk.store(), url)).await {
            Ok(device) => {
                is_intact(&device, 20).await;
                device.close().await;
            }
            Err(error) => assert_eq!(error.code, Code::DiskFull, "{error}"),
        }
    }
    // A new one needs room in any case.
    let new = Device::open(offline(&disk.0.path().join("new"), url)).await;
    assert_eq!(new.err().map(|error| error.code), Some(Code::DiskFull));
    disk.free();
    let device = Device::open(offline(&disk.store(), url)).await.unwrap();
    is_intact(&device, 20).await;
    assert_eq!(device.seen(|seen| seen.reports.clone()), [] as [String; 0]);
    device.close().await;
}

type Scenario = fn(&tokio::runtime::Runtime, &SmallDisk);

const SCENARIOS: [(&str, Scenario); 3] = [
    ("writes_on_a_full_disk_are_refused_and_what_was_accepted_is_intact", |runtime, disk| {
        runtime.block_on(writes_on_a_full_disk_are_refused_and_what_was_accepted_is_intact(disk));
    }),
    ("a_connected_client_on_a_full_disk_goes_on_when_there_is_room", |runtime, disk| {
        runtime.block_on(a_connected_client_on_a_full_disk_goes_on_when_there_is_room(disk));
    }),
    ("a_store_that_cannot_be_opened_on_a_full_disk_opens_when_there_is_room", |runtime, disk| {
        runtime.block_on(a_store_that_cannot_be_opened_on_a_full_disk_opens_when_there_is_room(disk));
    }),
];

/// Speaks as the harness of `cargo test` does, for whoever counts.
fn main() -> ExitCode {
    let started = Instant::now();
    let (mut passed, mut failed, mut ignored) = (0, 0, 0);
    println!("\nrunning {} tests", SCENARIOS.len());
    for (name, scenario) in SCENARIOS {
        let disk = match SmallDisk::mount() {
            Ok(disk) => disk,
            Err(reason) => {
                println!("test {name} ... ignored, no file system can be mounted here: {reason}");
                ignored += 1;
                continue;
            }
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let outcome = catch_unwind(AssertUnwindSafe(|| scenario(&runtime, &disk)));
        drop(runtime);
        let said = if outcome.is_ok() { "ok" } else { "FAILED" };
        println!("test {name} ... {said}");
        *if outcome.is_ok() { &mut passed } else { &mut failed } += 1;
    }
    let result = if failed == 0 { "ok" } else { "FAILED" };
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "\ntest result: {result}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; 0 filtered out; \
         finished in {seconds:.2}s\n"
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
