//! How far synchronization has come, in the typed API.

use syncline::engine::io::{self, ProgressPhase};

#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Phase {
    Idle,
    Preparing,
    Uploading,
    Downloading,
    Complete,
    Error,
}

#[derive(Debug, Clone, uniffi::Record)]
pub struct ProgressInfo {
    pub phase: Phase,
    pub uploaded: u64,
    pub to_upload: u64,
    pub downloaded: u64,
    /// Rooms that have caught up with the server.
    pub rooms_live: u64,
    /// Rooms that have not, without those that the server denies.
    pub rooms_to_load: u64,
}

impl From<io::Progress> for ProgressInfo {
    fn from(progress: io::Progress) -> Self {
        let phase = match progress.phase {
            ProgressPhase::Idle => Phase::Idle,
            ProgressPhase::Preparing => Phase::Preparing,
            ProgressPhase::Uploading => Phase::Uploading,
            ProgressPhase::Downloading => Phase::Downloading,
            ProgressPhase::Complete => Phase::Complete,
            ProgressPhase::Error => Phase::Error,
        };
        Self {
            phase,
            uploaded: progress.uploaded,
            to_upload: progress.to_upload,
            downloaded: progress.downloaded,
            rooms_live: progress.rooms_live,
            rooms_to_load: progress.rooms_to_load,
        }
    }
}
