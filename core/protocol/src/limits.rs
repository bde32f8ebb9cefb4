//! Sizes both ends enforce. A server may announce lower ones in `sync:hello`; a client takes the lower of the two.

use serde::{Deserialize, Serialize};

/// How deep arrays and objects may nest within a value.
pub const VALUE_DEPTH_MAX: usize = 64;

/// How many segments a path may have.
pub const PATH_SEGMENTS_MAX: usize = 32;

/// Limits that travel in `sync:hello`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// The fields of one document, or of one patch.
    pub document_bytes_max: u64,
    /// Mutations in one `sync:push`.
    pub push_count_max: u32,
    /// Changes in one page of `sync:pull`.
    pub page_count_max: u32,
    /// One Socket.IO message.
    pub message_bytes_max: u64,
    /// The presence state of one client in one room.
    pub presence_state_bytes_max: u64,
    /// Rooms one client may subscribe to.
    pub rooms_max: u32,
    /// Fields in the presence state of one client in one room.
    pub presence_fields_max: u32,
    /// Those of them that vanish by themselves.
    pub presence_expiring_max: u32,
    /// The longest that such a field may stand without being renewed.
    pub presence_expiry_ms_max: u64,
    /// Clients present in one room.
    pub presence_members_max: u32,
    /// How long a client that is not heard of stays present at most, unless it is in the background.
    pub presence_lease_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes_max: 1 << 20,
            push_count_max: 500,
            page_count_max: 1000,
            message_bytes_max: 8 << 20,
            presence_state_bytes_max: 4 << 10,
            rooms_max: 1000,
            presence_fields_max: 64,
            presence_expiring_max: 16,
            presence_expiry_ms_max: 60 * 60 * 1000,
            presence_members_max: 5000,
            presence_lease_ms: 70_000,
        }
    }
}

impl Limits {
    /// The stricter of two sets of limits, limit by limit.
    pub fn min(self, other: Self) -> Self {
        Self {
            document_bytes_max: self.document_bytes_max.min(other.document_bytes_max),
            push_count_max: self.push_count_max.min(other.push_count_max),
            page_count_max: self.page_count_max.min(other.page_count_max),
            message_bytes_max: self.message_bytes_max.min(other.message_bytes_max),
            presence_state_bytes_max: self.presence_state_bytes_max.min(other.presence_state_bytes_max),
            rooms_max: self.rooms_max.min(other.rooms_max),
            presence_fields_max: self.presence_fields_max.min(other.presence_fields_max),
            presence_expiring_max: self.presence_expiring_max.min(other.presence_expiring_max),
            presence_expiry_ms_max: self.presence_expiry_ms_max.min(other.presence_expiry_ms_max),
            presence_members_max: self.presence_members_max.min(other.presence_members_max),
            presence_lease_ms: self.presence_lease_ms.min(other.presence_lease_ms),
        }
    }
}
