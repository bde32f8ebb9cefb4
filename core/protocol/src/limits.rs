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
        }
    }
}
