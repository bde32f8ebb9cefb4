//! Who is in a room, as the app is told.

use serde::Serialize;
use syncline_protocol::Fields;
use syncline_protocol::message::PresenceStatus;

#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct PresentMember {
    pub client_id: String,
    pub user_id: String,
    pub state: Fields,
    pub status: PresenceStatus,
    /// Whether it is this client.
    pub me: bool,
}

/// A user in a room, with all of their devices there.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct PresentUser {
    pub user_id: String,
    /// Active if any device is.
    pub status: PresenceStatus,
    pub devices: u64,
    /// What the device shows that was active last.
    pub state: Fields,
    /// Whether this client is one of the devices.
    pub me: bool,
    /// The devices, as the members name them.
    pub client_ids: Vec<String>,
}
