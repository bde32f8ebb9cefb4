//! The promises, one scenario each.

use std::sync::Arc;

use syncline_protocol::message::{MutationStatus, Push};
use syncline_protocol::value::Fields;
use syncline_protocol::{
    Collection, ErrorCode, Mutation, Op, Patch, Path, Room, Value, VersionVector, Write,
};
use syncline_server::hub::{Author, PageRequest};

use crate::support::{
    Fixture, author, client, create, delete, eventually, increment, large, mutation, page, places, push,
    push_to, request, room, statuses,
};

pub(crate) use crate::requests::{
    a_collection_is_listed_in_the_order_of_ids, a_write_on_terms_is_answered_again_by_its_receipt,
    documents_are_read_by_their_names, lists_and_reads_by_name_are_bounded_in_bytes,
    of_writes_upon_one_place_at_once_one_is_made, pages_of_any_size_pass_over_receipts,
    rooms_are_listed_in_the_order_of_their_names,
};

use MutationStatus::{Applied, Conflict, Duplicate, Rejected};

pub(crate) async fn a_push_is_numbered_told_and_read(fixture: Fixture) {
    let storage = fixture.open().await;
    let answer = push(&*storage, 1, vec![create(1, "a"), create(2, "b"), increment(3, "a")]).await;
    assert_eq!(statuses(&answer), [Applied; 3]);
    assert_eq!(
        answer.results.iter().map(|result| result.seq).collect::<Vec<_>>(),
        [Some(1), Some(2), Some(3)]
    );

    let page = page(&*storage, 0, 100).await;
    assert_eq!(places(&page), [("b".to_owned(), 2), ("a".to_owned(), 3)]);
    assert_eq!((page.cursor, page.more, page.reset), (3, false, false));
    assert_eq!(page.changes[1].fields["n"], Value::Int(1));

    let told = fixture.told();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].from_seq, told[0].to_seq), (1, 3));
    assert!(told[0].changes.iter().map(|document| &**document).eq(&page.changes));
}

pub(crate) async fn a_push_made_again_is_answered_as_the_first_time(fixture: Fixture) {
    let storage = fixture.open().await;
    let batch = vec![create(1, "a"), increment(2, "missing"), increment(3, "a")];
    let first = push(&*storage, 1, batch.clone()).await;
    assert_eq!(statuses(&first), [Applied, Rejected, Applied]);
    let before = page(&*storage, 0, 100).await;

    let again = push(&*storage, 1, batch).await;
    assert_eq!(statuses(&again), [Duplicate; 3]);
    assert_eq!(again.results[1].error, first.results[1].error);
    assert_eq!(again.results[1].error.as_ref().unwrap().code, ErrorCode::NotFound);
    assert_eq!(again.results[2].seq, Some(2));
    assert_eq!(page(&*storage, 0, 100).await, before, "the second time changed nothing");
    assert_eq!(fixture.told().len(), 1);
}

pub(crate) async fn the_oldest_rejections_are_dropped_and_the_numbers_stay_used_up(mut fixture: Fixture) {
    fixture.config.storage.rejections_kept_max = 2;
    let storage = fixture.open().await;
    for client_seq in 1..=4 {
        push(&*storage, 1, vec![increment(client_seq, "missing")]).await;
    }
    let again = push(&*storage, 1, (1..=4).map(|seq| increment(seq, "missing")).collect()).await;
    assert_eq!(statuses(&again), [Duplicate; 4]);
    let codes: Vec<_> = again.results.iter().map(|result| result.error.as_ref().unwrap().code).collect();
    assert_eq!(codes, [ErrorCode::Invalid, ErrorCode::Invalid, ErrorCode::NotFound, ErrorCode::NotFound]);
    assert!(page(&*storage, 0, 100).await.changes.is_empty());
}

pub(crate) async fn a_conflict_is_answered_with_the_document_and_again_when_asked_again(fixture: Fixture) {
    let storage = fixture.open().await;
    push(&*storage, 1, vec![create(1, "a")]).await;
    let set = |number| Write::Update(Patch::new().with(Path::field("n"), Op::Set(Value::Int(number))));
    push(&*storage, 2, vec![mutation(1, "a", set(1))]).await;
    let base = Some(VersionVector::from_iter([(client(1), 1)]));
    let stale = Mutation { base, ..mutation(2, "a", set(2)) };

    let refused = push(&*storage, 1, vec![stale.clone()]).await;
    assert_eq!(statuses(&refused), [Conflict]);
    let document = refused.results[0].document.as_ref().unwrap();
    assert_eq!((document.seq, &document.fields["n"]), (2, &Value::Int(1)));
    assert_eq!(refused.results[0].fields.as_ref().unwrap(), &[Path::field("n")]);

    let again = push(&*storage, 1, vec![stale]).await;
    assert_eq!(statuses(&again), [Duplicate]);
    assert_eq!(again.results[0].error.as_ref().unwrap().code, ErrorCode::Conflict);
    assert_eq!(again.results[0].document, refused.results[0].document);
}

pub(crate) async fn a_client_belongs_to_the_first_user_who_pushes_with_it(fixture: Fixture) {
    let storage = fixture.open().await;
    assert_eq!(storage.owner(client(1)).await.unwrap(), None);
    push(&*storage, 1, vec![create(1, "a")]).await;
    assert_eq!(storage.owner(client(1)).await.unwrap().as_deref(), Some("user 1"));
    let other = Author::client("user 2", client(1));
    for room in ["list:1", "list:2"] {
        let room = Room::new(room).unwrap();
        let batch = Push { room, after: None, mutations: vec![create(2, "b")] };
        assert_eq!(storage.push(batch, other.clone()).await.unwrap_err().code, ErrorCode::Forbidden);
    }
    assert_eq!(page(&*storage, 0, 100).await.cursor, 1);
}

pub(crate) async fn a_refused_batch_has_no_effect(fixture: Fixture) {
    let storage = fixture.open().await;
    for batch in [vec![], vec![create(2, "a"), create(1, "b")], vec![create(0, "a")]] {
        assert_eq!(push_to(&*storage, &room(), 1, batch).await.unwrap_err().code, ErrorCode::Invalid);
    }
    assert_eq!(storage.owner(client(1)).await.unwrap(), None);
    assert_eq!(page(&*storage, 0, 100).await.cursor, 0);
    assert!(fixture.told().is_empty());
}

pub(crate) async fn every_value_comes_back_exactly(fixture: Fixture) {
    let storage = fixture.open().await;
    let fields = Fields::from([
        ("smallest".into(), Value::Int(i64::MIN)),
        ("largest".into(), Value::Int(i64::MAX)),
        ("float".into(), Value::Float(0.1 + 0.2)),
        ("null".into(), Value::Null),
        ("text with NUL".into(), Value::from("a\u{0}b\u{10ffff}")),
        ("".into(), Value::Array(vec![Value::Bool(true), Value::Object(Fields::new())])),
    ]);
    push(&*storage, 1, vec![mutation(1, "ünïcode \u{1f600}", Write::Create(fields.clone()))]).await;
    let page = page(&*storage, 0, 1).await;
    assert_eq!(page.changes[0].fields, fields);
    assert_eq!(page.changes[0].id.as_str(), "ünïcode \u{1f600}");
}

pub(crate) async fn pages_follow_each_other_without_gap(fixture: Fixture) {
    let storage = fixture.open().await;
    push(&*storage, 1, (1..=10).map(|seq| create(seq, &format!("d{seq}"))).collect()).await;
    let (mut cursor, mut seen, mut snapshot) = (0, Vec::new(), None);
    loop {
        let request = PageRequest { snapshot, ..request(cursor, 3) };
        let page = storage.page(request).await.unwrap();
        assert!(!page.reset);
        seen.extend(page.changes.iter().map(|document| document.seq));
        (cursor, snapshot) = (page.cursor, page.snapshot.or(snapshot));
        assert_eq!(page.checksum.is_some(), !page.more);
        if !page.more {
            break;
        }
        assert_eq!(page.changes.len(), 3);
    }
    assert_eq!(seen, (1..=10).collect::<Vec<_>>());
    assert_eq!((cursor, snapshot), (10, Some(10)));

    let ahead = page(&*storage, 11, 100).await;
    assert!(ahead.reset, "nobody can be beyond the log");
    assert_eq!(ahead.changes.len(), 10);
}

pub(crate) async fn a_page_is_bounded_in_bytes_and_holds_at_least_one_change(mut fixture: Fixture) {
    fixture.config.hub.page_bytes_max = 1_000;
    let storage = fixture.open().await;
    for (seq, bytes) in [(1, 10), (2, 10), (3, 5_000), (4, 10), (5, 900), (6, 10)] {
        push(&*storage, 1, vec![large(seq, &format!("d{seq}"), bytes)]).await;
    }
    let (mut cursor, mut pages) = (0, Vec::new());
    loop {
        let page = page(&*storage, cursor, 100).await;
        pages.push(page.changes.iter().map(|document| document.seq).collect::<Vec<_>>());
        cursor = page.cursor;
        if !page.more {
            break;
        }
    }
    assert_eq!(pages, [vec![1, 2], vec![3], vec![4], vec![5], vec![6]]);
}

pub(crate) async fn a_narrowed_page_passes_over_other_collections(mut fixture: Fixture) {
    fixture.config.hub.page_scan_max = 4;
    fixture.config.hub.page_bytes_max = 2_000;
    let storage = fixture.open().await;
    let notes = Collection::new("notes").unwrap();
    let batch = (1..=10).map(|seq| {
        let large = large(seq, &format!("d{seq}"), 1_500);
        if seq % 5 == 0 { Mutation { collection: notes.clone(), ..create(seq, "n") } } else { large }
    });
    push(&*storage, 1, batch.collect()).await;

    let (mut cursor, mut seen, mut pages) = (0, Vec::new(), 0);
    loop {
        let request = PageRequest { collections: Some(vec![notes.clone()]), ..request(cursor, 100) };
        let page = storage.page(request).await.unwrap();
        seen.extend(page.changes.iter().map(|document| (document.collection.clone(), document.seq)));
        assert_eq!(page.checksum, None);
        cursor = page.cursor;
        pages += 1;
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, [(notes.clone(), 10)], "the newest change of the one note");
    assert_eq!((cursor, pages), (10, 3), "four looked at for each page");
}

pub(crate) async fn deletions_of_large_documents_are_read_in_parts(mut fixture: Fixture) {
    const COUNT: u64 = 8;
    // Two of the documents, and a part of a third one.
    fixture.config.hub.page_scan_bytes_max = 20_000;
    let storage = fixture.open().await;
    let ids: Vec<String> = (1..=COUNT).map(|number| format!("d{number}")).collect();
    for (seq, id) in (1..).zip(&ids) {
        push(&*storage, 1, vec![large(seq, id, 9_000)]).await;
    }
    push(&*storage, 1, (COUNT + 1..).zip(&ids).map(|(seq, id)| delete(seq, id)).collect()).await;
    let (mut cursor, mut told) = (0, Vec::new());
    loop {
        let page = page(&*storage, cursor, 100).await;
        assert!((1..=3).contains(&page.changes.len()), "{} at once", page.changes.len());
        assert!(page.changes.iter().all(|document| document.deleted && document.fields.is_empty()));
        told.extend(places(&page).into_iter().map(|(id, _)| id));
        cursor = page.cursor;
        if !page.more {
            break;
        }
    }
    assert_eq!((told, cursor), (ids, 2 * COUNT));
}

pub(crate) async fn heads_tell_where_each_log_ends(fixture: Fixture) {
    let storage = fixture.open().await;
    let [empty, other] = ["list:0", "list:2"].map(|name| Room::new(name).unwrap());
    push(&*storage, 1, vec![create(1, "a"), create(2, "b")]).await;
    push_to(&*storage, &other, 1, vec![create(1, "a")]).await.unwrap();
    let heads = storage.heads(vec![other.clone(), empty.clone(), room()]).await.unwrap();
    assert_eq!(heads, [(other, 1), (empty, 0), (room(), 2)]);
    assert_eq!(storage.heads(vec![]).await.unwrap(), []);
}

pub(crate) async fn rooms_are_apart(fixture: Fixture) {
    let storage = fixture.open().await;
    let rooms = ["list:1", "list:10", "list:1 ", "LIST:1"].map(|name| Room::new(name).unwrap());
    for room in &rooms {
        let answer = push_to(&*storage, room, 1, vec![create(1, room.as_str())]).await.unwrap();
        assert_eq!(answer.results[0].seq, Some(1), "{room}");
    }
    for room in rooms {
        let page = storage.page(PageRequest { room: room.clone(), ..request(0, 10) }).await.unwrap();
        assert_eq!(places(&page), [(room.as_str().to_owned(), 1)]);
    }
}

pub(crate) async fn a_push_that_reads_or_writes_too_much_is_made_in_parts(mut fixture: Fixture) {
    fixture.config.hub.transaction_bytes_max = 10_000;
    let storage = fixture.open().await;
    let ids: Vec<String> = (0..8).map(|number| format!("d{number}")).collect();
    let mut first: Vec<Mutation> = (1..).zip(&ids).map(|(seq, id)| large(seq, id, 4_000)).collect();
    let mut second: Vec<Mutation> = (9..).zip(&ids).map(|(seq, id)| delete(seq, id)).collect();
    for batch in [&mut first, &mut second] {
        let mut parts = 0;
        while !batch.is_empty() {
            let answer = push(&*storage, 1, batch.clone()).await;
            assert!(answer.results.iter().all(|result| result.status == Applied));
            assert!(!answer.results.is_empty(), "each part brings it further");
            if answer.results.len() < batch.len() {
                let error = answer.error.unwrap();
                assert_eq!((error.code, error.retry_after_ms), (ErrorCode::Unavailable, Some(0)));
            }
            batch.drain(..answer.results.len());
            parts += 1;
        }
        assert!(parts <= 8);
    }
    let page = page(&*storage, 0, 100).await;
    assert_eq!((page.cursor, page.changes.len()), (16, 8));
    assert!(page.changes.iter().all(|document| document.deleted));
}

pub(crate) async fn deletions_beyond_the_bound_are_purged_and_readers_below_the_floor_start_over(
    mut fixture: Fixture,
) {
    fixture.config.hub.tombstones_kept_max = 2;
    let storage = fixture.open().await;
    push(&*storage, 1, (1..=5).map(|seq| create(seq, &format!("d{seq}"))).collect()).await;
    for seq in 6..=9 {
        push(&*storage, 1, vec![delete(seq, &format!("d{}", seq - 5))]).await;
    }
    eventually("two deletions are purged", async || places(&page(&*storage, 0, 100).await).len() == 3).await;
    let whole = page(&*storage, 0, 100).await;
    assert_eq!(places(&whole), [("d5".to_owned(), 5), ("d3".to_owned(), 8), ("d4".to_owned(), 9)]);

    let below = page(&*storage, 5, 100).await;
    assert!(below.reset, "it may hold what was purged");
    assert_eq!(places(&below), places(&whole));
    let at_the_floor = page(&*storage, 7, 100).await;
    assert!(!at_the_floor.reset);
    assert_eq!(at_the_floor.changes.len(), 2);

    let again = push(&*storage, 1, vec![create(1, "d1"), delete(6, "d1")]).await;
    assert_eq!(statuses(&again), [Duplicate; 2]);
    assert!(again.results.iter().all(|result| result.error.is_none()), "they were applied: {again:?}");
}

pub(crate) async fn deletions_past_their_retention_are_purged_in_the_background(mut fixture: Fixture) {
    fixture.config.hub.tombstone_retention_ms = 0;
    fixture.config.hub.compaction_count_max = 2;
    fixture.config.storage.sweep_interval_ms = 20;
    let storage = fixture.open().await;
    let rooms: Vec<Room> = (0..3).map(|number| Room::new(format!("list:{number}")).unwrap()).collect();
    for room in &rooms {
        let mutations = (1..=5).map(|seq| create(seq, &format!("d{seq}")));
        let deletions = (6..=10).map(|seq| delete(seq, &format!("d{}", seq - 5)));
        push_to(&*storage, room, 1, mutations.chain(deletions).chain([create(11, "kept")]).collect())
            .await
            .unwrap();
    }
    for room in rooms {
        eventually("all deletions are purged", async || {
            let request = PageRequest { room: room.clone(), ..request(0, 100) };
            places(&storage.page(request).await.unwrap()) == [("kept".to_owned(), 11)]
        })
        .await;
        let request = PageRequest { room, ..request(9, 100) };
        assert!(storage.page(request).await.unwrap().reset);
    }
}

pub(crate) async fn pushes_at_once_are_gapless_and_told_in_order(fixture: Fixture) {
    const CLIENTS: u8 = 20;
    const PUSHES: u64 = 10;
    let storage = fixture.open().await;
    push(&*storage, 100, vec![create(1, "counter")]).await;
    let writers: Vec<_> = (1..=CLIENTS)
        .map(|byte| {
            let storage = Arc::clone(&storage);
            tokio::spawn(async move {
                for seq in 1..=PUSHES {
                    let own = create(2 * seq, &format!("{byte} {seq}"));
                    let batch = vec![increment(2 * seq - 1, "counter"), own];
                    assert_eq!(statuses(&push(&*storage, byte, batch).await), [Applied; 2]);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let writes = u64::from(CLIENTS) * PUSHES;
    let whole = page(&*storage, 0, 1_000).await;
    assert_eq!(whole.cursor, 1 + 2 * writes);
    assert_eq!(whole.changes.len() as u64, writes + 1);
    let counter = whole.changes.iter().find(|document| document.id.as_str() == "counter").unwrap();
    assert_eq!(counter.fields["n"], Value::Int(i64::try_from(writes).unwrap()));

    let mut end = 0;
    for changes in fixture.told() {
        assert_eq!(changes.from_seq, end + 1);
        end = changes.to_seq;
    }
    assert_eq!(end, whole.cursor);
}

pub(crate) async fn everything_is_there_after_a_restart(fixture: Fixture) {
    let storage = fixture.open().await;
    push(&*storage, 1, vec![create(1, "a"), increment(2, "missing"), large(3, "large", 100_000)]).await;
    let patch = Patch::new().with(Path::field("n"), Op::Set(Value::Float(1.5)));
    push(&*storage, 2, vec![mutation(1, "a", Write::Update(patch)), delete(2, "large")]).await;
    let before = page(&*storage, 0, 100).await;
    storage.close().await.unwrap();
    drop(storage);

    let storage = fixture.open().await;
    assert!(storage.is_healthy());
    assert_eq!(page(&*storage, 0, 100).await, before);
    assert_eq!(storage.owner(client(2)).await.unwrap().as_deref(), Some("user 2"));
    let again = push(&*storage, 1, vec![create(1, "a"), increment(2, "missing"), increment(4, "a")]).await;
    assert_eq!(statuses(&again), [Duplicate, Duplicate, Applied]);
    assert_eq!(again.results[1].error.as_ref().unwrap().code, ErrorCode::NotFound);
    assert_eq!(page(&*storage, 0, 100).await.cursor, before.cursor + 1);
}

pub(crate) async fn a_closed_storage_answers_unavailable(fixture: Fixture) {
    let storage = fixture.open().await;
    push(&*storage, 1, vec![create(1, "a")]).await;
    storage.close().await.unwrap();
    let batch = Push { room: room(), after: None, mutations: vec![create(2, "b")] };
    assert_eq!(storage.push(batch, author(1)).await.unwrap_err().code, ErrorCode::Unavailable);
    assert_eq!(storage.page(request(0, 1)).await.unwrap_err().code, ErrorCode::Unavailable);
    eventually("it is not healthy", async || !storage.is_healthy()).await;
}
