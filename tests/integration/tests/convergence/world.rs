//! Everything that may happen, chosen by a seed.

use std::collections::BTreeMap;

use syncline::engine::backoff::next_random;
use syncline::engine::io::{Command, Input, Now, Reply, WriteRequest};
use syncline::store::Store;
use syncline::transport::{Handshake, Message, Namespace, Packet};
use syncline_protocol::message::{Changes, Encoding, event};
use syncline_protocol::{DocumentId, Fields, Op, Patch, Path, Room, Value, Write};

use super::device::{Device, collection};
use super::hub::{Hub, Served, encode};

const DEVICES: u8 = 3;
const START_MS: u64 = 1_800_000_000_000;
/// Beyond what the server lets a clock run ahead.
const FAR_AHEAD_MS: i64 = 60 * 60 * 1000;
const QUIESCENCE_ROUNDS_MAX: usize = 2_000;
/// Never set or deleted: only increments touch it.
const COUNTER: &str = "counter";

pub(crate) struct World {
    random: u64,
    now: Now,
    hub: Hub,
    devices: Vec<Device>,
    rooms: Vec<Room>,
    /// The sum of all increments that an app was told are accepted.
    counted: i64,
    steps: BTreeMap<&'static str, u32>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let rooms = vec![Room::new("list:1").unwrap(), Room::new("list:2").unwrap()];
        let skews_ms = [0, FAR_AHEAD_MS, -FAR_AHEAD_MS];
        let devices = (1..=DEVICES).zip(skews_ms);
        let devices = devices.map(|(number, skew_ms)| {
            Device::new(number, seed.wrapping_mul(31) + u64::from(number), skew_ms, rooms.clone())
        });
        let mut world = Self {
            random: seed,
            now: Now { mono_us: 0, wall_ms: START_MS },
            hub: Hub::new(),
            devices: devices.collect(),
            rooms,
            counted: 0,
            steps: BTreeMap::new(),
        };
        for device in 0..world.devices.len() {
            world.devices[device].start(world.now);
        }
        world.write(0, world.request(0, COUNTER, Write::Create(Fields::from([number("n", 0)]))));
        world.quiesce();
        world
    }

    fn pick(&mut self, below: usize) -> usize {
        usize::try_from(next_random(&mut self.random) % below as u64).unwrap()
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.pick(100) < percent
    }

    pub(crate) fn step(&mut self) {
        let device = self.pick(self.devices.len());
        let name = match self.pick(100) {
            0..25 => {
                let request = self.any_write();
                self.write(device, request);
                "write"
            }
            25..35 => {
                self.increment(device);
                "increment"
            }
            35..60 => {
                self.serve(device);
                "serve"
            }
            60..82 => {
                self.deliver(device);
                "deliver"
            }
            82..87 => {
                let ms = [1, 50, 700, 3_000, 30_000][self.pick(5)];
                self.advance_ms(ms);
                "advance"
            }
            87..91 => {
                self.devices[device].flush();
                "flush"
            }
            91..94 => {
                self.disconnect(device);
                "disconnect"
            }
            94..97 => {
                self.hub.failures += 1;
                "failure"
            }
            _ => {
                let during = self.chance(50).then(|| Command::Write {
                    writes: vec![self.request(0, COUNTER, Write::Update(plus(1_000_000)))],
                });
                self.devices[device].crash(self.now, during);
                "crash"
            }
        };
        *self.steps.entry(name).or_default() += 1;
    }

    fn request(&self, room: usize, id: &str, write: Write) -> WriteRequest {
        let room = self.rooms[room].clone();
        WriteRequest { room, collection: collection(), id: DocumentId::new(id).unwrap(), write }
    }

    fn any_write(&mut self) -> WriteRequest {
        let room = self.pick(self.rooms.len());
        let id = ["a", "b", "c"][self.pick(3)];
        let field = ["x", "y", "z.x", "z"][self.pick(4)];
        let value = i64::try_from(self.pick(1_000)).unwrap();
        let patch = |op| Write::Update(Patch::new().with(Path::parse(field).unwrap(), op));
        let write = match self.pick(7) {
            0 | 1 => Write::Create(Fields::from([number("x", value)])),
            2 | 3 => patch(Op::Set(Value::Int(value))),
            4 => patch(Op::Unset),
            5 => patch(Op::Set(Value::Object(Fields::from([number("x", value)])))),
            _ => Write::Delete,
        };
        self.request(room, id, write)
    }

    /// A write that does not fit what the app sees is refused, which is fine.
    fn write(&mut self, device: usize, request: WriteRequest) -> bool {
        let reply = self.devices[device].call(self.now, Command::Write { writes: vec![request] });
        matches!(reply, Ok(Reply::Written { .. }))
    }

    fn increment(&mut self, device: usize) {
        let amount = i64::try_from(self.pick(9)).unwrap() + 1;
        let request = self.request(0, COUNTER, Write::Update(plus(amount)));
        if self.write(device, request) {
            self.counted += amount;
        }
    }

    /// The server takes the next message of a device.
    fn serve(&mut self, device: usize) {
        let Some(message) = self.devices[device].to_server.pop_front() else {
            return self.accept(device);
        };
        let Message::Socket { packet, .. } = message else { return };
        match packet {
            Packet::Connect { .. } => {
                let hello = encode(&self.hub.hello(self.now.wall_ms), Encoding::Plain);
                self.send(device, Packet::Connect { data: None });
                let name = event::SYNC_HELLO.to_owned();
                self.send(device, Packet::Event { name, args: vec![hello], ack: None });
            }
            Packet::Event { name, args, ack } => {
                let Device { session, client, .. } = &mut self.devices[device];
                let Served { answer, changes } =
                    self.hub.serve(session, *client, &name, &args[0], self.now.wall_ms);
                let answer = Packet::Ack { id: ack.unwrap(), args: vec![answer] };
                let change_first = self.chance(50);
                if !change_first {
                    self.send(device, answer.clone());
                }
                if let Some(changes) = changes {
                    self.broadcast(&changes);
                }
                if change_first {
                    self.send(device, answer);
                }
            }
            other => panic!("the client sent {other:?}"),
        }
    }

    /// Opens the socket that a device dials.
    fn accept(&mut self, device: usize) {
        let device = &mut self.devices[device];
        if device.socket.is_some() && !device.greeted() {
            device.accepted = device.socket;
            device.to_client.push_back(Message::Open(Handshake {
                sid: "s".to_owned(),
                upgrades: vec![],
                ping_interval_ms: 60_000_000,
                ping_timeout_ms: 60_000_000,
                max_payload_bytes: None,
            }));
        }
    }

    fn broadcast(&mut self, changes: &Changes) {
        for device in 0..self.devices.len() {
            if !self.devices[device].session.subscribed.contains(&changes.room) {
                continue;
            }
            // A subscriber that lags is only told where the log ends.
            let (room, seq) = (changes.room.clone(), changes.to_seq);
            let hint = Changes { room, from_seq: seq + 1, to_seq: seq, changes: vec![] };
            let told = if self.chance(10) { &hint } else { changes };
            let args = vec![encode(told, Encoding::Compact)];
            let name = event::SYNC_CHANGES.to_owned();
            self.send(device, Packet::Event { name, args, ack: None });
        }
    }

    fn send(&mut self, device: usize, packet: Packet) {
        let message = Message::Socket { namespace: Namespace::ROOT, packet };
        self.devices[device].to_client.push_back(message);
    }

    fn deliver(&mut self, device: usize) {
        let device = &mut self.devices[device];
        if let (Some(generation), Some(message)) = (device.socket, device.to_client.pop_front()) {
            device.input(self.now, Input::SocketReceived(generation, message));
        }
    }

    /// The server may have taken some of what was under way; its answers are lost.
    fn disconnect(&mut self, device: usize) {
        for _ in 0..self.pick(4) {
            self.serve(device);
        }
        self.devices[device].lose_connection(self.now);
    }

    fn advance_ms(&mut self, ms: u64) {
        let end_us = self.now.after_ms(ms);
        while let Some((at_us, device)) = self.next_deadline().filter(|(at_us, _)| *at_us <= end_us) {
            self.pass_until(at_us);
            self.devices[device].input(self.now, Input::Tick);
        }
        self.pass_until(end_us);
    }

    fn next_deadline(&self) -> Option<(u64, usize)> {
        let devices = self.devices.iter().enumerate();
        devices.filter_map(|(number, device)| Some((device.engine.next_deadline()?, number))).min()
    }

    fn pass_until(&mut self, at_us: u64) {
        self.now.mono_us = self.now.mono_us.max(at_us);
        self.now.wall_ms = START_MS + self.now.mono_us / 1000;
    }

    /// Nothing goes wrong any more: everything under way arrives, and all that waits is sent.
    pub(crate) fn quiesce(&mut self) {
        self.hub.failures = 0;
        for _ in 0..QUIESCENCE_ROUNDS_MAX {
            for device in 0..self.devices.len() {
                self.serve(device);
                self.deliver(device);
            }
            if self.is_quiet() {
                return;
            }
            self.advance_ms(10);
        }
        let now = self.now;
        let queued: Vec<_> = self.devices.iter_mut().map(|device| device.queue(now).count).collect();
        panic!("not quiet after {QUIESCENCE_ROUNDS_MAX} rounds; queued: {queued:?}");
    }

    fn is_quiet(&mut self) -> bool {
        let now = self.now;
        let rooms = &self.rooms;
        let heads: Vec<u64> = rooms.iter().map(|room| self.hub.head(room)).collect();
        self.devices.iter_mut().all(|device| {
            let states: BTreeMap<_, _> = device.store().rooms().unwrap().into_iter().collect();
            let cursor = |room| states.get(room).map_or(0, |state| state.cursor);
            let up_to_date = rooms.iter().zip(&heads).all(|(room, head)| cursor(room) == *head);
            up_to_date
                && device.to_server.is_empty()
                && device.to_client.is_empty()
                && device.greeted()
                && device.queue(now).count == 0
        })
    }

    /// Everybody sees what the server has, and every accepted increment was counted once.
    pub(crate) fn check(&mut self) {
        for (place, room) in self.rooms.iter().enumerate() {
            let expected = self.hub.documents(room);
            let fields = expected.iter().map(|document| (document.id.to_string(), document.fields.clone()));
            let fields: BTreeMap<String, Fields> = fields.collect();
            for (number, device) in self.devices.iter().enumerate() {
                let mut cached = Vec::new();
                device
                    .store()
                    .visit_collection(room, &collection(), &mut |document| cached.push(document))
                    .unwrap();
                assert_eq!(cached, expected, "the cache of device {number} in {room}");
                assert_eq!(device.shown()[place], fields, "what device {number} shows of {room}");
            }
        }
        let counter =
            self.hub.documents(&self.rooms[0]).into_iter().find(|document| document.id.as_str() == COUNTER);
        assert_eq!(counter.unwrap().fields["n"], Value::Int(self.counted), "increments counted");
    }

    /// Tells one run from another.
    pub(crate) fn summary(&self) -> String {
        let documents: Vec<_> = self.rooms.iter().map(|room| self.hub.documents(room)).collect();
        format!("{:?} {} {documents:?}", self.steps, self.now.mono_us)
    }
}

fn number(name: &str, value: i64) -> (String, Value) {
    (name.to_owned(), Value::Int(value))
}

fn plus(amount: i64) -> Patch {
    Patch::new().with(Path::field("n"), Op::Increment(Value::Int(amount)))
}
