//! Who hears of users in a room that has more of them than may hear.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use syncline_protocol::Limits;

use super::tests::{client, room};
use super::*;

fn roster(watchers_max: usize) -> Roster {
    let config = PresenceConfig { watchers_max, ..PresenceConfig::default() };
    Roster::new(config, Limits::default())
}

/// A user of its own comes into the room r.
fn come(roster: &mut Roster, number: u64) -> Vec<Notice> {
    let id = ConnectionId(number);
    roster.connect(id, &format!("u{number}"), None, 0);
    roster.enter(id, &room("r"))
}

fn hearers(notices: &[Notice]) -> Vec<u64> {
    notices.iter().flat_map(|notice| &notice.to).map(|id| id.0).collect()
}

#[test]
fn of_a_large_room_those_hear_that_came_first() {
    let mut roster = roster(2);
    assert_eq!(hearers(&come(&mut roster, 1)), [0; 0]);
    assert_eq!(hearers(&come(&mut roster, 2)), [1]);
    assert_eq!(hearers(&come(&mut roster, 3)), [1, 2]);
    assert_eq!(hearers(&come(&mut roster, 4)), [1, 2]);
    assert_eq!(hearers(&roster.disconnect(ConnectionId(4))), [1, 2]);
}

#[test]
fn whoever_leaves_a_large_room_or_is_lost_makes_way_for_one_of_the_others() {
    let mut roster = roster(2);
    for number in 1..=4 {
        come(&mut roster, number);
    }
    assert_eq!(hearers(&roster.exit(ConnectionId(1), &room("r"))), [2, 3]);
    assert_eq!(hearers(&roster.lose(ConnectionId(2), 0)), [0; 0]);
    assert_eq!(hearers(&come(&mut roster, 5)), [3, 4]);
}

#[test]
fn who_may_not_be_present_is_neither_seen_nor_sees_anybody() {
    let (mut roster, r, unseen) = (roster(9), room("r"), ConnectionId(2));
    come(&mut roster, 1);
    roster.connect(unseen, "u2", None, 0);
    assert_eq!(roster.enter_unseen(unseen, &r), []);
    assert_eq!(hearers(&come(&mut roster, 3)), [1]);
    assert_eq!(hearers(&roster.enter(unseen, &r)), [1, 3]);
    assert_eq!(hearers(&come(&mut roster, 4)), [1, 2, 3]);
    assert_eq!(hearers(&roster.enter_unseen(unseen, &r)), [1, 3, 4]);
    assert_eq!(hearers(&come(&mut roster, 5)), [1, 3, 4]);
    assert_eq!(roster.exit(unseen, &r), []);
    roster.enter_unseen(unseen, &r);
    assert_eq!(roster.lose(unseen, 0), []);
    assert_eq!(roster.expire(u64::MAX), []);
}

#[test]
fn other_nodes_hear_of_who_may_be_present_alone() {
    let (mut roster, r, id) = (roster(9), room("r"), ConnectionId(1));
    roster.share();
    roster.connect(id, "u1", None, 0);
    roster.enter_unseen(id, &r);
    assert_eq!(roster.take_effects(0), [Effect::Opened(r.clone())]);
    assert_eq!(roster.reports(&r, 0), []);
    let is_inside = |roster: &mut Roster| match roster.take_effects(0).as_slice() {
        [Effect::Report(report)] => matches!(report.place, Place::Inside { .. }),
        other => panic!("{other:?}"),
    };
    roster.enter(id, &r);
    assert!(is_inside(&mut roster));
    roster.enter_unseen(id, &r);
    assert!(!is_inside(&mut roster));
}

#[test]
fn thousands_who_come_at_once_are_told_to_few() {
    let mut roster = Roster::new(PresenceConfig::default(), Limits::default());
    let told: usize = (1..=5_000).map(|number| hearers(&come(&mut roster, number)).len()).sum();
    assert!(told <= 5_000 * PresenceConfig::default().watchers_max, "{told}");
}

#[test]
fn the_connections_of_a_client_are_known_however_many_a_user_has() {
    let mut roster = roster(2);
    for number in 1..=200_u8 {
        roster.connect(ConnectionId(number.into()), "u", Some(client(number % 100)), 0);
        roster.connect(ConnectionId(1000 + u64::from(number)), "other", Some(client(number % 100)), 0);
    }
    assert_eq!(roster.newest("u", Some(client(7))), Some(ConnectionId(107)));
    assert_eq!(roster.newest("nobody", Some(client(7))), None);
    assert_eq!(roster.newest("u", None), None);
    roster.disconnect(ConnectionId(107));
    assert_eq!(roster.newest("u", Some(client(7))), Some(ConnectionId(7)));
}

#[derive(Debug, Clone)]
enum Step {
    Enter(u64, bool),
    Exit(u64, bool),
    Lose(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let place = (0_u64..8, any::<bool>());
    prop_oneof![
        4 => place.clone().prop_map(|(user, other)| Step::Enter(user, other)),
        2 => place.prop_map(|(user, other)| Step::Exit(user, other)),
        1 => (0_u64..8).prop_map(Step::Lose),
    ]
}

proptest! {
    /// In however large rooms, a connection that was told that a user is online, and stays, is told when it goes.
    #[test]
    fn whoever_saw_a_user_come_online_sees_it_go(
        steps in prop::collection::vec(step(), 1..60),
        watchers_max in 0_usize..4,
    ) {
        let mut roster = roster(watchers_max);
        let mut connections: BTreeMap<u64, ConnectionId> = BTreeMap::new();
        let mut last = 0;
        // Who was told of whom.
        let mut online: BTreeSet<(ConnectionId, String)> = BTreeSet::new();
        let last_steps = (0..8).flat_map(|user| [Step::Exit(user, false), Step::Exit(user, true)]);
        for step in steps.into_iter().chain(last_steps) {
            let rooms = [room("r"), room("s")];
            let notices = match step {
                Step::Enter(user, other) => {
                    let id = *connections.entry(user).or_insert_with(|| {
                        last += 1;
                        roster.connect(ConnectionId(last), &format!("u{user}"), None, 0);
                        ConnectionId(last)
                    });
                    roster.enter(id, &rooms[usize::from(other)])
                }
                Step::Exit(user, other) => {
                    let Some(id) = connections.get(&user) else { continue };
                    let room = &rooms[usize::from(other)];
                    let notices = roster.exit(*id, room);
                    // Whoever leaves a room hears no more of those it saw there.
                    online.retain(|(hearer, _)| hearer != id);
                    notices
                }
                Step::Lose(user) => {
                    let Some(id) = connections.remove(&user) else { continue };
                    let mut notices = roster.lose(id, 0);
                    notices.extend(roster.expire(u64::MAX));
                    online.retain(|(hearer, _)| *hearer != id);
                    notices
                }
            };
            for Notice { to, news } in notices {
                for hearer in to {
                    match &news {
                        News::Online(status) => {
                            online.insert((hearer, status.user_id.clone()));
                        }
                        News::Offline(status) => {
                            online.remove(&(hearer, status.user_id.clone()));
                        }
                        News::Presence(_) | News::Changes(_) => {}
                    }
                }
            }
            let there: BTreeSet<String> = connections
                .iter()
                .filter(|(_, id)| roster.rooms_of(**id).is_some_and(|rooms| !rooms.is_empty()))
                .map(|(user, _)| format!("u{user}"))
                .collect();
            prop_assert!(online.iter().all(|(_, user)| there.contains(user)), "{online:?} of {there:?}");
        }
    }
}
