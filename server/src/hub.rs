//! What a room does with pushes and pulls: sequencing, dedupe, merge, conflicts, pages. Pure: reads come through
//! [`PushStore`] and [`RoomStore`], a push answers with the [`Commit`] that the store then makes in one transaction, and the caller
//! says what time it is.

mod batch;
mod compaction;
mod page;
mod shared;
mod terms;

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use syncline_protocol::message::{Changes, Push, PushAnswer};
use syncline_protocol::{
    Checksum, ClientId, Collection, Document, DocumentId, ErrorCode, Limits, Mutation, Room, WireError,
};

use self::batch::Batch;
pub use self::batch::{changes_byte_len, document_byte_len};
pub use self::compaction::{Compaction, Tombstone, compact};
pub use self::page::{PageRequest, page};
pub use self::shared::SharedDocument;
pub use self::terms::{Condition, Effect, Receipt, Term, Terms};
pub(crate) use self::terms::{RECEIPTS, is_hidden};
use crate::config::HubConfig;

/// Where a room's log ends, and where it begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The last number given, 0 for none.
    pub seq: u64,
    /// Of all live documents at `seq`.
    pub checksum: Checksum,
    /// The place of the last tombstone that was purged, 0 for none. Never falls.
    pub floor: u64,
    /// Tombstones in the log.
    pub tombstones: u64,
}

/// A document's name within its room.
pub type DocumentKey = (Collection, DocumentId);

/// What a push reads. A room, client or document never seen is not an error.
pub trait PushStore {
    type Error;

    fn head(&self, room: &Room) -> Result<Head, Self::Error>;

    fn document(&self, room: &Room, key: &DocumentKey) -> Result<Option<Document>, Self::Error>;

    /// Whose client it is, once it has pushed.
    fn owner(&self, client: ClientId) -> Result<Option<String>, Self::Error>;

    /// The highest number this client used in this room, 0 for none.
    fn last_client_seq(&self, room: &Room, client: ClientId) -> Result<u64, Self::Error>;

    /// Why a mutation was refused, if it was and is still kept.
    fn rejection(
        &self,
        room: &Room,
        client: ClientId,
        client_seq: u64,
    ) -> Result<Option<WireError>, Self::Error>;

    /// The highest number of a rejection that is no longer kept, 0 for none.
    fn rejections_dropped_through(&self, room: &Room, client: ClientId) -> Result<u64, Self::Error>;
}

/// What pages and compaction read besides.
pub trait RoomStore: PushStore {
    /// Every document whose newest change stands after `seq`, in order, deleted ones included, until told to stop. A
    /// store that reads less than the whole log tells of one document at least.
    fn changes_after(
        &self,
        room: &Room,
        seq: u64,
        is_wanted: &dyn Fn(&Collection) -> bool,
        visit: &mut dyn FnMut(Logged) -> ControlFlow<()>,
    ) -> Result<Extent, Self::Error>;

    /// The room's tombstones in the order of their places, until told to stop.
    fn tombstones(
        &self,
        room: &Room,
        visit: &mut dyn FnMut(Tombstone) -> ControlFlow<()>,
    ) -> Result<(), Self::Error>;
}

/// What stands at a place of a room's log.
#[derive(Debug, Clone, PartialEq)]
pub enum Logged {
    Wanted(Document),
    /// A document of a collection that is not wanted, which is not read.
    Unwanted {
        seq: u64,
    },
}

/// How far a log was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// To its end.
    Whole,
    /// There may be more.
    Part,
}

/// Changes with documents that are shared with the commit that made them.
pub type LiveChanges = Changes<SharedDocument>;

/// A document that a push writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Written {
    pub document: SharedDocument,
    pub replaced: Option<Replaced>,
}

/// What a written document was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// The place in the log that it leaves.
    pub seq: u64,
    pub deleted: bool,
}

/// What a push writes, all or nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    pub room: Room,
    pub client: ClientId,
    /// Binds the client to its user, on its first push.
    pub owner: Option<String>,
    pub head: Head,
    pub last_client_seq: u64,
    /// When, by the server's clock, in milliseconds since the epoch.
    pub committed_at_ms: u64,
    /// In the order of their places.
    pub documents: Vec<Written>,
    pub rejections: Vec<(u64, WireError)>,
}

/// The effect of a push.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    pub answer: PushAnswer,
    /// Absent when there is nothing to write.
    pub commit: Option<Commit>,
    /// For the room's subscribers, once the commit is durable.
    pub changes: Option<LiveChanges>,
}

/// Who pushes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    pub user: String,
    pub client: ClientId,
    /// For an author who keeps no numbers of its own; those of the mutations only tell their order then.
    pub terms: Option<Terms>,
}

impl Author {
    /// A client, which numbers its mutations itself.
    pub fn client(user: impl Into<String>, client: ClientId) -> Self {
        Self { user: user.into(), client, terms: None }
    }

    /// Whether a push made again is found to have been made already.
    pub fn may_repeat(&self) -> bool {
        self.terms.as_ref().is_none_or(|terms| terms.receipt.is_some())
    }
}

/// Why a push had no effect at all.
#[derive(Debug, PartialEq)]
pub enum PushError<E> {
    Refused(WireError),
    Store(E),
}

impl<E> From<E> for PushError<E> {
    fn from(error: E) -> Self {
        Self::Store(error)
    }
}

/// Applies a push. `now_ms` is the wall clock, in milliseconds since the epoch.
///
/// Mutations are tried in order. One whose number was used before is answered `duplicate` with its first outcome;
/// a refused one uses up its number.
pub fn push<S: PushStore>(
    store: &S,
    push: Push,
    author: &Author,
    now_ms: u64,
    limits: &Limits,
    config: &HubConfig,
) -> Result<Pushed, PushError<S::Error>> {
    check_batch(&push.mutations, limits).map_err(PushError::Refused)?;
    let owner = store.owner(author.client)?;
    if owner.as_ref().is_some_and(|owner| *owner != author.user) {
        return Err(PushError::Refused(WireError::new(
            ErrorCode::Forbidden,
            "the client id is another user's",
        )));
    }
    let Push { room, mutations, .. } = push;
    let count = mutations.len();
    let mut batch = Batch::open(store, room, author, limits, &config.validation, count)?;
    let bind = owner.is_none().then(|| author.user.clone());
    if let Some(terms) = &author.terms {
        let bytes_max = config.transaction_bytes_max;
        let answer = terms::apply(&mut batch, &mutations, terms, now_ms, bytes_max)?;
        let (commit, changes) = batch.close(bind, now_ms);
        return Ok(Pushed { answer, commit, changes });
    }
    let mut answer = PushAnswer { results: Vec::with_capacity(count), error: None };
    let wall_ms_max = now_ms.saturating_add(config.clock_drift_ms_max);
    for mut mutation in mutations {
        if batch.written_bytes > config.transaction_bytes_max {
            answer.error = Some(rest_later());
            break;
        }
        mutation.time = mutation.time.capped(wall_ms_max, mutation.client_seq);
        answer.results.push(batch.apply(mutation, now_ms)?);
    }
    let (commit, changes) = batch.close(bind, now_ms);
    Ok(Pushed { answer, commit, changes })
}

/// Why the rest of a batch was not tried.
pub(crate) fn rest_later() -> WireError {
    let error =
        WireError::new(ErrorCode::Unavailable, "the batch writes too much at once; send the rest again");
    // There is nothing to wait for: the rest fits the next transaction.
    WireError { retry_after_ms: Some(0), ..error }
}

/// Whether a batch may be tried at all.
pub(crate) fn check_batch(mutations: &[Mutation], limits: &Limits) -> Result<(), WireError> {
    let invalid = |message: &str| Err(WireError::new(ErrorCode::Invalid, message));
    if mutations.is_empty() {
        return invalid("the push is empty");
    }
    if mutations.len() > limits.push_count_max as usize {
        let message = format!(
            "{} mutations in one push, at most {} are allowed",
            mutations.len(),
            limits.push_count_max
        );
        return Err(WireError::new(ErrorCode::TooLarge, message));
    }
    let ascending = mutations.windows(2).all(|pair| pair[0].client_seq < pair[1].client_seq);
    if !ascending || mutations[0].client_seq == 0 {
        return invalid("mutation numbers start at 1 and grow within a push");
    }
    Ok(())
}

#[cfg(test)]
mod terms_tests;
#[cfg(test)]
mod tests;
