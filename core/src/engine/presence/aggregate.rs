//! Members by user: a user is there with as many devices as there are clients of theirs.

use std::collections::BTreeMap;

use syncline_protocol::message::PresenceStatus;

use crate::engine::io::{PresentMember, PresentUser};

/// The users of members, each of which was last active at a time.
pub(super) fn users(members: &[(PresentMember, u64)]) -> Vec<PresentUser> {
    let mut by_user: BTreeMap<&str, Vec<&(PresentMember, u64)>> = BTreeMap::new();
    for member in members {
        by_user.entry(&member.0.user_id).or_default().push(member);
    }
    by_user.into_iter().filter_map(|(user_id, devices)| user(user_id, &devices)).collect()
}

fn user(user_id: &str, devices: &[&(PresentMember, u64)]) -> Option<PresentUser> {
    let is_active = |member: &PresentMember| member.status == PresenceStatus::Active;
    // Of two that were active at the same time, the order of their ids decides: on every device alike.
    let (shown, _) = devices
        .iter()
        .max_by_key(|(member, active_at_ms)| (is_active(member), *active_at_ms, &member.client_id))?;
    Some(PresentUser {
        user_id: user_id.to_owned(),
        status: shown.status,
        devices: devices.len() as u64,
        state: shown.state.clone(),
        me: devices.iter().any(|(member, _)| member.me),
        client_ids: devices.iter().map(|(member, _)| member.client_id.clone()).collect(),
    })
}
