//! The writes of each document.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use crate::store::{IdHash, Scope};

/// Writes by their document, and within it by their number; of others of its collection whose ids have the same hash, too.
/// They are put in this order when a document is first asked for: a restart with a long queue need not sort it.
#[derive(Debug, Default)]
pub(super) struct ByDocument {
    /// Scope, hash and number as one number: it is looked for with every write, and compares at once.
    writes: OnceCell<BTreeSet<u128>>,
}

fn place(scope: Scope, id: IdHash, number: u64) -> u128 {
    u128::from(scope.and(id)) << 64 | u128::from(number)
}

impl ByDocument {
    pub(super) fn insert(&mut self, scope: Scope, id: IdHash, number: u64) {
        if let Some(writes) = self.writes.get_mut() {
            writes.insert(place(scope, id, number));
        }
    }

    pub(super) fn remove(&mut self, scope: Scope, id: IdHash, number: u64) {
        if let Some(writes) = self.writes.get_mut() {
            writes.remove(&place(scope, id, number));
        }
    }

    /// The writes of the documents whose ids have this hash, in ascending order. `all` are those that there are.
    pub(super) fn likely<I: Iterator<Item = (Scope, IdHash, u64)>>(
        &self,
        scope: Scope,
        id: IdHash,
        all: impl FnOnce() -> I,
    ) -> impl DoubleEndedIterator<Item = u64> {
        #[allow(clippy::cast_possible_truncation)]
        let number = |place: &u128| *place as u64;
        let writes = self.writes.get_or_init(|| in_order(all()));
        writes.range(place(scope, id, 0)..=place(scope, id, u64::MAX)).map(number)
    }
}

fn in_order(writes: impl Iterator<Item = (Scope, IdHash, u64)>) -> BTreeSet<u128> {
    let mut places: Vec<_> = writes.map(|(scope, id, number)| place(scope, id, number)).collect();
    // Hashes are in no order: what the set sorts by itself, it sorts stably, which takes twice as long.
    places.sort_unstable();
    places.into_iter().collect()
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
