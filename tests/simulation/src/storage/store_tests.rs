#![allow(clippy::unwrap_used)]

use syncline::store::{Entry, Record, RoomState, RoomUpdate, Store};
use syncline_protocol::{Collection, DocumentId, Fields, HybridTime, Mutation, Room, Write};

use super::*;

const SEEDS: u64 = 200;
const CLIENT: ClientId = ClientId::from_bytes([7; 16]);

fn storage(seed: u64) -> SimulatedStorage {
    SimulatedStorage::new(Random::new(seed))
}

fn queued(client_seq: u64) -> Record {
    let mutation = Mutation {
        client_seq,
        collection: Collection::new("tasks").unwrap(),
        id: DocumentId::new(format!("task-{client_seq}")).unwrap(),
        write: Write::Create(Fields::new()),
        time: HybridTime { wall_ms: client_seq, counter: 0 },
        base: None,
    };
    let room = Room::new("list:1").unwrap();
    Record::Queued(vec![Entry { room, mutation, queued_at_ms: 1, accepted: None }])
}

fn numbers(recovered: &Recovered) -> Vec<u64> {
    recovered.queued.numbers().collect()
}

#[test]
fn the_first_write_into_a_new_directory_survives_a_loss_of_power() {
    for seed in 0..SEEDS {
        let mut storage = storage(seed);
        let (mut store, first) = storage.open(CLIENT).unwrap();
        store.append(&queued(1)).unwrap();
        store.commit().unwrap();
        storage.end_life(Ending::PowerLoss);
        let (_, recovered) = storage.open(ClientId::from_bytes([9; 16])).unwrap();
        assert_eq!(numbers(&recovered), [1], "seed {seed}");
        assert_eq!(recovered.identity.client_id, first.identity.client_id, "seed {seed}");
    }
}

#[test]
fn what_a_restart_has_found_once_it_finds_again() {
    let mut found = [0; 2];
    for seed in 0..SEEDS {
        let mut storage = storage(seed);
        let (mut store, _) = storage.open(CLIENT).unwrap();
        store.append(&queued(1)).unwrap();
        // The write, and then the sync.
        storage.disk.die_at(2);
        assert!(store.commit().is_err());
        storage.end_life(Ending::Kill);
        let (_store, recovered) = storage.open(CLIENT).unwrap();
        let before = numbers(&recovered);
        storage.end_life(Ending::PowerLoss);
        let (_, recovered) = storage.open(CLIENT).unwrap();
        assert_eq!(numbers(&recovered), before, "seed {seed}");
        found[before.len()] += 1;
    }
    assert_eq!(found, [0, SEEDS]);
}

#[test]
fn a_commit_whose_sync_failed_is_not_believed_by_a_reopen() {
    let mut storage = storage(1);
    let (mut store, _) = storage.open(CLIENT).unwrap();
    store.append(&queued(1)).unwrap();
    store.commit().unwrap();
    store.append(&queued(2)).unwrap();
    storage.disk.fail_next_sync();
    assert!(matches!(store.commit(), Err(StoreError::Journal(_))));
    assert!(matches!(store.append(&queued(3)), Err(StoreError::Journal(_))));
    drop(store);
    let (_store, recovered) = storage.open(CLIENT).unwrap();
    assert_eq!((numbers(&recovered), recovered.damage.len()), (vec![1], 0));
}

#[test]
fn a_rewritten_journal_survives_a_loss_of_power_with_its_name() {
    for seed in 0..SEEDS {
        let mut storage = storage(seed);
        let (mut store, first) = storage.open(CLIENT).unwrap();
        for client_seq in 1..=60 {
            store.append(&queued(client_seq)).unwrap();
            store.append(&Record::Settled { client_seq }).unwrap();
        }
        store.commit().unwrap();
        let before = store.stats().journal_bytes;
        let mut identity = first.identity;
        identity.last_client_seq = 60;
        store.compact_if_worthwhile(&mut || vec![Record::Identity(identity), queued(61)].into()).unwrap();
        assert!(store.stats().journal_bytes < before, "not compacted");
        store.append(&queued(62)).unwrap();
        store.commit().unwrap();
        storage.end_life(Ending::PowerLoss);
        let (_, recovered) = storage.open(CLIENT).unwrap();
        assert_eq!(numbers(&recovered), [61, 62], "seed {seed}");
    }
}

#[test]
fn a_damaged_record_costs_itself_and_the_numbers_go_on_beyond_it() {
    for seed in 0..SEEDS {
        let mut storage = storage(seed);
        let (mut store, first) = storage.open(CLIENT).unwrap();
        for client_seq in 1..=20 {
            store.append(&queued(client_seq)).unwrap();
        }
        store.commit().unwrap();
        drop(store);
        storage.disk.damage(Path::new(JOURNAL)).unwrap();
        let (store, recovered) = storage.open(CLIENT).unwrap();
        assert_eq!(recovered.identity.client_id, first.identity.client_id);
        assert!(!recovered.damage.is_empty() && recovered.identity.last_client_seq > 20, "seed {seed}");
        drop(store);
        let (_, again) = storage.open(CLIENT).unwrap();
        assert_eq!(again, Recovered { damage: Vec::new(), ..recovered }, "seed {seed}");
    }
}

#[test]
fn a_dead_process_cannot_change_the_disk_or_the_cache() {
    let mut storage = storage(1);
    let (mut store, _) = storage.open(CLIENT).unwrap();
    store.append(&queued(1)).unwrap();
    storage.end_life(Ending::Kill);
    let (next, _) = storage.open(CLIENT).unwrap();
    assert!(store.commit().is_err());
    let room = Room::new("list:1").unwrap();
    let update = RoomUpdate { reset: false, documents: &[], state: RoomState::default() };
    let changed = store.apply(&room, &update).and_then(|()| store.flush());
    assert!(changed.is_err() && store.rooms().is_err());
    drop(store);
    drop(next);
    assert_eq!(numbers(&storage.open(CLIENT).unwrap().1), Vec::<u64>::new());
}
