//! A document as the server confirmed it, and the checksum of a room.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::fnv::Fnv1a;
use crate::name::{Collection, DocumentId};
use crate::patch::Path;
use crate::stamp::Stamp;
use crate::value::Fields;
use crate::version::VersionVector;

/// A document at one place in its room's log. It travels whole: the newest state replaces any older one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    pub collection: Collection,
    pub id: DocumentId,
    /// Empty for a deleted document, except in the server's own storage (see [`Document::for_clients`]).
    pub fields: Fields,
    /// Where in the room's log the newest change stands; 0 before the server confirmed any.
    pub seq: u64,
    /// Which mutations it holds.
    pub version: VersionVector,
    pub stamps: Stamps,
    pub deleted: bool,
}

impl Document {
    /// The document as it is sent: a tombstone without the fields that the server keeps for an update newer than
    /// the deletion.
    #[must_use]
    pub fn for_clients(mut self) -> Self {
        if self.deleted {
            self.fields = Fields::new();
        }
        self
    }

    /// The newest stamp in the document.
    pub fn newest_stamp(&self) -> Stamp {
        self.stamps.fields.values().copied().fold(self.stamps.base, Stamp::max)
    }

    /// What this document adds to its room's checksum; nothing once deleted.
    pub fn checksum(&self) -> Checksum {
        if self.deleted {
            return Checksum::default();
        }
        let mut hash = Fnv1a::default();
        for name in [self.collection.as_str(), self.id.as_str()] {
            hash.write(name.as_bytes());
            hash.write(&[NAME_END]);
        }
        hash.write(&self.seq.to_le_bytes());
        Checksum(spread(hash.hash()))
    }
}

/// When each field was written: `base` for all fields, unless `fields` names a newer write of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stamps {
    /// The creation, or the deletion.
    pub base: Stamp,
    pub fields: BTreeMap<Path, Stamp>,
}

impl Stamps {
    pub fn new(base: Stamp) -> Self {
        Self { base, fields: BTreeMap::new() }
    }

    /// The newest write of a path or of a value that encloses it.
    pub fn governing(&self, path: &Path) -> Stamp {
        self.fields.get(path).copied().map_or(self.enclosing(path), |own| own.max(self.enclosing(path)))
    }

    /// The newest write of a value that encloses a path.
    pub(crate) fn enclosing(&self, path: &Path) -> Stamp {
        path.ancestors().filter_map(|outer| self.fields.get(&outer).copied()).fold(self.base, Stamp::max)
    }
}

/// The sum of the checksums of a room's live documents: cheap to keep up to date, independent of order.
/// 16 hexadecimal digits in plain messages, which JavaScript reads without loss; a number in compact ones.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Checksum(u64);

impl Checksum {
    /// Puts `new` in the place of `old`.
    #[must_use]
    pub fn replace(self, old: Self, new: Self) -> Self {
        Self(self.0.wrapping_sub(old.0).wrapping_add(new.0))
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Checksum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Checksum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return u64::deserialize(deserializer).map(Self);
        }
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map(Self).map_err(serde::de::Error::custom)
    }
}

/// Ends a name in what is hashed: no UTF-8 text holds this byte.
const NAME_END: u8 = 0xff;

/// The finalizer of SplitMix64, so that sums of neighbours spread.
///
/// Source: Steele et al., "Fast Splittable Pseudorandom Number Generators", 2014.
fn spread(hash: u64) -> u64 {
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
