//! What goes wrong.

use syncline_protocol::{ErrorCode, WireError};

use syncline::Command;
use syncline::store::DocumentKey;

use crate::device::Stimulus;
use crate::failure::Failure;
use crate::links::Reach;
use crate::plan::Fault;
use crate::server::{Broken, token};
use crate::storage::{CacheFault, Space};
use crate::world::{Wake, World};

const TEN_YEARS_MS: i64 = 10 * 365 * 24 * 60 * 60 * 1000;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const FLAPPING_MS: u64 = 200;
/// Operations of a disk: more than a run has.
const NEVER: u64 = 1 << 40;

impl World {
    pub(crate) fn handle_fault(&mut self) -> Result<(), Failure> {
        if self.calm {
            return Ok(());
        }
        let pause_ms = self.random.between(50, self.plan.faults.pause_ms_max);
        self.wake_in_ms(pause_ms, Wake::Fault);
        let Some(fault) = self.random.weighted(&self.plan.faults.weights) else { return Ok(()) };
        let device = self.random.index(self.devices.len());
        self.trace.note(self.now_us, format_args!("fault: {fault:?} at {device}"));
        match fault {
            Fault::Kill => self.doom(device),
            Fault::Partition | Fault::OneWayPartition => self.partition(device, fault),
            Fault::Flapping => {
                let times = self.random.between(3, 15);
                self.flap(device, times)?;
            }
            Fault::Blackhole => {
                for link in self.links.values_mut().filter(|link| link.device == device) {
                    link.black = true;
                }
            }
            Fault::Disconnect => self.disconnect(device)?,
            Fault::ServerRestart => self.restart_server()?,
            Fault::ServerTrouble => self.trouble(),
            Fault::TokenRevoked => {
                let ends_ms = self.server_ms() + self.plan.server.token_ms;
                self.server.revoked_through_ms.insert(self.devices[device].user.clone(), ends_ms);
            }
            Fault::RoomRevoked => self.revoke_room(device)?,
            Fault::RoomReset => {
                let room = self.plan.rooms[self.random.index(self.plan.rooms.len())].clone();
                let now_ms = self.server_ms();
                self.server.purge(&room, now_ms);
            }
            Fault::ClockJump => {
                let hour_ms = 60 * 60 * 1000;
                let jumps = [0, -5_000, 5_000, hour_ms, -hour_ms, TEN_YEARS_MS, -TEN_YEARS_MS];
                self.devices[device].skew_ms = self.random.one_of(jumps);
            }
            Fault::Suspend => self.suspend(device),
            Fault::SlowClient => {
                self.devices[device].slow_until_us = self.now_us + self.random.between(500, 8_000) * 1000;
            }
            Fault::BusyApp => {
                let busy_ms = self.random.between(100, 5_000);
                self.devices[device].busy_until_us = self.now_us + busy_ms * 1000;
                self.wake_in_ms(busy_ms, Wake::Poll(device));
            }
            Fault::LongSleep => self.sleep(),
            Fault::DiskFull => self.fill_disk(device),
            Fault::SyncFailure => {
                self.devices[device].disk_hurts = true;
                self.devices[device].storage.disk.fail_next_sync();
            }
            Fault::CacheFailure => self.break_cache(device)?,
        }
        Ok(())
    }

    /// Kills a process at one of its next operations on the disk, or between them.
    fn doom(&mut self, device: usize) {
        let operation = self.random.between(1, 30);
        self.devices[device].storage.disk.die_at(operation);
        let reap_ms = self.random.between(1, 2_000);
        self.wake_in_ms(reap_ms, Wake::Reap(device));
    }

    /// There is no room for a while.
    fn fill_disk(&mut self, device: usize) {
        let space = self.random.one_of([Space::Full, Space::FullForOverwrites, Space::Free]);
        let phone = &mut self.devices[device];
        phone.disk_hurts = true;
        phone.storage.disk.set_space(space);
        let full_ms = self.random.between(100, 5_000);
        self.wake_in_ms(full_ms, Wake::Room(device));
    }

    /// The cache breaks, and the app looks at something, which finds out.
    fn break_cache(&mut self, device: usize) -> Result<(), Failure> {
        let fault = self.random.one_of([CacheFault::Lost, CacheFault::Lost, CacheFault::Failing]);
        if self.devices[device].life.is_none() || self.devices[device].is_frozen(self.now_us) {
            return Ok(());
        }
        self.devices[device].storage.cache.fail(fault);
        let DocumentKey { room, collection, id } = self.ledger_keys()[0].clone();
        self.unchecked = true;
        let looked = self.call(device, Command::Document { room, collection, id });
        self.unchecked = false;
        looked.map(drop)
    }

    /// The app closes a client whose store has failed, and opens another one.
    pub(crate) fn close(&mut self, device: usize) -> Result<(), Failure> {
        if self.devices[device].life.as_ref().is_none_or(|life| !life.app.store_failed) {
            return Ok(());
        }
        self.call(device, Command::Close).map(drop)
    }

    pub(crate) fn reap(&mut self, device: usize) -> Result<(), Failure> {
        if self.calm {
            return Ok(());
        }
        self.kill(device);
        Ok(())
    }

    fn partition(&mut self, device: usize, fault: Fault) {
        let until_us = self.now_us + self.random.between(50, 8_000) * 1000;
        let both = fault == Fault::Partition;
        let up = both || self.random.percent(50);
        let reach = &mut self.reach[device];
        if up {
            reach.up_from_us = until_us;
        }
        if both || !up {
            reach.down_from_us = until_us;
        }
    }

    /// The connection breaks, again and again.
    pub(crate) fn flap(&mut self, device: usize, left: u64) -> Result<(), Failure> {
        if left == 0 || self.calm {
            return Ok(());
        }
        self.wake_in_ms(FLAPPING_MS, Wake::Flap(device, left - 1));
        self.disconnect(device)
    }

    /// Both ends lose the connection, each when it notices, and each direction loses what lies beyond a random byte.
    pub(crate) fn disconnect(&mut self, device: usize) -> Result<(), Failure> {
        let links = self.links.iter().filter(|(_, link)| link.device == device && link.held);
        for number in links.map(|(number, _)| *number).collect::<Vec<_>>() {
            let up_us = self.now_us + self.latency_us();
            let down_us = self.now_us + self.latency_us();
            let Some(link) = self.links.get_mut(&number) else { continue };
            link.up.cut(&mut self.random);
            link.up.end(up_us);
            link.down.cut(&mut self.random);
            link.down.end(down_us);
            self.wake_up(number);
            self.wake_down(number);
        }
        self.lose_requests(device)
    }

    /// Requests that the server has not begun are lost; of some that it has carried out, the answers are.
    fn restart_server(&mut self) -> Result<(), Failure> {
        let links: Vec<_> =
            self.links.iter().filter_map(|(number, link)| Some((*number, link.session?))).collect();
        let now_ms = self.server_ms();
        for (_, id) in &links {
            for _ in 0..self.random.below(3) {
                let _lost = self.server.serve(*id, now_ms);
            }
        }
        self.hear_verdicts()?;
        for (number, _) in links {
            if let Some(link) = self.links.get_mut(&number) {
                link.down.cut(&mut self.random);
            }
            self.drop_session(number, &Broken("the server ends".to_owned()))?;
        }
        self.server.restart();
        self.server_down_until_us = self.now_us + self.random.one_of([0, 500, 6_000]) * 1000;
        Ok(())
    }

    fn trouble(&mut self) {
        for _ in 0..self.random.between(1, 6) {
            let code =
                self.random.one_of([ErrorCode::Unavailable, ErrorCode::RateLimited, ErrorCode::Internal]);
            let mut error = WireError::new(code, "not now");
            if code == ErrorCode::RateLimited {
                error.retry_after_ms = Some(self.random.between(10, 1_500));
            }
            self.server.trouble.push_back(error);
        }
    }

    fn revoke_room(&mut self, device: usize) -> Result<(), Failure> {
        let room = self.plan.rooms[self.random.index(self.plan.rooms.len())].clone();
        let user = self.devices[device].user.clone();
        let phone = &mut self.devices[device];
        phone.denied.insert(room.clone());
        if let Some(life) = &mut phone.life {
            life.app.denied.insert(room.clone());
        }
        if self.server.revoked.insert((user, room)) {
            return self.dismiss(device);
        }
        self.grant(device)
    }

    /// The server ends a user's sessions, so that it asks for its rights anew.
    fn dismiss(&mut self, device: usize) -> Result<(), Failure> {
        let links = self.links.iter().filter(|(_, link)| link.device == device && link.session.is_some());
        for number in links.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.drop_session(number, &Broken("its rights changed".to_owned()))?;
        }
        Ok(())
    }

    /// All rights of a device come back, with the token that carries them.
    pub(crate) fn grant(&mut self, device: usize) -> Result<(), Failure> {
        let user = self.devices[device].user.clone();
        let before = self.server.revoked.len();
        self.server.revoked.retain(|(revoked, _)| *revoked != user);
        if self.server.revoked.len() == before {
            return Ok(());
        }
        self.renew_token(device)
    }

    /// The app gets a token and hands it over.
    pub(crate) fn renew_token(&mut self, device: usize) -> Result<(), Failure> {
        let ends_ms = self.server_ms() + self.plan.server.token_ms;
        let revoked_ms = self.server.revoked_through_ms.get(&self.devices[device].user).copied().unwrap_or(0);
        let token = token(&self.devices[device].user, ends_ms.max(revoked_ms + 1));
        self.devices[device].set_token(token.clone());
        let phone = &mut self.devices[device];
        phone.token_waits = phone.is_frozen(self.now_us);
        if phone.token_waits {
            let at_us = phone.frozen_until_us;
            self.wake(at_us, Wake::Token(device));
            return Ok(());
        }
        self.turn(
            device,
            vec![Stimulus::Command(syncline::Command::SetToken {
                token: Some(token.into()),
                expires_at_ms: None,
            })],
        )
    }

    /// The system freezes the process; its monotonic clock goes on or stands still.
    fn suspend(&mut self, device: usize) {
        let sleep_ms = self.random.one_of([1, 200, 3_000, 20_000, 60_000]);
        let stands_still = self.random.percent(50);
        let phone = &mut self.devices[device];
        if phone.is_frozen(self.now_us) {
            return;
        }
        phone.frozen_until_us = self.now_us + sleep_ms * 1000;
        phone.stands_still = stands_still;
        if stands_still {
            phone.stood_still_us += sleep_ms * 1000;
        }
        self.wake_in_ms(sleep_ms, Wake::Poll(device));
    }

    /// Everybody puts the phone away, for up to thirty days.
    fn sleep(&mut self) {
        if self.devices.iter().any(|device| device.is_frozen(self.now_us)) {
            return;
        }
        let sleep_ms = self.random.one_of([60_000, 60 * 60_000, DAY_MS, 30 * DAY_MS]);
        for device in 0..self.devices.len() {
            if self.random.percent(50) {
                self.devices[device].stood_still_us += sleep_ms * 1000;
            }
        }
        self.slept_us += sleep_ms * 1000;
        self.now_us += sleep_ms * 1000;
    }

    /// Nothing goes wrong any more.
    pub(crate) fn heal(&mut self) {
        self.calm = true;
        self.reach.fill(Reach::default());
        self.server_down_until_us = 0;
        self.server.trouble.clear();
        for device in &mut self.devices {
            if device.stands_still {
                // Woken before its time.
                device.stood_still_us -= device.frozen_until_us.saturating_sub(self.now_us);
            }
            device.frozen_until_us = 0;
            device.slow_until_us = 0;
            device.busy_until_us = 0;
            device.tick_us = None;
            device.storage.disk.die_at(NEVER);
            device.storage.disk.set_space(Space::Free);
        }
        for device in 0..self.devices.len() {
            if std::mem::take(&mut self.devices[device].token_waits) {
                self.wake(self.now_us, Wake::Token(device));
            }
        }
        for number in self.links.keys().copied().collect::<Vec<_>>() {
            self.wake_up(number);
            self.wake_down(number);
            // Who dials goes on at once.
            self.wake(self.now_us, Wake::Dialed(number));
        }
    }
}
