#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use syncline_protocol::value::Fields;
use syncline_protocol::{Collection, DocumentId, ErrorCode, HybridTime, Stamp, Stamps, Value, VersionVector};

use super::*;
use crate::config::HubConfig;
use crate::hub::Replaced;
use crate::storage::ListRequest;

fn apply(tables: &Tables, commit: &Commit) -> Result<(), StorageError> {
    tables.apply(commit, 0)
}

fn open(path: &Path) -> Tables {
    Tables::open(path, 1 << 20, 2).unwrap()
}

fn room() -> Room {
    Room::new("r").unwrap()
}

fn key(id: &str) -> DocumentKey {
    (Collection::new("c").unwrap(), DocumentId::new(id).unwrap())
}

fn client() -> ClientId {
    ClientId::from_bytes([1; 16])
}

fn document(id: &str, seq: u64, bytes: usize) -> Document {
    let (collection, id) = key(id);
    Document {
        collection,
        id,
        fields: Fields::from([("t".into(), Value::from("x".repeat(bytes)))]),
        seq,
        version: VersionVector::from_iter([(client(), seq)]),
        stamps: Stamps::new(Stamp { time: HybridTime { wall_ms: seq, counter: 0 }, writer: client() }),
        deleted: false,
    }
}

fn commit(seq: u64, documents: Vec<(Option<u64>, Document)>) -> Commit {
    Commit {
        room: room(),
        client: client(),
        owner: Some("ann".to_owned()),
        head: Head { seq, checksum: document("x", seq, 0).checksum(), ..Head::default() },
        last_client_seq: seq,
        committed_at_ms: seq,
        documents: documents.into_iter().map(written).collect(),
        rejections: Vec::new(),
    }
}

fn written((seq, document): (Option<u64>, Document)) -> Written {
    Written { document: document.into(), replaced: seq.map(|seq| Replaced { seq, deleted: false }) }
}

fn log(tables: &Tables) -> Vec<(String, u64)> {
    let mut seen = Vec::new();
    let mut visit = |logged| {
        let Logged::Wanted(document) = logged else { panic!("all are wanted") };
        seen.push((document.id.as_str().to_owned(), document.seq));
        ControlFlow::Continue(())
    };
    tables.changes_after(&room(), 0, &|_| true, &mut visit).unwrap();
    seen
}

#[test]
fn a_commit_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let large = document("large", 2, 100_000);
    {
        let tables = open(folder.path());
        apply(&tables, &commit(2, vec![(None, document("a", 1, 1)), (None, large.clone())])).unwrap();
        tables.flush().unwrap();
    }
    let tables = open(folder.path());
    assert_eq!(tables.head(&room()).unwrap(), commit(2, vec![]).head);
    assert_eq!(tables.document(&room(), &key("large")).unwrap(), Some(large));
    assert_eq!(tables.owner(client()).unwrap().as_deref(), Some("ann"));
    assert_eq!(tables.last_client_seq(&room(), client()).unwrap(), 2);
    assert_eq!(log(&tables), [("a".to_owned(), 1), ("large".to_owned(), 2)]);
}

#[test]
fn a_changed_document_leaves_its_old_place_and_its_old_chunks() {
    let folder = tempfile::tempdir().unwrap();
    let tables = open(folder.path());
    apply(&tables, &commit(2, vec![(None, document("a", 1, 100_000)), (None, document("b", 2, 1))])).unwrap();
    apply(&tables, &commit(3, vec![(Some(1), document("a", 3, 10))])).unwrap();
    assert_eq!(log(&tables), [("b".to_owned(), 2), ("a".to_owned(), 3)]);
    assert_eq!(tables.document(&room(), &key("a")).unwrap(), Some(document("a", 3, 10)));
    assert_eq!(tables.documents.len(), 2, "one chunk each");
}

#[test]
fn rooms_whose_names_share_a_beginning_are_apart() {
    let folder = tempfile::tempdir().unwrap();
    let tables = open(folder.path());
    let longer = Commit { room: Room::new("r2").unwrap(), ..commit(1, vec![(None, document("b", 1, 1))]) };
    apply(&tables, &commit(1, vec![(None, document("a", 1, 1))])).unwrap();
    apply(&tables, &longer).unwrap();
    assert_eq!(log(&tables), [("a".to_owned(), 1)]);
    assert_eq!(tables.document(&room(), &key("b")).unwrap(), None);
}

#[test]
fn only_the_newest_rejections_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let tables = open(folder.path());
    let error = WireError::new(ErrorCode::NotFound, "no");
    for seqs in [vec![1, 2], vec![3], vec![4]] {
        let rejections = seqs.into_iter().map(|seq| (seq, error.clone())).collect();
        apply(&tables, &Commit { rejections, ..commit(4, vec![]) }).unwrap();
    }
    let kept = |seq| tables.rejection(&room(), client(), seq).unwrap().is_some();
    assert_eq!([1, 2, 3, 4].map(kept), [false, false, true, true]);
    assert_eq!(tables.client(&room(), client()).unwrap().rejections, 2);
    assert_eq!(tables.rejections_dropped_through(&room(), client()).unwrap(), 2);
}

#[test]
fn a_folder_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _first = open(folder.path());
    assert!(matches!(Tables::open(folder.path(), 1 << 20, 2), Err(StorageError::InUse { .. })));
}

#[test]
fn an_interrupted_snapshot_does_not_keep_the_store_from_opening() {
    let folder = tempfile::tempdir().unwrap();
    {
        let tables = open(folder.path());
        apply(&tables, &commit(1, vec![(None, document("a", 1, 1))])).unwrap();
        tables.flush().unwrap();
    }
    std::fs::write(folder.path().join("snap.0000000000000001.generating"), b"half").unwrap();
    assert_eq!(log(&open(folder.path())).len(), 1);
}

#[test]
fn a_damaged_record_is_reported_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let tables = open(folder.path());
    apply(&tables, &commit(1, vec![(None, document("a", 1, 1))])).unwrap();
    let chunk = chunk_key(&room(), ["c", "a"], 0);
    let mut bytes = tables.documents.get(&chunk).unwrap().unwrap().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    tables.documents.insert(&chunk, bytes).unwrap();
    assert!(matches!(tables.document(&room(), &key("a")), Err(StorageError::Damaged { .. })));
}

#[test]
fn what_is_not_wanted_of_a_log_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let tables = open(folder.path());
    apply(&tables, &commit(2, vec![(None, document("a", 1, 1)), (None, document("b", 2, 1))])).unwrap();
    tables.documents.insert(chunk_key(&room(), ["c", "a"], 0), b"damaged").unwrap();
    let mut seen = Vec::new();
    let mut visit = |logged| {
        seen.push(logged);
        ControlFlow::Continue(())
    };
    let extent = tables.changes_after(&room(), 0, &|_| false, &mut visit).unwrap();
    assert_eq!(extent, Extent::Whole);
    assert_eq!(seen, [Logged::Unwanted { seq: 1 }, Logged::Unwanted { seq: 2 }]);
    assert!(tables.changes_after(&room(), 0, &|_| true, &mut |_| ControlFlow::Continue(())).is_err());
}

#[test]
fn a_list_of_large_deletions_is_read_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let tables = open(folder.path());
    let documents = (1..=8).map(|seq| Document { deleted: true, ..document(&format!("d{seq}"), seq, 9_000) });
    apply(&tables, &commit(8, documents.map(|document| (None, document)).collect())).unwrap();
    let hub = HubConfig { page_scan_bytes_max: 20_000, ..HubConfig::default() };
    let (mut after, mut looked_at) = (None, Vec::new());
    loop {
        let request = ListRequest { room: room(), collection: key("d").0, after, limit: 100 };
        let listing = tables.list(&request, &hub).unwrap();
        assert_eq!(listing.documents, []);
        looked_at.push(listing.looked_at);
        after = listing.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(looked_at, [3, 3, 2]);
}

#[test]
fn rooms_with_tombstones_are_found_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let tables = open(folder.path());
    for name in ["r", "r2", "list:1", "live"] {
        let deleted = name != "live";
        let documents =
            ["a", "b"].into_iter().zip(1..).map(|(id, seq)| Document { deleted, ..document(id, seq, 1) });
        let documents = documents.map(|document| (None, document)).collect();
        apply(&tables, &Commit { room: Room::new(name).unwrap(), ..commit(2, documents) }).unwrap();
    }
    let mut found = Vec::new();
    while let Some(room) = tables.room_with_tombstones(found.last()).unwrap() {
        found.push(room);
    }
    assert_eq!(found.iter().map(Room::as_str).collect::<Vec<_>>(), ["list:1", "r", "r2"]);
}
