//! The writes of each document.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::store::{IdHash, Scope};

/// Writes by their document, and within it by their number; of others of its collection whose ids have the same hash, too.
/// They are found when a document is first asked for: a restart with a long queue need not look at all of it.
#[derive(Debug, Default)]
pub(super) struct ByDocument {
    writes: OnceCell<Writes>,
}

/// A document is the number of its scope and the hash of its id.
#[derive(Debug, Default)]
struct Writes {
    /// The newest one of each document, which is looked for with every write. Most documents have no other.
    newest: HashTable<Newest>,
    /// Those before it, with their documents.
    older: BTreeSet<(u64, u64)>,
}

#[derive(Debug)]
struct Newest {
    document: u64,
    number: u64,
}

/// Spreads both halves of a document over all bits (Fibonacci hashing, Knuth 6.4): the ids' hashes are spread as they are, the
/// scopes are small numbers.
fn spread(document: u64) -> u64 {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let product = document.wrapping_mul(GOLDEN);
    product ^ product >> 32
}

impl Writes {
    fn insert(&mut self, document: u64, number: u64) {
        let is_it = |newest: &Newest| newest.document == document;
        match self.newest.entry(spread(document), is_it, |newest| spread(newest.document)) {
            Entry::Vacant(vacant) => drop(vacant.insert(Newest { document, number })),
            Entry::Occupied(mut occupied) => {
                let newest = &mut occupied.get_mut().number;
                if number != *newest {
                    self.older.insert((document, number.min(*newest)));
                    *newest = number.max(*newest);
                }
            }
        }
    }

    fn remove(&mut self, document: u64, number: u64) {
        let is_it = |newest: &Newest| newest.document == document;
        let Ok(mut newest) = self.newest.find_entry(spread(document), is_it) else { return };
        if newest.get().number != number {
            self.older.remove(&(document, number));
            return;
        }
        match self.older.range((document, 0)..(document, number)).next_back().copied() {
            Some(next) => {
                self.older.remove(&next);
                newest.get_mut().number = next.1;
            }
            None => drop(newest.remove()),
        }
    }

    fn of(&self, document: u64) -> impl DoubleEndedIterator<Item = u64> {
        let newest = self.newest.find(spread(document), |newest| newest.document == document);
        newest.into_iter().flat_map(move |newest| {
            let older = self.older.range((document, 0)..(document, newest.number));
            older.map(|(_, number)| *number).chain(std::iter::once(newest.number))
        })
    }
}

impl ByDocument {
    pub(super) fn insert(&mut self, scope: Scope, id: IdHash, number: u64) {
        if let Some(writes) = self.writes.get_mut() {
            writes.insert(scope.and(id), number);
        }
    }

    pub(super) fn remove(&mut self, scope: Scope, id: IdHash, number: u64) {
        let Some(writes) = self.writes.get_mut() else { return };
        writes.remove(scope.and(id), number);
        if writes.newest.is_empty() {
            // What a long queue took is given back.
            self.writes.take();
        }
    }

    /// The writes of the documents whose ids have this hash, in ascending order. `all` are those that there are.
    pub(super) fn likely<I: Iterator<Item = (Scope, IdHash, u64)>>(
        &self,
        scope: Scope,
        id: IdHash,
        all: impl FnOnce() -> I,
    ) -> impl DoubleEndedIterator<Item = u64> {
        let writes = self.writes.get_or_init(|| {
            let mut writes = Writes::default();
            all().for_each(|(scope, id, number)| writes.insert(scope.and(id), number));
            writes
        });
        writes.of(scope.and(id))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::Scopes;
    use syncline_protocol::{Collection, Room};

    proptest! {
        #[test]
        fn what_has_the_same_scope_and_hash_is_found_in_order(
            steps in proptest::collection::vec((any::<bool>(), 0..3usize, 0..3usize, prop_oneof![0..9u64, Just(u64::MAX)]), 0..60),
        ) {
            let mut scopes = Scopes::default();
            let collection = Collection::new("notes").unwrap();
            let scope = ["list:1", "list:2", "list:3"].map(|room| scopes.hold(&Room::new(room).unwrap(), &collection));
            let id = [IdHash::MIN, IdHash::of("a"), IdHash::MAX];
            let (mut writes, mut model) = (ByDocument::default(), BTreeSet::new());
            let of_model = |model: &BTreeSet<(usize, usize, u64)>| {
                let all = model.iter().rev().map(|(s, i, number)| (scope[*s], id[*i], *number));
                all.collect::<Vec<_>>().into_iter()
            };
            for (inserts, s, i, number) in steps {
                if inserts {
                    writes.insert(scope[s], id[i], number);
                    model.insert((s, i, number));
                } else {
                    writes.remove(scope[s], id[i], number);
                    model.remove(&(s, i, number));
                }
                // What is asked for a first time, and what was asked for before each of the steps.
                for writes in [&writes, &ByDocument::default()] {
                    let expected = model.range((s, i, 0)..=(s, i, u64::MAX)).map(|(_, _, number)| *number);
                    prop_assert!(writes.likely(scope[s], id[i], || of_model(&model)).eq(expected));
                }
            }
        }
    }
}
