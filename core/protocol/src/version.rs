//! Version vectors: which of each client's mutations a document holds.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::ClientId;

/// How one version relates to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Causality {
    Equal,
    /// The first is contained in the second.
    Before,
    /// The first contains the second.
    After,
    /// Each holds something that the other lacks.
    Concurrent,
}

/// For each client, the highest `client_seq` seen; an absent client counts as 0.
///
/// Source: Parker et al., "Detection of Mutual Inconsistency in Distributed Systems", 1983.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionVector(
    /// In the order of the clients.
    Vec<(ClientId, u64)>,
);

impl VersionVector {
    /// The highest number seen of a client, 0 for none.
    pub fn seen(&self, client: ClientId) -> u64 {
        self.place_of(client).map_or(0, |place| self.0[place].1)
    }

    /// How many clients it names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where a client stands, or where it belongs.
    fn place_of(&self, client: ClientId) -> Result<usize, usize> {
        self.0.binary_search_by(|(own, _)| own.cmp(&client))
    }

    /// Records that `client_seq` is contained; never lowers a number.
    pub fn record(&mut self, client: ClientId, client_seq: u64) {
        match self.place_of(client) {
            Ok(place) => self.0[place].1 = self.0[place].1.max(client_seq),
            Err(place) => self.0.insert(place, (client, client_seq)),
        }
    }

    /// The smallest vector that contains both.
    pub fn merge(&mut self, other: &Self) {
        for &(client, client_seq) in &other.0 {
            self.record(client, client_seq);
        }
    }

    pub fn compare(&self, other: &Self) -> Causality {
        match (self.is_within(other), other.is_within(self)) {
            (true, true) => Causality::Equal,
            (true, false) => Causality::Before,
            (false, true) => Causality::After,
            (false, false) => Causality::Concurrent,
        }
    }

    /// Whether `other` contains everything in this vector.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.iter().all(|&(client, client_seq)| client_seq <= other.seen(client))
    }
}

impl FromIterator<(ClientId, u64)> for VersionVector {
    fn from_iter<I: IntoIterator<Item = (ClientId, u64)>>(entries: I) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_unstable();
        // Of several numbers of a client the highest, which stands last.
        entries.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 = later.1;
            }
            same
        });
        Self(entries)
    }
}

impl Serialize for VersionVector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(client, client_seq)| (client, client_seq)))
    }
}

impl<'de> Deserialize<'de> for VersionVector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ReadEntries)
    }
}

struct ReadEntries;

impl<'de> Visitor<'de> for ReadEntries {
    type Value = VersionVector;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of clients to numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<VersionVector, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(entries.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vector() -> impl Strategy<Value = VersionVector> {
        proptest::collection::vec((0u8..4, 0u64..4), 0..5).prop_map(|entries| {
            entries.into_iter().map(|(client, seq)| (ClientId::from_bytes([client; 16]), seq)).collect()
        })
    }

    proptest! {
        #[test]
        fn comparison_is_antisymmetric(a in vector(), b in vector()) {
            let mirrored = match b.compare(&a) {
                Causality::Before => Causality::After,
                Causality::After => Causality::Before,
                same => same,
            };
            prop_assert_eq!(a.compare(&b), mirrored);
        }

        #[test]
        fn a_merge_is_the_least_upper_bound(a in vector(), b in vector(), c in vector()) {
            let mut ab = a.clone();
            ab.merge(&b);
            prop_assert!(a.is_within(&ab) && b.is_within(&ab));
            if a.is_within(&c) && b.is_within(&c) {
                prop_assert!(ab.is_within(&c));
            }
            let mut ba = b.clone();
            ba.merge(&a);
            prop_assert_eq!(ab.compare(&ba), Causality::Equal);
        }

        #[test]
        fn a_merge_may_be_grouped_and_repeated(a in vector(), b in vector(), c in vector()) {
            let merged = |mut into: VersionVector, other: &VersionVector| {
                into.merge(other);
                into
            };
            let left = merged(merged(a.clone(), &b), &c);
            prop_assert_eq!(&left, &merged(a, &merged(b, &c)));
            prop_assert_eq!(merged(left.clone(), &left), left);
        }
    }
}
