//! Writes that come again, or come late, after a purge.

use super::MutationStatus::{Applied, Conflict, Duplicate, Rejected};
use super::*;

fn a_replay_has_its_first_outcome_after_90_days_and_a_restart<S: TestStore>(mut scene: Scene<S>) {
    let all =
        vec![create(1, "a"), increment(2, "missing"), increment(3, "a"), create(7, "b"), delete(8, "a")];
    let first = scene.push(1, all.clone());
    assert_eq!(
        first.iter().map(|result| result.status).collect::<Vec<_>>(),
        [Applied, Rejected, Applied, Applied, Applied]
    );
    scene.now_ms += 90 * DAY_MS;
    assert_eq!(scene.compact(), [1]);
    scene.store.reopen();
    let replay = scene.push(1, all);
    let floor = Some(scene.head().floor);
    assert_eq!(
        replay.iter().map(outcome).collect::<Vec<_>>(),
        [
            (Duplicate, floor, None),
            (Duplicate, None, Some(ErrorCode::NotFound)),
            (Duplicate, floor, None),
            (Duplicate, Some(3), None),
            (Duplicate, floor, None),
        ]
    );
    assert_eq!(scene.log(), [("b".to_owned(), 3, false)], "nothing had a second effect");
}

fn a_replay_for_a_document_that_was_made_anew_was_applied<S: TestStore>(mut scene: Scene<S>) {
    scene.push(1, vec![create(1, "a"), delete(2, "a")]);
    scene.now_ms += 90 * DAY_MS;
    scene.compact();
    scene.push(2, vec![create(1, "a")]);
    assert_eq!(outcome(&scene.push(1, vec![create(1, "a")])[0]), (Duplicate, Some(2), None));
}

fn where_rejections_are_no_longer_kept_the_document_tells<S: TestStore>(mut scene: Scene<S>) {
    scene.push(1, vec![create(1, "kept"), create(2, "gone"), delete(3, "gone")]);
    for client_seq in 4..=6 {
        scene.push(1, vec![increment(client_seq, "missing")]);
    }
    scene.now_ms += 90 * DAY_MS;
    scene.compact();
    scene.store.reopen();
    let replay = [create(1, "kept"), create(2, "gone"), increment(4, "missing"), increment(5, "missing")];
    let codes: Vec<_> = scene.push(1, replay.to_vec()).iter().map(|result| outcome(result).2).collect();
    assert_eq!(codes, [None, Some(ErrorCode::Invalid), Some(ErrorCode::Invalid), Some(ErrorCode::NotFound)]);
}

fn a_late_update_of_a_purged_document_is_refused<S: TestStore>(mut scene: Scene<S>) {
    scene.push(1, vec![create(1, "a"), delete(2, "a")]);
    scene.now_ms += 90 * DAY_MS;
    scene.compact();
    let seen = VersionVector::from_iter([(client_id(1), 1)]);
    let based = |client_seq, base| Mutation { base: Some(base), ..increment(client_seq, "a") };
    let late = vec![increment(1, "a"), based(2, seen), based(3, VersionVector::default())];
    let results = scene.push(2, late.clone());
    assert_eq!(
        results.iter().map(outcome).collect::<Vec<_>>(),
        [
            (Rejected, None, Some(ErrorCode::NotFound)),
            (Conflict, None, None),
            (Rejected, None, Some(ErrorCode::NotFound)),
        ]
    );
    assert_eq!((&results[1].document, results[1].fields.as_deref()), (&None, Some(&[][..])));
    assert_eq!(scene.log(), []);
    let again = scene.push(2, late);
    assert_eq!(outcome(&again[1]), (Duplicate, None, Some(ErrorCode::Conflict)));
}

fn a_late_delete_is_applied_and_writes_nothing<S: TestStore>(mut scene: Scene<S>) {
    scene.push(1, vec![create(1, "a"), delete(2, "a")]);
    scene.now_ms += 90 * DAY_MS;
    scene.compact();
    let before = scene.head();
    let late = vec![delete(1, "a"), delete(2, "never was")];
    assert_eq!(
        scene.push(2, late.clone()).iter().map(outcome).collect::<Vec<_>>(),
        [(Applied, Some(2), None), (Applied, Some(2), None),]
    );
    assert_eq!((scene.head(), scene.log()), (before, vec![]));
    assert_eq!(outcome(&scene.push(2, late)[0]), (Duplicate, Some(2), None));
}

fn a_late_create_makes_the_document_anew<S: TestStore>(mut scene: Scene<S>) {
    scene.push(1, vec![create(5, "a"), delete(6, "a")]);
    scene.now_ms += 90 * DAY_MS;
    scene.compact();
    assert_eq!(outcome(&scene.push(2, vec![create(1, "a")])[0]), (Applied, Some(3), None));
    assert_eq!(scene.log(), [("a".to_owned(), 3, false)]);
}

fn a_number_that_its_client_left_out_was_not_applied<S: TestStore>(mut scene: Scene<S>) {
    scene.push(1, vec![create(1, "a"), create(5, "b")]);
    let replay = scene.push(1, vec![create(3, "c"), increment(4, "a"), create(5, "b")]);
    let invalid = (Duplicate, None, Some(ErrorCode::Invalid));
    assert_eq!(
        replay.iter().map(outcome).collect::<Vec<_>>(),
        [invalid, invalid, (Duplicate, Some(2), None)]
    );
}

fn a_deletion_of_what_never_was_has_its_outcome_again<S: TestStore>(mut scene: Scene<S>) {
    let deletion = vec![delete(1, "a")];
    assert_eq!(outcome(&scene.push(1, deletion.clone())[0]), (Applied, Some(0), None));
    scene.push(2, vec![create(1, "a")]);
    assert_eq!(outcome(&scene.push(1, deletion)[0]), (Duplicate, Some(0), None));
    assert_eq!(scene.log(), [("a".to_owned(), 1, false)]);
}

on_both_stores! {
    a_replay_has_its_first_outcome_after_90_days_and_a_restart
    a_replay_for_a_document_that_was_made_anew_was_applied
    where_rejections_are_no_longer_kept_the_document_tells
    a_late_update_of_a_purged_document_is_refused
    a_late_delete_is_applied_and_writes_nothing
    a_late_create_makes_the_document_anew
    a_number_that_its_client_left_out_was_not_applied
    a_deletion_of_what_never_was_has_its_outcome_again
}
