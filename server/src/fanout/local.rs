//! Fan-out within one process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use syncline_protocol::Room;
use tokio::sync::Notify;

use super::rounds::{Next, Rounds};
use super::{LiveEvent, Mailbox, News, Round};
use crate::config::HubConfig;
use crate::hub::LiveChanges;
use crate::presence::ConnectionId;

/// After so many subscribers, others get a turn: a big room must not keep whoever writes in it waiting.
const SUBSCRIBERS_AT_ONCE: usize = 64;

/// The mailboxes of all connections, and which rooms each subscribed to.
#[derive(Debug)]
pub struct LocalFanout {
    routes: RwLock<Routes>,
    live_bytes_max: usize,
    announced: Arc<Announced>,
}

/// What is to be told, and who waits for it.
#[derive(Debug)]
struct Announced {
    rounds: Mutex<Rounds>,
    changed: Notify,
}

/// A round of [`Announced`] under way.
struct Announcement {
    announced: Arc<Announced>,
    room: Room,
    number: u64,
}

/// What a room's subscribers are told of.
struct Telling {
    room: Room,
    head: u64,
    event: Arc<LiveEvent>,
    is_too_large: bool,
    subscribers: Vec<Subscriber>,
}

#[derive(Debug, Default)]
struct Routes {
    mailboxes: HashMap<ConnectionId, Arc<Mailbox>>,
    subscribers: HashMap<Room, HashMap<ConnectionId, Subscriber>>,
}

#[derive(Debug, Clone)]
struct Subscriber {
    mailbox: Arc<Mailbox>,
    interest: Interest,
}

/// What of a room's changes somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Messages as they are.
    Whole,
    /// What the reader selects.
    Selected,
}

impl LocalFanout {
    pub fn new(config: &HubConfig) -> Self {
        let announced = Announced { rounds: Mutex::new(Rounds::new(config)), changed: Notify::new() };
        Self {
            routes: RwLock::default(),
            live_bytes_max: config.live_bytes_max,
            announced: Arc::new(announced),
        }
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

    /// Whoever is subscribed is allowed to read the room.
    pub fn subscribe(&self, id: ConnectionId, room: &Room, interest: Interest) {
        self.write(|routes| {
            if let Some(mailbox) = routes.mailboxes.get(&id) {
                let subscriber = Subscriber { mailbox: Arc::clone(mailbox), interest };
                routes.subscribers.entry(room.clone()).or_default().insert(id, subscriber);
            }
        });
    }

    pub fn unsubscribe(&self, id: ConnectionId, room: &Room) {
        self.write(|routes| {
            let Some(subscribers) = routes.subscribers.get_mut(room) else { return };
            if let Some(subscriber) = subscribers.remove(&id) {
                subscriber.mailbox.forget(room);
            }
            if subscribers.is_empty() {
                routes.subscribers.remove(room);
            }
        });
    }

    /// Takes durable changes for the room's subscribers, which [`run`](Self::run) tells. Calls for one room come in the
    /// order of its log.
    pub fn announce(&self, changes: LiveChanges) {
        let is_heard = {
            let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
            routes.subscribers.contains_key(&changes.room)
        };
        if is_heard && self.announced.rounds().offer(changes) {
            self.announced.changed.notify_one();
        }
    }

    /// Tells what is announced, for ever.
    pub async fn run(&self) {
        loop {
            let changed = self.announced.changed.notified();
            match self.tell_announced().await {
                // Either is a reason to look again.
                Some(at) => drop(tokio::time::timeout_at(at.into(), changed).await),
                None => changed.await,
            }
        }
    }

    /// Tells what may be told now. Answers when more may be, unless that is heard of.
    pub(crate) async fn tell_announced(&self) -> Option<Instant> {
        loop {
            match self.next_round(Instant::now()) {
                Ok(telling) => {
                    for some in telling.subscribers.chunks(SUBSCRIBERS_AT_ONCE) {
                        telling.post(some);
                        tokio::task::yield_now().await;
                    }
                }
                Err(at) => return at,
            }
        }
    }

    /// Tells what may be told at a time, without a turn for anybody else. Answers whether there was any, and when more may be
    /// told, unless that is heard of.
    pub fn tell_at(&self, now: Instant) -> (bool, Option<Instant>) {
        let mut is_told = false;
        loop {
            match self.next_round(now) {
                Ok(telling) => telling.post(&telling.subscribers),
                Err(at) => return (is_told, at),
            }
            is_told = true;
        }
    }

    /// What is to be told next, or when there may be more, unless that is heard of.
    fn next_round(&self, now: Instant) -> Result<Telling, Option<Instant>> {
        // Its lock is not held any more when the round is made, which takes it as it ends.
        let next = self.announced.rounds().next(now);
        let (changes, bytes, number) = match next {
            Next::Tell { changes, bytes, number } => (changes, bytes, number),
            Next::At(at) => return Err(Some(at)),
            Next::Nothing => return Err(None),
        };
        let subscribers = {
            let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
            let subscribers = routes.subscribers.get(&changes.room).into_iter().flat_map(HashMap::values);
            subscribers.cloned().collect()
        };
        let (room, head) = (changes.room.clone(), changes.to_seq);
        let round = Announcement { announced: Arc::clone(&self.announced), room: room.clone(), number };
        let event = Arc::new(LiveEvent::measured(News::Changes(changes), bytes, Some(Box::new(round))));
        let is_too_large = event.byte_len() > self.live_bytes_max;
        Ok(Telling { room, head, event, is_too_large, subscribers })
    }

    /// Hands an event to some connections.
    pub fn tell(&self, to: impl IntoIterator<Item = ConnectionId>, news: News) {
        self.post(to, &Arc::new(LiveEvent::new(news)));
    }

    /// The same of what many may hear, in a round that is over when all have taken it.
    pub(crate) async fn tell_in_round(&self, to: Vec<ConnectionId>, news: News, round: Round) {
        let event = Arc::new(LiveEvent::in_round(news, Some(round)));
        for some in to.chunks(SUBSCRIBERS_AT_ONCE) {
            self.post(some.iter().copied(), &event);
            tokio::task::yield_now().await;
        }
    }

    fn post(&self, to: impl IntoIterator<Item = ConnectionId>, event: &Arc<LiveEvent>) {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        for mailbox in to.into_iter().filter_map(|id| routes.mailboxes.get(&id)) {
            mailbox.post(event);
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

impl Telling {
    fn post(&self, subscribers: &[Subscriber]) {
        for Subscriber { mailbox, interest } in subscribers {
            match interest {
                _ if self.is_too_large => mailbox.post_head(&self.room, self.head),
                Interest::Whole => mailbox.pass(&self.event),
                Interest::Selected => mailbox.post(&self.event),
            }
        }
    }
}

impl Announced {
    fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        if self.announced.rounds().end(&self.room, self.number) {
            self.announced.changed.notify_one();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use syncline_protocol::message::PresenceDiff;

    use super::*;
    use crate::fanout::Mail;

    #[tokio::test]
    async fn a_round_is_over_when_all_have_taken_it_or_are_gone() {
        let fanout = LocalFanout::new(&HubConfig::default());
        let mailboxes: Vec<_> = (1..=3).map(|_| Arc::new(Mailbox::new(10, usize::MAX))).collect();
        for (id, mailbox) in (1..).map(ConnectionId).zip(&mailboxes) {
            fanout.connect(id, Arc::clone(mailbox));
        }
        let round = Arc::new(());
        let room = Room::new("r").unwrap();
        let news = News::Presence(PresenceDiff { room, joined: vec![], updated: vec![], left: vec![] });
        let to = vec![ConnectionId(1), ConnectionId(2)];
        fanout.tell_in_round(to, news, Box::new(Arc::clone(&round))).await;
        assert_eq!(mailboxes[2].waiting().events, 0);
        let [first, second, _] = <[_; 3]>::try_from(mailboxes).unwrap();
        assert!(matches!(first.next().await, Mail::Event(_)));
        assert_eq!(Arc::strong_count(&round), 2, "the second has not taken it");
        fanout.disconnect(ConnectionId(2), []);
        drop(second);
        assert_eq!(Arc::strong_count(&round), 1);
    }
}
