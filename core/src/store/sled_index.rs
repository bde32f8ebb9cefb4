//! The indexes of a room in the database: whether they are there, and how they are built.

use syncline_protocol::Room;

use super::Indexes;
use super::cached_document::{CachedIndex, CachedRoom, Digest};
use super::database::{Database, Failure, Writes};
use super::room_change::add_entries;

/// Entries that one transaction writes or removes.
const ENTRIES_PER_WRITE: usize = 1024;

/// Looks whether there is room on the disk for so many bytes more.
pub(super) type EnsureRoom<'a> = &'a dyn Fn(u64) -> Result<(), Failure>;

/// Makes sure that the indexes of a room are there, in full.
///
/// # Errors
/// `Full`: the room counts as one without indexes.
pub(super) fn ensure_index(
    database: &Database,
    indexes: &Indexes,
    room: &Room,
    ensure_room: EnsureRoom<'_>,
) -> Result<(), Failure> {
    let cached = database.room(room)?;
    if cached.index.fingerprint == indexes.fingerprint() && digest(database, room)? == cached.index.digest {
        return Ok(());
    }
    let target = Target { database, room, cached, ensure_room, writes: Writes::default(), count: 0 };
    build(target, indexes)
}

fn digest(database: &Database, room: &Room) -> Result<Digest, Failure> {
    let mut digest = Digest::default();
    for item in database.indexes.scan_prefix(database.layout.room_prefix(room)) {
        let (key, id) = item?;
        digest.add(&key, &id);
    }
    Ok(digest)
}

/// In several transactions: until the last of them the room counts as one without indexes.
fn build(mut target: Target<'_>, indexes: &Indexes) -> Result<(), Failure> {
    let Target { database, room, .. } = target;
    target.cached.index = CachedIndex::default();
    target.write()?;
    for item in database.indexes.scan_prefix(database.layout.room_prefix(room)) {
        target.writes.indexes.remove(item?.0);
        target.count_entries(1)?;
    }
    let mut digest = Digest::default();
    for collection in indexes.collections() {
        for item in database.documents.scan_prefix(database.layout.collection_prefix(room, collection)) {
            let (key, value) = item?;
            let document = database.read(&key, &value)?;
            add_entries(&database.layout, room, &document, indexes, &mut digest, &mut target.writes);
            target.count_entries(indexes.of(collection).len())?;
        }
    }
    target.cached.index = CachedIndex { fingerprint: indexes.fingerprint(), digest };
    target.write()
}

struct Target<'a> {
    database: &'a Database,
    room: &'a Room,
    cached: CachedRoom,
    ensure_room: EnsureRoom<'a>,
    writes: Writes,
    /// Entries in `writes`.
    count: usize,
}

impl Target<'_> {
    fn count_entries(&mut self, count: usize) -> Result<(), Failure> {
        self.count += count;
        if self.count >= ENTRIES_PER_WRITE { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), Failure> {
        let mut writes = std::mem::take(&mut self.writes);
        self.count = 0;
        (self.ensure_room)(writes.index_bytes)?;
        let layout = &self.database.layout;
        writes.rooms.insert(layout.room_key(self.room), layout.encode_room(self.room, &self.cached)?);
        self.database.write(&writes, self.database.changes()? + 1)
    }
}
