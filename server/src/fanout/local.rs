//! Fan-out within one process.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use syncline_protocol::Room;
use syncline_protocol::message::Changes;

use super::{LiveEvent, Mailbox, News};
use crate::presence::ConnectionId;

/// The mailboxes of all connections, and which rooms each subscribed to.
#[derive(Debug)]
pub struct LocalFanout {
    routes: RwLock<Routes>,
    live_bytes_max: usize,
}

#[derive(Debug, Default)]
struct Routes {
    mailboxes: HashMap<ConnectionId, Arc<Mailbox>>,
    subscribers: HashMap<Room, HashMap<ConnectionId, Arc<Mailbox>>>,
}

impl LocalFanout {
    /// Changes above `live_bytes_max` are announced without their documents.
    pub fn new(live_bytes_max: usize) -> Self {
        Self { routes: RwLock::default(), live_bytes_max }
    }

    pub fn connect(&self, id: ConnectionId, mailbox: Arc<Mailbox>) {
        self.write(|routes| {
            routes.mailboxes.insert(id, mailbox);
        });
    }

    pub fn disconnect(&self, id: ConnectionId, rooms: impl IntoIterator<Item = Room>) {
        for room in rooms {
            self.unsubscribe(id, &room);
        }
        self.write(|routes| {
            routes.mailboxes.remove(&id);
        });
    }

    pub fn subscribe(&self, id: ConnectionId, room: &Room) {
        self.write(|routes| {
            if let Some(mailbox) = routes.mailboxes.get(&id) {
                let mailbox = Arc::clone(mailbox);
                routes.subscribers.entry(room.clone()).or_default().insert(id, mailbox);
            }
        });
    }

    pub fn unsubscribe(&self, id: ConnectionId, room: &Room) {
        self.write(|routes| {
            let Some(subscribers) = routes.subscribers.get_mut(room) else { return };
            if let Some(mailbox) = subscribers.remove(&id) {
                mailbox.forget(room);
            }
            if subscribers.is_empty() {
                routes.subscribers.remove(room);
            }
        });
    }

    /// Hands durable changes to the room's subscribers. Calls for one room come in the order of its log.
    pub fn publish(&self, changes: Changes) {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let Some(subscribers) = routes.subscribers.get(&changes.room) else { return };
        let (room, head) = (changes.room.clone(), changes.to_seq);
        let event = Arc::new(LiveEvent::new(News::Changes(changes)));
        for mailbox in subscribers.values() {
            if event.byte_len() > self.live_bytes_max {
                mailbox.post_head(&room, head);
            } else {
                mailbox.post(&event);
            }
        }
    }

    /// Hands an event to some connections.
    pub fn tell(&self, to: impl IntoIterator<Item = ConnectionId>, news: News) {
        let event = Arc::new(LiveEvent::new(news));
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        for mailbox in to.into_iter().filter_map(|id| routes.mailboxes.get(&id)) {
            mailbox.post(&event);
        }
    }

    /// How many rooms somebody is subscribed to, and how many subscriptions there are.
    pub fn counts(&self) -> (usize, usize) {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        (routes.subscribers.len(), routes.subscribers.values().map(HashMap::len).sum())
    }

    /// The rooms with the most subscribers, and how many each has.
    pub fn largest(&self, count_max: usize) -> Vec<(Room, usize)> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let mut rooms: Vec<(&Room, usize)> =
            routes.subscribers.iter().map(|(room, subscribers)| (room, subscribers.len())).collect();
        rooms.sort_by(|(room, count), (other, others)| others.cmp(count).then_with(|| room.cmp(other)));
        rooms.into_iter().take(count_max).map(|(room, count)| (room.clone(), count)).collect()
    }

    fn write(&self, change: impl FnOnce(&mut Routes)) {
        change(&mut self.routes.write().unwrap_or_else(PoisonError::into_inner));
    }
}
