//! A process is killed at a random moment, again and again. Whatever it was told is accepted is there, whole, and
//! reaches the server once.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use syncline::{ClientConfig, StoreKind};
use syncline_faults::damage::copy;
use syncline_faults::ledger::{Accepted, SEALED_ROOMS, audit, collection, keys};
use syncline_faults::random::Random;
use syncline_faults::{cases, drained, rows};
use syncline_integration::{Device, TestServer, token};
use tempfile::TempDir;

use crate::process::Process;

/// Processes that work in one directory, one after the other.
const LIVES: u64 = 50;
/// How long a start takes, more or less, in microseconds: within it, kills hit an opening store.
const START_US: u64 = 25_000;
/// How long after an accepted write a kill comes, at the most, in microseconds.
const AFTER_ACCEPTED_US_MAX: u64 = 2_000;

/// Where a compaction writes, until it puts the file in the journal's place.
const NEW_JOURNAL: &str = "journal.new";
/// A journal is compacted beyond this size, in bytes.
const COMPACTION_BYTES: usize = 1 << 20;
/// How much of that is left for the process that will be killed, at the most, in bytes.
const COMPACTION_GAP_BYTES: usize = 2 << 10;
/// How long after its start a process has begun one.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a compaction takes, more or less, in microseconds.
const COMPACTION_US: u64 = 2_000;

/// When a process is killed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    /// So many microseconds after its start.
    AfterStart { us: u64 },
    /// So many microseconds after so many writes were accepted.
    AfterAccepted { count: u64, us: u64 },
    /// So many microseconds after it began to write the journal anew.
    InCompaction { us: u64 },
}

impl Moment {
    pub(crate) fn random(accepted_max: u64, random: &mut Random) -> Self {
        if random.below(4) == 0 {
            return Self::AfterStart { us: random.below(START_US) };
        }
        let count = 1 + random.below(accepted_max);
        Self::AfterAccepted { count, us: random.below(AFTER_ACCEPTED_US_MAX) }
    }
}

/// What was hit.
#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    before_opened: u64,
    within_compaction: u64,
    torn_ends: u64,
    accepted: u64,
    durable_unreported: u64,
}

/// A process that writes, and what it said of that.
pub(crate) struct Writer {
    process: Process,
    opened: bool,
    accepted: Accepted,
}

impl Writer {
    /// In the role `write`, offline when the URL is empty; or in another that takes the same arguments.
    pub(crate) fn start(role: &str, directory: &Path, url: &str, room: &str, number: u64) -> Self {
        let (token, number) = (token("ada", &["kill:*"]), number.to_string());
        let arguments = [directory.as_os_str(), url.as_ref(), room.as_ref(), token.as_ref(), number.as_ref()];
        Self { process: Process::start(role, arguments), opened: false, accepted: Accepted::default() }
    }

    /// Takes the next line; `false` at the end.
    async fn hear(&mut self) -> bool {
        let Some(line) = self.process.hear().await else { return false };
        match line.split_once(' ') {
            None if line == "opened" => self.opened = true,
            Some(("accepted", number)) => drop(self.accepted.numbers.insert(number.parse().unwrap())),
            _ => panic!("a process said {line:?}"),
        }
        true
    }

    async fn until_accepted(&mut self, count: u64) {
        while (self.accepted.numbers.len() as u64) < count {
            assert!(self.hear().await, "the process ended by itself");
        }
    }

    pub(crate) async fn kill_at(mut self, moment: Moment, directory: &Path) -> (bool, Accepted) {
        let started = Instant::now();
        let us = match moment {
            Moment::AfterStart { us } => us,
            Moment::AfterAccepted { count, us } => {
                self.until_accepted(count).await;
                us
            }
            Moment::InCompaction { us } => {
                let file =
                    |name: &str| fs::metadata(directory.join(name)).ok().map(|metadata| metadata.ino());
                let before = file("journal");
                // It may be over before it is seen: then the kill comes after it.
                while file(NEW_JOURNAL).is_none() && file("journal") == before {
                    assert!(started.elapsed() < PATIENCE, "the journal was not compacted");
                    std::thread::yield_now();
                }
                us
            }
        };
        spin(Duration::from_micros(us));
        self.kill().await
    }

    /// Ends it, and takes in what it said before.
    async fn kill(mut self) -> (bool, Accepted) {
        self.process.kill().await;
        while self.hear().await {}
        (self.opened, self.accepted)
    }
}

/// Waits for less than the timer resolves.
fn spin(duration: Duration) {
    let started = Instant::now();
    while started.elapsed() < duration {
        std::hint::spin_loop();
    }
}

/// As the process of this number opens it.
fn config(directory: &Path, url: &str, room: &str, process: u64) -> ClientConfig {
    let (encryption_key, previous_encryption_keys) = keys(room, process);
    ClientConfig {
        directory: Some(directory.to_path_buf()),
        encryption_key,
        previous_encryption_keys,
        token: Some(token("ada", &["kill:*"])),
        auto_connect: false,
        ..ClientConfig::new(url)
    }
}

impl Tally {
    fn note(&mut self, directory: &Path, opened: bool, accepted: &Accepted) {
        self.kills += 1;
        self.before_opened += u64::from(!opened);
        self.within_compaction += u64::from(directory.join(NEW_JOURNAL).exists());
        self.accepted += accepted.numbers.len() as u64;
    }

    /// Opens what a killed process left, without a connection, and looks for its writes, and for those of an
    /// earlier one.
    async fn look(&mut self, directory: &Path, room: &str, lives: &BTreeMap<u64, Accepted>) {
        let (&last, _) = lives.last_key_value().unwrap();
        let config = config(directory, "http://127.0.0.1:9", room, last);
        let device = Device::open(config).await.expect("a killed store opens");
        for process in [last, last / 2] {
            let shown = rows(&device, room, &collection(process)).await;
            let accepted = &lives[&process];
            match audit(accepted, &shown) {
                Ok(there) if process == last => {
                    self.durable_unreported += there.saturating_sub(accepted.numbers.len() as u64);
                }
                Ok(_) => {}
                Err(error) => panic!("{room}: process {process} of {last}: {error}"),
            }
        }
        device.run(json!({"type": "close"})).await.unwrap();
        for report in device.seen(|seen| seen.reports.clone()) {
            assert!(report.contains("end was torn"), "{room}: process {last} left damage: {report}");
            self.torn_ends += 1;
        }
    }
}

/// Sends what is left, and counts every process's writes in what the server holds.
async fn recount(directory: &Path, url: &str, room: &str, lives: &BTreeMap<u64, Accepted>) {
    let (&last, _) = lives.last_key_value().unwrap();
    let config = ClientConfig { auto_connect: true, ..config(directory, url, room, last) };
    let device = Device::open(config.clone()).await.unwrap();
    device.run(json!({"type": "subscribe", "room": room})).await.unwrap();
    drained(&device, &[room]).await;
    assert_eq!(device.seen(|seen| seen.outcomes.len()), 0, "{room}: the server refused writes");
    device.close().await;
    let witness = ClientConfig { store: StoreKind::Memory, ..config };
    let witness = Device::open(witness).await.unwrap();
    witness.run(json!({"type": "subscribe", "room": room})).await.unwrap();
    drained(&witness, &[room]).await;
    for (process, accepted) in lives {
        let shown = rows(&witness, room, &collection(*process)).await;
        if let Err(error) = audit(accepted, &shown) {
            panic!("{room}: on the server: process {process}: {error}");
        }
    }
    witness.close().await;
}

/// Kills processes that work in one directory, one after the other, until the time comes for the next directory.
async fn kill_again_and_again(rooms: &str, kills: u64, online: bool, accepted_max: u64) -> Tally {
    let data = TempDir::new().unwrap();
    let server = TestServer::start(data.path()).await;
    let url = if online { server.url() } else { String::new() };
    let mut tally = Tally::default();
    while tally.kills < kills {
        let directory = TempDir::new().unwrap();
        let number = tally.kills / LIVES;
        let room = format!("{rooms}{number}");
        let mut random = Random::new(number);
        let mut lives = BTreeMap::new();
        for process in 0..LIVES.min(kills - tally.kills) {
            let moment = Moment::random(accepted_max, &mut random);
            let started = Writer::start("write", directory.path(), &url, &room, process);
            let (opened, accepted) = started.kill_at(moment, directory.path()).await;
            tally.note(directory.path(), opened, &accepted);
            lives.insert(process, accepted);
            tally.look(directory.path(), &room, &lives).await;
        }
        recount(directory.path(), &server.url(), &room, &lives).await;
    }
    server.stop().await;
    println!("{tally:?}");
    assert!(tally.before_opened > 0, "no kill hit an opening store: {tally:?}");
    assert!(tally.accepted > tally.kills, "hardly anything was written: {tally:?}");
    tally
}

/// Makes a directory whose journal is full of what was confirmed, a few writes short of a compaction.
async fn about_to_compact(directory: &Path, url: &str) {
    let room = "kill:before";
    let config = ClientConfig { auto_connect: true, ..config(directory, url, room, 0) };
    let device = Device::open(config).await.unwrap();
    device.run(json!({"type": "subscribe", "room": room})).await.unwrap();
    loop {
        drained(&device, &[room]).await;
        let journal = fs::read(directory.join("journal")).unwrap();
        let used = journal.iter().rposition(|&byte| byte != 0).unwrap_or(0);
        let left = COMPACTION_BYTES.checked_sub(used).expect("the journal was not compacted yet");
        if left < COMPACTION_GAP_BYTES {
            break;
        }
        let text = "x".repeat((left / 2).min(200 << 10));
        let write =
            json!({"room": room, "collection": "before", "id": "same", "write": {"create": {"text": text}}});
        device.run(json!({"type": "write", "writes": [write]})).await.unwrap();
    }
    device.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_accepted_offline_survives_every_kill() {
    kill_again_and_again("kill:", cases(400, 4_000), false, 24).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_accepted_while_pushing_is_on_the_server_once() {
    kill_again_and_again("kill:", cases(400, 4_000), true, 60).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_accepted_survives_every_kill_while_the_keys_change() {
    kill_again_and_again(SEALED_ROOMS, cases(200, 2_000), true, 24).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_kill_around_a_compaction_leaves_the_old_or_the_new_journal() {
    let data = TempDir::new().unwrap();
    let server = TestServer::start(data.path()).await;
    let master = TempDir::new().unwrap();
    about_to_compact(master.path(), &server.url()).await;
    let mut tally = Tally::default();
    let mut random = Random::new(1);
    for kill in 0..cases(200, 2_000) {
        let directory = TempDir::new().unwrap();
        copy(master.path(), directory.path());
        let moment = match kill % 2 {
            0 => Moment::random(24, &mut random),
            _ => Moment::InCompaction { us: random.below(COMPACTION_US) },
        };
        // A room of its own: the copies have the same numbers.
        let room = format!("kill:{kill}");
        let started = Writer::start("write", directory.path(), "", &room, 0);
        let (opened, accepted) = started.kill_at(moment, directory.path()).await;
        tally.note(directory.path(), opened, &accepted);
        let lives = BTreeMap::from([(0, accepted)]);
        tally.look(directory.path(), &room, &lives).await;
        if kill % 5 == 0 {
            recount(directory.path(), &server.url(), &room, &lives).await;
        }
    }
    server.stop().await;
    println!("{tally:?}");
    assert!(tally.within_compaction > 0, "no kill hit a compaction: {tally:?}");
}
