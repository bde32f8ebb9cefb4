//! Histories and what they merge to: the file is what the code does, and holds what it should.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use syncline_contract::golden;
use syncline_contract::merges::{self, History};
use syncline_protocol::Write;

#[test]
fn the_file_holds_what_the_code_merges() {
    let rendered = merges::render_all(&merges::all());
    assert_eq!(golden::text("merges.json", &rendered), rendered);
}

#[test]
fn every_operation_is_merged_in_random_histories() {
    let histories = merges::all();
    let random = histories.iter().filter(|history| history.name.starts_with("random"));
    let mut operations = BTreeSet::new();
    for step in random.flat_map(|history| &history.steps) {
        match &step.mutation.write {
            Write::Create(_) => drop(operations.insert("create")),
            Write::Update(patch) => operations.extend(patch.ops().map(|(_, op)| op.name())),
            Write::Delete => drop(operations.insert("delete")),
        }
    }
    assert_eq!(operations.len(), 9, "{operations:?}");
}

#[test]
fn conflicts_tombstones_and_documents_that_were_never_made_are_all_there() {
    let histories = merges::all();
    let count = |wanted: fn(&History) -> bool| histories.iter().filter(|history| wanted(history)).count();
    let conflict = |history: &History| {
        history.steps.iter().any(|step| step.conflict.as_ref().is_some_and(|paths| !paths.is_empty()))
    };
    let deleted = |history: &History| history.document.as_ref().is_some_and(|document| document.deleted);
    let stamped = |history: &History| {
        history.document.as_ref().is_some_and(|document| document.stamps.fields.len() > 1)
    };
    assert!(count(conflict) > 10, "{}", count(conflict));
    assert!(count(deleted) > 5, "{}", count(deleted));
    assert!(count(stamped) > 20, "{}", count(stamped));
    assert!(count(|history| history.document.is_none()) > 0);
}
