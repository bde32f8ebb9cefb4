#![allow(clippy::unwrap_used)]

use syncline_protocol::{ClientId, Collection, ConflictKind, DocumentId, Fields, HybridTime, Patch, Stamps};

use super::ConflictStrategy::*;
use super::*;

const ME: ClientId = ClientId::from_bytes([1; 16]);
const OTHER: ClientId = ClientId::from_bytes([2; 16]);

const OLDER_MS: u64 = 10;
const THEIRS_MS: u64 = 20;
const NEWER_MS: u64 = 30;

fn stamp(wall_ms: u64, writer: ClientId) -> Stamp {
    Stamp { time: HybridTime { wall_ms, counter: 0 }, writer }
}

fn document(deleted: bool) -> Document {
    Document {
        collection: Collection::new("todos").unwrap(),
        id: DocumentId::new("a").unwrap(),
        fields: Fields::new(),
        seq: 7,
        version: VersionVector::from_iter([(OTHER, 2)]),
        stamps: Stamps::new(stamp(THEIRS_MS, OTHER)),
        deleted,
    }
}

fn update() -> Write {
    Write::Update(Patch::new())
}

fn create() -> Write {
    Write::Create(Fields::new())
}

fn decide(strategy: ConflictStrategy, write: &Write, wall_ms: u64, document: Option<&Document>) -> Decision {
    let base = VersionVector::from_iter([(OTHER, 1)]);
    let written = stamp(wall_ms, ME);
    Decision::of(Dispute { strategy, write, base: &base, written, document, overtaken: false })
}

#[test]
fn each_strategy_decides_by_who_wrote_first() {
    let table = [
        (Merge, Decision::Merge, Decision::Merge),
        (LastWriteWins, Decision::Drop, Decision::Rebase),
        (FirstWriteWins, Decision::Override, Decision::Drop),
        (ServerWins, Decision::Drop, Decision::Drop),
        (ClientWins, Decision::Override, Decision::Override),
        (Manual, Decision::Park, Decision::Park),
    ];
    for (strategy, older, newer) in table {
        let (live, deleted) = (document(false), document(true));
        let contests = [
            (update(), &live),
            (update(), &deleted),
            (Write::Delete, &live),
            (create(), &live),
            (create(), &deleted),
        ];
        for (write, document) in contests {
            assert_eq!(decide(strategy, &write, OLDER_MS, Some(document)), older, "{strategy:?} {write:?}");
            assert_eq!(decide(strategy, &write, NEWER_MS, Some(document)), newer, "{strategy:?} {write:?}");
        }
    }
}

#[test]
fn writes_of_one_instant_are_ordered_by_their_writers() {
    let document = document(false);
    assert_eq!(decide(LastWriteWins, &update(), THEIRS_MS, Some(&document)), Decision::Drop);
    assert_eq!(decide(FirstWriteWins, &update(), THEIRS_MS, Some(&document)), Decision::Override);
}

#[test]
fn two_deletions_agree_whatever_the_strategy() {
    for strategy in [Merge, LastWriteWins, FirstWriteWins, ServerWins, ClientWins, Manual] {
        assert_eq!(decide(strategy, &Write::Delete, OLDER_MS, Some(&document(true))), Decision::Settle);
        assert_eq!(decide(strategy, &Write::Delete, NEWER_MS, None), Decision::Settle);
    }
}

#[test]
fn a_creation_where_the_app_saw_nothing_goes_over_a_deletion() {
    let nothing = VersionVector::default();
    for (strategy, met_live) in [(ServerWins, Decision::Drop), (Manual, Decision::Park)] {
        let decide = |document: &Document| {
            let written = stamp(OLDER_MS, ME);
            Decision::of(Dispute {
                strategy,
                write: &create(),
                base: &nothing,
                written,
                document: Some(document),
                overtaken: false,
            })
        };
        assert_eq!(decide(&document(true)), Decision::Override);
        assert_eq!(decide(&document(false)), met_live);
    }
}

#[test]
fn without_a_document_nothing_is_sent_again_upon_it() {
    for strategy in [Merge, LastWriteWins, FirstWriteWins, ServerWins, ClientWins] {
        assert_eq!(decide(strategy, &update(), NEWER_MS, None), Decision::Drop);
    }
    assert_eq!(decide(Manual, &update(), NEWER_MS, None), Decision::Park);
}

#[test]
fn nothing_is_sent_again_behind_a_later_write() {
    let (live, deleted) = (document(false), document(true));
    let decide = |strategy, write: &Write, document| {
        let base = VersionVector::from_iter([(OTHER, 1)]);
        let written = stamp(NEWER_MS, ME);
        Decision::of(Dispute { strategy, write, base: &base, written, document, overtaken: true })
    };
    for strategy in [Merge, LastWriteWins, FirstWriteWins, ServerWins, ClientWins] {
        assert_eq!(decide(strategy, &update(), Some(&live)), Decision::Drop);
        assert_eq!(decide(strategy, &create(), Some(&deleted)), Decision::Drop);
        assert_eq!(decide(strategy, &Write::Delete, Some(&live)), Decision::Settle);
    }
    for write in [update(), create(), Write::Delete] {
        assert_eq!(decide(Manual, &write, Some(&live)), Decision::Park);
    }
}

#[test]
fn the_kind_names_this_clients_write_first() {
    let (live, deleted) = (document(false), document(true));
    assert_eq!(ConflictKind::of(&update(), Some(&live)), ConflictKind::UpdateUpdate);
    assert_eq!(ConflictKind::of(&create(), Some(&live)), ConflictKind::UpdateUpdate);
    assert_eq!(ConflictKind::of(&update(), Some(&deleted)), ConflictKind::UpdateDelete);
    assert_eq!(ConflictKind::of(&update(), None), ConflictKind::UpdateDelete);
    assert_eq!(ConflictKind::of(&Write::Delete, Some(&live)), ConflictKind::DeleteUpdate);
}
