//! Deliberate bugs, by which the simulation proves that it would find such bugs. Only the feature `sabotage` makes
//! them possible; nothing but the simulation sets it.

/// One list for the bugs, all of them, and how each is asked for.
macro_rules! bugs {
    ($($(#[$doc:meta])+ $bug:ident $name:literal,)+) => {
        /// One bug. What it breaks stands where it is asked for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Sabotage {
            $($(#[$doc])+ $bug,)+
        }

        impl Sabotage {
            pub const ALL: &[Self] = &[$(Self::$bug),+];

            /// How it is asked for.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$bug => $name,)+
                }
            }
        }
    };
}

bugs! {
    /// The server applies a mutation whose number was used before.
    DedupeOff "dedupe_off",
    /// The journal reports a commit as durable without a sync.
    SyncSkipped "sync_skipped",
    /// A page moves the cursor, and its documents are not applied.
    CursorBeforeApply "cursor_before_apply",
    /// An increment counts twice.
    IncrementTwice "increment_twice",
    /// A reader that missed purged deletions goes on as if it had not.
    FloorIgnored "floor_ignored",
    /// A deletion is purged, and the room's floor does not tell.
    TombstonePurgedAboveFloor "tombstone_purged_above_floor",
    /// A confirmed write leaves the journal before the cache that holds it is flushed.
    AfterFlushIgnored "after_flush_ignored",
    /// A commit whose sync failed counts as durable.
    SyncErrorIgnored "sync_error_ignored",
    /// The new name of a rewritten journal is not synced.
    DirectorySyncSkipped "directory_sync_skipped",
    /// A record in the journal counts as whole though its checksum does not match.
    ChecksumIgnored "checksum_ignored",
    /// An edit becomes part of a mutation that is under way.
    CoalescedSent "coalesced_sent",
    /// A write leaves the outbox as soon as the server answered it, whatever the cache holds.
    SettledEarly "settled_early",
    /// A restart gives numbers away that were used before.
    NumberReused "number_reused",
    /// Live changes are applied though some before them are missing.
    GapIgnored "gap_ignored",
    /// A push does not name the one before it.
    AfterNotSent "after_not_sent",
    /// A write in conflict is forgotten in the place of being kept for the app.
    ConflictDropped "conflict_dropped",
    /// A restart forgets what the app was not told of yet.
    OutcomeForgotten "outcome_forgotten",
    /// A row that moves within its window is not told.
    MoveNotTold "move_not_told",
    /// A refused write stays visible.
    RejectedVisible "rejected_visible",
    /// Rooms are not subscribed again on a new connection.
    NotResubscribed "not_resubscribed",
    /// What was refused for now is never tried again.
    RetryLost "retry_lost",
    /// The answer to a repeated mutation is that it was refused, though it was applied.
    StaleAnswer "stale_answer",
    /// The server leaves a place in the log out.
    SequenceGap "sequence_gap",
    /// The server's checksum is not that of its documents.
    ChecksumNotUpdated "checksum_not_updated",
    /// The older of two writes of a field wins.
    OlderStampWins "older_stamp_wins",
    /// A job expires by the device's clock, whenever that is set.
    JobExpiryByWallClock "job_expiry_by_wall_clock",
    /// A restart forgets the last job that waited.
    JobForgotten "job_forgotten",
    /// A job that is done stays in the journal.
    JobNotGone "job_not_gone",
    /// The end of a job is not told.
    JobEndNotTold "job_end_not_told",
    /// A lane begins with the job that came last.
    LaneReversed "lane_reversed",
    /// Each attempt at a job has an idempotency key of its own.
    JobKeyChanged "job_key_changed",
    /// What a client has read does not move its clock.
    ClockNotObserved "clock_not_observed",
    /// Queued writes are looked for where they stood before the journal was written anew.
    BodiesNotMoved "bodies_not_moved",
    /// A write that could not be written to the journal is looked for there.
    BodiesNotRolledBack "bodies_not_rolled_back",
    /// What a journal added up to is believed though it was written anew since.
    SummaryOutlivesJournal "summary_outlives_journal",
    /// What a journal adds up to leaves out the last write that waits.
    SummaryIncomplete "summary_incomplete",
    /// A change of the cache is not seen before its database has it.
    WaitingNotSeen "waiting_not_seen",
    /// A flush leaves out what the cache's database was not given yet.
    WaitingNotFlushed "waiting_not_flushed",
}

#[cfg(feature = "sabotage")]
std::thread_local! {
    static ACTIVE: std::cell::Cell<Option<Sabotage>> = const { std::cell::Cell::new(None) };
}

/// Makes one bug happen on this thread, in the place of the one before.
#[cfg(feature = "sabotage")]
pub fn activate(bug: Option<Sabotage>) {
    ACTIVE.set(bug);
}

/// Whether this bug shall happen.
#[cfg(feature = "sabotage")]
pub fn is_active(bug: Sabotage) -> bool {
    ACTIVE.get() == Some(bug)
}

/// Never: the bugs are not compiled in.
#[cfg(not(feature = "sabotage"))]
pub const fn is_active(_: Sabotage) -> bool {
    false
}
