//! One socket: its requests served strictly in order, its live events sent in between.

mod binding;
mod line;
mod rare;
mod rights;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socketioxide::extract::SocketRef;
use socketioxide::{SendError, SocketError};
use syncline_protocol::message::{
    Done, Encoding, Hello, Members, PROTOCOL_VERSION, Page, Presence, PresencePong, Pull, Push, PushAnswer,
    RoomRequest, Subscribe, event,
};
use syncline_protocol::{ClientId, Collection, ErrorCode, Room, WireError};
use tokio::sync::{Notify, watch};
use tracing::Instrument;

use self::line::{Direct, Line};
use self::rare::Rare;
use crate::access::{Identity, Right, Rights};

use crate::fanout::{Interest, Mail, Mailbox, News, head_hint};
use crate::gateway::{Accepted, Service, Shared};
use crate::hub::{Author, LiveChanges, PageRequest};
use crate::inbox::{self, Inbox, Request, RequestKind, TokenBucket, Waiting};
use crate::membership::Membership;
use crate::operate::{self, clients::Client};
use crate::storage::sled::now_ms;
use crate::wire::{self, Body};

/// How long to wait before a full transport is tried again.
const SEND_RETRY_MS: u64 = 10;

/// Serves a connection until it ends.
pub(crate) async fn run(shared: Arc<Shared>, socket: SocketRef, accepted: Accepted) {
    let Accepted {
        identity,
        known: _known,
        client,
        is_bound,
        encoding,
        inbox,
        mut waiting,
        gone,
        left,
        service,
    } = accepted;
    let (identity, identities) = watch::channel(Arc::new(identity));
    let (address, visitor) = (operate::address_of(&socket), operate::visitor_of(&socket));
    let line: Arc<dyn Line> = Arc::new(socket);
    let mailbox = mailbox(&shared, &line, encoding);
    let user = identity.borrow().user.clone();
    let membership = Membership::register(&shared, &user, client, left, &mailbox);
    let operate = Arc::clone(&shared.operate);
    let place = operate.clients.enter(
        membership.id,
        Client {
            user,
            client,
            address,
            visitor,
            since: Instant::now(),
            mailbox: Arc::clone(&mailbox),
            inbox: Arc::clone(&inbox),
            dismissed: Notify::new(),
        },
    );
    let rate = &shared.presence;
    let presence_rate = TokenBucket::full(rate.requests_per_s_max, rate.requests_burst_max);
    let (chains, grants) = (BTreeMap::new(), BTreeMap::new());
    let mut session = Session {
        shared,
        line,
        identity,
        client,
        is_bound,
        encoding,
        mailbox,
        membership,
        grants,
        chains,
        presence_rate,
    };
    let rights_shared = Arc::clone(&session.shared);
    let mut ended = Rare::new(async {
        tokio::select! {
            () = gone.notified() => End::Gone,
            () = place.client.dismissed.notified() => End::Dismissed("it was disconnected by hand"),
            () = inbox.flooded.notified() => End::Dismissed("it sent too many requests"),
            reason = rights::ended(rights_shared, identities) => End::Dismissed(reason),
        }
    });
    let end = tokio::select! {
        end = &mut ended => end,
        Err(end) = session.live(&inbox, &mut waiting, service) => end,
    };
    drop(ended);
    match end {
        // A transport without a session would be counted by nothing.
        End::Gone if session.line.is_alone() => session.cut(),
        End::Gone => {}
        End::Moved => session.cut(),
        End::Dismissed(reason) => {
            operate.metrics.disconnect(reason);
            tracing::info!(connection = session.membership.id.0, reason, "a client was disconnected");
            session.dismiss().await;
            if session.line.is_alone() {
                session.cut_soon();
            }
        }
    }
}

/// What waits for a session, and passes it while it waits.
fn mailbox(shared: &Shared, line: &Arc<dyn Line>, encoding: Encoding) -> Arc<Mailbox> {
    let config = &shared.connection;
    let direct = Direct { line: Arc::clone(line), encoding };
    let mailbox = Mailbox::new(config.events_queued_max, config.events_queued_bytes_max);
    Arc::new(mailbox.with_outlet(Box::new(direct)))
}

/// Why a session is over.
enum End {
    /// The socket is closed.
    Gone,
    /// The server shuts down: the client connects again, to another.
    Moved,
    /// The server ends it.
    Dismissed(&'static str),
}

/// A step of a session, or its end.
type Running<T = ()> = Result<T, End>;

struct Session {
    shared: Arc<Shared>,
    line: Arc<dyn Line>,
    identity: watch::Sender<Arc<Identity>>,
    client: Option<ClientId>,
    /// Whether the storage knows whose client it is.
    is_bound: bool,
    /// Of live events.
    encoding: Encoding,
    mailbox: Arc<Mailbox>,
    membership: Membership,
    /// What was last allowed in the rooms it is in.
    grants: BTreeMap<Room, Rights>,
    /// The last number of each room's last successful push.
    chains: BTreeMap<Room, u64>,
    presence_rate: TokenBucket,
}

impl Session {
    /// Serves requests and sends live events.
    async fn live(
        &mut self,
        inbox: &Inbox,
        waiting: &mut Waiting,
        service: watch::Receiver<Service>,
    ) -> Running<Infallible> {
        self.greet().await?;
        let mut recheck = Rare::new(self.shared.rechecks.subscribe().due());
        let mut ended = Rare::new(Service::ended(service));
        loop {
            tokio::select! {
                again = &mut recheck => {
                    recheck.set(again.due());
                    self.recheck().await?;
                }
                // Boxed: a connection that asks nothing should not hold what serving takes.
                request = waiting.requests.next() => Box::pin(self.answer(inbox, &request)).await?,
                request = waiting.refused.next() => {
                    let body = request.refusal();
                    self.send(|| request.answer(&body)).await?;
                }
                mail = self.mailbox.next() => self.deliver(mail).await?,
                () = &mut ended => break,
            }
        }
        // What was taken in is finished.
        while let Some(request) = waiting.requests.take() {
            Box::pin(self.answer(inbox, &request)).await?;
        }
        Err(End::Moved)
    }

    async fn answer(&mut self, inbox: &Inbox, request: &Request) -> Running {
        let span = self.shared.operate.span(request.kind, self.membership.id);
        let body = self.serve(request).instrument(span).await;
        inbox.served(request);
        self.send(|| request.answer(&body)).await
    }

    /// Says hello, in maps whatever the encoding: the client learns from it what it will be.
    async fn greet(&self) -> Running {
        let hello = Hello {
            protocol: PROTOCOL_VERSION,
            encoding: self.encoding,
            limits: self.shared.limits,
            server_time_ms: now_ms(),
            user_id: self.who().user.clone(),
            offers: vec![event::AUTH_REFRESH.to_owned()],
        };
        let body = wire::encode_answer(Ok(hello), Encoding::Plain);
        self.send(|| self.line.emit(event::SYNC_HELLO, &body)).await
    }

    /// Reads, serves and answers one request.
    async fn serve(&mut self, request: &Request) -> Body {
        let running = self.shared.operate.begin(request.kind);
        macro_rules! serve {
            ($method:ident) => {{
                let (encoding, message) = wire::decode(&request.packet);
                let answer = match message {
                    Ok(message) => self.$method(message).await,
                    Err(error) => Err(error),
                };
                running.end(answer.as_ref().err());
                wire::encode_answer(answer, encoding)
            }};
        }
        match request.kind {
            RequestKind::RoomJoin => serve!(room_join),
            RequestKind::RoomLeave => serve!(room_leave),
            RequestKind::Subscribe => serve!(subscribe),
            RequestKind::Unsubscribe => serve!(unsubscribe),
            RequestKind::Pull => serve!(pull),
            RequestKind::Push => serve!(push),
            RequestKind::PresenceJoin => serve!(presence_join),
            RequestKind::PresenceUpdate => serve!(presence_update),
            RequestKind::PresenceLeave => serve!(presence_leave),
            RequestKind::PresencePing => {
                let answer = self.presence_ping().await;
                running.end(answer.as_ref().err());
                wire::encode_answer(answer, wire::encoding(&request.packet))
            }
            RequestKind::AuthRefresh => serve!(auth_refresh),
            RequestKind::Unknown => {
                let error = WireError::new(ErrorCode::Invalid, "the server does not know this event");
                running.end(Some(&error));
                wire::failure(error)
            }
        }
    }

    async fn room_join(&mut self, RoomRequest { room }: RoomRequest) -> Result<Done, WireError> {
        let rights = self.check(Right::Join, &room).await?;
        let rooms_max = self.shared.limits.rooms_max;
        bound(&self.membership.joined, &room, rooms_max)?;
        self.grants.insert(room.clone(), rights);
        self.line.join(&room);
        self.membership.joined.insert(room.clone());
        self.membership.enter(&room, rights);
        Ok(Done { ok: true })
    }

    async fn room_leave(&mut self, RoomRequest { room }: RoomRequest) -> Result<Done, WireError> {
        self.leave_joined(&room);
        Ok(Done { ok: true })
    }

    async fn subscribe(&mut self, request: Subscribe) -> Result<Page, WireError> {
        let Subscribe { room, cursor, collections, snapshot } = request;
        let rights = self.check(Right::Read, &room).await?;
        let count_max = self.shared.connection.collections_max;
        if collections.as_ref().is_some_and(|collections| collections.len() > count_max) {
            let message = format!("at most {count_max} collections are allowed");
            return Err(WireError::new(ErrorCode::TooLarge, message));
        }
        let rooms_max = self.shared.limits.rooms_max as usize;
        if !self.membership.subscribed.contains_key(&room) && self.membership.subscribed.len() >= rooms_max {
            return Err(too_many_rooms(rooms_max));
        }
        self.grants.insert(room.clone(), rights);
        // Subscribed before the page is read: a change in between waits in the mailbox.
        let interest = if collections.is_none() { Interest::Whole } else { Interest::Selected };
        self.shared.fanout.subscribe(self.membership.id, &room, interest);
        self.membership.subscribed.insert(room.clone(), collections.clone());
        self.membership.enter(&room, rights);
        if let Some(cluster) = &self.shared.cluster {
            cluster.until_heard(&room).await;
        }
        let limit = self.shared.limits.page_count_max;
        let request = PageRequest { room: room.clone(), cursor, limit, collections, snapshot };
        let page = self.shared.storage.page(request).await;
        match &page {
            Err(_) => self.leave_subscription(&room),
            Ok(page) if !page.more => {
                if let Some(cluster) = &self.shared.cluster {
                    cluster.begin(&room, page.cursor);
                }
            }
            Ok(_) => {}
        }
        page
    }

    async fn unsubscribe(&mut self, RoomRequest { room }: RoomRequest) -> Result<Done, WireError> {
        self.leave_subscription(&room);
        Ok(Done { ok: true })
    }

    fn leave_subscription(&mut self, room: &Room) {
        self.shared.fanout.unsubscribe(self.membership.id, room);
        self.membership.subscribed.remove(room);
        self.exit_if_unused(room);
    }

    async fn pull(&mut self, request: Pull) -> Result<Page, WireError> {
        let Pull { room, cursor, limit, snapshot } = request;
        self.check(Right::Read, &room).await?;
        let collections = self.membership.subscribed.get(&room).cloned().flatten();
        self.shared.storage.page(PageRequest { room, cursor, limit, collections, snapshot }).await
    }

    async fn push(&mut self, push: Push) -> Result<PushAnswer, WireError> {
        let rights = self.check(Right::Write, &push.room).await?;
        let client = self.client()?;
        let room = push.room.clone();
        // Whatever goes wrong from here on ends the chain.
        let previous = self.chains.remove(&room);
        if push.after.is_some() && push.after != previous {
            let error = WireError::new(ErrorCode::OutOfOrder, "the push before this one did not succeed");
            // There is nothing more to wait for than what the push before was told.
            return Err(WireError { retry_after_ms: Some(0), ..error });
        }
        let last = push.mutations.last().map(|mutation| mutation.client_seq);
        let author = Author::client(&*self.who().user, client);
        let mut answer = self.shared.storage.push(push, author).await?;
        if answer.error.is_none()
            && let Some(last) = last
        {
            if self.chains.len() >= self.shared.limits.rooms_max as usize {
                self.chains.pop_first();
            }
            self.chains.insert(room, last);
        }
        if !rights.contains(Right::Read) {
            rights::withhold_documents(&mut answer);
        }
        Ok(answer)
    }

    async fn presence_join(&mut self, presence: Presence) -> Result<Members, WireError> {
        let rights = self.admit_presence(&presence.room).await?;
        bound(&self.membership.present, &presence.room, self.shared.limits.rooms_max)?;
        self.bind().await?;
        let members = self.membership.show(&presence, rights)?;
        self.grants.insert(presence.room.clone(), rights);
        Ok(Members { members })
    }

    async fn presence_update(&mut self, presence: Presence) -> Result<Done, WireError> {
        self.admit_presence(&presence.room).await?;
        self.membership.update(&presence)?;
        Ok(Done { ok: true })
    }

    async fn presence_leave(&mut self, RoomRequest { room }: RoomRequest) -> Result<Done, WireError> {
        self.leave_presence(&room);
        Ok(Done { ok: true })
    }

    async fn presence_ping(&mut self) -> Result<PresencePong, WireError> {
        let lapsed = self.membership.renew();
        let rooms = self.membership.subscribed.keys().cloned().collect();
        let heads = self.shared.storage.heads(rooms).await?;
        Ok(PresencePong { heads: heads.into_iter().collect(), lapsed })
    }

    /// What a client shows is told to everybody in the room, so it may not say it too often.
    async fn admit_presence(&mut self, room: &Room) -> Result<Rights, WireError> {
        let rights = self.check(Right::Presence, room).await?;
        if self.presence_rate.take(Instant::now()) { Ok(rights) } else { Err(inbox::too_often()) }
    }

    /// Makes the client id the user's, if it is nobody's yet: what is shown of a client names it.
    async fn bind(&mut self) -> Result<(), WireError> {
        if !self.is_bound {
            binding::bind(&*self.shared.storage, &self.who().user, self.client()?).await?;
            self.is_bound = true;
        }
        Ok(())
    }

    fn client(&self) -> Result<ClientId, WireError> {
        self.client.ok_or_else(|| WireError::new(ErrorCode::Invalid, "the handshake named no client id"))
    }

    async fn deliver(&self, mail: Mail) -> Running {
        match mail {
            Mail::Overflowed => Err(End::Dismissed("it does not read its events")),
            Mail::Lagging { room, head } => {
                if !self.membership.subscribed.contains_key(&room) || !self.holds(Right::Read, &room) {
                    return Ok(());
                }
                self.shared.operate.metrics.lag();
                let hint = News::Changes(head_hint(room, head));
                self.emit(hint.event(), hint.encode(self.encoding).as_ref()).await
            }
            Mail::Event(live) => {
                let own;
                let body = match &live.news {
                    News::Changes(changes) if !self.holds(Right::Read, &changes.room) => return Ok(()),
                    News::Presence(diff) if !self.holds(Right::Presence, &diff.room) => return Ok(()),
                    News::Changes(changes) => match self.membership.subscribed.get(&changes.room) {
                        Some(None) => live.body(self.encoding),
                        Some(Some(collections)) => {
                            own = narrowed(changes, collections).encode(self.encoding);
                            own.as_ref()
                        }
                        None => return Ok(()),
                    },
                    News::Online(_) | News::Offline(_) if !self.sees_anybody() => return Ok(()),
                    News::Presence(diff) if !self.membership.present.contains(&diff.room) => return Ok(()),
                    News::Presence(_) | News::Online(_) | News::Offline(_) => live.body(self.encoding),
                };
                self.emit(live.news.event(), body).await
            }
        }
    }

    async fn emit(&self, name: &str, body: Option<&Body>) -> Running {
        match body {
            Some(body) => self.send(|| self.line.emit(name, body)).await,
            None => Ok(()),
        }
    }

    /// Hands a packet to the transport, and waits while that is full.
    async fn send(&self, attempt: impl Fn() -> Result<(), SendError>) -> Running {
        let retries = self.shared.connection.send_timeout_ms / SEND_RETRY_MS;
        for _ in 0..=retries {
            match attempt() {
                Ok(()) => return Ok(()),
                Err(SendError::Socket(SocketError::InternalChannelFull)) => {
                    tokio::time::sleep(Duration::from_millis(SEND_RETRY_MS)).await;
                }
                Err(SendError::Socket(SocketError::Closed)) => return Err(End::Gone),
                Err(SendError::Serialize(error)) => {
                    tracing::error!(%error, "a packet cannot be encoded");
                    return Err(End::Dismissed("a packet for it cannot be encoded"));
                }
            }
        }
        Err(End::Dismissed("it does not read"))
    }

    /// Ends the transport, after which a client connects again by itself.
    fn cut(&self) {
        self.line.cut();
    }

    /// Ends the transport when the client has had the time to read why, and to end it itself.
    fn cut_soon(&self) {
        let line = Arc::clone(&self.line);
        let patience = Duration::from_millis(self.shared.connection.send_timeout_ms);
        tokio::spawn(async move {
            tokio::time::sleep(patience).await;
            line.cut();
        });
    }

    /// Disconnects. A client that does not even read that is left to the ping timeout.
    async fn dismiss(&self) {
        let retries = self.shared.connection.send_timeout_ms / SEND_RETRY_MS;
        for _ in 0..=retries {
            match self.line.disconnect() {
                Err(SocketError::InternalChannelFull) => {
                    tokio::time::sleep(Duration::from_millis(SEND_RETRY_MS)).await;
                }
                Ok(()) | Err(SocketError::Closed) => return,
            }
        }
    }
}

/// Changes without the collections that a subscription left out.
fn narrowed(changes: &LiveChanges, collections: &[Collection]) -> News {
    let wanted = changes.changes.iter().filter(|document| collections.contains(&document.collection));
    News::Changes(LiveChanges { changes: wanted.cloned().collect(), ..changes.clone() })
}

fn bound(rooms: &BTreeSet<Room>, room: &Room, rooms_max: u32) -> Result<(), WireError> {
    let rooms_max = rooms_max as usize;
    if !rooms.contains(room) && rooms.len() >= rooms_max { Err(too_many_rooms(rooms_max)) } else { Ok(()) }
}

fn too_many_rooms(rooms_max: usize) -> WireError {
    WireError::new(ErrorCode::TooLarge, format!("at most {rooms_max} rooms are allowed"))
}

#[cfg(test)]
mod fuzz;
