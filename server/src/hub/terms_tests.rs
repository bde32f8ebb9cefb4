#![allow(clippy::unwrap_used, clippy::panic)]

use syncline_protocol::message::{MutationResult, MutationStatus, Page, Push};
use syncline_protocol::value::Fields;
use syncline_protocol::{
    Checksum, Collection, Document, DocumentId, ErrorCode, HybridTime, Limits, Mutation, Patch, Room,
    WireError, Write,
};

use super::*;
use crate::storage::memory::MemoryStore;

const NOW_MS: u64 = 1_700_000_000_000;

struct Hub {
    store: MemoryStore,
    now_ms: u64,
}

impl Hub {
    fn new() -> Self {
        Self { store: MemoryStore::new(1000), now_ms: NOW_MS }
    }

    fn push(&mut self, mutations: Vec<Mutation>, author: &Author) -> Result<Pushed, WireError> {
        let push = Push { room: room(), after: None, mutations };
        let (limits, config) = (Limits::default(), HubConfig::default());
        match super::push(&self.store, push, author, self.now_ms, &limits, &config) {
            Ok(pushed) => {
                if let Some(commit) = pushed.commit.clone() {
                    self.store.apply(commit);
                }
                Ok(pushed)
            }
            Err(PushError::Refused(error)) => Err(error),
            Err(PushError::Store(never)) => match never {},
        }
    }

    /// Writes as a request would, and answers without the receipt's result.
    fn write(
        &mut self,
        writes: Vec<(&str, Write, Term)>,
        receipt: Option<Receipt>,
    ) -> Result<Vec<MutationResult>, WireError> {
        let mut mutations = Vec::new();
        if let Some(receipt) = &receipt {
            mutations.push(receipt.mutation(requests()).unwrap());
        }
        let mut items = Vec::new();
        for (id, write, term) in writes {
            mutations.push(mutation(mutations.len() as u64 + 1, id, write));
            items.push(term);
        }
        let is_kept = receipt.is_some();
        let author = Author { user: "ann".into(), client: requests(), terms: Some(Terms { items, receipt }) };
        let mut results = self.push(mutations, &author)?.answer.results;
        if is_kept {
            results.remove(0);
        }
        Ok(results)
    }

    fn one(&mut self, write: Write, term: Term) -> MutationResult {
        self.write(vec![("a", write, term)], None).unwrap().remove(0)
    }

    fn fields(&self, id: &str) -> Option<Fields> {
        let Ok(document) = self.store.document(&room(), &(collection(), DocumentId::new(id).unwrap()));
        document.filter(|document| !document.deleted).map(|document| document.fields)
    }

    fn page(&self) -> Page {
        let request = PageRequest { room: room(), cursor: 0, limit: 1000, collections: None, snapshot: None };
        let Ok(page) = super::page(&self.store, &request, &Limits::default(), &HubConfig::default());
        page
    }
}

fn room() -> Room {
    Room::new("list:1").unwrap()
}

fn collection() -> Collection {
    Collection::new("todos").unwrap()
}

/// The client id of everybody's requests.
fn requests() -> ClientId {
    ClientId::from_bytes([0xaa; 16])
}

fn mutation(client_seq: u64, id: &str, write: Write) -> Mutation {
    let time = HybridTime { wall_ms: NOW_MS, counter: 0 };
    let id = DocumentId::new(id).unwrap();
    Mutation { client_seq, collection: collection(), id, write, time, base: None }
}

fn fields(text: &str) -> Fields {
    serde_json::from_str(text).unwrap()
}

fn create(text: &str) -> Write {
    Write::Create(fields(text))
}

fn update(text: &str) -> Write {
    Write::Update(serde_json::from_str::<Patch>(text).unwrap())
}

fn term(effect: Effect, condition: Condition) -> Term {
    Term { effect, condition }
}

fn receipt(key: u8, request: u8) -> Receipt {
    Receipt { key: [key; 32], request: [request; 32], kept_ms: 1000, kept_max: 4 }
}

#[test]
fn a_replacement_leaves_no_other_field() {
    let mut hub = Hub::new();
    let replace = || term(Effect::Replace, Condition::Always);
    hub.one(create(r#"{"a":1,"b":{"c":1}}"#), replace());
    let result = hub.one(create(r#"{"b":{"d":2}}"#), replace());
    assert_eq!((result.status, result.seq), (MutationStatus::Applied, Some(2)));
    assert_eq!(hub.fields("a"), Some(fields(r#"{"b":{"d":2}}"#)));
    hub.one(create("{}"), replace());
    assert_eq!(hub.fields("a"), Some(Fields::new()));
}

#[test]
fn a_write_is_newer_than_what_a_client_with_a_fast_clock_wrote() {
    let mut hub = Hub::new();
    let mut fast = mutation(1, "a", create(r#"{"n":1}"#));
    fast.time.wall_ms = NOW_MS + 60_000;
    hub.push(vec![fast], &Author::client("bob", ClientId::from_bytes([1; 16]))).unwrap();
    hub.one(update(r#"{"n":{"set":2}}"#), Term::default());
    assert_eq!(hub.fields("a"), Some(fields(r#"{"n":2}"#)));
    let gone = hub.one(Write::Delete, Term::default());
    assert_eq!(gone.status, MutationStatus::Applied);
    assert_eq!(hub.fields("a"), None);
}

#[test]
fn a_condition_that_does_not_hold_leaves_the_document() {
    let mut hub = Hub::new();
    let replace = |condition| term(Effect::Replace, condition);
    assert_eq!(hub.one(create("{}"), replace(Condition::Exists)).status, MutationStatus::Conflict);
    assert_eq!(hub.one(create(r#"{"n":1}"#), replace(Condition::Absent)).seq, Some(1));
    for refused in
        [Condition::Absent, Condition::At(vec![]), Condition::At(vec![2, 3]), Condition::NotAt(vec![1])]
    {
        let result = hub.one(create("{}"), replace(refused));
        assert_eq!((result.status, result.seq), (MutationStatus::Conflict, Some(1)));
    }
    assert_eq!(hub.fields("a"), Some(fields(r#"{"n":1}"#)));
    // The same author wrote the place that is expected, and that changes nothing.
    assert_eq!(
        hub.one(update(r#"{"n":{"increment":1}}"#), term(Effect::AsWritten, Condition::At(vec![1]))).seq,
        Some(2)
    );
    assert_eq!(
        hub.one(update(r#"{"n":{"increment":1}}"#), term(Effect::AsWritten, Condition::At(vec![1]))).status,
        MutationStatus::Conflict
    );
}

#[test]
fn a_patch_makes_a_missing_document_only_if_asked_to() {
    let mut hub = Hub::new();
    let patch = || update(r#"{"xp":{"increment":10},"at.n":{"set":1},"when":"server_time"}"#);
    let refused = hub.one(patch(), Term::default());
    assert_eq!(refused.error.unwrap().code, ErrorCode::NotFound);
    hub.one(patch(), term(Effect::Upsert, Condition::Always));
    assert_eq!(hub.fields("a"), Some(fields(&format!(r#"{{"xp":10,"at":{{"n":1}},"when":{NOW_MS}}}"#))));
    hub.one(patch(), term(Effect::Upsert, Condition::Always));
    assert_eq!(hub.fields("a").unwrap()["xp"], 20.into());
}

#[test]
fn a_patch_that_does_not_fit_is_refused_alone() {
    let mut hub = Hub::new();
    let writes = vec![
        ("a", create(r#"{"n":"text"}"#), Term::default()),
        ("a", update(r#"{"n":{"increment":1}}"#), Term::default()),
        ("b", create(r#"{"n":1}"#), Term::default()),
        ("missing", Write::Delete, Term::default()),
        ("a", update(r#"{"n":{"set":2}}"#), Term::default()),
    ];
    let results = hub.write(writes, None).unwrap();
    let codes: Vec<_> = results.iter().map(|result| result.error.as_ref().map(|error| error.code)).collect();
    assert_eq!(codes, [None, Some(ErrorCode::Invalid), None, Some(ErrorCode::NotFound), None]);
    assert_eq!(hub.fields("a"), Some(fields(r#"{"n":2}"#)));
}

#[test]
fn a_key_used_again_is_answered_as_it_was_and_has_no_effect() {
    let mut hub = Hub::new();
    let ask = |hub: &mut Hub, receipt| {
        let writes = vec![
            ("a", update(r#"{"n":{"increment":1}}"#), term(Effect::Upsert, Condition::Always)),
            ("b", Write::Delete, Term::default()),
        ];
        hub.write(writes, Some(receipt))
    };
    let first = ask(&mut hub, receipt(1, 1)).unwrap();
    hub.one(update(r#"{"n":{"increment":10}}"#), Term::default());
    assert_eq!(ask(&mut hub, receipt(1, 1)).unwrap(), first);
    assert_eq!(hub.fields("a"), Some(fields(r#"{"n":11}"#)));
    assert_eq!(ask(&mut hub, receipt(1, 2)).unwrap_err().code, ErrorCode::Invalid);
    assert_ne!(ask(&mut hub, receipt(2, 1)).unwrap(), first);
    hub.now_ms += 1001;
    assert_ne!(ask(&mut hub, receipt(1, 1)).unwrap(), first);
    assert_eq!(hub.fields("a"), Some(fields(r#"{"n":13}"#)));
}

#[test]
fn receipts_are_bounded_and_the_oldest_go_first() {
    let mut hub = Hub::new();
    // All of them fall into one document.
    let keyed = |number: u8| Receipt {
        key: [[0; 1], [number; 1]].concat().repeat(16).try_into().unwrap(),
        ..receipt(0, 1)
    };
    let ask = |hub: &mut Hub, number| {
        hub.now_ms += 1;
        let increment = (("a"), update(r#"{"n":{"increment":1}}"#), term(Effect::Upsert, Condition::Always));
        hub.write(vec![increment], Some(keyed(number))).unwrap().remove(0)
    };
    for number in 0..5 {
        ask(&mut hub, number);
    }
    for number in 1..5 {
        ask(&mut hub, number);
    }
    assert_eq!(hub.fields("a"), Some(fields(r#"{"n":5}"#)), "four are remembered");
    ask(&mut hub, 0);
    assert_eq!(hub.fields("a"), Some(fields(r#"{"n":6}"#)), "the first is not");
}

#[test]
fn no_client_sees_or_writes_receipts() {
    let mut hub = Hub::new();
    hub.write(vec![("a", create("{}"), Term::default())], Some(receipt(1, 1))).unwrap();
    let page = hub.page();
    assert_eq!((page.changes.len(), page.cursor), (1, 2));
    let sum = page
        .changes
        .iter()
        .fold(Checksum::default(), |sum, document| sum.replace(Checksum::default(), document.checksum()));
    assert_eq!(page.checksum, Some(sum), "a replica's checksum is that of what it sees");
    let book = receipt(1, 1).mutation(requests()).unwrap();
    for terms in [None, Some(Terms { items: vec![Term::default()], receipt: None })] {
        let author = Author { user: "bob".into(), client: ClientId::from_bytes([1; 16]), terms };
        let mutation = Mutation { client_seq: 1, ..book.clone() };
        let pushed = hub.push(vec![mutation], &author).unwrap();
        assert_eq!(pushed.answer.results[0].error.as_ref().unwrap().code, ErrorCode::Forbidden);
    }
    let changes = hub.push(
        vec![book, mutation(2, "c", create("{}"))],
        &Author {
            user: "ann".into(),
            client: requests(),
            terms: Some(Terms { items: vec![Term::default()], receipt: Some(receipt(1, 9)) }),
        },
    );
    assert_eq!(changes.unwrap_err().code, ErrorCode::Invalid, "another request under the same key");
    let live = hub
        .push(
            vec![receipt(2, 2).mutation(requests()).unwrap(), mutation(2, "d", create("{}"))],
            &Author {
                user: "ann".into(),
                client: requests(),
                terms: Some(Terms { items: vec![Term::default()], receipt: Some(receipt(2, 2)) }),
            },
        )
        .unwrap()
        .changes
        .unwrap();
    assert_eq!((live.to_seq - live.from_seq, live.changes.len()), (1, 1));
    let document: &Document = &live.changes[0];
    assert_eq!(document.id.as_str(), "d");
}
