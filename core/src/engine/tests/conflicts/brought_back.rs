//! Writes that were answered, and that a crash brought back, because the cache had not kept up with the journal.

use super::*;
use crate::engine::io::WriteRequest;

fn delete() -> WriteRequest {
    write("a", Write::Delete)
}

#[test]
fn writes_made_before_and_after_a_crash_are_refused_and_sent_again_together() {
    let mut scene = Scene::with_a_write_that_was_taken();
    scene.bench.emit(event::SYNC_CHANGES, &scene.log.changes(scene.log.head));
    scene.bench.write(vec![increment("a", 2)]);
    scene.log.write(set("a", "n", 50));
    scene.restart_before_the_room_is_read();
    let (ack, push) = scene.bench.expect_push();
    assert_eq!(numbers(&push), [1, 2], "the cache shows neither");
    scene.bench.write(vec![increment("a", 3)]);
    let answer = scene.log.push(&push);
    scene.bench.answer(ack, &answer);
    assert_eq!(scene.serve(), [3], "refused as 2 was");
    let (_, push) = scene.bench.expect_push();
    assert_eq!(numbers(&push), [4, 5]);
    let amounts = push.mutations.into_iter().map(|mutation| mutation.write);
    assert!(amounts.eq([increment("a", 2).write, increment("a", 3).write]));
}

#[test]
fn a_deletion_that_was_settled_does_not_come_behind_what_was_sent_again_since() {
    let mut scene = Scene::against(ClientWins, vec![delete(), create("a", 1)], delete());
    assert_eq!(scene.serve(), [1, 2], "both deleted it");
    assert_eq!(scene.serve(), [3]);
    scene.restart();
    assert_eq!(scene.serve(), [1, 3], "the cache was not flushed since");
    scene.bench.expect_silence();
    assert_eq!(scene.settle(), both(1));
}

#[test]
fn a_deletion_that_was_settled_does_not_come_behind_what_was_written_since() {
    for strategy in [LastWriteWins, FirstWriteWins, ServerWins, ClientWins] {
        let mut scene = Scene::against(strategy, vec![delete()], delete());
        scene.serve();
        scene.log.write(create("a", 20));
        scene.bench.emit(event::SYNC_CHANGES, &scene.log.changes(2));
        scene.bench.write(vec![increment("a", 1)]);
        scene.restart();
        assert_eq!(scene.serve(), [1, 2], "the cache was not flushed since");
        scene.bench.expect_silence();
        assert_eq!(scene.settle(), both(21), "{strategy:?}");
    }
}
