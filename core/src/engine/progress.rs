//! How far the current round of synchronization has come.

use serde::Serialize;

use super::io::ConnectionState;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ProgressPhase {
    #[default]
    Idle,
    /// Connecting.
    Preparing,
    Uploading,
    Downloading,
    Complete,
    Error,
}

/// How far the current round of synchronization has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    pub phase: ProgressPhase,
    /// Writes confirmed in this round.
    pub uploaded: u64,
    /// Writes still to be confirmed.
    pub to_upload: u64,
    /// Documents received in this round.
    pub downloaded: u64,
    /// Rooms that have caught up with the server.
    pub rooms_live: u64,
    /// Rooms that have not, without those that the server denies.
    pub rooms_to_load: u64,
}

/// What the phase is derived from.
#[derive(Debug, Clone, Copy)]
pub struct Situation {
    pub connection: ConnectionState,
    /// Whether the connection ended with an error.
    pub failed: bool,
    pub pending: u64,
    pub rooms: RoomCounts,
}

/// How many rooms have caught up, and how many not, without those that the server denies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoomCounts {
    pub live: u64,
    pub to_load: u64,
}

#[derive(Debug, Default)]
pub struct ProgressMeter {
    uploaded: u64,
    downloaded: u64,
    last: Progress,
}

impl ProgressMeter {
    pub fn count_uploaded(&mut self) {
        self.uploaded += 1;
    }

    pub fn count_downloaded(&mut self, documents: u64) {
        self.downloaded += documents;
    }

    /// The progress, if it is not what was last returned. A round ends with `Complete`; the next begins at zero.
    pub fn poll(&mut self, situation: Situation) -> Option<Progress> {
        let phase = match situation.connection {
            ConnectionState::Open if situation.rooms.to_load > 0 => ProgressPhase::Downloading,
            ConnectionState::Open if situation.pending > 0 => ProgressPhase::Uploading,
            ConnectionState::Open => ProgressPhase::Complete,
            ConnectionState::Connecting => ProgressPhase::Preparing,
            _ if situation.failed => ProgressPhase::Error,
            _ => ProgressPhase::Idle,
        };
        let idle = self.uploaded == 0 && self.downloaded == 0;
        if phase == ProgressPhase::Complete && idle && self.last.phase == ProgressPhase::Complete {
            return None;
        }
        let progress = Progress {
            phase,
            uploaded: self.uploaded,
            to_upload: situation.pending,
            downloaded: self.downloaded,
            rooms_live: situation.rooms.live,
            rooms_to_load: situation.rooms.to_load,
        };
        if phase == ProgressPhase::Complete {
            (self.uploaded, self.downloaded) = (0, 0);
        }
        let changed = progress != self.last;
        self.last = progress;
        changed.then_some(progress)
    }
}
