//! A journal: of any bytes, of any records whose checksums are right, or of what JSON says. It opens, or says with a typed
//! error why not; what it found once it finds again, and an entry that it found can be read.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use syncline::store::{FileSystem, OpenMode, RandomAccessFile, Record, Store, fuzz_journal};
use syncline_protocol::ClientId;
use syncline_protocol::message::encode_compact;
use syncline_simulation::random::Random;
use syncline_simulation::storage::{DIRECTORY, Ending, JOURNAL, SimulatedStorage};

/// Between records, a byte that MessagePack never uses.
const SEPARATOR: u8 = 0xc1;

fn journals(input: &[u8]) -> Vec<Vec<u8>> {
    if let Ok(records) = serde_json::from_slice::<Vec<Record>>(input) {
        let records: Vec<Vec<u8>> =
            records.iter().map(|record| encode_compact(record).expect("a record can be written")).collect();
        return vec![fuzz_journal(records.iter().map(Vec::as_slice))];
    }
    vec![input.to_vec(), fuzz_journal(input.split(|byte| *byte == SEPARATOR))]
}

fn check(journal: &[u8]) {
    let mut storage = SimulatedStorage::new(Random::new(1));
    let mount = storage.disk.mount();
    let parent = Path::new(DIRECTORY).parent().expect("it has one");
    for directory in [parent, Path::new(DIRECTORY)] {
        mount.create_directory(directory).expect("there is room");
    }
    let mut file = mount.open(Path::new(JOURNAL), OpenMode::New).expect("there is room");
    file.write_at(0, journal).expect("there is room");
    file.sync_all().expect("nothing fails");
    for directory in [Path::new("/"), parent, Path::new(DIRECTORY)] {
        mount.sync_directory(directory).expect("nothing fails");
    }
    let id = ClientId::from_bytes([7; 16]);
    let Ok((store, mut first)) = storage.open(id) else { return };
    drop(store);
    storage.end_life(Ending::Kill);
    let (store, mut second) = storage.open(id).expect("what was repaired opens");
    for client_seq in second.queued.numbers() {
        store.entry(client_seq).expect("what was found can be read");
    }
    // What was damaged is told of once, and numbers that may have been used are never used again.
    (first.damage, second.damage) = (Vec::new(), Vec::new());
    assert!(second.identity.last_client_seq >= first.identity.last_client_seq);
    assert!(second.identity.last_time >= first.identity.last_time);
    assert!(second.last_job >= first.last_job);
    second.identity.last_client_seq = first.identity.last_client_seq;
    second.identity.last_time = first.identity.last_time;
    second.last_job = first.last_job;
    assert_eq!(first, second);
}

fuzz_target!(|input: &[u8]| journals(input).iter().for_each(|journal| check(journal)));
