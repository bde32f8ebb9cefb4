//! Deliberate bugs, by which the simulation proves that it would find such bugs. Only the feature `sabotage` makes
//! them possible; nothing but the simulation sets it.

/// One bug. What it breaks stands where it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sabotage {
    /// The server applies a mutation whose number was used before.
    DedupeOff,
    /// The journal reports a commit as durable without a sync.
    SyncSkipped,
    /// A page moves the cursor, and its documents are not applied.
    CursorBeforeApply,
    /// An increment counts twice.
    IncrementTwice,
    /// A confirmed write leaves the journal before the cache that holds it is flushed.
    AfterFlushIgnored,
    /// A commit whose sync failed counts as durable.
    SyncErrorIgnored,
    /// The new name of a rewritten journal is not synced.
    DirectorySyncSkipped,
    /// A record in the journal counts as whole though its checksum does not match.
    ChecksumIgnored,
}

impl Sabotage {
    pub const ALL: [Self; 8] = [
        Self::DedupeOff,
        Self::SyncSkipped,
        Self::CursorBeforeApply,
        Self::IncrementTwice,
        Self::AfterFlushIgnored,
        Self::SyncErrorIgnored,
        Self::DirectorySyncSkipped,
        Self::ChecksumIgnored,
    ];
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
