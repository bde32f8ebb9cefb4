//! Rooms that the app has joined by an event, to be joined again on each new session.

use std::collections::BTreeMap;

use syncline_protocol::Room;

use crate::engine::io::RequestId;
use crate::error::{Code, Error};
use crate::transport::Namespace;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Asked for with the next session of its namespace.
    Waiting,
    Asked,
    In,
    /// Asked for again at this time.
    Refused {
        retry_at_us: u64,
    },
}

#[derive(Debug)]
struct Joined {
    /// Each needs its leaving. At 0 it is left as soon as the server can be told.
    joins: u64,
    phase: Phase,
    /// Whether the server has ever let the client in.
    was_in: bool,
    waiters: Vec<RequestId>,
}

/// What joining a room needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Joining {
    /// The server is to be asked.
    Ask,
    /// The server is being asked; the answer is for this request, too.
    Asked,
    /// The client is in.
    In,
}

#[derive(Debug, Default)]
pub(in crate::engine) struct JoinedRooms {
    rooms: BTreeMap<(Namespace, Room), Joined>,
}

impl JoinedRooms {
    pub(in crate::engine) fn join(
        &mut self,
        namespace: &Namespace,
        room: &Room,
        rooms_max: u64,
    ) -> Result<Joining, Error> {
        let key = (namespace.clone(), room.clone());
        if !self.rooms.contains_key(&key) && self.rooms.len() as u64 >= rooms_max {
            return Err(Error::new(Code::QueueFull, format!("more than {rooms_max} rooms are joined")));
        }
        let joined = self.rooms.entry(key).or_insert(Joined {
            joins: 0,
            phase: Phase::Waiting,
            was_in: false,
            waiters: Vec::new(),
        });
        joined.joins += 1;
        Ok(match joined.phase {
            Phase::In => Joining::In,
            Phase::Asked => Joining::Asked,
            Phase::Waiting | Phase::Refused { .. } => Joining::Ask,
        })
    }

    /// The request that is answered with the server.
    pub(in crate::engine) fn wait(&mut self, namespace: &Namespace, room: &Room, request: RequestId) {
        if let Some(joined) = self.room(namespace, room) {
            joined.waiters.push(request);
        }
    }

    /// The server is asked.
    pub(in crate::engine) fn handle_asked(&mut self, namespace: &Namespace, room: &Room) {
        if let Some(joined) = self.room(namespace, room) {
            joined.phase = Phase::Asked;
        }
    }

    /// The server let the client in. Returns who waits for it.
    pub(in crate::engine) fn handle_joined(&mut self, namespace: &Namespace, room: &Room) -> Vec<RequestId> {
        let Some(joined) = self.room(namespace, room) else { return Vec::new() };
        joined.phase = Phase::In;
        joined.was_in = true;
        std::mem::take(&mut joined.waiters)
    }

    /// The server did not let the client in. It is asked again at `retry_at_us`, or else on the next session if it once
    /// said yes; otherwise the room is forgotten. Returns who waits for it.
    pub(in crate::engine) fn handle_refused(
        &mut self,
        namespace: &Namespace,
        room: &Room,
        retry_at_us: Option<u64>,
    ) -> Vec<RequestId> {
        let Some(joined) = self.room(namespace, room) else { return Vec::new() };
        joined.phase = retry_at_us.map_or(Phase::Waiting, |retry_at_us| Phase::Refused { retry_at_us });
        let waiters = std::mem::take(&mut joined.waiters);
        if retry_at_us.is_none() && !joined.was_in {
            self.rooms.remove(&(namespace.clone(), room.clone()));
        }
        waiters
    }

    /// Whether the server has let the client in, as far as is known.
    pub(in crate::engine) fn is_in(&self, namespace: &Namespace, room: &Room) -> bool {
        let joined = self.rooms.get(&(namespace.clone(), room.clone()));
        joined.is_some_and(|joined| joined.phase == Phase::In)
    }

    /// Rooms of an open namespace that the server did not let the client into, and is not asked about again by itself.
    pub(in crate::engine) fn refused(&self, namespace: &Namespace) -> Vec<Room> {
        let is_refused = |joined: &Joined| joined.joins > 0 && joined.phase == Phase::Waiting;
        let refused = self.rooms.iter().filter(|((of, _), joined)| of == namespace && is_refused(joined));
        refused.map(|((_, room), _)| room.clone()).collect()
    }

    /// `None` when the room was not joined. Otherwise whether this was the last who held it; then it is forgotten, unless
    /// `keeps`: the server may still have the client in it.
    pub(in crate::engine) fn leave(
        &mut self,
        namespace: &Namespace,
        room: &Room,
        keeps: bool,
    ) -> Option<(bool, Vec<RequestId>)> {
        let joined = self.room(namespace, room).filter(|joined| joined.joins > 0)?;
        joined.joins -= 1;
        if joined.joins > 0 {
            return Some((false, Vec::new()));
        }
        let waiters = std::mem::take(&mut joined.waiters);
        if !keeps {
            self.rooms.remove(&(namespace.clone(), room.clone()));
        }
        Some((true, waiters))
    }

    /// A session of the namespace is open. Returns what is to be joined, and what is to be left: rooms that were left
    /// meanwhile are, if the server has continued the session before.
    pub(in crate::engine) fn handle_opened(
        &mut self,
        namespace: &Namespace,
        recovered: bool,
    ) -> (Vec<Room>, Vec<Room>) {
        let of = |key: &(Namespace, Room)| key.0 == *namespace;
        let rooms = self.rooms.iter().filter(|(key, _)| of(key));
        let (held, left): (Vec<_>, Vec<_>) = rooms.partition(|(_, joined)| joined.joins > 0);
        let names = |rooms: Vec<(&(Namespace, Room), &Joined)>| -> Vec<Room> {
            rooms.into_iter().map(|((_, room), _)| room.clone()).collect()
        };
        let (held, left) = (names(held), names(left));
        self.rooms.retain(|key, joined| !of(key) || joined.joins > 0);
        (held, if recovered { left } else { Vec::new() })
    }

    /// The namespace's session is over. Returns who waits for a room of it.
    pub(in crate::engine) fn handle_lost(&mut self, namespace: &Namespace) -> Vec<RequestId> {
        let rooms = self.rooms.iter_mut().filter(|((of, _), _)| of == namespace);
        rooms
            .flat_map(|(_, joined)| {
                joined.phase = Phase::Waiting;
                std::mem::take(&mut joined.waiters)
            })
            .collect()
    }

    pub(in crate::engine) fn next_deadline(&self) -> Option<u64> {
        self.rooms.values().filter_map(retry_at_us).min()
    }

    pub(in crate::engine) fn due(&self, now_us: u64) -> Vec<(Namespace, Room)> {
        let due = |joined: &Joined| retry_at_us(joined).is_some_and(|at_us| at_us <= now_us);
        self.rooms.iter().filter(|(_, joined)| due(joined)).map(|(key, _)| key.clone()).collect()
    }

    pub(in crate::engine) fn clear(&mut self) {
        self.rooms.clear();
    }

    fn room(&mut self, namespace: &Namespace, room: &Room) -> Option<&mut Joined> {
        self.rooms.get_mut(&(namespace.clone(), room.clone()))
    }
}

fn retry_at_us(joined: &Joined) -> Option<u64> {
    match joined.phase {
        Phase::Refused { retry_at_us } => Some(retry_at_us),
        Phase::Waiting | Phase::Asked | Phase::In => None,
    }
}
