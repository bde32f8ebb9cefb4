//! Rosters of several nodes that hear each other's reports, in virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;
use syncline_protocol::{ClientId, Limits, Room};

use super::*;
use crate::fanout::News;
use crate::presence::tests::{client, room, shown};

const NODES: usize = 3;

/// What travels between nodes, as the link carries it.
enum Sent {
    Report(Report, Heard),
    Roll(Room, Vec<u64>),
    Ask(Room),
}

/// A cluster whose messages arrive when a test says so, those of one node to another in their order.
struct Cluster {
    rosters: Vec<Roster>,
    wires: BTreeMap<(usize, usize), VecDeque<Sent>>,
    now_ms: u64,
    last_id: u64,
    told: Vec<Vec<Notice>>,
}

impl Cluster {
    fn new() -> Self {
        let roster = |_| {
            let mut roster = Roster::new(PresenceConfig::default(), Limits::default());
            roster.share();
            roster
        };
        let rosters = (0..NODES).map(roster).collect();
        let told = (0..NODES).map(|_| Vec::new()).collect();
        Self { rosters, wires: BTreeMap::new(), now_ms: 0, last_id: 0, told }
    }

    fn change(&mut self, node: usize, change: impl FnOnce(&mut Roster, u64) -> Vec<Notice>) {
        let notices = change(&mut self.rosters[node], self.now_ms);
        let members = self.rosters[node].tell_at(self.now_ms);
        self.told[node].extend(members.into_iter().chain(notices));
        for effect in self.rosters[node].take_effects(self.now_ms) {
            match effect {
                Effect::Opened(room) => self.publish(node, || Sent::Ask(room.clone())),
                Effect::Closed(_) => {}
                Effect::Report(report) => {
                    self.publish(node, || Sent::Report((*report).clone(), Heard::Change));
                }
            }
        }
    }

    fn publish(&mut self, from: usize, sent: impl Fn() -> Sent) {
        for to in (0..NODES).filter(|to| *to != from) {
            self.wires.entry((from, to)).or_default().push_back(sent());
        }
    }

    fn deliver(&mut self, from: usize, to: usize) -> bool {
        let Some(sent) = self.wires.get_mut(&(from, to)).and_then(VecDeque::pop_front) else { return false };
        let id = NodeId(from as u64);
        match sent {
            Sent::Report(report, heard) => {
                self.change(to, |roster, now| roster.apply(id, &report, heard, now));
            }
            Sent::Roll(room, present) => {
                self.change(to, |roster, _| roster.apply_roll(id, &room, &present));
            }
            Sent::Ask(room) => {
                let reports = self.rosters[to].reports(&room, self.now_ms);
                let present = reports.iter().map(|report| report.connection).collect();
                let wire = self.wires.entry((to, from)).or_default();
                wire.extend(reports.into_iter().map(|report| Sent::Report(report, Heard::Snapshot)));
                wire.push_back(Sent::Roll(room, present));
            }
        }
        true
    }

    fn settle(&mut self) {
        while (0..NODES).any(|from| (0..NODES).any(|to| self.deliver(from, to))) {}
    }

    fn connect(&mut self, node: usize, user: &str, device: u8) -> ConnectionId {
        self.last_id += 1;
        let id = ConnectionId(self.last_id);
        self.change(node, |roster, now| {
            roster.connect(id, user, Some(client(device)), now);
            roster.enter(id, &room("r"))
        });
        id
    }

    fn join(&mut self, node: usize, id: ConnectionId) {
        self.change(node, |roster, now| {
            roster.join(id, &shown("r"), now).unwrap();
            Vec::new()
        });
    }

    fn members(&self, node: usize) -> BTreeSet<ClientId> {
        self.rosters[node]
            .members(&room("r"), self.now_ms)
            .into_iter()
            .map(|member| member.client_id)
            .collect()
    }

    fn told(&mut self, node: usize) -> Vec<String> {
        let notices = std::mem::take(&mut self.told[node]);
        notices.iter().map(|notice| spell(&notice.news)).collect()
    }
}

fn spell(news: &News) -> String {
    let ids = |clients: Vec<ClientId>| {
        clients.iter().map(|client| client.as_bytes()[0].to_string()).collect::<Vec<_>>().join(" ")
    };
    match news {
        News::Online(user) => format!("{} online", user.user_id),
        News::Offline(user) => format!("{} offline", user.user_id),
        News::Presence(diff) => {
            let joined = diff.joined.iter().map(|member| member.client_id).collect();
            let updated = diff.updated.iter().map(|member| member.client_id).collect();
            format!("joined [{}] updated [{}] left [{}]", ids(joined), ids(updated), ids(diff.left.clone()))
        }
        News::Changes(_) => panic!("a roster knows no documents"),
    }
}

#[test]
fn a_member_of_another_node_is_seen_to_join_and_to_leave() {
    let mut cluster = Cluster::new();
    let a = cluster.connect(0, "a", 1);
    cluster.join(0, a);
    let b = cluster.connect(1, "b", 2);
    cluster.join(1, b);
    cluster.settle();
    assert_eq!(cluster.members(0), BTreeSet::from([client(1), client(2)]));
    assert_eq!(cluster.members(1), cluster.members(0));
    assert_eq!(cluster.told(0), ["b online", "joined [2] updated [] left []"]);
    cluster.change(1, |roster, _| roster.disconnect(b));
    cluster.settle();
    assert_eq!(cluster.told(0), ["joined [] updated [] left [2]", "b offline"]);
}

#[test]
fn a_user_with_devices_on_two_nodes_is_one_user() {
    let mut cluster = Cluster::new();
    cluster.connect(0, "watcher", 9);
    let one = cluster.connect(1, "a", 1);
    let two = cluster.connect(2, "a", 2);
    cluster.settle();
    assert_eq!(cluster.told(0), ["a online"]);
    cluster.change(1, |roster, _| roster.disconnect(one));
    cluster.settle();
    assert!(cluster.told(0).is_empty());
    cluster.change(2, |roster, _| roster.disconnect(two));
    cluster.settle();
    assert_eq!(cluster.told(0), ["a offline"]);
}

#[test]
fn a_client_that_moves_to_another_node_never_left() {
    let mut cluster = Cluster::new();
    let watcher = cluster.connect(0, "watcher", 9);
    cluster.join(0, watcher);
    let before = cluster.connect(1, "a", 1);
    cluster.join(1, before);
    cluster.settle();
    cluster.told(0);
    cluster.change(1, |roster, now| roster.lose(before, now));
    let after = cluster.connect(2, "a", 1);
    cluster.join(2, after);
    cluster.settle();
    cluster.now_ms += 60_000;
    cluster.change(1, Roster::expire);
    cluster.settle();
    let told = cluster.told(0);
    assert!(told.iter().all(|told| told.ends_with("updated [1] left []")), "{told:?}");
    assert_eq!(cluster.members(0), BTreeSet::from([client(1), client(9)]));
}

#[test]
fn a_client_that_says_goodbye_on_another_node_takes_its_lost_connection_along() {
    let mut cluster = Cluster::new();
    cluster.connect(0, "watcher", 9);
    let before = cluster.connect(1, "a", 1);
    cluster.change(1, |roster, now| roster.lose(before, now));
    let after = cluster.connect(2, "a", 1);
    cluster.settle();
    cluster.change(2, |roster, _| roster.disconnect(after));
    cluster.settle();
    assert_eq!(cluster.told(0), ["a online", "a offline"]);
    assert!(cluster.rosters[1].reports(&room("r"), cluster.now_ms).is_empty());
}

#[test]
fn the_members_of_a_dead_node_are_gone_at_once_and_those_of_a_drained_one_after_the_grace() {
    for drained in [false, true] {
        let mut cluster = Cluster::new();
        cluster.connect(0, "watcher", 9);
        cluster.connect(1, "a", 1);
        cluster.settle();
        assert_eq!(cluster.told(0), ["a online"]);
        let gone = NodeId(1);
        cluster.change(0, |roster, now| match drained {
            true => roster.lose_node(gone, now),
            false => roster.drop_node(gone),
        });
        if drained {
            assert!(cluster.told(0).is_empty());
            cluster.now_ms += PresenceConfig::default().grace_ms;
            cluster.change(0, Roster::expire);
        }
        assert_eq!(cluster.told(0), ["a offline"]);
        assert_eq!(cluster.rosters[0].connection_count(), 1);
    }
}

#[test]
fn a_room_that_nobody_here_is_in_holds_nobody_of_other_nodes() {
    let mut cluster = Cluster::new();
    let watcher = cluster.connect(0, "watcher", 9);
    let a = cluster.connect(1, "a", 1);
    cluster.join(1, a);
    cluster.settle();
    cluster.change(0, |roster, _| roster.exit(watcher, &room("r")));
    assert!(cluster.members(0).is_empty());
    assert!(cluster.rosters[0].nodes().is_empty());
    cluster.change(0, |roster, _| roster.enter(watcher, &room("r")));
    cluster.settle();
    assert_eq!(cluster.members(0), BTreeSet::from([client(1)]));
}

#[test]
fn what_was_lost_on_the_way_is_made_good_by_a_roll() {
    let mut cluster = Cluster::new();
    cluster.connect(0, "watcher", 9);
    let a = cluster.connect(1, "a", 1);
    cluster.join(1, a);
    cluster.settle();
    cluster.change(1, |roster, _| roster.disconnect(a));
    cluster.wires.clear();
    cluster.told(0);
    let reports = cluster.rosters[1].reports(&room("r"), 0);
    let present: Vec<u64> = reports.iter().map(|report| report.connection).collect();
    cluster.change(0, |roster, _| roster.apply_roll(NodeId(1), &room("r"), &present));
    assert_eq!(cluster.told(0), ["a offline"]);
    assert!(cluster.members(0).is_empty());
}

#[derive(Debug, Clone)]
enum Step {
    Connect(usize, u8),
    Join(u8),
    Leave(u8),
    Lose(u8),
    Disconnect(u8),
    Deliver(usize, usize),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let device = 0..4_u8;
    let step = prop_oneof![
        3 => (0..NODES, device.clone()).prop_map(|(node, device)| Step::Connect(node, device)),
        3 => device.clone().prop_map(Step::Join),
        1 => device.clone().prop_map(Step::Leave),
        1 => device.clone().prop_map(Step::Lose),
        1 => device.prop_map(Step::Disconnect),
        8 => (0..NODES, 0..NODES).prop_map(|(from, to)| Step::Deliver(from, to)),
        1 => (0..30_000_u64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #[test]
    fn all_nodes_come_to_show_the_same_members_and_users(steps in steps()) {
        let mut cluster = Cluster::new();
        for node in 0..NODES {
            let device = 100 + u8::try_from(node).unwrap();
            cluster.connect(node, &format!("watcher{node}"), device);
        }
        cluster.settle();
        let mut online: Vec<BTreeSet<String>> = vec![BTreeSet::new(); NODES];
        let mut open: BTreeMap<u8, (usize, ConnectionId)> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Connect(node, device) => {
                    if let Some((node, id)) = open.remove(&device) {
                        cluster.change(node, |roster, now| roster.lose(id, now));
                    }
                    let id = cluster.connect(node, &format!("u{}", device / 2), device);
                    open.insert(device, (node, id));
                }
                Step::Join(device) => {
                    if let Some((node, id)) = open.get(&device) {
                        cluster.join(*node, *id);
                    }
                }
                Step::Leave(device) => {
                    if let Some((node, id)) = open.get(&device) {
                        cluster.change(*node, |roster, _| {
                            roster.leave(*id, &room("r"));
                            Vec::new()
                        });
                    }
                }
                Step::Lose(device) => {
                    if let Some((node, id)) = open.remove(&device) {
                        cluster.change(node, |roster, now| roster.lose(id, now));
                    }
                }
                Step::Disconnect(device) => {
                    if let Some((node, id)) = open.remove(&device) {
                        cluster.change(node, |roster, _| roster.disconnect(id));
                    }
                }
                Step::Deliver(from, to) => {
                    cluster.deliver(from, to);
                }
                Step::Wait(ms) => {
                    cluster.now_ms += ms;
                    (0..NODES).for_each(|node| cluster.change(node, Roster::expire));
                }
            }
        }
        cluster.settle();
        cluster.now_ms += 60_000;
        // Ghosts are over; the open ones are renewed by their pings, which these do not make.
        (0..NODES).for_each(|node| cluster.change(node, Roster::expire));
        cluster.settle();
        for roster in &cluster.rosters {
            let local = roster.users.values().filter(|ids| ids.iter().any(|id| roster.is_local(*id)));
            prop_assert_eq!(roster.user_count(), local.count());
        }
        let there: Vec<_> = (0..NODES).map(|node| cluster.members(node)).collect();
        prop_assert_eq!(&there[0], &there[1]);
        prop_assert_eq!(&there[0], &there[2]);
        let users: BTreeSet<String> =
            open.keys().map(|device| format!("u{}", device / 2)).collect();
        for (node, online) in online.iter_mut().enumerate() {
            for told in cluster.told(node) {
                let Some((user, what)) = told.split_once(' ') else { continue };
                match what {
                    "online" => prop_assert!(online.insert(user.to_owned()), "{} online twice on {}", user, node),
                    "offline" => prop_assert!(online.remove(user), "{} offline twice on {}", user, node),
                    _ => {}
                }
            }
            online.retain(|user| !user.starts_with("watcher"));
            prop_assert_eq!(&*online, &users);
        }
    }
}
