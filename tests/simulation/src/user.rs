//! What users and their apps do.

use syncline::engine::io::{AppState, Network, Reply, Resolution, WriteRequest};
use syncline::engine::query::Query;
use syncline::engine::queue::command::JobCommand;
use syncline::store::Entry;
use syncline::{Code, Command, Error};
use syncline_protocol::{DocumentId, Fields, Op, Patch, Value, Write};

use crate::app::Shown;
use crate::book::ops;
use crate::device::Stimulus;
use crate::failure::{Failure, ensure};
use crate::ledger;
use crate::query;
use crate::random::Random;
use crate::world::{Wake, World};

/// Documents that anybody creates, changes and deletes.
const IDS: [&str; 5] = ["a", "b", "c", "d", "e"];
/// Watches of one app.
const WATCHES_MAX: usize = 6;

#[derive(Debug, Clone, Copy)]
enum Deed {
    Enter,
    Write,
    WriteMany,
    Watch,
    Unwatch,
    Subscribe,
    Unsubscribe,
    Presence,
    AppState,
    Network,
    Token,
    Connection,
    SyncNow,
    Acknowledge,
    Resolve,
    Sync,
    Look,
    Job,
    Letter,
    DropJob,
    Process,
    Close,
}

const DEEDS: [(u64, Deed); 22] = [
    (28, Deed::Enter),
    (24, Deed::Write),
    (8, Deed::WriteMany),
    (5, Deed::Watch),
    (4, Deed::Unwatch),
    (3, Deed::Subscribe),
    (2, Deed::Unsubscribe),
    (5, Deed::Presence),
    (4, Deed::AppState),
    (4, Deed::Network),
    (1, Deed::Token),
    (3, Deed::Connection),
    (2, Deed::SyncNow),
    (5, Deed::Acknowledge),
    (7, Deed::Resolve),
    (4, Deed::Sync),
    (3, Deed::Look),
    (10, Deed::Job),
    (4, Deed::Letter),
    (1, Deed::DropJob),
    (1, Deed::Process),
    (1, Deed::Close),
];

impl World {
    pub(crate) fn handle_user(&mut self, device: usize) -> Result<(), Failure> {
        if self.calm {
            return Ok(());
        }
        let users = self.plan.users;
        let longest_ms = if self.random.percent(5) { users.break_ms_max } else { users.pause_ms_max };
        let pause_ms = self.random.between(1, longest_ms);
        self.wake_in_ms(pause_ms, Wake::User(device));
        let is_there = self.devices[device].life.is_some() && !self.devices[device].is_frozen(self.now_us);
        match self.random.weighted(&DEEDS) {
            Some(deed) if is_there => self.do_deed(device, deed),
            _ => Ok(()),
        }
    }

    fn do_deed(&mut self, device: usize, deed: Deed) -> Result<(), Failure> {
        self.trace.note(self.now_us, format_args!("{device} does {deed:?}"));
        match deed {
            Deed::Enter => {
                let entry = self.ledger_entry(device);
                self.write(device, vec![entry])
            }
            Deed::Write => {
                let write = self.any_write();
                self.write(device, vec![write])
            }
            Deed::WriteMany => self.write_many(device),
            Deed::Watch => self.watch(device),
            Deed::Unwatch => self.unwatch(device),
            Deed::Subscribe => {
                let room = self.any_room();
                self.subscribe(device, room)
            }
            Deed::Unsubscribe => self.unsubscribe(device),
            Deed::Presence => self.presence(device),
            Deed::AppState => {
                let state = self.random.one_of([AppState::Active, AppState::Inactive, AppState::Background]);
                self.command(device, Command::SetAppState { state })
            }
            Deed::Network => {
                let network = Network {
                    available: self.random.percent(70),
                    expensive: self.random.percent(30),
                    kind: self.random.one_of(["wifi", "cellular", "none"]).to_owned(),
                };
                self.command(device, Command::SetNetwork { network })
            }
            Deed::Token => self.renew_token(device),
            Deed::Connection => {
                let connects = self.random.percent(60);
                if let Some(life) = &mut self.devices[device].life {
                    life.connects = connects;
                }
                self.command(device, if connects { Command::Connect } else { Command::Disconnect })
            }
            Deed::SyncNow => {
                if let Some(life) = &mut self.devices[device].life {
                    life.connects = true;
                }
                self.command(device, Command::SyncNow)
            }
            Deed::Acknowledge => self.acknowledge(device),
            Deed::Resolve => self.resolve(device),
            Deed::Sync => {
                let room = self.random.percent(50).then(|| self.any_room());
                let deadline_ms = self.random.between(10, 20_000);
                let syncs = [Command::Pull { room }, Command::Flush, Command::SyncOnce { deadline_ms }];
                let sync = syncs[self.random.index(syncs.len())].clone();
                self.command(device, sync)
            }
            Deed::Look => {
                let looks = [Command::NewId, Command::Connection, Command::Queue, Command::Stats];
                let look = looks[self.random.index(looks.len())].clone();
                self.command(device, look)
            }
            Deed::Job => self.enqueue(device),
            Deed::Letter => self.decide_letter(device),
            Deed::DropJob => self.drop_job(device),
            Deed::Process => self.command(device, Command::Jobs { command: JobCommand::Process }),
            Deed::Close => self.command(device, Command::Close),
        }
    }

    fn command(&mut self, device: usize, command: Command) -> Result<(), Failure> {
        self.call(device, command).map(drop)
    }

    fn any_room(&mut self) -> syncline_protocol::Room {
        self.plan.rooms[self.random.index(self.plan.rooms.len())].clone()
    }

    fn any_collection(&mut self) -> syncline_protocol::Collection {
        self.plan.collections[self.random.index(self.plan.collections.len())].clone()
    }

    /// An entry of some ledger.
    fn ledger_entry(&mut self, device: usize) -> WriteRequest {
        let (room, collection) = (self.any_room(), self.any_collection());
        let phone = &mut self.devices[device];
        phone.entries += 1;
        let here = |entry: &Entry| entry.room == room && entry.mutation.collection == collection;
        let old = phone.book.writes().rev().take(20).find_map(|(_, noted)| {
            let tag = ledger::put_in_by(&noted.entry.mutation.write).next().filter(|_| here(&noted.entry))?;
            Some(tag.to_owned())
        });
        let old = old.filter(|_| self.random.percent(40));
        let write = ledger::entry(device, phone.entries, old.as_deref(), &mut self.random);
        WriteRequest { room, collection, id: ledger::id(), write }
    }

    fn any_write(&mut self) -> WriteRequest {
        let (room, collection) = (self.any_room(), self.any_collection());
        let id = document_id(self.random.one_of(IDS));
        WriteRequest { room, collection, id, write: any_write(&mut self.random) }
    }

    /// Writes that stand or fall together, and perhaps a second call in the same turn.
    fn write_many(&mut self, device: usize) -> Result<(), Failure> {
        let mut writes = Vec::new();
        for _ in 0..self.random.between(2, 5) {
            let write = if self.random.percent(50) { self.ledger_entry(device) } else { self.any_write() };
            writes.push(write);
        }
        if self.random.percent(50) {
            return self.write(device, writes);
        }
        let calls = writes.into_iter().map(|write| Stimulus::Command(Command::Write { writes: vec![write] }));
        self.turn(device, calls.collect())
    }

    /// A write that does not fit what the app sees is refused, which is fine.
    fn write(&mut self, device: usize, writes: Vec<WriteRequest>) -> Result<(), Failure> {
        let single = writes.first().filter(|_| writes.len() == 1).cloned();
        let written = self.call(device, Command::Write { writes })?;
        match (single, written) {
            (Some(request), Some(Ok(Reply::Written { .. }))) => self.check_effect(device, request),
            _ => Ok(()),
        }
    }

    /// Who sets a field sees it at once, whatever the device's clock and the others' say.
    fn check_effect(&mut self, device: usize, request: WriteRequest) -> Result<(), Failure> {
        let WriteRequest { room, collection, id, write } = request;
        let reply = self.call(device, Command::Document { room, collection, id })?;
        let Some(Ok(Reply::Document { row: Some(row) })) = reply else { return Ok(()) };
        for (path, op) in ops(&write) {
            let seen = path.value_in(&row.fields);
            let effective = match op {
                Op::Set(value) => seen == Some(value),
                Op::Unset => seen.is_none(),
                _ => true,
            };
            ensure!(effective, "device {device}: it wrote {op:?} at {path}, and sees {seen:?}");
        }
        Ok(())
    }

    fn watch(&mut self, device: usize) -> Result<(), Failure> {
        let watches = self.devices[device].life.as_ref().map_or(0, |life| life.app.watches.len());
        if watches >= WATCHES_MAX {
            return Ok(());
        }
        let (room, collection) = (self.any_room(), self.any_collection());
        let id = self.random.percent(15).then(|| document_id(self.random.one_of(IDS)));
        let selection = query::selection(&mut self.random);
        self.begin_watch(device, Shown { room, collection, id, selection, rows: vec![], count: 0 })
    }

    pub(crate) fn begin_watch(&mut self, device: usize, shown: Shown) -> Result<(), Failure> {
        let Shown { room, collection, id, selection, .. } = &shown;
        let command = Command::Watch(Query {
            room: room.clone(),
            collection: collection.clone(),
            id: id.clone(),
            selection: selection.clone(),
        });
        self.await_watch(device, command, shown)
    }

    /// The watch is known to the app before the events of its own turn.
    fn await_watch(&mut self, device: usize, command: Command, shown: Shown) -> Result<(), Failure> {
        if let Some(life) = &mut self.devices[device].life {
            life.app.starting = Some(shown);
        }
        let reply = self.call(device, command)?;
        let Some(life) = &mut self.devices[device].life else { return Ok(()) };
        let refused = life.app.starting.take().is_some();
        // A cache that breaks just then.
        let broken = |error: &Error| matches!(error.code, Code::Unavailable | Code::Storage | Code::DiskFull);
        let excused = matches!(&reply, Some(Err(error)) if broken(error));
        ensure!(!refused || excused, "a watch was refused: {reply:?}");
        Ok(())
    }

    fn unwatch(&mut self, device: usize) -> Result<(), Failure> {
        let Some(life) = &mut self.devices[device].life else { return Ok(()) };
        let watches: Vec<_> = life.app.watches.keys().copied().collect();
        if watches.is_empty() {
            return Ok(());
        }
        let watch = watches[self.random.index(watches.len())];
        life.app.watches.remove(&watch);
        if let Some(reply) = self.call(device, Command::Unwatch { watch })? {
            ensure!(reply == Ok(Reply::Done {}), "unwatch: {reply:?}");
        }
        Ok(())
    }

    pub(crate) fn subscribe(&mut self, device: usize, room: syncline_protocol::Room) -> Result<(), Failure> {
        let reply = self.call(device, Command::Subscribe { room: room.clone() })?;
        if let (Some(Ok(_)), Some(life)) = (reply, &mut self.devices[device].life) {
            *life.subscribed.entry(room).or_default() += 1;
        }
        Ok(())
    }

    fn unsubscribe(&mut self, device: usize) -> Result<(), Failure> {
        let Some(life) = &mut self.devices[device].life else { return Ok(()) };
        let Some((room, count)) = life.subscribed.iter_mut().find(|(_, count)| **count > 0) else {
            return Ok(());
        };
        *count -= 1;
        let room = room.clone();
        if let Some(reply) = self.call(device, Command::Unsubscribe { room })? {
            ensure!(reply == Ok(Reply::Done {}), "unsubscribe: {reply:?}");
        }
        Ok(())
    }

    fn presence(&mut self, device: usize) -> Result<(), Failure> {
        let room = self.any_room();
        let state = Fields::from([("at".into(), query::number(&mut self.random))]);
        let Some(life) = &mut self.devices[device].life else { return Ok(()) };
        let command = match (life.present.contains_key(&room), self.random.below(3)) {
            (true, 0) => {
                life.present.remove(&room);
                life.app.members.remove(&room);
                Command::PresenceLeave { room }
            }
            (true, _) => {
                // What it shows for a moment, nobody shows any more when it is quiet.
                let expires_in_ms = self.random.percent(30).then(|| self.random.between(1, 3_000));
                if expires_in_ms.is_some() {
                    let state = Fields::from([("typing".into(), true.into())]);
                    Command::PresenceUpdate { room, state, expires_in_ms }
                } else {
                    life.present.insert(room.clone(), state.clone());
                    Command::PresenceUpdate { room, state, expires_in_ms: None }
                }
            }
            (false, _) => {
                life.present.insert(room.clone(), state.clone());
                Command::PresenceJoin { room, state }
            }
        };
        self.command(device, command)
    }

    fn acknowledge(&mut self, device: usize) -> Result<(), Failure> {
        let phone = &mut self.devices[device];
        let Some(life) = &mut phone.life else { return Ok(()) };
        let Some(client_seq) = life.app.outcomes.pop_first() else { return Ok(()) };
        phone.book.deciding(client_seq);
        let reply = self.call(device, Command::AcknowledgeOutcome { client_seq })?;
        match reply {
            Some(Ok(_)) => {
                self.devices[device].book.acknowledged(client_seq).map_err(|failure| failure.of(device))
            }
            Some(Err(error)) => {
                let code = error.code;
                let broken = matches!(code, Code::DiskFull | Code::Storage);
                ensure!(broken, "outcome {client_seq} is not known: {error}");
                let phone = &mut self.devices[device];
                if let Some(life) = &mut phone.life {
                    life.app.outcomes.insert(client_seq);
                }
                if code == Code::DiskFull {
                    phone.book.not_decided(client_seq);
                }
                // Otherwise nobody knows what the disk holds, before another open.
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn resolve(&mut self, device: usize) -> Result<(), Failure> {
        let Some(life) = &self.devices[device].life else { return Ok(()) };
        let Some(client_seq) = life.app.conflicts.keys().next().copied() else { return Ok(()) };
        self.decide(device, client_seq)
    }

    /// Decides about one write in conflict. A merge of fields would wipe out what a ledger adds up.
    pub(crate) fn decide(&mut self, device: usize, client_seq: u64) -> Result<(), Failure> {
        let phone = &mut self.devices[device];
        let Some(life) = &mut phone.life else { return Ok(()) };
        let Some(parked) = life.app.conflicts.get(&client_seq) else { return Ok(()) };
        let merged = Fields::from([("x".into(), query::value(&mut self.random))]);
        let is_ledger = parked.id.as_str() == ledger::ID;
        let resolution = match self.random.below(3) {
            0 => Resolution::Server,
            1 if !is_ledger => Resolution::Merged(merged),
            _ => Resolution::Local,
        };
        phone.book.deciding(client_seq);
        let reply = self.call(device, Command::ResolveConflict { client_seq, resolution })?;
        let Some(reply) = reply else { return Ok(()) };
        let phone = &mut self.devices[device];
        if reply.is_err() {
            // The write does not fit the server's document: it stays parked.
            phone.book.not_decided(client_seq);
            return Ok(());
        }
        if let Some(life) = &mut phone.life {
            life.app.conflicts.remove(&client_seq);
        }
        phone.book.resolved(client_seq).map_err(|failure| failure.of(device))
    }
}

#[allow(clippy::expect_used)]
pub(crate) fn document_id(name: &str) -> DocumentId {
    DocumentId::new(name).expect("a valid name")
}

/// A write of any kind; an update holds one to three operations of any kind.
fn any_write(random: &mut Random) -> Write {
    match random.below(8) {
        0 | 1 => Write::Create(fields(random)),
        2 => Write::Delete,
        _ => Write::Update(patch(random)),
    }
}

fn fields(random: &mut Random) -> Fields {
    let names = ["x", "y", "z", "list"];
    (0..random.between(0, 3)).map(|_| (random.one_of(names).into(), query::value(random))).collect()
}

fn patch(random: &mut Random) -> Patch {
    let mut patch = Patch::new();
    for _ in 0..random.between(1, 3) {
        let at = query::path(random.one_of(query::FIELDS));
        let op = match random.below(9) {
            0..3 => Op::Set(query::value(random)),
            3 => Op::Unset,
            4 | 5 => Op::Increment(query::number(random)),
            6 => Op::Union(items(random)),
            7 => Op::Remove(items(random)),
            _ => Op::Append(items(random)),
        };
        let grown = patch.clone().with(at, op);
        // One path may not lie within another.
        if grown.validate().is_ok() {
            patch = grown;
        }
    }
    if random.percent(15) {
        patch = patch.with(query::path(ledger::TIME), Op::ServerTime);
    }
    if random.percent(5) {
        patch = patch.with(query::path("s"), Op::Set(Value::from("ü".repeat(300))));
    }
    patch
}

fn items(random: &mut Random) -> Vec<Value> {
    (0..random.between(1, 2)).map(|_| query::number(random)).collect()
}
