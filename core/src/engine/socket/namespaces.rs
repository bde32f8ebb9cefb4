//! The namespaces beside the client's own. They share its connection; each has its own session.

use std::collections::{BTreeMap, BTreeSet};

use super::cause::DisconnectCause;
use super::recovery::Recovery;
use super::types::{NamespaceState, NamespaceStatus};
use crate::argument::Argument;
use crate::engine::io::{Event, RequestId};
use crate::error::{Code, Error};
use crate::transport::{Namespace, Payload};

#[derive(Debug, Default)]
pub(in crate::engine) struct Extra {
    /// What the app adds to what the server is told.
    pub(in crate::engine) auth: Option<Argument>,
    pub(in crate::engine) recovery: Recovery,
    /// Whether it is joined on each new connection.
    wanted: bool,
    state: NamespaceState,
    /// When an answer of the server is late.
    deadline_us: Option<u64>,
    reason: Option<Error>,
    cause: Option<DisconnectCause>,
    data: Option<Argument>,
    waiters: Vec<RequestId>,
}

#[derive(Debug, Default)]
pub(in crate::engine) struct Namespaces {
    extras: BTreeMap<Namespace, Extra>,
    changed: BTreeSet<Namespace>,
}

impl Namespaces {
    /// Makes it wanted, with what the app adds to what the server is told.
    pub(in crate::engine) fn want(
        &mut self,
        namespace: &Namespace,
        auth: Option<Argument>,
        namespaces_max: u64,
    ) -> Result<(), Error> {
        if !self.extras.contains_key(namespace) && self.extras.len() as u64 >= namespaces_max {
            self.extras.retain(|_, extra| extra.wanted || extra.state != NamespaceState::Idle);
        }
        if !self.extras.contains_key(namespace) && self.extras.len() as u64 >= namespaces_max {
            return Err(Error::new(
                Code::QueueFull,
                format!("more than {namespaces_max} namespaces are used"),
            ));
        }
        let extra = self.extras.entry(namespace.clone()).or_default();
        extra.wanted = true;
        if auth.is_some() {
            extra.auth = auth;
        }
        Ok(())
    }

    pub(in crate::engine) fn get(&self, namespace: &Namespace) -> Option<&Extra> {
        self.extras.get(namespace)
    }

    pub(in crate::engine) fn get_mut(&mut self, namespace: &Namespace) -> Option<&mut Extra> {
        self.extras.get_mut(namespace)
    }

    pub(in crate::engine) fn state(&self, namespace: &Namespace) -> NamespaceState {
        self.extras.get(namespace).map(|extra| extra.state).unwrap_or_default()
    }

    /// Those to be joined on a new connection.
    pub(in crate::engine) fn wanted(&self) -> Vec<Namespace> {
        self.extras.iter().filter(|(_, extra)| extra.wanted).map(|(name, _)| name.clone()).collect()
    }

    pub(in crate::engine) fn names(&self) -> Vec<Namespace> {
        self.extras.keys().cloned().collect()
    }

    /// The server is asked, until `deadline_us`.
    pub(in crate::engine) fn handle_asked(&mut self, namespace: &Namespace, deadline_us: u64) {
        if let Some(extra) = self.change(namespace) {
            extra.state = NamespaceState::Connecting;
            extra.deadline_us = Some(deadline_us);
        }
    }

    pub(in crate::engine) fn wait(&mut self, namespace: &Namespace, request: RequestId) {
        if let Some(extra) = self.extras.get_mut(namespace) {
            extra.waiters.push(request);
        }
    }

    /// The server let the client in. `None` if it was not asked; otherwise who waits for that.
    pub(in crate::engine) fn handle_connected(
        &mut self,
        namespace: &Namespace,
        data: Option<&Payload>,
    ) -> Option<Vec<RequestId>> {
        let extra = self.change(namespace).filter(|extra| extra.state == NamespaceState::Connecting)?;
        extra.recovery.handle_connected(data);
        extra.state = NamespaceState::Open;
        (extra.deadline_us, extra.reason, extra.cause, extra.data) = (None, None, None, None);
        Some(std::mem::take(&mut extra.waiters))
    }

    /// It is not open any more, or was refused. Returns who waits for it.
    pub(in crate::engine) fn handle_ended(
        &mut self,
        namespace: &Namespace,
        cause: DisconnectCause,
        reason: Option<Error>,
        data: Option<Argument>,
    ) -> Vec<RequestId> {
        let Some(extra) = self.change(namespace) else { return Vec::new() };
        // As in npm's client: what one end has ended stays so until the app asks for it again.
        if matches!(cause, DisconnectCause::NamespaceDisconnect | DisconnectCause::ClientDisconnect) {
            extra.wanted = false;
            extra.recovery.forget();
        }
        extra.recovery.handle_lost();
        extra.state = NamespaceState::Idle;
        (extra.deadline_us, extra.reason, extra.cause, extra.data) = (None, reason, Some(cause), data);
        std::mem::take(&mut extra.waiters)
    }

    pub(in crate::engine) fn next_deadline(&self) -> Option<u64> {
        self.extras.values().filter_map(|extra| extra.deadline_us).min()
    }

    pub(in crate::engine) fn due(&self, now_us: u64) -> Vec<Namespace> {
        let due = |extra: &Extra| extra.deadline_us.is_some_and(|at_us| at_us <= now_us);
        self.extras.iter().filter(|(_, extra)| due(extra)).map(|(name, _)| name.clone()).collect()
    }

    /// No session is to be continued.
    pub(in crate::engine) fn forget_recovery(&mut self) {
        self.extras.values_mut().for_each(|extra| extra.recovery.forget());
    }

    pub(in crate::engine) fn status(&self, namespace: &Namespace) -> NamespaceStatus {
        let extra = self.extras.get(namespace);
        NamespaceStatus {
            namespace: namespace.to_string(),
            state: self.state(namespace),
            reason: extra.and_then(|extra| extra.reason.clone()).map(Into::into),
            cause: extra.and_then(|extra| extra.cause),
            data: extra.and_then(|extra| extra.data.clone()),
            recovered: extra.is_some_and(|extra| extra.recovery.is_recovered()),
        }
    }

    pub(in crate::engine) fn poll_events(&mut self, events: &mut Vec<Event>) {
        let changed = std::mem::take(&mut self.changed);
        events.extend(changed.iter().map(|namespace| Event::Namespace { status: self.status(namespace) }));
    }

    fn change(&mut self, namespace: &Namespace) -> Option<&mut Extra> {
        let extra = self.extras.get_mut(namespace)?;
        self.changed.insert(namespace.clone());
        Some(extra)
    }
}
