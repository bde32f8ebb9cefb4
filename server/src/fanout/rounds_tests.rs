use proptest::prelude::*;
use serde_json::json;
use syncline_protocol::Document;

use super::*;

fn room(name: &str) -> Room {
    Room::new(name).unwrap()
}

fn document(id: &str, seq: u64) -> Document {
    serde_json::from_value(json!({
        "collection": "notes", "id": id, "fields": {"n": seq}, "seq": seq, "version": {},
        "stamps": {"base": [0, 0, "00000000-0000-0000-0000-000000000007"], "fields": {}},
        "deleted": false,
    }))
    .unwrap()
}

fn change(name: &str, id: &str, seq: u64) -> LiveChanges {
    let changes = vec![document(id, seq).into()];
    LiveChanges { room: room(name), from_seq: seq, to_seq: seq, changes }
}

fn rounds() -> Rounds {
    Rounds::new(&HubConfig::default())
}

fn told(rounds: &mut Rounds, now: Instant) -> (LiveChanges, u64) {
    match rounds.next(now) {
        Next::Tell { changes, number, .. } => (changes, number),
        other => panic!("{other:?}"),
    }
}

fn places(changes: &LiveChanges) -> Vec<(String, u64)> {
    changes.changes.iter().map(|document| (document.id.to_string(), document.seq)).collect()
}

#[test]
fn an_idle_room_hears_at_once() {
    let (mut rounds, now) = (rounds(), Instant::now());
    assert!(rounds.offer(change("r", "a", 1)));
    assert_eq!(told(&mut rounds, now).0, change("r", "a", 1));
}

#[test]
fn what_comes_during_a_round_becomes_one_message_with_each_document_once() {
    let (mut rounds, now) = (rounds(), Instant::now());
    rounds.offer(change("r", "a", 1));
    let (_, number) = told(&mut rounds, now);
    for (id, seq) in [("a", 2), ("b", 3), ("a", 4)] {
        assert!(!rounds.offer(change("r", id, seq)));
    }
    assert!(matches!(rounds.next(now), Next::At(_)));
    assert!(rounds.end(&room("r"), number));
    let (next, _) = told(&mut rounds, now);
    assert_eq!((next.from_seq, next.to_seq), (2, 4));
    assert_eq!(places(&next), [("b".to_owned(), 3), ("a".to_owned(), 4)]);
}

#[test]
fn a_round_of_one_room_keeps_no_other_waiting() {
    let (mut rounds, now) = (rounds(), Instant::now());
    rounds.offer(change("r", "a", 1));
    told(&mut rounds, now);
    assert!(rounds.offer(change("s", "a", 1)));
    assert_eq!(told(&mut rounds, now).0.room, room("s"));
}

#[test]
fn a_subscriber_that_takes_nothing_keeps_the_others_waiting_for_a_time_only() {
    let (mut rounds, now) = (rounds(), Instant::now());
    rounds.offer(change("r", "a", 1));
    let (_, first) = told(&mut rounds, now);
    rounds.offer(change("r", "a", 2));
    let Next::At(at) = rounds.next(now) else { panic!("it waits") };
    let (second, number) = told(&mut rounds, at);
    assert_eq!(second.to_seq, 2);
    // The first one's end is nobody's any more.
    rounds.offer(change("r", "a", 3));
    assert!(!rounds.end(&room("r"), first));
    assert!(rounds.end(&room("r"), number));
}

#[test]
fn beyond_what_may_wait_subscribers_hear_of_the_head_alone() {
    let one = changes_byte_len(&change("r", "a", 1));
    let config = HubConfig { live_queued_bytes_max: 2 * one, ..HubConfig::default() };
    let (mut rounds, now) = (Rounds::new(&config), Instant::now());
    rounds.offer(change("r", "a", 1));
    let (_, number) = told(&mut rounds, now);
    for seq in 2..=4 {
        rounds.offer(change("r", "a", seq));
    }
    rounds.end(&room("r"), number);
    let (next, number) = told(&mut rounds, now);
    assert_eq!(next, head_hint(room("r"), 4));
    assert!(!rounds.end(&room("r"), number));
    assert_eq!(rounds.bytes, 0);
}

#[test]
fn a_message_is_never_too_large_to_be_told_whole() {
    let one = changes_byte_len(&change("r", "a", 1));
    let config = HubConfig { live_bytes_max: 2 * one, ..HubConfig::default() };
    let (mut rounds, now) = (Rounds::new(&config), Instant::now());
    rounds.offer(change("r", "a", 1));
    let mut number = told(&mut rounds, now).1;
    for (id, seq) in [("b", 2), ("c", 3), ("d", 4)] {
        rounds.offer(change("r", id, seq));
    }
    let mut ranges = Vec::new();
    while rounds.end(&room("r"), number) {
        let (next, its) = told(&mut rounds, now);
        ranges.push((next.from_seq, next.to_seq));
        number = its;
    }
    assert_eq!(ranges, [(2, 3), (4, 4)]);
}

proptest! {
    /// Whatever is offered and whenever rounds end, a subscriber hears of all of the log in its order, or of a head.
    #[test]
    fn nothing_is_left_out_and_nothing_is_kept(
        steps in prop::collection::vec((0..3_usize, 0..3_usize, 0..4_u64), 1..60),
        bytes_max in 1..2_000_usize,
    ) {
        let names = ["r", "s", "t"];
        let config = HubConfig { live_queued_bytes_max: bytes_max, live_bytes_max: 700, ..HubConfig::default() };
        let (mut rounds, mut now) = (Rounds::new(&config), Instant::now());
        let (mut heads, mut heard) = ([0_u64; 3], [0_u64; 3]);
        let mut under_way = VecDeque::new();
        let hear = |next: Next, heard: &mut [u64; 3], under_way: &mut VecDeque<(Room, u64)>| {
            let Next::Tell { changes, number, .. } = next else { return };
            let index = names.iter().position(|name| *name == changes.room.as_str()).unwrap();
            let is_head = changes.from_seq > changes.to_seq;
            assert!(is_head || changes.from_seq == heard[index] + 1);
            assert!(changes.to_seq > heard[index]);
            heard[index] = changes.to_seq;
            under_way.push_back((changes.room, number));
        };
        for (index, id, action) in steps {
            heads[index] += 1;
            rounds.offer(change(names[index], ["a", "b", "c"][id], heads[index]));
            if action == 0 && let Some((room, number)) = under_way.pop_front() {
                rounds.end(&room, number);
            }
            now += Duration::from_millis(5 * action);
            let next = rounds.next(now);
            hear(next, &mut heard, &mut under_way);
        }
        for _ in 0..200 {
            while let Some((room, number)) = under_way.pop_front() {
                rounds.end(&room, number);
            }
            let next = rounds.next(now);
            hear(next, &mut heard, &mut under_way);
        }
        prop_assert_eq!(heads, heard);
        prop_assert_eq!(rounds.bytes, 0);
        prop_assert!(rounds.rooms.is_empty());
    }
}
