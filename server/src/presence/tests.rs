//! Leases, ghosts and members, in virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use syncline_protocol::message::{Member, Presence, PresenceDiff, PresenceStatus};
use syncline_protocol::{ClientId, ErrorCode, Fields, Limits, Room};

use super::*;

const A: ConnectionId = ConnectionId(1);
const A2: ConnectionId = ConnectionId(2);
const B: ConnectionId = ConnectionId(3);
const A3: ConnectionId = ConnectionId(4);

const GRACE_MS: u64 = 15_000;
const LEASE_MS: u64 = 70_000;

pub(super) fn room(name: &str) -> Room {
    Room::new(name).unwrap()
}

pub(super) fn client(number: u8) -> ClientId {
    ClientId::from_bytes([number; 16])
}

pub(super) fn shown(name: &str) -> Presence {
    Presence {
        room: room(name),
        state: Fields::new(),
        status: PresenceStatus::Active,
        expires_ms: BTreeMap::new(),
        background_lease_ms: None,
    }
}

fn in_background(name: &str, ms: u64) -> Presence {
    Presence { status: PresenceStatus::Away, background_lease_ms: Some(ms), ..shown(name) }
}

/// Users a and b, on a device each.
fn roster() -> Roster {
    let mut roster = Roster::new(PresenceConfig::default(), Limits::default());
    roster.connect(A, "a", Some(client(1)), 0);
    roster.connect(B, "b", Some(client(2)), 0);
    roster
}

/// Both are in the room r, and b is heard of all the time.
fn both_present() -> Roster {
    let mut roster = roster();
    for id in [B, A] {
        roster.enter(id, &room("r"));
        roster.join(id, &shown("r"), 0).unwrap();
    }
    roster.tell_at(0);
    roster
}

/// What a connection hears of a change, in a word each.
fn heard(
    roster: &mut Roster,
    by: ConnectionId,
    change: impl FnOnce(&mut Roster) -> Vec<Notice>,
) -> Vec<String> {
    let others = change(roster);
    let mine = roster.tell_at(0).into_iter().chain(others).filter(|notice| notice.to.contains(&by));
    mine.map(|notice| match notice.news {
        News::Presence(PresenceDiff { joined, updated, left, .. }) => {
            let away = updated.iter().any(|member| member.status == PresenceStatus::Away);
            let kind = if away { "away" } else { "updated" };
            [(joined.len(), "joined"), (updated.len(), kind), (left.len(), "left")]
                .into_iter()
                .find(|(count, _)| *count > 0)
                .map_or_else(String::new, |(_, kind)| kind.to_owned())
        }
        News::Online(status) => format!("{} online", status.user_id),
        News::Offline(status) => format!("{} offline", status.user_id),
        News::Changes(_) => "changes".to_owned(),
    })
    .collect()
}

/// The same of what changes members alone.
fn heard_of_members(roster: &mut Roster, by: ConnectionId, change: impl FnOnce(&mut Roster)) -> Vec<String> {
    heard(roster, by, |roster| {
        change(roster);
        Vec::new()
    })
}

#[test]
fn a_user_comes_online_once_to_those_who_share_a_room() {
    let mut roster = roster();
    roster.connect(A2, "a", Some(client(9)), 0);
    assert_eq!(heard(&mut roster, B, |roster| roster.enter(B, &room("r"))), [""; 0]);
    assert_eq!(heard(&mut roster, B, |roster| roster.enter(B, &room("s"))), [""; 0]);
    assert_eq!(heard(&mut roster, B, |roster| roster.enter(A, &room("r"))), ["a online"]);
    assert_eq!(
        heard(&mut roster, B, |roster| roster.enter(A, &room("s"))),
        [""; 0],
        "b sees a in the first room already"
    );
    assert_eq!(heard(&mut roster, B, |roster| roster.enter(A2, &room("r"))), [""; 0], "a was there already");
}

#[test]
fn a_user_goes_offline_with_the_last_connection() {
    let mut roster = roster();
    roster.connect(A2, "a", Some(client(9)), 0);
    for id in [B, A, A2] {
        roster.enter(id, &room("r"));
    }
    assert_eq!(heard(&mut roster, B, |roster| roster.disconnect(A)), [""; 0]);
    assert_eq!(heard(&mut roster, B, |roster| roster.disconnect(A2)), ["a offline"]);
    assert_eq!((roster.connection_count(), roster.user_count()), (1, 1));
}

#[test]
fn whoever_saw_a_user_come_online_sees_it_go() {
    let mut roster = roster();
    roster.connect(A2, "a", Some(client(9)), 0);
    roster.enter(B, &room("r"));
    assert_eq!(heard(&mut roster, B, |roster| roster.enter(A, &room("r"))), ["a online"]);
    roster.enter(A2, &room("s"));
    assert_eq!(
        heard(&mut roster, B, |roster| roster.disconnect(A)),
        ["a offline"],
        "b sees nothing of a's other connection"
    );
    roster.enter(B, &room("s"));
    assert_eq!(heard(&mut roster, B, |roster| roster.exit(A2, &room("s"))), ["a offline"]);
    assert_eq!(heard(&mut roster, B, |roster| roster.disconnect(A2)), [""; 0], "b knows already");
}

#[test]
fn a_newer_connection_takes_over_its_clients_place() {
    let mut roster = both_present();
    roster.connect(A2, "a", Some(client(1)), 0);
    assert_eq!(
        heard_of_members(&mut roster, B, |roster| roster.join(A2, &shown("r"), 0).unwrap()),
        ["updated"]
    );
    assert_eq!(
        heard_of_members(&mut roster, B, |roster| roster.join(A, &shown("r"), 0).unwrap()),
        [""; 0],
        "late"
    );
    assert_eq!(roster.update(A, &shown("r"), 0).unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(
        heard(&mut roster, B, |roster| roster.disconnect(A)),
        ["a offline"],
        "the newer one has not entered the room"
    );
    assert_eq!(roster.members(&room("r"), 0).len(), 2);
    assert_eq!(heard(&mut roster, B, |roster| roster.disconnect(A2)), ["left"]);
}

#[test]
fn a_client_id_present_for_another_user_is_refused_until_that_one_is_forgotten() {
    let mut roster = both_present();
    roster.connect(A3, "c", Some(client(1)), 0);
    assert_eq!(roster.join(A3, &shown("r"), 0).unwrap_err().code, ErrorCode::Forbidden);
    roster.lose(A, 0);
    let error = roster.join(A3, &shown("r"), 5_000).unwrap_err();
    assert_eq!((error.code, error.retry_after_ms), (ErrorCode::Unavailable, Some(GRACE_MS - 5_000)));
    roster.expire(GRACE_MS);
    assert!(roster.join(A3, &shown("r"), GRACE_MS).is_ok());
}

#[test]
fn a_lost_client_is_away_for_the_grace_and_then_gone() {
    let mut roster = both_present();
    assert_eq!(heard(&mut roster, B, |roster| roster.lose(A, 1_000)), ["away"]);
    assert_eq!(roster.connection_count(), 1);
    roster.renew(B, 1_000);
    assert_eq!(roster.next_expiry_ms(), Some(1_000 + GRACE_MS));
    assert_eq!(heard(&mut roster, B, |roster| roster.expire(1_000 + GRACE_MS - 1)), [""; 0]);
    assert_eq!(heard(&mut roster, B, |roster| roster.expire(1_000 + GRACE_MS)), ["left", "a offline"]);
    assert_eq!(roster.user_count(), 1);
}

#[test]
fn a_client_that_comes_back_within_the_grace_never_left() {
    let mut roster = both_present();
    assert_eq!(heard(&mut roster, B, |roster| roster.lose(A, 1_000)), ["away"]);
    roster.connect(A2, "a", Some(client(1)), 2_000);
    assert_eq!(heard(&mut roster, B, |roster| roster.enter(A2, &room("r"))), [""; 0]);
    assert_eq!(
        heard_of_members(&mut roster, B, |roster| roster.join(A2, &shown("r"), 2_000).unwrap()),
        ["updated"]
    );
    assert_eq!(
        heard(&mut roster, B, |roster| roster.expire(1_000 + GRACE_MS)),
        [""; 0],
        "the ghost goes unseen"
    );
    assert_eq!((roster.connection_count(), roster.members(&room("r"), 20_000).len()), (2, 2));
}

#[test]
fn a_client_that_comes_back_and_leaves_takes_its_ghost_along() {
    let mut roster = both_present();
    roster.lose(A, 0);
    roster.connect(A2, "a", Some(client(1)), 1_000);
    assert_eq!(heard(&mut roster, B, |roster| roster.disconnect(A2)), ["left", "a offline"]);
}

#[test]
fn a_client_that_comes_back_and_goes_out_of_the_room_leaves_no_ghost_there_that_ends_it_later() {
    let mut roster = roster();
    roster.enter(A, &room("r"));
    roster.join(A, &shown("r"), 0).unwrap();
    roster.lose(A, 0);
    roster.connect(A2, "a", Some(client(1)), 1_000);
    roster.enter(A2, &room("r"));
    roster.exit(A2, &room("r"));
    assert_eq!(roster.members(&room("r"), 1_000), []);
    roster.enter(A2, &room("r"));
    roster.join(A2, &shown("r"), 2_000).unwrap();
    roster.expire(GRACE_MS);
    assert_eq!(roster.members(&room("r"), GRACE_MS).len(), 1);
    assert_eq!(roster.lapsed(A2, &BTreeSet::from([room("r")])), []);
}

#[test]
fn a_client_that_comes_back_before_its_loss_is_noticed_takes_the_grace_for_what_it_left() {
    let mut roster = both_present();
    roster.renew(B, 1_000);
    roster.connect(A2, "a", Some(client(1)), 1_000);
    assert_eq!(heard(&mut roster, B, |roster| roster.expire(1_000 + GRACE_MS - 1)), [""; 0]);
    assert_eq!(heard(&mut roster, B, |roster| roster.expire(1_000 + GRACE_MS)), ["left"]);
}

#[test]
fn a_silent_client_is_no_member_after_its_lease_and_is_told_so() {
    let mut roster = both_present();
    roster.renew(A, 10_000);
    roster.renew(B, 40_000);
    assert_eq!(heard(&mut roster, B, |roster| roster.expire(10_000 + LEASE_MS - 1)), [""; 0]);
    assert_eq!(heard(&mut roster, B, |roster| roster.expire(10_000 + LEASE_MS)), ["left"]);
    assert_eq!(roster.lapsed(A, &BTreeSet::from([room("r")])), [room("r")]);
    assert_eq!(
        heard_of_members(&mut roster, B, |roster| roster.join(A, &shown("r"), 90_000).unwrap()),
        ["joined"]
    );
    assert_eq!(roster.lapsed(A, &BTreeSet::from([room("r")])), []);
}

#[test]
fn a_lease_that_ends_within_the_grace_is_not_prolonged_by_it() {
    let mut roster = both_present();
    roster.renew(B, LEASE_MS - 1);
    roster.lose(A, LEASE_MS - 1_000);
    assert_eq!(heard(&mut roster, B, |roster| roster.expire(LEASE_MS)), ["left", "a offline"]);
}

#[test]
fn a_client_in_the_background_is_away_for_as_long_as_it_asked_for_and_the_server_allows() {
    for (asked_ms, kept_ms) in [(60_000, 60_000), (u64::MAX, 15 * 60 * 1000)] {
        let mut roster = both_present();
        assert_eq!(
            heard_of_members(&mut roster, B, |roster| roster
                .update(A, &in_background("r", asked_ms), 0)
                .unwrap()),
            ["away"]
        );
        assert_eq!(heard(&mut roster, B, |roster| roster.lose(A, 10_000)), [""; 0], "it is away already");
        roster.disconnect(B);
        assert_eq!(heard(&mut roster, B, |roster| roster.expire(kept_ms - 1)), [""; 0]);
        assert_eq!(roster.user_count(), 1);
        roster.expire(kept_ms);
        assert_eq!(roster.user_count(), 0);
    }
}

#[test]
fn a_field_that_expires_is_shown_with_what_is_left_of_its_time() {
    let mut roster = both_present();
    let typing = Presence {
        state: Fields::from([("typing".into(), true.into())]),
        expires_ms: BTreeMap::from([("typing".into(), 3_000)]),
        ..shown("r")
    };
    roster.update(A, &typing, 0).unwrap();
    let left = |roster: &Roster, now_ms| {
        let members: Vec<Member> = roster.members(&room("r"), now_ms);
        members.into_iter().find_map(|member| member.expires_ms.get("typing").copied())
    };
    assert_eq!(left(&roster, 1_000), Some(2_000));
    assert_eq!(left(&roster, 3_000), None);
    assert!(roster.members(&room("r"), 3_000).iter().all(|member| member.state.is_empty()));
}

#[test]
fn a_room_holds_so_many_members_and_the_server_so_many_ghosts() {
    let config = PresenceConfig { lost_connections_max: 1, ..PresenceConfig::default() };
    let limits = Limits { presence_members_max: 2, ..Limits::default() };
    let mut roster = Roster::new(config, limits);
    for number in 1..=3 {
        let id = ConnectionId(number.into());
        roster.connect(id, &format!("u{number}"), Some(client(number)), 0);
        roster.enter(id, &room("r"));
    }
    roster.join(A, &shown("r"), 0).unwrap();
    roster.join(A2, &shown("r"), 0).unwrap();
    assert_eq!(roster.join(B, &shown("r"), 0).unwrap_err().code, ErrorCode::TooLarge);
    roster.lose(A, 0);
    assert_eq!(heard(&mut roster, B, |roster| roster.lose(A2, 1)), ["u1 offline"]);
    assert_eq!((roster.user_count(), roster.connection_count()), (2, 1));
}

#[derive(Debug, Clone)]
enum Step {
    Connect(u8),
    Join(u8),
    Background(u8),
    Ping(u8),
    Leave(u8),
    Lose(u8),
    Disconnect(u8),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let device = 0_u8..4;
    prop_oneof![
        device.clone().prop_map(Step::Connect),
        device.clone().prop_map(Step::Join),
        device.clone().prop_map(Step::Background),
        device.clone().prop_map(Step::Ping),
        device.clone().prop_map(Step::Leave),
        device.clone().prop_map(Step::Lose),
        device.prop_map(Step::Disconnect),
        (0_u64..40_000).prop_map(Step::Wait),
    ]
}

proptest! {
    /// A watcher that only listens knows who is there and who is online; and a lease after the last sign of life of
    /// anybody, nobody is left but the watcher.
    #[test]
    fn who_listens_knows_who_is_there_and_no_ghost_outlives_its_lease(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let config = PresenceConfig { background_lease_ms_max: 30_000, ..PresenceConfig::default() };
        let mut roster = Roster::new(config, Limits::default());
        let watcher = ConnectionId(1);
        roster.connect(watcher, "watcher", Some(client(200)), 0);
        roster.enter(watcher, &room("r"));
        roster.join(watcher, &shown("r"), 0).unwrap();
        let (mut now_ms, mut last_id) = (0, 1);
        let mut open: BTreeMap<u8, ConnectionId> = BTreeMap::new();
        let mut known = BTreeSet::from([client(200)]);
        let mut online = BTreeSet::new();
        let wait = [Step::Wait(LEASE_MS), Step::Wait(1)];
        for step in steps.into_iter().chain(wait) {
            let notices = match step {
                Step::Connect(device) => {
                    last_id += 1;
                    let id = ConnectionId(last_id);
                    let lost = open.insert(device, id).map(|older| roster.lose(older, now_ms));
                    roster.connect(id, &format!("u{}", device / 2), Some(client(device)), now_ms);
                    lost.unwrap_or_default()
                }
                Step::Join(device) | Step::Background(device) => {
                    let Some(id) = open.get(&device) else { continue };
                    let presence = match step {
                        Step::Join(_) => shown("r"),
                        _ => in_background("r", 60_000),
                    };
                    let notices = roster.enter(*id, &room("r"));
                    roster.join(*id, &presence, now_ms).unwrap();
                    notices
                }
                Step::Ping(device) => {
                    if let Some(id) = open.get(&device) {
                        roster.renew(*id, now_ms);
                    }
                    vec![]
                }
                Step::Leave(device) => {
                    let Some(id) = open.get(&device) else { continue };
                    roster.exit(*id, &room("r"))
                }
                Step::Lose(device) => {
                    open.remove(&device).map(|id| roster.lose(id, now_ms)).unwrap_or_default()
                }
                Step::Disconnect(device) => {
                    open.remove(&device).map(|id| roster.disconnect(id)).unwrap_or_default()
                }
                Step::Wait(ms) => {
                    now_ms += ms;
                    roster.renew(watcher, now_ms);
                    roster.expire(now_ms)
                }
            };
            let told = roster.tell_at(now_ms).into_iter().chain(notices);
            for notice in told.filter(|notice| notice.to.contains(&watcher)) {
                match notice.news {
                    News::Presence(diff) => {
                        for member in diff.joined {
                            prop_assert!(known.insert(member.client_id), "joined twice");
                        }
                        prop_assert!(diff.updated.iter().all(|member| known.contains(&member.client_id)));
                        for client in diff.left {
                            prop_assert!(known.remove(&client), "left twice");
                        }
                    }
                    News::Online(status) => prop_assert!(online.insert(status.user_id), "online twice"),
                    News::Offline(status) => prop_assert!(online.remove(&status.user_id), "offline twice"),
                    News::Changes(_) => {}
                }
            }
            let there: BTreeSet<_> =
                roster.members(&room("r"), now_ms).into_iter().map(|member| member.client_id).collect();
            prop_assert_eq!(&there, &known);
            prop_assert_eq!(roster.connection_count(), open.len() + 1);
        }
        prop_assert_eq!(known, BTreeSet::from([client(200)]));
    }
}
