#![allow(clippy::unwrap_used)]

use super::*;
use crate::store::fixtures::{CLIENT, OTHER_CLIENT, entry, identity, outcome, time};

/// No number that a lost job may have had comes again.
const LAST_JOB: Record = Record::LastJob { id: SKIPPED_AFTER_DAMAGE as u64 };

fn finish(records: &[Record], spare: Option<Identity>, damage: &[&str]) -> Outset {
    let mut fold = Fold::default();
    records.iter().for_each(|record| fold.add(record.clone()));
    let damage = damage.iter().map(|line| (*line).to_owned()).collect();
    let queued = |client_seq| {
        let mut entries = records.iter().rev().flat_map(Record::entries);
        Ok(entries.find(|entry| entry.mutation.client_seq == client_seq).unwrap().clone())
    };
    fold.finish(spare, OTHER_CLIENT, None, damage, &queued).unwrap()
}

#[test]
fn numbers_and_clock_go_on_after_the_newest_entry_even_if_it_is_settled() {
    let records =
        [Record::Identity(identity(3)), Record::Queued(vec![entry(8)]), Record::Settled { client_seq: 8 }];
    let outset = finish(&records, None, &[]);
    assert_eq!(outset.recovered.identity, identity(8));
    assert_eq!(outset.repairs, []);
}

#[test]
fn the_spare_identity_takes_the_place_of_a_lost_one() {
    let outset = finish(&[Record::Queued(vec![entry(8)])], Some(identity(5)), &[]);
    let recovered = outset.recovered;
    assert_eq!(recovered.identity.client_id, CLIENT);
    assert_eq!(recovered.queued, [entry(8)].iter().collect());
    assert_eq!(recovered.damage.len(), 1);
    assert_eq!(outset.repairs, [LAST_JOB, Record::Identity(recovered.identity)]);
}

#[test]
fn entries_without_any_identity_are_left_to_the_app() {
    let outset = finish(&[Record::Queued(vec![entry(8)]), Record::Failed(outcome(2))], None, &[]);
    let recovered = &outset.recovered;
    assert_eq!(recovered.identity.client_id, OTHER_CLIENT);
    assert!(recovered.queued.is_empty());
    assert_eq!(recovered.outcomes.len(), 2);
    assert_eq!(recovered.outcomes[0], outcome(2));
    assert_eq!(recovered.outcomes[1].entry, entry(8));
    // Once repaired, the next restart finds the same.
    let again = finish(
        &[&[Record::Queued(vec![entry(8)]), Record::Failed(outcome(2))], &outset.repairs[..]].concat(),
        None,
        &[],
    );
    assert_eq!(again.recovered.outcomes, recovered.outcomes);
    assert_eq!(again.recovered.identity, recovered.identity);
    assert_eq!((again.recovered.damage.len(), again.repairs.len()), (0, 0));
}

#[test]
fn after_damage_no_number_or_time_that_a_lost_record_may_have_used_comes_again() {
    let records = [Record::Identity(identity(3)), Record::Queued(vec![entry(8)])];
    let outset = finish(&records, Some(identity(3)), &["a bit flipped"]);
    let identity = outset.recovered.identity;
    assert_eq!(identity.last_client_seq, 8 + u64::from(SKIPPED_AFTER_DAMAGE));
    assert_eq!(identity.last_time, HybridTime { counter: SKIPPED_AFTER_DAMAGE, ..time(8) });
    assert_eq!(outset.repairs, [LAST_JOB, Record::Identity(identity)]);
}

#[test]
fn the_journal_wins_over_a_spare_identity_of_another_client() {
    let spare = Identity { client_id: OTHER_CLIENT, ..identity(100) };
    let outset = finish(&[Record::Identity(identity(3))], Some(spare), &[]);
    assert_eq!(outset.recovered.identity, identity(3));
}
