#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use syncline_protocol::limits::VALUE_DEPTH_MAX;
use syncline_protocol::message::{MutationStatus, Page};
use syncline_protocol::value::Fields;
use syncline_protocol::{HybridTime, Op, Patch, Path, Value, Write};

use super::*;
use crate::storage::memory::MemoryStore;

const NOW_MS: u64 = 1_700_000_000_000;

/// A room with its store, pushed to as a server would.
struct Hub {
    store: MemoryStore,
    limits: Limits,
    config: HubConfig,
}

impl Hub {
    fn new() -> Self {
        Self { store: MemoryStore::new(1000), limits: Limits::default(), config: HubConfig::default() }
    }

    fn push_as(&mut self, user: &str, client: u8, mutations: Vec<Mutation>) -> Result<Pushed, WireError> {
        let push = Push { room: room(), after: None, mutations };
        let author = Author::client(user, client_id(client));
        match super::push(&self.store, push, &author, NOW_MS, &self.limits, &self.config) {
            Ok(pushed) => {
                if let Some(commit) = pushed.commit.clone() {
                    for Written { document, .. } in &commit.documents {
                        assert_eq!(document.byte_len(), document_byte_len(document));
                    }
                    self.store.apply(commit);
                }
                self.check();
                Ok(pushed)
            }
            Err(PushError::Refused(error)) => Err(error),
            Err(PushError::Store(never)) => match never {},
        }
    }

    fn push(&mut self, client: u8, mutations: Vec<Mutation>) -> PushAnswer {
        self.push_as(&format!("user {client}"), client, mutations).unwrap().answer
    }

    fn page(&self, cursor: u64, limit: u32) -> Page {
        let request = PageRequest { room: room(), cursor, limit, collections: None, snapshot: None };
        let Ok(page) = super::page(&self.store, &request, &self.limits, &self.config);
        page
    }

    fn document(&self, id: &str) -> Option<Document> {
        let Ok(document) = self.store.document(&room(), &(collection(), DocumentId::new(id).unwrap()));
        document
    }

    /// The head's checksum is that of the documents, and no number is beyond it.
    fn check(&self) {
        let Ok(head) = self.store.head(&room());
        let sum = self
            .store
            .documents(&room())
            .fold(Checksum::default(), |sum, document| sum.replace(Checksum::default(), document.checksum()));
        assert_eq!(head.checksum, sum);
        assert!(self.store.documents(&room()).all(|document| document.seq <= head.seq));
    }
}

fn room() -> Room {
    Room::new("list:1").unwrap()
}

fn collection() -> Collection {
    Collection::new("todos").unwrap()
}

fn client_id(client: u8) -> ClientId {
    ClientId::from_bytes([client; 16])
}

fn mutation(client_seq: u64, id: &str, write: Write) -> Mutation {
    Mutation {
        client_seq,
        collection: collection(),
        id: DocumentId::new(id).unwrap(),
        write,
        time: HybridTime { wall_ms: NOW_MS + client_seq, counter: 0 },
        base: None,
    }
}

fn create(client_seq: u64, id: &str) -> Mutation {
    mutation(client_seq, id, Write::Create(Fields::from([("n".into(), Value::Int(0))])))
}

fn increment(client_seq: u64, id: &str) -> Mutation {
    mutation(client_seq, id, Write::Update(Patch::new().with(Path::field("n"), Op::Increment(Value::Int(1)))))
}

fn set(client_seq: u64, id: &str, field: &str, value: Value) -> Mutation {
    mutation(client_seq, id, Write::Update(Patch::new().with(Path::field(field), Op::Set(value))))
}

fn delete(client_seq: u64, id: &str) -> Mutation {
    mutation(client_seq, id, Write::Delete)
}

fn statuses(answer: &PushAnswer) -> Vec<MutationStatus> {
    answer.results.iter().map(|result| result.status).collect()
}

fn codes(answer: &PushAnswer) -> Vec<Option<ErrorCode>> {
    answer.results.iter().map(|result| result.error.as_ref().map(|error| error.code)).collect()
}

use MutationStatus::{Applied, Conflict, Duplicate, Rejected};

#[test]
fn every_applied_mutation_takes_the_next_place_in_the_log() {
    let mut hub = Hub::new();
    let answer = hub.push(1, vec![create(1, "a"), create(2, "b"), increment(7, "a")]);
    assert_eq!(
        answer.results.iter().map(|result| result.seq).collect::<Vec<_>>(),
        [Some(1), Some(2), Some(3)]
    );
    let answer = hub.push(2, vec![increment(1, "b")]);
    assert_eq!(answer.results[0].seq, Some(4));
    let page = hub.page(0, 10);
    let places: Vec<_> = page.changes.iter().map(|document| (document.id.as_str(), document.seq)).collect();
    assert_eq!(places, [("a", 3), ("b", 4)], "each document once, at its newest place");
}

#[test]
fn live_changes_cover_the_whole_range_of_a_push() {
    let mut hub = Hub::new();
    hub.push(1, vec![create(1, "a")]);
    let pushed =
        hub.push_as("user 1", 1, vec![increment(2, "a"), create(3, "b"), increment(4, "a")]).unwrap();
    let changes = pushed.changes.unwrap();
    assert_eq!((changes.from_seq, changes.to_seq), (2, 4));
    let seqs: Vec<u64> = changes.changes.iter().map(|document| document.seq).collect();
    assert_eq!(seqs, [3, 4]);
}

#[test]
fn what_is_told_is_the_committed_document_and_not_a_copy() {
    let pushed = Hub::new().push_as("ann", 1, vec![create(1, "a"), create(2, "b")]).unwrap();
    let (committed, told) = (pushed.commit.unwrap().documents, pushed.changes.unwrap().changes);
    let committed = committed.iter().map(|written| std::ptr::from_ref::<Document>(&written.document));
    assert!(committed.eq(told.iter().map(|document| std::ptr::from_ref::<Document>(document))));
    assert_eq!(told.len(), 2);
}

#[test]
fn a_number_used_before_has_no_second_effect() {
    let mut hub = Hub::new();
    hub.push(1, vec![create(1, "a"), increment(2, "a")]);
    let retry = hub.push_as("user 1", 1, vec![create(1, "a"), increment(2, "a"), increment(3, "a")]).unwrap();
    assert_eq!(statuses(&retry.answer), [Duplicate, Duplicate, Applied]);
    assert_eq!(retry.answer.results[1].seq, Some(2));
    assert_eq!(hub.document("a").unwrap().fields["n"], Value::Int(2));
    let again = hub.push_as("user 1", 1, vec![increment(3, "a")]).unwrap();
    assert_eq!((again.commit, again.changes), (None, None));
}

#[test]
fn clients_number_their_mutations_apart() {
    let mut hub = Hub::new();
    hub.push(1, vec![create(1, "a"), increment(2, "a")]);
    assert_eq!(statuses(&hub.push(2, vec![increment(1, "a"), increment(2, "a")])), [Applied, Applied]);
    assert_eq!(hub.document("a").unwrap().fields["n"], Value::Int(3));
}

#[test]
fn a_rejection_uses_up_its_number_and_is_answered_again() {
    let mut hub = Hub::new();
    let answer = hub.push(1, vec![increment(1, "missing"), create(2, "a")]);
    assert_eq!(statuses(&answer), [Rejected, Applied]);
    assert_eq!(codes(&answer), [Some(ErrorCode::NotFound), None]);
    hub.push(2, vec![create(1, "missing")]);
    let retry = hub.push(1, vec![increment(1, "missing")]);
    assert_eq!(statuses(&retry), [Duplicate]);
    assert_eq!(codes(&retry), [Some(ErrorCode::NotFound)]);
    assert_eq!(hub.document("missing").unwrap().fields["n"], Value::Int(0));
}

#[test]
fn a_rejection_no_longer_kept_is_still_told_from_an_effect() {
    let mut hub = Hub { store: MemoryStore::new(1), ..Hub::new() };
    hub.push(1, vec![increment(1, "missing"), increment(2, "missing")]);
    let retry = hub.push(1, vec![increment(1, "missing"), increment(2, "missing")]);
    assert_eq!(statuses(&retry), [Duplicate, Duplicate]);
    assert_eq!(codes(&retry), [Some(ErrorCode::Invalid), Some(ErrorCode::NotFound)]);
}

#[test]
fn another_users_client_id_is_forbidden() {
    let mut hub = Hub::new();
    hub.push_as("ann", 1, vec![create(1, "a")]).unwrap();
    let refused = hub.push_as("bob", 1, vec![delete(2, "a")]).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Forbidden);
    assert!(!hub.document("a").unwrap().deleted);
}

#[test]
fn numbers_that_do_not_grow_are_invalid() {
    let mut hub = Hub::new();
    for mutations in [
        vec![],
        vec![create(0, "a")],
        vec![create(2, "a"), create(1, "b")],
        vec![create(1, "a"), create(1, "b")],
    ] {
        assert_eq!(hub.push_as("ann", 1, mutations).unwrap_err().code, ErrorCode::Invalid);
    }
    let too_many = (1..=501).map(|seq| create(seq, "a")).collect();
    assert_eq!(hub.push_as("ann", 1, too_many).unwrap_err().code, ErrorCode::TooLarge);
    assert_eq!(hub.document("a"), None);
}

#[test]
fn a_deleted_document_travels_without_its_fields_and_is_kept_with_them() {
    let mut hub = Hub::new();
    hub.push(1, vec![create(1, "a"), delete(2, "a")]);
    let sent = &hub.page(0, 10).changes[0];
    assert!(sent.deleted && sent.fields.is_empty());
    assert_eq!(hub.document("a").unwrap().fields["n"], Value::Int(0));
    assert_eq!(hub.page(0, 10).checksum, Some(Checksum::default()));
    hub.push(1, vec![increment(3, "a")]);
    let back = hub.document("a").unwrap();
    assert!(!back.deleted);
    assert_eq!(back.fields["n"], Value::Int(1));
}

#[test]
fn a_clock_far_ahead_is_capped() {
    let mut hub = Hub::new();
    let mut ahead = create(1, "a");
    ahead.time.wall_ms = NOW_MS * 10;
    hub.push(1, vec![ahead]);
    let stamp = hub.document("a").unwrap().stamps.base;
    assert_eq!(stamp.time.wall_ms, NOW_MS + hub.config.clock_drift_ms_max);
}

#[test]
fn the_last_write_of_a_clock_far_ahead_wins_over_its_earlier_ones() {
    let mut hub = Hub::new();
    let ahead = |mut mutation: Mutation, counter: u32| {
        mutation.time = HybridTime { wall_ms: NOW_MS * 10 + mutation.client_seq, counter };
        mutation
    };
    hub.push(1, vec![ahead(create(1, "a"), 0), ahead(set(2, "a", "n", 1.into()), 3)]);
    hub.push(1, vec![ahead(set(3, "a", "n", 2.into()), 0)]);
    assert_eq!(hub.document("a").unwrap().fields["n"], Value::Int(2));
}

#[test]
fn a_document_beyond_its_limit_is_rejected_whole() {
    let mut hub = Hub::new();
    hub.limits.document_bytes_max = 1000;
    let text = |bytes: usize| Value::from("x".repeat(bytes));
    hub.push(1, vec![create(1, "a")]);
    let answer = hub.push(
        1,
        vec![set(2, "a", "t", text(2000)), set(3, "a", "t", text(600)), set(4, "a", "u", text(600))],
    );
    assert_eq!(codes(&answer), [Some(ErrorCode::TooLarge), None, Some(ErrorCode::TooLarge)]);
    assert_eq!(hub.document("a").unwrap().fields.keys().collect::<Vec<_>>(), ["n", "t"]);
}

#[test]
fn a_history_of_writes_cannot_grow_without_bound() {
    let mut hub = Hub::new();
    hub.limits.document_bytes_max = 1000;
    hub.push(1, vec![create(1, "a")]);
    let unset = |seq: u64| {
        mutation(seq, "a", Write::Update(Patch::new().with(Path::field(format!("f{seq}")), Op::Unset)))
    };
    let answer = hub.push(1, (2..100).map(unset).collect());
    assert_eq!(codes(&answer).last(), Some(&Some(ErrorCode::TooLarge)));
    assert!(document_byte_len(&hub.document("a").unwrap()) < 2000);
}

#[test]
fn a_patch_that_does_not_hold_together_is_rejected() {
    let mut hub = Hub::new();
    let path = |text| Path::parse(text).unwrap();
    let overlap = Patch::new().with(path("a"), Op::Unset).with(path("a.b"), Op::Unset);
    let deep = (0..VALUE_DEPTH_MAX).fold(Value::Int(1), |inner, _| Value::Array(vec![inner]));
    let too_deep = Patch::new().with(path("a.b"), Op::Set(deep));
    hub.push(1, vec![create(1, "a")]);
    let answer = hub.push(
        1,
        vec![
            mutation(2, "a", Write::Update(Patch::new())),
            mutation(3, "a", Write::Update(overlap)),
            mutation(4, "a", Write::Update(too_deep)),
        ],
    );
    assert_eq!(codes(&answer), [Some(ErrorCode::Invalid); 3]);
}

#[test]
fn a_push_that_writes_too_much_stops_and_keeps_what_came_before() {
    let mut hub = Hub::new();
    hub.config.transaction_bytes_max = 1500;
    let large = |seq: u64| set(seq, "a", "t", Value::from("x".repeat(1000)));
    hub.push(1, vec![create(1, "a"), create(2, "b")]);
    let other = |seq: u64| set(seq, "b", "t", Value::from("x".repeat(1000)));
    let answer = hub.push(1, vec![large(3), large(4), other(5), other(6)]);
    assert_eq!(statuses(&answer), [Applied, Applied, Applied]);
    assert_eq!(answer.error.unwrap().code, ErrorCode::Unavailable);
    assert_eq!(statuses(&hub.push(1, vec![other(6)])), [Applied]);
}

#[test]
fn a_concurrent_mutation_with_a_base_is_a_conflict_and_changes_nothing() {
    let mut hub = Hub::new();
    hub.push(1, vec![create(1, "a")]);
    let base = hub.document("a").unwrap().version;
    hub.push(2, vec![set(1, "a", "title", "theirs".into())]);
    let patch = Patch::new()
        .with(Path::field("title"), Op::Set("mine".into()))
        .with(Path::field("n"), Op::Set(Value::Int(9)));
    let based = |seq: u64, write: Write| Mutation { base: Some(base.clone()), ..mutation(seq, "a", write) };
    let answer = hub.push(1, vec![based(2, Write::Update(patch)), based(3, Write::Delete)]);
    assert_eq!(statuses(&answer), [Conflict, Conflict]);
    for result in &answer.results {
        assert_eq!(result.document.as_ref().unwrap().fields["title"], "theirs".into());
        assert_eq!(result.fields.as_deref(), Some(&[Path::field("title")][..]));
    }
    assert_eq!(hub.document("a").unwrap().fields["n"], Value::Int(0));
    let retry = hub.push(1, vec![based(2, Write::Delete)]);
    assert_eq!((statuses(&retry), codes(&retry)), (vec![Duplicate], vec![Some(ErrorCode::Conflict)]));
    assert!(retry.results[0].document.is_some());
}

#[test]
fn a_mutation_on_the_newest_base_is_no_conflict_whatever_its_own_client_wrote_since() {
    let mut hub = Hub::new();
    hub.push(1, vec![create(1, "a")]);
    let base = Some(hub.document("a").unwrap().version);
    let first = Mutation { base: base.clone(), ..increment(2, "a") };
    let second = Mutation { base, ..increment(3, "a") };
    assert_eq!(statuses(&hub.push(1, vec![first, second])), [Applied, Applied]);
}

#[test]
fn a_deletion_met_by_an_update_with_a_base_is_a_conflict() {
    let mut hub = Hub::new();
    hub.push(1, vec![create(1, "a")]);
    let base = Some(hub.document("a").unwrap().version);
    hub.push(2, vec![delete(5, "a")]);
    let answer = hub.push(1, vec![Mutation { base, ..set(2, "a", "n", Value::Int(3)) }]);
    assert_eq!(statuses(&answer), [Conflict]);
    assert!(answer.results[0].document.as_ref().unwrap().deleted);
}

#[test]
fn pages_follow_the_cursor_and_the_last_carries_the_checksum() {
    let mut hub = Hub::new();
    hub.push(1, (1..=5).map(|seq| create(seq, &format!("d{seq}"))).collect());
    let first = hub.page(0, 2);
    assert_eq!((first.changes.len(), first.cursor, first.more, first.checksum), (2, 2, true, None));
    let last = hub.page(4, 2);
    assert_eq!((last.changes.len(), last.cursor, last.more), (1, 5, false));
    let Ok(head) = hub.store.head(&room());
    assert_eq!(last.checksum, Some(head.checksum));
    let none = hub.page(5, 2);
    assert_eq!((none.changes.len(), none.cursor, none.more, none.reset), (0, 5, false, false));
}

#[test]
fn pages_are_bounded_by_bytes_and_always_hold_one_change() {
    let mut hub = Hub::new();
    hub.config.page_bytes_max = 1;
    hub.push(1, vec![create(1, "a"), create(2, "b")]);
    let page = hub.page(0, 10);
    assert_eq!((page.changes.len(), page.cursor, page.more), (1, 1, true));
}

#[test]
fn a_cursor_beyond_the_log_starts_again_from_nothing() {
    let mut hub = Hub::new();
    hub.push(1, vec![create(1, "a"), create(2, "b")]);
    let page = hub.page(99, 1);
    assert_eq!((page.reset, page.cursor, page.more), (true, 1, true));
    assert!(!hub.page(page.cursor, 1).reset);
}

#[test]
fn a_narrowed_page_moves_past_what_it_leaves_out() {
    let mut hub = Hub::new();
    hub.config.page_scan_max = 2;
    hub.push(1, (1..=3).map(|seq| create(seq, &format!("d{seq}"))).collect());
    let other = Some(vec![Collection::new("notes").unwrap()]);
    let request =
        |cursor| PageRequest { room: room(), cursor, limit: 10, collections: other.clone(), snapshot: None };
    let Ok(page) = super::page(&hub.store, &request(0), &hub.limits, &hub.config);
    assert_eq!((page.changes.len(), page.cursor, page.more), (0, 2, true));
    let Ok(page) = super::page(&hub.store, &request(2), &hub.limits, &hub.config);
    assert_eq!((page.changes.len(), page.cursor, page.more, page.checksum), (0, 3, false, None));
}
