//! What waits for one connection.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures_util::task::AtomicWaker;
use syncline_protocol::Room;

use super::{LiveEvent, News};

/// A bounded queue of live events for one connection. Changes that do not fit are dropped and remembered as a
/// head: the reader lags, and catches up by its cursor. Other events cannot be caught up, so they overflow. Who comes online
/// and goes offline is small and told in bursts: it counts by its bytes alone.
#[derive(Debug)]
pub struct Mailbox {
    content: Mutex<Content>,
    reader: AtomicWaker,
    outlet: Option<Box<dyn Outlet>>,
    count_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Content {
    events: VecDeque<Arc<LiveEvent>>,
    /// Of them, those that count.
    counted: usize,
    bytes: usize,
    /// Rooms of which changes were dropped, and where their logs end.
    lagging: BTreeMap<Room, u64>,
    overflowed: bool,
    /// The reader has nothing else to do than to wait.
    is_awaited: bool,
}

/// Where a reader's events go in the end.
pub trait Outlet: std::fmt::Debug + Send + Sync {
    /// Sends an event as the reader would; false when the reader must do it itself.
    fn send(&self, event: &LiveEvent) -> bool;
}

/// How much waits for a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    pub events: usize,
    pub bytes: usize,
    /// Rooms of which changes were dropped.
    pub rooms_lagging: usize,
}

/// What a reader takes out.
#[derive(Debug, Clone)]
pub enum Mail {
    Event(Arc<LiveEvent>),
    /// Changes up to `head` were dropped.
    Lagging {
        room: Room,
        head: u64,
    },
    /// Something was dropped that the reader cannot ask for again.
    Overflowed,
}

impl Mailbox {
    pub fn new(count_max: usize, bytes_max: usize) -> Self {
        Self { content: Mutex::default(), reader: AtomicWaker::new(), outlet: None, count_max, bytes_max }
    }

    /// The same with a way past the reader.
    pub fn with_outlet(self, outlet: Box<dyn Outlet>) -> Self {
        Self { outlet: Some(outlet), ..self }
    }

    /// What is in it now.
    pub fn waiting(&self) -> Waiting {
        let content = self.lock();
        Waiting { events: content.events.len(), bytes: content.bytes, rooms_lagging: content.lagging.len() }
    }

    /// Sends an event that the reader would only pass on, past it while it waits: to wake it costs more. Otherwise puts it in.
    pub fn pass(&self, event: &Arc<LiveEvent>) {
        let content = self.lock();
        let sent = content.is_awaited
            && content.is_empty()
            && self.outlet.as_ref().is_some_and(|outlet| outlet.send(event));
        if !sent {
            self.put(content, event);
        }
    }

    /// Puts an event in; never blocks.
    pub fn post(&self, event: &Arc<LiveEvent>) {
        self.put(self.lock(), event);
    }

    fn put(&self, mut content: MutexGuard<'_, Content>, event: &Arc<LiveEvent>) {
        let is_counted = is_counted(event);
        let full = (is_counted && content.counted >= self.count_max)
            || (!content.events.is_empty() && content.bytes + event.byte_len() > self.bytes_max);
        match &event.news {
            News::Changes(changes) if full || content.lagging.contains_key(&changes.room) => {
                content.lag(&changes.room, changes.to_seq);
            }
            _ if full => content.overflowed = true,
            _ => {
                content.bytes += event.byte_len();
                content.counted += usize::from(is_counted);
                content.events.push_back(Arc::clone(event));
            }
        }
        drop(content);
        self.reader.wake();
    }

    /// Tells the reader where a room's log ends, instead of its changes.
    pub fn post_head(&self, room: &Room, head: u64) {
        self.lock().lag(room, head);
        self.reader.wake();
    }

    /// Forgets a room that is no longer subscribed to.
    pub fn forget(&self, room: &Room) {
        self.lock().lagging.remove(room);
    }

    /// Waits for the next event. For one reader only, which does something else once this is dropped: what comes then is for
    /// later, and nothing is lost.
    pub async fn next(&self) -> Mail {
        let _awaiting = Awaiting(self);
        poll_fn(|cx| {
            self.reader.register(cx.waker());
            self.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    fn take(&self) -> Option<Mail> {
        let mut content = self.lock();
        content.is_awaited = content.is_empty();
        if content.overflowed {
            return Some(Mail::Overflowed);
        }
        if let Some(event) = content.events.pop_front() {
            content.bytes -= event.byte_len();
            content.counted -= usize::from(is_counted(&event));
            return Some(Mail::Event(event));
        }
        content.lagging.pop_first().map(|(room, head)| Mail::Lagging { room, head })
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an event counts by itself, and not by its bytes alone.
fn is_counted(event: &LiveEvent) -> bool {
    matches!(&event.news, News::Changes(_) | News::Presence(_))
}

/// Ends the waiting of a reader.
struct Awaiting<'m>(&'m Mailbox);

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        self.0.lock().is_awaited = false;
    }
}

impl Content {
    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.lagging.is_empty() && !self.overflowed
    }

    fn lag(&mut self, room: &Room, head: u64) {
        let known = self.lagging.entry(room.clone()).or_default();
        *known = head.max(*known);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;

    use futures_util::FutureExt;
    use syncline_protocol::message::{PresenceDiff, UserStatus};

    use super::*;
    use crate::hub::LiveChanges;

    fn changes(seq: u64) -> Arc<LiveEvent> {
        let room = Room::new("r").unwrap();
        let changes = LiveChanges { room, from_seq: seq, to_seq: seq, changes: Vec::new() };
        Arc::new(LiveEvent::new(News::Changes(changes)))
    }

    fn drain(mailbox: &Mailbox) -> Vec<String> {
        std::iter::from_fn(|| mailbox.take())
            .map(|mail| match mail {
                Mail::Event(event) => match &event.news {
                    News::Changes(changes) => format!("changes to {}", changes.to_seq),
                    other => other.event().to_owned(),
                },
                Mail::Lagging { head, .. } => format!("lagging at {head}"),
                Mail::Overflowed => panic!("overflowed"),
            })
            .collect()
    }

    #[test]
    fn a_reader_that_lags_gets_what_fits_and_then_the_head() {
        let mailbox = Mailbox::new(2, usize::MAX);
        for seq in 1..=5 {
            mailbox.post(&changes(seq));
        }
        assert_eq!(drain(&mailbox), ["changes to 1", "changes to 2", "lagging at 5"]);
        mailbox.post(&changes(6));
        assert_eq!(drain(&mailbox), ["changes to 6"]);
    }

    #[test]
    fn memory_is_bounded_by_bytes_as_well() {
        let mailbox = Mailbox::new(usize::MAX, changes(1).byte_len());
        mailbox.post(&changes(1));
        mailbox.post(&changes(2));
        assert_eq!(drain(&mailbox), ["changes to 1", "lagging at 2"]);
    }

    #[test]
    fn an_event_that_cannot_be_caught_up_overflows() {
        let room = Room::new("r").unwrap();
        let diff = PresenceDiff { room, joined: Vec::new(), updated: Vec::new(), left: Vec::new() };
        let diff = Arc::new(LiveEvent::new(News::Presence(diff)));
        let mailbox = Mailbox::new(1, usize::MAX);
        mailbox.post(&diff);
        mailbox.post(&diff);
        assert!(matches!(mailbox.take(), Some(Mail::Overflowed)));
    }

    /// Takes so many events.
    #[derive(Debug, Default)]
    struct Transport {
        room: AtomicUsize,
        sent: Mutex<Vec<u64>>,
    }

    impl Outlet for Arc<Transport> {
        fn send(&self, event: &LiveEvent) -> bool {
            let News::Changes(changes) = &event.news else { return false };
            let takes = self.room.fetch_update(Relaxed, Relaxed, |room| room.checked_sub(1)).is_ok();
            if takes {
                self.sent.lock().unwrap().push(changes.to_seq);
            }
            takes
        }
    }

    /// A reader that waits, until it is dropped.
    fn waiting(mailbox: &Mailbox) -> impl Future<Output = Mail> {
        let mut next = Box::pin(mailbox.next());
        assert!((&mut next).now_or_never().is_none());
        next
    }

    #[test]
    fn events_pass_a_reader_that_waits_in_their_order() {
        let transport = Arc::new(Transport { room: 2.into(), ..Transport::default() });
        let mailbox = Mailbox::new(10, usize::MAX).with_outlet(Box::new(Arc::clone(&transport)));
        let sent = || transport.sent.lock().unwrap().clone();
        mailbox.pass(&changes(1));
        assert_eq!(sent(), [0; 0], "nobody waits yet");
        assert!(matches!(mailbox.next().now_or_never(), Some(Mail::Event(_))));
        mailbox.pass(&changes(2));
        assert_eq!(sent(), [0; 0], "the reader is at the first one");
        assert_eq!(drain(&mailbox), ["changes to 2"]);
        let reader = waiting(&mailbox);
        mailbox.pass(&changes(3));
        assert_eq!(sent(), [3]);
        drop(reader);
        mailbox.pass(&changes(4));
        assert_eq!(sent(), [3], "the reader does something else");
        assert_eq!(drain(&mailbox), ["changes to 4"]);
        let _reader = waiting(&mailbox);
        for seq in 5..=7 {
            mailbox.pass(&changes(seq));
        }
        assert_eq!(sent(), [3, 5], "the transport is full");
        transport.room.store(10, Relaxed);
        mailbox.pass(&changes(8));
        assert_eq!(sent(), [3, 5], "it waits behind the others");
        assert_eq!(drain(&mailbox), ["changes to 6", "changes to 7", "changes to 8"]);
    }

    #[test]
    fn nothing_passes_a_reader_that_has_to_hear_that_it_lags() {
        let transport = Arc::new(Transport { room: 10.into(), ..Transport::default() });
        let mailbox = Mailbox::new(10, usize::MAX).with_outlet(Box::new(Arc::clone(&transport)));
        let _reader = waiting(&mailbox);
        mailbox.post_head(&Room::new("r").unwrap(), 1);
        mailbox.pass(&changes(2));
        assert_eq!(drain(&mailbox), ["lagging at 2"]);
        assert!(transport.sent.lock().unwrap().is_empty());
    }

    #[test]
    fn a_burst_of_users_who_come_online_is_bounded_by_its_bytes() {
        let online = Arc::new(LiveEvent::new(News::Online(UserStatus { user_id: "u".to_owned() })));
        let mailbox = Mailbox::new(1, 3 * online.byte_len());
        for _ in 0..3 {
            mailbox.post(&online);
        }
        assert_eq!(drain(&mailbox), ["user:online"; 3]);
        for _ in 0..4 {
            mailbox.post(&online);
        }
        assert!(matches!(mailbox.take(), Some(Mail::Overflowed)));
    }

    #[test]
    fn users_who_come_online_take_no_place_from_other_events() {
        let online = Arc::new(LiveEvent::new(News::Online(UserStatus { user_id: "u".to_owned() })));
        let mailbox = Mailbox::new(1, usize::MAX);
        for event in [&online, &online, &changes(1), &changes(2)] {
            mailbox.post(event);
        }
        assert_eq!(drain(&mailbox), ["user:online", "user:online", "changes to 1", "lagging at 2"]);
        mailbox.post(&changes(3));
        assert_eq!(drain(&mailbox), ["changes to 3"]);
    }
}
