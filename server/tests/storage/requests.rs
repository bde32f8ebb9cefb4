//! What requests need of a storage: reads by name, and writes on terms.

use syncline_protocol::message::{MutationStatus, Push, PushAnswer};
use syncline_protocol::{ClientId, ErrorCode, Value};
use syncline_server::hub::{Author, Condition, Effect, Receipt, Term, Terms};
use syncline_server::storage::Storage;

use crate::support::{Fixture, create, delete, increment, page, push, push_to, room};

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
