//! The connection's life: when to dial, when to give up, when to wait.
//!
//! Knows nothing of rooms or writes. The engine tells it what happened and carries out the [`Step`] it returns.

use super::backoff::Backoff;
use super::io::{AppState, ConnectionState, ConnectionStatus, Generation, Network, Now};
use super::liveness::Liveness;

use crate::config::Settings;
use crate::error::{Code, Error};
use crate::secret::Secret;
use crate::transport::Handshake;

/// What the engine does after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Step {
    Nothing,
    /// Dial a socket of this generation.
    Dial(Generation),
    /// Send the Socket.IO connect packet.
    Greet,
    /// The session is open.
    Opened,
    /// Hand the server the new token on the session that is open.
    Refresh,
    /// The session is over; close this socket if it still exists.
    Ended(Generation),
    /// The session is over, and a new socket is to be dialed.
    Redial {
        old: Generation,
        new: Generation,
    },
}

/// How an open session goes on with another token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// The server takes it on the connection that there is.
    InPlace,
    /// The server goes by that of the handshake.
    Reconnect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    /// Until the Socket.IO session is open, or this deadline.
    Connecting {
        deadline_us: u64,
    },
    Open,
    Backoff {
        until_us: u64,
    },
    Offline {
        probe_at_us: u64,
    },
    Suspended,
    Unauthorized,
    Closed,
}

#[derive(Debug)]
pub struct Session {
    settings: Settings,
    phase: Phase,
    /// Whether the app wants a connection.
    wanted: bool,
    /// Tasks that want one whatever the app's state is, until they are done.
    tasks: u32,
    generation: Generation,
    backoff: Backoff,
    reason: Option<Error>,
    token: Option<Secret>,
    app: AppState,
    network: Network,
    /// When the socket closes in the background.
    suspend_at_us: Option<u64>,
    /// When an open session has lasted long enough for the backoff to begin anew.
    stable_at_us: Option<u64>,
    liveness: Liveness,
    /// When the app went to the background.
    left: Option<Now>,
    user_id: Option<String>,
}

impl Session {
    pub fn new(settings: Settings, token: Option<Secret>, seed: u64) -> Self {
        let backoff = Backoff::new(settings.reconnect_delay_ms, settings.reconnect_delay_ms_max, seed);
        Self {
            settings,
            phase: Phase::Idle,
            wanted: false,
            tasks: 0,
            generation: 0,
            backoff,
            reason: None,
            token,
            app: AppState::Active,
            network: Network::default(),
            suspend_at_us: None,
            stable_at_us: None,
            liveness: Liveness::default(),
            left: None,
            user_id: None,
        }
    }

    pub fn token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }

    /// Whether nothing but another token leads to a connection that is wanted now.
    pub fn needs_token(&self) -> bool {
        self.phase == Phase::Unauthorized && (self.tasks > 0 || self.wanted && !self.is_suspending())
    }

    /// In the background, and past the grace.
    fn is_suspending(&self) -> bool {
        self.app == AppState::Background && self.suspend_at_us.is_none()
    }

    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    pub fn is_current(&self, generation: Generation) -> bool {
        generation == self.generation && matches!(self.phase, Phase::Connecting { .. } | Phase::Open)
    }

    /// Whether the next tick closes the socket because the app is in the background.
    pub fn is_suspension_due(&self, now: Now) -> bool {
        self.tasks == 0 && self.suspend_at_us.is_some_and(|at_us| at_us <= now.mono_us)
    }

    pub fn is_in_background(&self) -> bool {
        self.app == AppState::Background
    }

    /// As the system reported it last.
    pub fn network(&self) -> &Network {
        &self.network
    }

    pub fn is_network_available(&self) -> bool {
        self.network.available
    }

    /// Whether the app is in the background, past the time that it may still do something, and no task runs.
    pub fn is_at_rest(&self) -> bool {
        self.app == AppState::Background && self.suspend_at_us.is_none() && self.tasks == 0
    }

    pub fn reason(&self) -> Option<&Error> {
        self.reason.as_ref()
    }

    pub fn set_user_id(&mut self, user_id: String) {
        self.user_id = Some(user_id);
    }

    pub fn state(&self) -> ConnectionState {
        match self.phase {
            Phase::Idle => ConnectionState::Idle,
            Phase::Connecting { .. } => ConnectionState::Connecting,
            Phase::Open => ConnectionState::Open,
            Phase::Backoff { .. } => ConnectionState::Backoff,
            Phase::Offline { .. } => ConnectionState::Offline,
            Phase::Suspended => ConnectionState::Suspended,
            Phase::Unauthorized => ConnectionState::Unauthorized,
            Phase::Closed => ConnectionState::Closed,
        }
    }

    pub fn status(&self, now: Now) -> ConnectionStatus {
        let retry_at_us = match self.phase {
            Phase::Backoff { until_us } => Some(until_us),
            Phase::Offline { probe_at_us } => Some(probe_at_us),
            _ => None,
        };
        ConnectionStatus {
            state: self.state(),
            reason: self.reason.clone().map(Into::into),
            attempts: if self.is_open() { 0 } else { self.backoff.attempts() },
            retry_in_ms: retry_at_us.map(|at_us| at_us.saturating_sub(now.mono_us) / 1000),
            user_id: self.user_id.clone(),
            ..ConnectionStatus::default()
        }
    }

    /// When [`handle_tick`](Self::handle_tick) has something to do, on the monotonic clock.
    pub fn next_deadline(&self) -> Option<u64> {
        let phase = match self.phase {
            Phase::Connecting { deadline_us } => Some(deadline_us),
            Phase::Backoff { until_us } => Some(until_us),
            Phase::Offline { probe_at_us } => Some(probe_at_us),
            Phase::Open => self.liveness.next_deadline().into_iter().chain(self.stable_at_us).min(),
            Phase::Idle | Phase::Suspended | Phase::Unauthorized | Phase::Closed => None,
        };
        let suspend_at_us = self.suspend_at_us.filter(|_| self.tasks == 0);
        phase.into_iter().chain(suspend_at_us).min()
    }

    pub fn handle_connect(&mut self, now: Now) -> Step {
        self.wanted = true;
        match self.phase {
            Phase::Connecting { .. } | Phase::Open | Phase::Closed => Step::Nothing,
            // The probe goes on: asking must not put it off.
            Phase::Offline { .. } if !self.network.available => Step::Nothing,
            _ if !self.network.available => self.fail(offline(), now),
            _ => self.dial(now),
        }
    }

    /// Dials without waiting, whatever the system says of the network.
    pub fn handle_sync_now(&mut self, now: Now) -> Step {
        self.wanted = true;
        match self.phase {
            Phase::Connecting { .. } | Phase::Open | Phase::Closed => Step::Nothing,
            _ => self.dial(now),
        }
    }

    /// A task begins that needs a connection, in the background, too.
    pub fn handle_task_begin(&mut self, now: Now) -> Step {
        self.tasks += 1;
        match self.phase {
            Phase::Connecting { .. } | Phase::Open | Phase::Closed => Step::Nothing,
            _ => self.dial(now),
        }
    }

    /// A task is done: the connection is again what the app and its state want.
    pub fn handle_task_end(&mut self, now: Now) -> Step {
        self.tasks = self.tasks.saturating_sub(1);
        if self.tasks > 0 || matches!(self.phase, Phase::Idle | Phase::Suspended | Phase::Closed) {
            return Step::Nothing;
        }
        if !self.wanted {
            return self.end(Phase::Idle);
        }
        let grace_is_over = self.suspend_at_us.is_none_or(|at_us| at_us <= now.mono_us);
        if self.app == AppState::Background && grace_is_over && self.phase != Phase::Unauthorized {
            self.suspend_at_us = None;
            return self.end(Phase::Suspended);
        }
        Step::Nothing
    }

    /// Whether the app is on screen and wants a connection.
    pub fn is_wanted_in_foreground(&self) -> bool {
        self.wanted && self.app != AppState::Background
    }

    pub fn handle_disconnect(&mut self) -> Step {
        self.wanted = false;
        self.reason = None;
        self.end(Phase::Idle)
    }

    pub fn handle_close(&mut self) -> Step {
        self.wanted = false;
        self.end(Phase::Closed)
    }

    pub fn handle_token(&mut self, token: Option<Secret>, renewal: Renewal, now: Now) -> Step {
        let changed = self.token != token;
        self.token = token;
        if self.token.is_none() {
            self.user_id = None;
        }
        match self.phase {
            Phase::Unauthorized if self.token.is_some() => self.dial(now),
            Phase::Open if changed && renewal == Renewal::InPlace => Step::Refresh,
            Phase::Open | Phase::Connecting { .. } if changed => self.redial(now),
            _ => Step::Nothing,
        }
    }

    /// The server did not take the token on the open session.
    pub fn handle_refresh_refused(&mut self, now: Now) -> Step {
        if self.is_open() { self.redial(now) } else { Step::Nothing }
    }

    pub fn handle_app_state(&mut self, app: AppState, now: Now) -> Step {
        let was = std::mem::replace(&mut self.app, app);
        if app == AppState::Background {
            if was != AppState::Background {
                self.left = Some(now);
                self.suspend_at_us = Some(now.after_ms(self.settings.background_grace_ms));
            }
            return Step::Nothing;
        }
        self.suspend_at_us = None;
        let away_ms = self.left.take().map_or(0, |left| now.ms_since(left));
        match self.phase {
            // Frozen for so long that the server has given this client up.
            Phase::Open | Phase::Connecting { .. } if self.liveness.is_over(now) => self.redial(now),
            Phase::Open if away_ms >= self.settings.foreground_check_ms => {
                self.liveness.hurry(self.settings.probe_timeout_ms, now);
                Step::Nothing
            }
            Phase::Suspended | Phase::Backoff { .. } | Phase::Offline { .. }
                if was == AppState::Background =>
            {
                self.dial(now)
            }
            _ => Step::Nothing,
        }
    }

    /// Whether connections to come take another route than those that there are.
    pub fn is_another_route(&self, network: &Network) -> bool {
        let was = &self.network;
        let is_another_kind = was.kind != network.kind && was.kind != Network::default().kind;
        network.available && (!was.available || is_another_kind)
    }

    pub fn handle_network(&mut self, network: Network, now: Now) -> Step {
        let is_another_route = self.is_another_route(&network);
        let was = std::mem::replace(&mut self.network, network);
        let news = was != self.network;
        match self.phase {
            // A system that repeats itself must not defeat the backoff.
            Phase::Backoff { .. } | Phase::Offline { .. } if self.network.available && news => self.dial(now),
            Phase::Backoff { .. } if !self.network.available => self.fail(offline(), now),
            // Not a probe that is under way because the system may be wrong.
            Phase::Connecting { .. } if !self.network.available && was.available => self.fail(offline(), now),
            // A socket that is open or opened over another route may be dead without knowing.
            Phase::Open | Phase::Connecting { .. } if is_another_route => self.redial(now),
            _ => Step::Nothing,
        }
    }

    /// The Engine.IO handshake arrived.
    pub fn handle_handshake(&mut self, handshake: &Handshake, now: Now) -> Step {
        self.liveness.begin(handshake.ping_interval_ms, handshake.ping_timeout_ms, now);
        Step::Greet
    }

    /// A sign of life from the server.
    pub fn handle_heartbeat(&mut self, now: Now) {
        self.liveness.hear(now);
    }

    /// The Socket.IO session is open.
    pub fn handle_session(&mut self, now: Now) -> Step {
        if !matches!(self.phase, Phase::Connecting { .. }) {
            return Step::Nothing;
        }
        self.phase = Phase::Open;
        // A server that accepts and drops must not be dialed at the first delay for ever.
        self.stable_at_us = Some(now.after_ms(self.settings.reconnect_delay_ms_max));
        self.reason = None;
        Step::Opened
    }

    /// The socket closed, the server refused, or the engine gave up on it.
    pub fn fail(&mut self, error: Error, now: Now) -> Step {
        let phase = match error.code {
            Code::Unauthorized | Code::NoAuthToken => Phase::Unauthorized,
            // Refused for good: only another token can help.
            Code::Forbidden if !self.is_open() => Phase::Unauthorized,
            _ if !self.wanted && self.tasks == 0 => Phase::Idle,
            _ if self.is_suspending() && self.tasks == 0 => Phase::Suspended,
            _ if !self.network.available => {
                Phase::Offline { probe_at_us: now.after_ms(self.settings.offline_probe_ms) }
            }
            _ => {
                let delay_ms = match error.code {
                    // Only another version of one of the two ends can help, or another way to the server.
                    Code::UnsupportedProtocol | Code::TlsPinMismatch => self.settings.unsupported_retry_ms,
                    _ => self.backoff.next_delay_ms(),
                };
                let delay_ms = match error.retry_after_ms {
                    Some(advice_ms) => delay_ms.max(self.backoff.spread_ms(advice_ms)),
                    None => delay_ms,
                };
                Phase::Backoff { until_us: now.after_ms(delay_ms) }
            }
        };
        self.reason = Some(error);
        self.end(phase)
    }

    pub fn handle_tick(&mut self, now: Now) -> Step {
        let due = |at_us: u64| at_us <= now.mono_us;
        if self.tasks == 0 && self.suspend_at_us.is_some_and(due) {
            self.suspend_at_us = None;
            if self.wanted && !matches!(self.phase, Phase::Unauthorized | Phase::Closed) {
                return self.end(Phase::Suspended);
            }
        }
        match self.phase {
            Phase::Connecting { deadline_us } if due(deadline_us) => {
                self.fail(Error::new(Code::Timeout, "the server did not answer the handshake in time"), now)
            }
            Phase::Open if self.liveness.next_deadline().is_some_and(due) => {
                self.fail(Error::new(Code::Timeout, "the server's heartbeat stopped"), now)
            }
            Phase::Open if self.stable_at_us.is_some_and(due) => {
                self.stable_at_us = None;
                self.backoff.reset();
                Step::Nothing
            }
            Phase::Backoff { until_us } if due(until_us) => self.dial(now),
            Phase::Offline { probe_at_us } if due(probe_at_us) => self.dial(now),
            _ => Step::Nothing,
        }
    }

    fn dial(&mut self, now: Now) -> Step {
        if self.token.is_none() && self.settings.token_required {
            return self.fail(Error::new(Code::NoAuthToken, "no auth token is set"), now);
        }
        if self.is_suspending() && self.tasks == 0 {
            self.suspend_at_us = Some(now.after_ms(self.settings.background_grace_ms));
        }
        self.generation += 1;
        self.phase = Phase::Connecting { deadline_us: now.after_ms(self.settings.connect_timeout_ms) };
        self.liveness.end();
        self.stable_at_us = None;
        Step::Dial(self.generation)
    }

    fn redial(&mut self, now: Now) -> Step {
        let old = self.generation;
        match self.dial(now) {
            Step::Dial(new) => Step::Redial { old, new },
            other => other,
        }
    }

    fn end(&mut self, phase: Phase) -> Step {
        self.phase = phase;
        self.liveness.end();
        self.stable_at_us = None;
        Step::Ended(self.generation)
    }
}

fn offline() -> Error {
    Error::new(Code::Offline, "the system reports no network")
}
