//! What happens before anybody knows who it is: connections counted and bounded, TLS, the heads of requests, origins.
//!
//! A connection begins as a *stranger*: few of them, with little to say. It is one no longer when its Socket.IO
//! session is accepted, or a request showed a token that holds.

mod admission;
mod guard;
mod layer;
pub(crate) mod rates;
mod round_trip;
mod serve;
mod tls;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use self::admission::Admission;
pub(crate) use self::layer::{layer, refused, welcome};
pub(crate) use self::rates::{Keyed, Rates, UserRates, WhenFull, whole_ms};
use self::round_trip::RoundTrip;
pub(crate) use self::serve::{Listening, listen, serve};
pub use self::tls::{Tls, TlsError};
use crate::config::DoorConfig;

/// Knows who is inside, and lets few strangers in at a time.
#[derive(Debug)]
pub(crate) struct Door {
    config: DoorConfig,
    pub(crate) rates: Rates,
    /// For new sessions, whoever asks.
    pub(crate) admission: Admission,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    strangers: usize,
    strangers_of: HashMap<IpAddr, usize>,
    /// Socket.IO sessions that were accepted.
    sessions: HashSet<String>,
    /// How many of them each user has.
    sessions_of: HashMap<Arc<str>, usize>,
    /// Strangers that say they belong to a session which is not accepted yet: it may have several connections.
    waiting: HashMap<String, Vec<Weak<Visitor>>>,
}

/// A Socket.IO session that was accepted. It is over when this is dropped.
#[derive(Debug)]
pub(crate) struct Known {
    door: Arc<Door>,
    session: String,
    user: Arc<str>,
}

/// One TCP connection.
#[derive(Debug)]
pub(crate) struct Visitor {
    door: Arc<Door>,
    peer: IpAddr,
    is_stranger: AtomicBool,
    /// What it may still send.
    bytes_left: AtomicUsize,
    session: Mutex<Option<String>>,
    is_websocket: AtomicBool,
    round_trip: RoundTrip,
}

impl Door {
    pub(crate) fn new(config: &DoorConfig) -> Arc<Self> {
        Arc::new(Self {
            config: config.clone(),
            rates: Rates::new(config),
            admission: Admission::new(config),
            inner: Mutex::default(),
        })
    }

    /// Lets a connection in, unless there are too many strangers already.
    fn admit(self: &Arc<Self>, peer: SocketAddr) -> Option<Arc<Visitor>> {
        let peer = network(peer.ip());
        let mut inner = self.inner();
        if inner.strangers >= self.config.strangers_max {
            return None;
        }
        if self.limits(peer) && self.config.proxies == 0 {
            let count = inner.strangers_of.entry(peer).or_default();
            if *count >= self.config.strangers_per_address_max {
                return None;
            }
            *count += 1;
        }
        inner.strangers += 1;
        drop(inner);
        Some(Arc::new(Visitor {
            door: Arc::clone(self),
            peer,
            is_stranger: AtomicBool::new(true),
            bytes_left: AtomicUsize::new(self.config.stranger_bytes_max),
            session: Mutex::new(None),
            is_websocket: AtomicBool::new(false),
            round_trip: RoundTrip::default(),
        }))
    }

    /// Accepts a Socket.IO session, unless its user has as many as one user may have.
    pub(crate) fn accept(
        self: &Arc<Self>,
        session: &str,
        user: &Arc<str>,
        per_user_max: usize,
    ) -> Option<Known> {
        let waiting = {
            let mut inner = self.inner();
            let count = inner.sessions_of.get(user).copied().unwrap_or_default();
            if count >= per_user_max {
                return None;
            }
            inner.sessions_of.insert(Arc::clone(user), count + 1);
            inner.sessions.insert(session.to_owned());
            inner.waiting.remove(session).unwrap_or_default()
        };
        for visitor in waiting.iter().filter_map(Weak::upgrade) {
            visitor.welcome();
        }
        Some(Known { door: Arc::clone(self), session: session.to_owned(), user: Arc::clone(user) })
    }

    /// Whether the limits per address hold for it.
    fn limits(&self, address: IpAddr) -> bool {
        self.config.limit_loopback || !address.is_loopback()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn wait_no_longer(&mut self, session: &str, visitor: &Visitor) {
        let Some(waiting) = self.waiting.get_mut(session) else { return };
        waiting.retain(|other| !std::ptr::eq(other.as_ptr(), visitor));
        if waiting.is_empty() {
            self.waiting.remove(session);
        }
    }
}

impl Visitor {
    /// It is a stranger no longer.
    pub(crate) fn welcome(&self) {
        if self.is_stranger.swap(false, Ordering::Relaxed) {
            self.leave();
        }
    }

    /// What it is answered next makes it a WebSocket.
    fn upgrade(&self) {
        self.is_websocket.store(true, Ordering::Relaxed);
    }

    fn is_websocket(&self) -> bool {
        self.is_websocket.load(Ordering::Relaxed)
    }

    /// How long it took to answer the last ping; never known while it is no WebSocket.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip.last()
    }

    /// It says that it belongs to a session.
    fn claim(self: &Arc<Self>, session: &str) {
        let is_accepted = {
            let mut inner = self.door.inner();
            let is_accepted = inner.sessions.contains(session);
            if !is_accepted && self.is_stranger.load(Ordering::Relaxed) {
                let mut own = self.session.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(before) = own.replace(session.to_owned()) {
                    inner.wait_no_longer(&before, self);
                }
                inner.waiting.entry(session.to_owned()).or_default().push(Arc::downgrade(self));
            }
            is_accepted
        };
        if is_accepted {
            self.welcome();
        }
    }

    /// It may send so much from now on.
    fn allow(&self, bytes: usize) {
        self.bytes_left.store(bytes, Ordering::Relaxed);
    }

    /// It sent so much; false when that is more than a stranger may.
    fn sent(&self, bytes: usize) -> bool {
        if !self.is_stranger.load(Ordering::Relaxed) {
            return true;
        }
        let taken = |left: usize| left.checked_sub(bytes);
        self.bytes_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }

    fn leave(&self) {
        let mut inner = self.door.inner();
        inner.strangers = inner.strangers.saturating_sub(1);
        if let Some(count) = inner.strangers_of.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                inner.strangers_of.remove(&self.peer);
            }
        }
        let own = self.session.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(session) = own {
            inner.wait_no_longer(&session, self);
        }
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        let mut inner = self.door.inner();
        inner.sessions.remove(&self.session);
        if let Some(count) = inner.sessions_of.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                inner.sessions_of.remove(&self.user);
            }
        }
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        if *self.is_stranger.get_mut() {
            self.leave();
        }
    }
}

/// What counts as one address: of IPv6, what one customer usually gets.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        other => other,
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
