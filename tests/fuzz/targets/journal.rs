//! A journal of any bytes: it opens, or says with a typed error why not; what it found once it finds again.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use syncline::store::{FileSystem, OpenMode, RandomAccessFile};
use syncline_protocol::ClientId;
use syncline_simulation::random::Random;
use syncline_simulation::storage::{DIRECTORY, Ending, JOURNAL, SimulatedStorage};

fuzz_target!(|input: &[u8]| {
    let mut storage = SimulatedStorage::new(Random::new(1));
    let mount = storage.disk.mount();
    let parent = Path::new(DIRECTORY).parent().expect("it has one");
    for directory in [parent, Path::new(DIRECTORY)] {
        mount.create_directory(directory).expect("there is room");
    }
    let mut file = mount.open(Path::new(JOURNAL), OpenMode::New).expect("there is room");
    file.write_at(0, input).expect("there is room");
    file.sync_all().expect("nothing fails");
    for directory in [Path::new("/"), parent, Path::new(DIRECTORY)] {
        mount.sync_directory(directory).expect("nothing fails");
    }
    let id = ClientId::from_bytes([7; 16]);
    let Ok((store, first)) = storage.open(id) else { return };
    drop(store);
    storage.end_life(Ending::Kill);
    let (_store, second) = storage.open(id).expect("what was repaired opens");
    assert_eq!(first.identity, second.identity);
});
