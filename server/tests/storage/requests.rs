//! What requests need of a storage: reads by name, and writes on terms.

use syncline_protocol::message::{MutationStatus, Push, PushAnswer};
use syncline_protocol::{ClientId, Collection, ErrorCode, Mutation, Value};
use syncline_server::hub::{Author, Condition, Effect, Receipt, Term, Terms};
use syncline_server::storage::{ListRequest, Storage};

use crate::support::{Fixture, create, delete, increment, large, page, push, push_to, room};

/// Pushes as a request does; the receipt's result comes first.
async fn ask(
    storage: &dyn Storage,
    receipt: Option<Receipt>,
    condition: Condition,
) -> Result<PushAnswer, syncline_protocol::WireError> {
    let client = ClientId::from_bytes([9; 16]);
    let mut mutations = Vec::new();
    if let Some(receipt) = &receipt {
        mutations.push(receipt.mutation(client).unwrap());
    }
    mutations.push(increment(mutations.len() as u64 + 1, "a"));
    let items = vec![Term { effect: Effect::AsWritten, condition }];
    let author = Author { user: "ann".into(), client, terms: Some(Terms { items, receipt }) };
    storage.push(Push { room: room(), after: None, mutations }, author).await
}

fn receipt(request: u8) -> Receipt {
    Receipt { key: [1; 32], request: [request; 32], kept_ms: 60_000, kept_max: 10 }
}

pub(crate) async fn documents_are_read_by_their_names(fixture: Fixture) {
    let storage = fixture.open().await;
    push(&*storage, 1, vec![create(1, "a"), create(2, "b"), delete(3, "b"), create(4, "c")]).await;
    let key = |id: &str| (create(1, id).collection, create(1, id).id);
    let found = storage.documents(room(), vec![key("c"), key("b"), key("none"), key("a")]).await.unwrap();
    let seqs: Vec<_> = found.iter().map(|document| document.as_ref().map(|document| document.seq)).collect();
    assert_eq!(seqs, [Some(4), None, None, Some(1)]);
    let other = syncline_protocol::Room::new("list:2").unwrap();
    assert_eq!(storage.documents(other, vec![key("a")]).await.unwrap(), [None]);
}

/// The parts of a list, each of so many documents, by their ids.
async fn listed(storage: &dyn Storage, collection: &str, limit: usize) -> Vec<Vec<String>> {
    let collection = Collection::new(collection).unwrap();
    let (mut parts, mut after) = (Vec::new(), None);
    loop {
        let request = ListRequest { room: room(), collection: collection.clone(), after, limit };
        let listing = storage.list(request).await.unwrap();
        assert!(listing.looked_at <= limit && listing.documents.len() <= listing.looked_at);
        assert!(listing.documents.iter().all(|document| document.collection == collection));
        parts.push(listing.documents.iter().map(|document| document.id.as_str().to_owned()).collect());
        after = listing.next;
        if after.is_none() {
            return parts;
        }
    }
}

pub(crate) async fn a_collection_is_listed_in_the_order_of_ids(fixture: Fixture) {
    let storage = fixture.open().await;
    let of = |collection: &str, mutation: Mutation| Mutation {
        collection: Collection::new(collection).unwrap(),
        ..mutation
    };
    let mutations = [
        of("todos", create(1, "b")),
        of("todos", create(2, "a!")),
        of("todos", large(3, "a", 100_000)),
        of("todos", create(4, "gone")),
        of("todo", create(5, "other")),
        of("todos!", create(6, "other")),
        of("todos", create(7, "\u{fc}")),
        of("todos", delete(8, "gone")),
    ];
    push(&*storage, 1, mutations.to_vec()).await;
    let elsewhere = syncline_protocol::Room::new("list:1!").unwrap();
    push_to(&*storage, &elsewhere, 1, vec![create(1, "elsewhere")]).await.unwrap();
    ask(&*storage, Some(receipt(1)), Condition::Always).await.unwrap();

    assert_eq!(listed(&*storage, "todos", 100).await, [["a", "a!", "b", "\u{fc}"]]);
    // A deleted one is looked at as well.
    assert_eq!(listed(&*storage, "todos", 2).await, [vec!["a", "a!"], vec!["b"], vec!["\u{fc}"]]);
    assert_eq!(listed(&*storage, "todo", 1).await, [["other"]]);
    assert_eq!(listed(&*storage, "none", 1).await, [[""; 0]]);
    let receipts = receipt(1).mutation(ClientId::from_bytes([9; 16])).unwrap();
    assert_eq!(
        listed(&*storage, receipts.collection.as_str(), 1).await,
        [[""; 0]],
        "receipts are not listed"
    );
}

pub(crate) async fn lists_and_reads_by_name_are_bounded_in_bytes(mut fixture: Fixture) {
    fixture.config.hub.page_bytes_max = 10_000;
    fixture.config.hub.transaction_bytes_max = 30_000;
    let storage = fixture.open().await;
    for seq in 1..=5 {
        push(&*storage, 1, vec![large(seq, &format!("d{seq}"), 9_000)]).await;
    }
    let parts = listed(&*storage, "todos", 100).await;
    assert!(parts.iter().all(|part| (1..=2).contains(&part.len())), "{parts:?}");
    assert_eq!(parts.concat(), ["d1", "d2", "d3", "d4", "d5"]);
    let key = |number: usize| (create(1, "d").collection, create(1, &format!("d{number}")).id);
    let read = async |count: usize| storage.documents(room(), (1..=count).map(key).collect()).await;
    assert!(read(3).await.unwrap().iter().all(Option::is_some));
    assert_eq!(read(5).await.unwrap_err().code, ErrorCode::TooLarge);
}

pub(crate) async fn rooms_are_listed_in_the_order_of_their_names(fixture: Fixture) {
    let storage = fixture.open().await;
    let named = |name: &str| syncline_protocol::Room::new(name).unwrap();
    for (name, count) in [("b", 1), ("a!", 2), ("a", 3), ("\u{fc}", 1)] {
        let mutations = (1..=count).map(|number| create(number, &format!("d{number}"))).collect();
        push_to(&*storage, &named(name), 1, mutations).await.unwrap();
    }
    let first = storage.rooms(None, 2).await.unwrap();
    assert_eq!(first, [(named("a"), 3), (named("a!"), 2)]);
    let rest = storage.rooms(Some(named("a!")), 10).await.unwrap();
    assert_eq!(rest, [(named("b"), 1), (named("\u{fc}"), 1)]);
}

pub(crate) async fn a_write_on_terms_is_answered_again_by_its_receipt(fixture: Fixture) {
    let storage = fixture.open().await;
    push(&*storage, 1, vec![create(1, "a")]).await;
    let first = ask(&*storage, Some(receipt(1)), Condition::Always).await.unwrap();
    assert_eq!(first.results[0].status, MutationStatus::Applied);
    storage.close().await.unwrap();
    drop(storage);
    let storage = fixture.open().await;
    let again = ask(&*storage, Some(receipt(1)), Condition::Always).await.unwrap();
    assert_eq!(again.results[0].status, MutationStatus::Duplicate);
    assert_eq!(again.results[1..], first.results[1..]);
    let refused = ask(&*storage, Some(receipt(2)), Condition::Always).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Invalid);
    let page = page(&*storage, 0, 100).await;
    assert_eq!(page.changes.len(), 1, "the receipt is not read");
    assert_eq!(page.changes[0].fields["n"], Value::Int(1));
}

pub(crate) async fn pages_of_any_size_pass_over_receipts(fixture: Fixture) {
    const RECEIPTS: u8 = 5;
    let storage = fixture.open().await;
    push(&*storage, 1, vec![create(1, "a"), create(2, "b")]).await;
    for key in 1..=RECEIPTS {
        let receipt = Receipt { key: [key; 32], ..receipt(1) };
        ask(&*storage, Some(receipt), Condition::Always).await.unwrap();
    }
    push(&*storage, 1, vec![create(3, "c")]).await;
    let whole = page(&*storage, 0, 100).await;
    let (end, places) = (whole.cursor, whole.changes.iter().map(|document| document.seq).collect::<Vec<_>>());
    assert_eq!((end, places.len()), (3 + 2 * u64::from(RECEIPTS), 3));
    for limit in 1..=4 {
        for from in 0..=end {
            let (mut cursor, mut seen, mut pages) = (from, Vec::new(), 0);
            loop {
                let page = page(&*storage, cursor, limit).await;
                assert!(!page.reset && page.changes.len() <= limit as usize);
                assert!(page.cursor > cursor || cursor == end, "each page brings the reader further");
                seen.extend(page.changes.iter().map(|document| document.seq));
                cursor = page.cursor;
                pages += 1;
                if !page.more {
                    break;
                }
            }
            assert!(seen.iter().eq(places.iter().filter(|seq| **seq > from)), "after {from}: {seen:?}");
            assert!(cursor == end && pages <= end, "{pages} pages");
        }
    }
}

pub(crate) async fn of_writes_upon_one_place_at_once_one_is_made(fixture: Fixture) {
    let storage = fixture.open().await;
    push(&*storage, 1, vec![create(1, "a")]).await;
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let storage = std::sync::Arc::clone(&storage);
        asked.spawn(async move { ask(&*storage, None, Condition::At(vec![1])).await.unwrap() });
    }
    let answers = asked.join_all().await;
    let made = answers.iter().filter(|answer| answer.results[0].status == MutationStatus::Applied);
    assert_eq!(made.count(), 1);
}
