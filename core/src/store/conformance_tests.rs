//! What every store promises.

#![allow(clippy::unwrap_used)]

use tempfile::TempDir;

use super::fixtures::{
    CLIENT, OTHER_CLIENT, collection, copy_directory, deleted, document, entry, entry_with, identity, key,
    outcome, parked, resent, room, state,
};
use super::{DiskStore, MemoryStore, Record, Recovered, RoomUpdate, Store};

/// A store that can be killed.
trait Subject: Store + Sized {
    fn fresh() -> (Self, Recovered);
    /// What a restart finds after the process was killed now.
    fn killed(self) -> (Self, Recovered);
}

impl Subject for MemoryStore {
    fn fresh() -> (Self, Recovered) {
        Self::new(CLIENT)
    }

    fn killed(self) -> (Self, Recovered) {
        self.crash()
    }
}

struct OnDisk {
    store: DiskStore,
    directory: TempDir,
}

impl Subject for OnDisk {
    fn fresh() -> (Self, Recovered) {
        let directory = TempDir::new().unwrap();
        let (store, recovered) = DiskStore::open(directory.path(), CLIENT).unwrap();
        (Self { store, directory }, recovered)
    }

    fn killed(self) -> (Self, Recovered) {
        let copy = TempDir::new().unwrap();
        copy_directory(self.directory.path(), copy.path());
        let (store, recovered) = DiskStore::open(copy.path(), OTHER_CLIENT).unwrap();
        (Self { store, directory: copy }, recovered)
    }
}

macro_rules! forward {
    ($($name:ident(&mut self $(, $arg:ident: $type:ty)*) -> $result:ty;)*) => {
        $(fn $name(&mut self $(, $arg: $type)*) -> $result { self.store.$name($($arg),*) })*
    };
}

type Outcome<T> = Result<T, super::StoreError>;

impl Store for OnDisk {
    forward! {
        append(&mut self, record: &Record) -> Outcome<()>;
        append_after_flush(&mut self, record: Record) -> ();
        commit(&mut self) -> Outcome<()>;
        compact_if_worthwhile(&mut self, live: &mut dyn FnMut() -> super::Live) -> Outcome<()>;
        replace_journal(&mut self, live: &super::Live) -> Outcome<()>;
        flush(&mut self) -> Outcome<()>;
    }

    fn entry(&self, client_seq: u64) -> Outcome<super::Entry> {
        self.store.entry(client_seq)
    }

    fn cache(&self) -> &dyn super::Cache {
        self.store.cache()
    }

    fn cache_mut(&mut self) -> &mut dyn super::Cache {
        self.store.cache_mut()
    }

    fn stats(&self) -> super::StoreStats {
        self.store.stats()
    }
}

fn update(documents: &[super::Document], cursor: u64) -> RoomUpdate<'_> {
    RoomUpdate { reset: false, documents, state: state(cursor) }
}

fn ids(store: &impl Store, room_name: &str) -> Vec<String> {
    let mut ids = Vec::new();
    store
        .visit_collection(&room(room_name), &collection("tasks"), &mut |document| {
            ids.push(document.id.to_string());
        })
        .unwrap();
    ids
}

fn a_new_store_is_empty_and_has_the_given_identity<S: Subject>() {
    let (store, recovered) = S::fresh();
    assert_eq!(recovered.identity, identity(0));
    assert_eq!((recovered.queued.len(), recovered.outcomes.len()), (0, 0));
    assert_eq!(recovered.damage, Vec::<String>::new());
    assert_eq!(store.rooms().unwrap(), []);
    let (_, recovered) = store.killed();
    assert_eq!(recovered.identity, identity(0));
}

fn committed_records_survive_a_kill_and_others_do_not<S: Subject>() {
    let (mut store, _) = S::fresh();
    store.append(&Record::Queued(vec![entry(1)])).unwrap();
    store.append(&Record::Queued(vec![entry(2)])).unwrap();
    store.commit().unwrap();
    store.append(&Record::Queued(vec![entry(3)])).unwrap();
    let (store, recovered) = store.killed();
    assert_eq!(store.entries(&recovered.queued).unwrap(), [entry(1), entry(2)]);
    assert_eq!(recovered.identity, identity(2));
    assert_eq!(recovered.damage, Vec::<String>::new());
}

fn records_replace_settle_and_fail_entries<S: Subject>() {
    let (mut store, _) = S::fresh();
    for client_seq in 1..=4 {
        store.append(&Record::Queued(vec![entry(client_seq)])).unwrap();
    }
    store.append(&Record::Queued(vec![entry_with(2, "newer")])).unwrap();
    store.append(&Record::Settled { client_seq: 1 }).unwrap();
    store.append(&Record::Failed(outcome(3))).unwrap();
    store.append(&Record::Failed(outcome(4))).unwrap();
    store.append(&Record::OutcomeSeen { client_seq: 3 }).unwrap();
    store.commit().unwrap();
    let (store, recovered) = store.killed();
    assert_eq!(store.entries(&recovered.queued).unwrap(), [entry_with(2, "newer")]);
    assert_eq!(recovered.outcomes, [outcome(4)]);
    assert_eq!(recovered.identity.last_client_seq, 4);
}

fn a_conflict_takes_an_entry_to_another_number_or_to_the_app_and_back<S: Subject>() {
    let (mut store, _) = S::fresh();
    store.append(&Record::Queued((1..=3).map(entry).collect())).unwrap();
    store
        .append(&Record::Resent { client_seqs: vec![1, 2], entries: vec![resent(1, 4), resent(2, 5)] })
        .unwrap();
    store.append(&Record::Parked(parked(resent(1, 4)))).unwrap();
    store.append(&Record::Parked(parked(entry(3)))).unwrap();
    store.commit().unwrap();
    let (mut store, recovered) = store.killed();
    assert_eq!(store.entries(&recovered.queued).unwrap(), [resent(2, 5)]);
    assert_eq!(recovered.parked, [parked(resent(1, 4)), parked(entry(3))]);
    assert_eq!(recovered.identity.last_client_seq, 5);
    store.append(&Record::Resolved { client_seq: 1, entry: Some(resent(1, 6)) }).unwrap();
    store.append(&Record::Resolved { client_seq: 3, entry: None }).unwrap();
    store.commit().unwrap();
    let (store, recovered) = store.killed();
    assert_eq!(store.entries(&recovered.queued).unwrap(), [resent(2, 5), resent(1, 6)]);
    assert_eq!(recovered.parked, []);
    assert_eq!(recovered.identity.last_client_seq, 6);
}

fn an_entry_is_read_as_it_was_queued_last_until_it_leaves_the_outbox<S: Subject>() {
    let (mut store, _) = S::fresh();
    let gone =
        |store: &S, client_seq| matches!(store.entry(client_seq), Err(super::StoreError::Unreadable(_)));
    for client_seq in 1..=5 {
        store.append(&Record::Queued(vec![entry(client_seq), entry(client_seq + 10)])).unwrap();
        assert_eq!(store.entry(client_seq).unwrap(), entry(client_seq));
        store.commit().unwrap();
    }
    store.append(&Record::Queued(vec![entry_with(2, "newer")])).unwrap();
    store.append(&Record::Resent { client_seqs: vec![3], entries: vec![resent(3, 20)] }).unwrap();
    store.append(&Record::Settled { client_seq: 4 }).unwrap();
    store.append(&Record::Failed(outcome(5))).unwrap();
    store.append(&Record::Parked(parked(entry(15)))).unwrap();
    store.append(&Record::Resolved { client_seq: 15, entry: Some(resent(15, 21)) }).unwrap();
    for restarts in 0..2 {
        let queued = [entry(1), entry_with(2, "newer"), entry(11), resent(3, 20), resent(15, 21)];
        for entry in queued {
            assert_eq!(store.entry(entry.mutation.client_seq).unwrap(), entry, "after {restarts} restarts");
        }
        for client_seq in [3, 4, 5, 15, 16] {
            assert!(gone(&store, client_seq), "{client_seq} after {restarts} restarts");
        }
        store.commit().unwrap();
        store = store.killed().0;
    }
}

fn a_record_that_waits_for_a_flush_does_not_exist_before_it<S: Subject>() {
    let (mut store, _) = S::fresh();
    store.append(&Record::Queued(vec![entry(1)])).unwrap();
    store.append_after_flush(Record::Settled { client_seq: 1 });
    store.commit().unwrap();
    let (mut store, recovered) = store.killed();
    assert_eq!(store.entries(&recovered.queued).unwrap(), [entry(1)]);

    store.apply(&room("user:42"), &update(&[document("task-1", 1, "a")], 1)).unwrap();
    store.append_after_flush(Record::Settled { client_seq: 1 });
    store.flush().unwrap();
    let (store, recovered) = store.killed();
    assert_eq!(store.entries(&recovered.queued).unwrap(), []);
    assert_eq!(store.document(&key("user:42", "task-1")).unwrap(), Some(document("task-1", 1, "a")));
}

fn flushed_changes_survive_a_kill<S: Subject>() {
    let (mut store, _) = S::fresh();
    let long = "long ".repeat(40_000);
    let documents = [document("a", 1, "short"), document("b", 2, &long)];
    store.apply(&room("user:42"), &update(&documents, 2)).unwrap();
    store.apply(&room("list:9"), &update(&[document("c", 1, "c")], 1)).unwrap();
    store.flush().unwrap();
    let (store, _) = store.killed();
    assert_eq!(store.document(&key("user:42", "a")).unwrap(), Some(documents[0].clone()));
    assert_eq!(store.document(&key("user:42", "b")).unwrap(), Some(documents[1].clone()));
    assert_eq!(store.document(&key("list:9", "a")).unwrap(), None);
    assert_eq!(store.rooms().unwrap(), [(room("list:9"), state(1)), (room("user:42"), state(2))]);
}

fn a_change_replaces_and_removes_documents<S: Subject>() {
    let (mut store, _) = S::fresh();
    let long = "long ".repeat(40_000);
    let first = [document("a", 1, &long), document("b", 2, &long), document("c", 3, "c")];
    store.apply(&room("user:42"), &update(&first, 3)).unwrap();
    let second = [document("a", 4, "short"), deleted("b", 5), document("d", 6, "1"), document("d", 7, "2")];
    store.apply(&room("user:42"), &update(&second, 7)).unwrap();
    assert_eq!(ids(&store, "user:42"), ["a", "c", "d"]);
    assert_eq!(store.document(&key("user:42", "a")).unwrap(), Some(document("a", 4, "short")));
    assert_eq!(store.document(&key("user:42", "d")).unwrap(), Some(document("d", 7, "2")));
    assert_eq!(store.rooms().unwrap(), [(room("user:42"), state(7))]);
}

fn a_reset_forgets_the_room_and_no_other<S: Subject>() {
    let (mut store, _) = S::fresh();
    let long = "long ".repeat(40_000);
    for name in ["user:4", "user:42", "user:43"] {
        let documents = [document("a", 1, &long), document("b", 2, "b")];
        store.apply(&room(name), &update(&documents, 2)).unwrap();
    }
    let documents = [document("b", 3, "new")];
    let reset = RoomUpdate { reset: true, documents: &documents, state: state(3) };
    store.apply(&room("user:42"), &reset).unwrap();
    assert_eq!(ids(&store, "user:4"), ["a", "b"]);
    assert_eq!(ids(&store, "user:42"), ["b"]);
    assert_eq!(ids(&store, "user:43"), ["a", "b"]);
    assert_eq!(store.document(&key("user:42", "b")).unwrap(), Some(documents[0].clone()));
}

fn a_collection_is_visited_in_the_order_of_ids<S: Subject>() {
    let (mut store, _) = S::fresh();
    let mut other = document("b0", 1, "other collection");
    other.collection = collection("task");
    let documents =
        [document("b", 1, ""), document("a-1", 2, ""), document("ü", 3, ""), document("a", 4, ""), other];
    store.apply(&room("user:42"), &update(&documents, 4)).unwrap();
    assert_eq!(ids(&store, "user:42"), ["a", "a-1", "b", "ü"]);
    assert_eq!(ids(&store, "user:4"), Vec::<String>::new());
}

fn compaction_keeps_what_is_alive_and_what_still_waits_is_settled_first<S: Subject>() {
    let (mut store, _) = S::fresh();
    for client_seq in 1..=8000 {
        store.append(&Record::Queued(vec![entry(client_seq)])).unwrap();
        if client_seq < 7999 {
            store.append(&Record::Settled { client_seq }).unwrap();
        }
    }
    store.commit().unwrap();
    store.apply(&room("user:42"), &update(&[document("task-7999", 1, "a")], 1)).unwrap();
    store.append_after_flush(Record::Settled { client_seq: 7999 });
    let mut asked = 0;
    store
        .compact_if_worthwhile(&mut || {
            asked += 1;
            super::Live { records: vec![Record::Identity(identity(8000))], kept: vec![8000] }
        })
        .unwrap();
    assert_eq!(asked, 1);
    store.compact_if_worthwhile(&mut || unreachable!("nothing is dead any more")).unwrap();
    store.append(&Record::Queued(vec![entry(8001)])).unwrap();
    store.commit().unwrap();
    let (store, recovered) = store.killed();
    assert_eq!(recovered.identity, identity(8001));
    assert_eq!(store.entries(&recovered.queued).unwrap(), [entry(8000), entry(8001)]);
    assert_eq!(recovered.damage, Vec::<String>::new());
    assert!(store.document(&key("user:42", "task-7999")).unwrap().is_some());
}

macro_rules! for_every_store {
    ($($name:ident)*) => {
        mod in_memory { $(#[test] fn $name() { super::$name::<super::MemoryStore>(); })* }
        mod on_disk { $(#[test] fn $name() { super::$name::<super::OnDisk>(); })* }
    };
}

for_every_store! {
    a_new_store_is_empty_and_has_the_given_identity
    committed_records_survive_a_kill_and_others_do_not
    records_replace_settle_and_fail_entries
    a_conflict_takes_an_entry_to_another_number_or_to_the_app_and_back
    a_record_that_waits_for_a_flush_does_not_exist_before_it
    flushed_changes_survive_a_kill
    a_change_replaces_and_removes_documents
    a_reset_forgets_the_room_and_no_other
    a_collection_is_visited_in_the_order_of_ids
    an_entry_is_read_as_it_was_queued_last_until_it_leaves_the_outbox
    compaction_keeps_what_is_alive_and_what_still_waits_is_settled_first
}
