//! The state that a client shows of itself in a room: fields, some of which vanish by themselves.
//!
//! Only durations travel, because clocks differ; each end counts them from when it heard of them, on a clock of its
//! own that never jumps.

use std::collections::BTreeMap;

use crate::error::{ErrorCode, WireError};
use crate::gather::Gather as _;
use crate::limits::Limits;
use crate::message::Member;
use crate::value::{Fields, Value, fields_byte_len};

/// A state as one end keeps it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ShownState {
    fields: Fields,
    /// When fields vanish, on the keeper's clock.
    expires_at_ms: BTreeMap<String, u64>,
}

impl ShownState {
    /// A state of `fields`, without those that are null.
    pub fn new(
        fields: &Fields,
        expires_ms: &BTreeMap<String, u64>,
        now_ms: u64,
        limits: &Limits,
    ) -> Result<Self, WireError> {
        Self::default().with(fields, expires_ms, now_ms, limits)
    }

    /// What a server says of a member: within its limits, whatever they are.
    pub fn of_member(member: &Member, now_ms: u64) -> Self {
        let mut shown = Self::default();
        shown.merge(&member.state, &member.expires_ms, now_ms, u64::MAX);
        shown
    }

    /// The state after `changes` are made: a null removes its field. A field that is set stands until it is removed,
    /// unless `expires_ms` says for how long.
    pub fn with(
        &self,
        changes: &Fields,
        expires_ms: &BTreeMap<String, u64>,
        now_ms: u64,
        limits: &Limits,
    ) -> Result<Self, WireError> {
        if let Some(name) = expires_ms.keys().find(|name| !changes.contains_key(name.as_str())) {
            let message = format!("{name:?} expires, but is not set");
            return Err(WireError::new(ErrorCode::Invalid, message));
        }
        let mut shown = self.clone();
        shown.expire(now_ms);
        shown.merge(changes, expires_ms, now_ms, limits.presence_expiry_ms_max);
        let (fields_max, expiring_max) = (limits.presence_fields_max, limits.presence_expiring_max);
        within("fields", shown.fields.len() as u64, fields_max.into())?;
        within("fields that expire", shown.expires_at_ms.len() as u64, expiring_max.into())?;
        within("bytes", fields_byte_len(&shown.fields) as u64, limits.presence_state_bytes_max)?;
        Ok(shown)
    }

    fn merge(
        &mut self,
        changes: &Fields,
        expires_ms: &BTreeMap<String, u64>,
        now_ms: u64,
        expiry_ms_max: u64,
    ) {
        for (name, value) in changes {
            self.expires_at_ms.remove(name.as_str());
            match (value, expires_ms.get(name.as_str())) {
                (Value::Null, _) | (_, Some(0)) => {
                    self.fields.remove(name);
                }
                (value, expires_ms) => {
                    self.fields.insert(name.clone(), value.clone());
                    if let Some(ms) = expires_ms {
                        let at_ms = now_ms.saturating_add(*ms.min(&expiry_ms_max));
                        self.expires_at_ms.insert(name.to_string(), at_ms);
                    }
                }
            }
        }
    }

    /// Removes what has expired; answers whether that was anything.
    pub fn expire(&mut self, now_ms: u64) -> bool {
        let before = self.expires_at_ms.len();
        let fields = &mut self.fields;
        self.expires_at_ms.retain(|name, at_ms| {
            let stays = *at_ms > now_ms;
            if !stays {
                fields.remove(name.as_str());
            }
            stays
        });
        self.expires_at_ms.len() < before
    }

    /// As of the last [`expire`](Self::expire).
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// When the next field expires.
    pub fn next_expiry_ms(&self) -> Option<u64> {
        self.expires_at_ms.values().min().copied()
    }

    /// What is left now of the fields, and for how long of those that vanish.
    pub fn left(&self, now_ms: u64) -> (Fields, BTreeMap<String, u64>) {
        let left = self.expires_at_ms.iter().map(|(name, at_ms)| (name, at_ms.saturating_sub(now_ms)));
        let expires_ms: BTreeMap<String, u64> =
            left.filter(|(_, left_ms)| *left_ms > 0).map(|(name, left_ms)| (name.clone(), left_ms)).gather();
        let stands = |name: &str| expires_ms.contains_key(name) || !self.expires_at_ms.contains_key(name);
        let fields = self.fields.iter().filter(|(name, _)| stands(name));
        (fields.map(|(name, value)| (name.clone(), value.clone())).gather(), expires_ms)
    }
}

fn within(what: &str, found: u64, max: u64) -> Result<(), WireError> {
    if found <= max {
        return Ok(());
    }
    let message = format!("the presence state has {found} {what}, at most {max} are allowed");
    Err(WireError::new(ErrorCode::TooLarge, message))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn fields(entries: &[(&str, Value)]) -> Fields {
        entries.iter().map(|(name, value)| ((*name).into(), value.clone())).collect()
    }

    fn for_ms(entries: &[(&str, u64)]) -> BTreeMap<String, u64> {
        entries.iter().map(|(name, ms)| ((*name).to_owned(), *ms)).collect()
    }

    fn typing(ms: u64) -> (Fields, BTreeMap<String, u64>) {
        (fields(&[("typing", true.into())]), for_ms(&[("typing", ms)]))
    }

    #[test]
    fn an_update_sets_the_fields_it_names_and_null_removes() {
        let limits = Limits::default();
        let shown = ShownState::new(&fields(&[("a", 1.into()), ("b", 1.into())]), &for_ms(&[]), 0, &limits);
        let changes = fields(&[("b", Value::Null), ("c", 2.into())]);
        let shown = shown.unwrap().with(&changes, &for_ms(&[]), 0, &limits).unwrap();
        assert_eq!(*shown.fields(), fields(&[("a", 1.into()), ("c", 2.into())]));
    }

    #[test]
    fn a_field_vanishes_after_its_time_unless_it_is_renewed() {
        let limits = Limits::default();
        let (set, ms) = typing(100);
        let mut shown = ShownState::new(&set, &ms, 1_000, &limits).unwrap();
        shown = shown.with(&set, &ms, 1_050, &limits).unwrap();
        assert_eq!(shown.next_expiry_ms(), Some(1_150));
        assert!(!shown.expire(1_149));
        assert_eq!(shown.left(1_149), (set, for_ms(&[("typing", 1)])));
        assert_eq!(shown.left(1_150), (fields(&[]), for_ms(&[])));
        assert!(shown.expire(1_150));
        assert_eq!(shown, ShownState::default());
    }

    #[test]
    fn a_field_that_is_set_again_without_a_time_stays() {
        let limits = Limits::default();
        let (set, ms) = typing(100);
        let shown = ShownState::new(&set, &ms, 0, &limits).unwrap();
        let mut shown = shown.with(&set, &for_ms(&[]), 10, &limits).unwrap();
        assert!(!shown.expire(u64::MAX));
        assert_eq!(*shown.fields(), set);
    }

    #[test]
    fn a_state_over_a_cap_is_refused() {
        let limits = Limits {
            presence_fields_max: 2,
            presence_expiring_max: 1,
            presence_expiry_ms_max: 50,
            ..Limits::default()
        };
        let code = |set: &Fields, ms: &[(&str, u64)]| {
            ShownState::new(set, &for_ms(ms), 0, &limits).unwrap_err().code
        };
        let (one, two) = (fields(&[("a", 1.into())]), fields(&[("a", 1.into()), ("b", 1.into())]));
        let three = fields(&[("a", 1.into()), ("b", 1.into()), ("c", 1.into())]);
        assert_eq!(code(&three, &[]), ErrorCode::TooLarge);
        assert_eq!(code(&two, &[("a", 1), ("b", 1)]), ErrorCode::TooLarge);
        assert_eq!(code(&fields(&[("a", "x".repeat(5_000).into())]), &[]), ErrorCode::TooLarge);
        assert_eq!(code(&one, &[("b", 1)]), ErrorCode::Invalid);
        let shown = ShownState::new(&one, &for_ms(&[("a", 1_000)]), 0, &limits).unwrap();
        assert_eq!(shown.next_expiry_ms(), Some(50));
    }
}
