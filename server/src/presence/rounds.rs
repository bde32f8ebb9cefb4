//! What members of a room hear of each other, in rounds: what changes while some of them have not taken the message before
//! becomes one message, the same for all. So a member that comes or changes costs a large room no message to each.

use std::collections::{BTreeMap, VecDeque};

use syncline_protocol::message::{Member, PresenceDiff};
use syncline_protocol::value::fields_byte_len;
use syncline_protocol::{ClientId, Room};

use super::{Connection, ConnectionId, Notice, Roster};
use crate::fanout::News;
use crate::fanout::pace::Pace;

/// Whose state in which rooms the other members are to be told.
#[derive(Debug, Default)]
pub(super) struct Untold {
    rooms: BTreeMap<Room, Changed>,
    /// Those of which no round is under way.
    ready: VecDeque<Room>,
    pace: Pace<u64>,
}

/// Clients, and whether they were members when those who were there were told last.
type Changed = BTreeMap<ClientId, bool>;

/// A room's members are to be told something.
#[derive(Debug, PartialEq)]
pub struct Telling {
    pub notice: Notice,
    pub room: Room,
    /// Of the round, which [ends](Roster::end_round) when all have taken it.
    pub number: u64,
}

impl Untold {
    /// The client came, changed or left; before that it was a member or not.
    pub(super) fn note(&mut self, room: &Room, client: ClientId, was_member: bool) {
        let changed = self.rooms.entry(room.clone()).or_default();
        if changed.is_empty() && !self.pace.is_under_way(room) {
            self.ready.push_back(room.clone());
        }
        changed.entry(client).or_insert(was_member);
    }

    /// Nobody is there to be told.
    pub(super) fn forget(&mut self, room: &Room) {
        self.rooms.remove(room);
    }

    fn go_on(&mut self, room: &Room) {
        if self.rooms.contains_key(room) {
            self.ready.push_back(room.clone());
        }
    }
}

impl Roster {
    /// Whether something may be told at once.
    pub fn has_news(&self) -> bool {
        !self.untold.ready.is_empty()
    }

    /// What is to be told next, or when there may be more, unless a round ends before.
    pub fn next_telling(&mut self, now_ms: u64) -> Result<Telling, Option<u64>> {
        while let Some(room) = self.untold.pace.end_late(now_ms) {
            self.untold.go_on(&room);
        }
        while let Some(room) = self.untold.ready.pop_front() {
            let Some(changed) = self.untold.rooms.remove(&room) else { continue };
            let (diff, rest) = self.diff(&room, changed, now_ms);
            if !rest.is_empty() {
                self.untold.rooms.insert(room.clone(), rest);
            }
            let to = self.hearers(&diff);
            // Who comes later is answered who is there.
            if to.is_empty() {
                self.untold.go_on(&room);
                continue;
            }
            let end_ms = now_ms.saturating_add(self.config.round_ms_max);
            let number = self.untold.pace.begin(&room, end_ms);
            return Ok(Telling { notice: Notice { to, news: News::Presence(diff) }, room, number });
        }
        Err(self.untold.pace.next_end().filter(|_| !self.untold.rooms.is_empty()))
    }

    /// All have taken what they were told in a round. Answers whether something may be told at once.
    pub fn end_round(&mut self, room: &Room, number: u64) -> bool {
        if self.untold.pace.end(room, number) {
            self.untold.go_on(room);
        }
        self.has_news()
    }

    /// All that is to be told now, in rounds that nobody waits for.
    pub fn tell_at(&mut self, now_ms: u64) -> Vec<Notice> {
        let mut notices = Vec::new();
        while let Ok(Telling { notice, room, number }) = self.next_telling(now_ms) {
            notices.push(notice);
            self.end_round(&room, number);
        }
        notices
    }

    /// How clients are now of which something has changed, and those that are too much for one message.
    fn diff(&self, room: &Room, changed: Changed, now_ms: u64) -> (PresenceDiff, Changed) {
        let members = self.members.get(room);
        let mut diff = PresenceDiff { room: room.clone(), joined: vec![], updated: vec![], left: vec![] };
        let (mut bytes, mut changed) = (0, changed.into_iter());
        for (client, was_member) in changed.by_ref() {
            let Some(present) = members.and_then(|members| members.get(&client)) else {
                // Also of one that came since: whoever came after it knows it.
                diff.left.push(client);
                continue;
            };
            let member = present.member(client, now_ms);
            bytes += member_byte_len(&member);
            let told = if was_member { &mut diff.updated } else { &mut diff.joined };
            told.push(member);
            if bytes >= self.config.round_bytes_max {
                break;
            }
        }
        (diff, changed.collect())
    }

    /// The members that are told: all that can be, but for one of which alone it speaks.
    fn hearers(&self, diff: &PresenceDiff) -> Vec<ConnectionId> {
        let told_of = diff.joined.iter().chain(&diff.updated).map(|member| member.client_id);
        let told_of: Vec<ClientId> = told_of.chain(diff.left.iter().copied()).take(2).collect();
        let members = self.members.get(&diff.room).into_iter().flatten();
        let others =
            members.filter(|(client, _)| told_of != [**client]).map(|(_, present)| present.connection);
        let hears = |id: &ConnectionId| self.connections.get(id).is_some_and(Connection::hears);
        others.filter(hears).collect()
    }
}

/// Roughly what a member takes in a message.
pub(crate) fn member_byte_len(member: &Member) -> usize {
    const NAMES_BYTES: usize = 64;
    fields_byte_len(&member.state) + member.user_id.len() + NAMES_BYTES
}
