//! What members hear of each other while some of them have not taken what they were told before.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;
use syncline_protocol::message::{Member, Presence, PresenceDiff};
use syncline_protocol::{Fields, Limits};

use super::tests::{client, room, shown};
use super::*;

fn id(number: u8) -> ConnectionId {
    ConnectionId(number.into())
}

/// Members 1 to `count` of the room r, all of whom know of all.
fn crowd(count: u8, config: PresenceConfig) -> Roster {
    let mut roster = Roster::new(config, Limits::default());
    for number in 1..=count {
        roster.connect(id(number), &format!("u{number}"), Some(client(number)), 0);
        come(&mut roster, number);
    }
    roster.tell_at(0);
    roster
}

fn come(roster: &mut Roster, number: u8) {
    roster.enter(id(number), &room("r"));
    roster.join(id(number), &shown("r"), 0).unwrap();
}

/// Shows a number.
fn show(roster: &mut Roster, number: u8, at: i64) {
    let state = Fields::from([("at".into(), at.into())]);
    roster.update(id(number), &Presence { state, ..shown("r") }, 0).unwrap();
}

/// Who is told, of whom that came, changed and left, and the round.
type Told = (Vec<u64>, [Vec<u8>; 3], u64);

fn told(telling: Telling) -> Told {
    let Telling { notice: Notice { to, news }, number, .. } = telling;
    let News::Presence(PresenceDiff { joined, updated, left, .. }) = news else { panic!("{news:?}") };
    let byte = |client: ClientId| client.as_bytes()[0];
    let of = |members: Vec<Member>| members.into_iter().map(|member| byte(member.client_id)).collect();
    let left = left.into_iter().map(byte).collect();
    (to.into_iter().map(|id| id.0).collect(), [of(joined), of(updated), left], number)
}

#[test]
fn a_room_that_has_taken_all_hears_at_once_but_for_whom_it_is_about() {
    let mut roster = crowd(3, PresenceConfig::default());
    show(&mut roster, 2, 1);
    let (to, about, _) = told(roster.next_telling(0).unwrap());
    assert_eq!((to, about), (vec![1, 3], [vec![], vec![2], vec![]]));
}

#[test]
fn what_changes_during_a_round_becomes_one_message_to_all() {
    let mut roster = crowd(4, PresenceConfig::default());
    show(&mut roster, 1, 1);
    let (_, _, number) = told(roster.next_telling(0).unwrap());
    show(&mut roster, 1, 2);
    show(&mut roster, 2, 1);
    show(&mut roster, 2, 2);
    roster.disconnect(id(4));
    roster.connect(id(5), "u5", Some(client(5)), 0);
    come(&mut roster, 5);
    assert_eq!(roster.next_telling(0), Err(Some(PresenceConfig::default().round_ms_max)));
    assert!(roster.end_round(&room("r"), number));
    let telling = roster.next_telling(0).unwrap();
    let News::Presence(diff) = &telling.notice.news else { panic!("{telling:?}") };
    let states = diff.updated.iter().map(|member| member.state.get("at").cloned());
    assert!(states.eq([Some(2.into()), Some(2.into())]));
    let (to, about, _) = told(telling);
    assert_eq!((to, about), (vec![1, 2, 3, 5], [vec![5], vec![1, 2], vec![4]]));
}

#[test]
fn a_member_that_takes_nothing_keeps_the_others_waiting_for_a_time_only() {
    let config = PresenceConfig::default();
    let round_ms_max = config.round_ms_max;
    let mut roster = crowd(3, config);
    show(&mut roster, 1, 1);
    let (_, _, first) = told(roster.next_telling(0).unwrap());
    show(&mut roster, 2, 1);
    assert_eq!(roster.next_telling(round_ms_max - 1), Err(Some(round_ms_max)));
    let (_, about, _) = told(roster.next_telling(round_ms_max).unwrap());
    assert_eq!(about, [vec![], vec![2], vec![]]);
    show(&mut roster, 3, 1);
    assert!(!roster.end_round(&room("r"), first), "it is over already");
}

#[test]
fn a_message_holds_so_much_and_the_rest_comes_after_it() {
    let mut roster = crowd(5, PresenceConfig { round_bytes_max: 150, ..PresenceConfig::default() });
    (1..=5).for_each(|number| show(&mut roster, number, 1));
    let of: Vec<_> = roster
        .tell_at(0)
        .iter()
        .map(|notice| match &notice.news {
            News::Presence(diff) => diff.updated.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(of, [2, 2, 1]);
}

#[test]
fn a_message_that_only_its_own_subject_could_hear_takes_nothing_else_with_it() {
    let mut roster = crowd(2, PresenceConfig { round_bytes_max: 1, ..PresenceConfig::default() });
    show(&mut roster, 1, 1);
    roster.leave(id(2), &room("r"));
    let (to, about, _) = told(roster.next_telling(0).unwrap());
    assert_eq!((to, about), (vec![1], [vec![], vec![], vec![2]]));
}

#[test]
fn nothing_is_kept_for_a_room_in_which_nobody_hears() {
    let mut roster = crowd(2, PresenceConfig::default());
    show(&mut roster, 1, 1);
    roster.lose(id(1), 0);
    roster.lose(id(2), 0);
    assert_eq!(roster.next_telling(0), Err(None));
    assert!(!roster.has_news());
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Come(u8),
    Show(u8, i64),
    Leave(u8),
    Tell,
    Take,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let member = 1..6_u8;
    prop_oneof![
        3 => member.clone().prop_map(Step::Come),
        4 => (member.clone(), 0..9_i64).prop_map(|(member, at)| Step::Show(member, at)),
        2 => member.prop_map(Step::Leave),
        3 => Just(Step::Tell),
        3 => Just(Step::Take),
        1 => (0..30_u64).prop_map(Step::Wait),
    ]
}

/// What members show, as a client knows it from the answer to its join and from what it is told.
type View = BTreeMap<ClientId, Fields>;

fn view(roster: &Roster) -> View {
    let members = roster.members(&room("r"), 0).into_iter();
    members.map(|member| (member.client_id, member.state)).collect()
}

proptest! {
    /// Whenever rounds end, and however little a message holds, all members come to know what all of them show.
    #[test]
    fn all_members_come_to_know_what_all_show(
        steps in prop::collection::vec(step(), 1..120),
        round_bytes_max in 1..400_usize,
    ) {
        let config = PresenceConfig { round_bytes_max, ..PresenceConfig::default() };
        let mut roster = crowd(0, config);
        (1..6).for_each(|number| roster.connect(id(number), "u", Some(client(number)), 0));
        let mut views: BTreeMap<ConnectionId, View> = BTreeMap::new();
        let (mut now_ms, mut under_way) = (0, VecDeque::new());
        let end = [Step::Tell, Step::Take];
        for step in steps.into_iter().chain(end.repeat(200)) {
            match step {
                Step::Come(number) => {
                    come(&mut roster, number);
                    views.insert(id(number), view(&roster));
                }
                Step::Show(number, at) if views.contains_key(&id(number)) => {
                    show(&mut roster, number, at);
                    let fields = Fields::from([("at".into(), at.into())]);
                    views.get_mut(&id(number)).unwrap().insert(client(number), fields);
                }
                Step::Show(..) => {}
                Step::Leave(number) => {
                    roster.leave(id(number), &room("r"));
                    views.remove(&id(number));
                }
                Step::Tell => {
                    let Ok(Telling { notice: Notice { to, news }, room, number }) = roster.next_telling(now_ms)
                    else { continue };
                    under_way.push_back((room, number));
                    let News::Presence(diff) = news else { panic!("{news:?}") };
                    let told: BTreeSet<ConnectionId> = to.into_iter().collect();
                    for (_, view) in views.iter_mut().filter(|(id, _)| told.contains(id)) {
                        for member in diff.joined.iter().chain(&diff.updated) {
                            view.insert(member.client_id, member.state.clone());
                        }
                        diff.left.iter().for_each(|client| drop(view.remove(client)));
                    }
                }
                Step::Take => {
                    if let Some((room, number)) = under_way.pop_front() {
                        roster.end_round(&room, number);
                    }
                }
                Step::Wait(ms) => now_ms += ms,
            }
        }
        for of_one in views.values() {
            prop_assert_eq!(of_one, &view(&roster));
        }
        prop_assert!(!roster.has_news());
    }
}
