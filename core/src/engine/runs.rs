//! A set of numbers that mostly follow each other.

use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct Runs {
    /// The first number of each run, and the last one. None begins where another ends.
    runs: BTreeMap<u64, u64>,
}

impl Runs {
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub(super) fn first(&self) -> Option<u64> {
        self.runs.first_key_value().map(|(first, _)| *first)
    }

    /// The run that the number is in.
    fn run_of(&self, number: u64) -> Option<(u64, u64)> {
        let (first, last) = self.runs.range(..=number).next_back()?;
        (*last >= number).then_some((*first, *last))
    }

    pub(super) fn insert(&mut self, number: u64) {
        // Mostly it is the next one.
        if let Some(mut newest) = self.runs.last_entry()
            && newest.get().checked_add(1) == Some(number)
        {
            *newest.get_mut() = number;
            return;
        }
        if self.run_of(number).is_some() {
            return;
        }
        let before = number.checked_sub(1).and_then(|before| self.run_of(before));
        let first = before.map_or(number, |(first, _)| first);
        let after = number.checked_add(1).and_then(|after| self.runs.remove(&after));
        self.runs.insert(first, after.unwrap_or(number));
    }

    pub(super) fn remove(&mut self, number: u64) {
        let Some((first, last)) = self.run_of(number) else { return };
        self.runs.remove(&first);
        if first < number {
            self.runs.insert(first, number - 1);
        }
        if number < last {
            self.runs.insert(number + 1, last);
        }
    }

    /// The numbers from this one on, in ascending order.
    pub(super) fn from(&self, number: u64) -> impl Iterator<Item = u64> {
        let within = self.run_of(number).map(|(_, last)| number..=last);
        let behind = number.checked_add(1).map(|next| self.runs.range(next..));
        let behind = behind.into_iter().flatten().map(|(first, last)| *first..=*last);
        within.into_iter().chain(behind).flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_a_set(
            steps in proptest::collection::vec((any::<bool>(), prop_oneof![0u64..30, Just(u64::MAX)]), 0..100),
            from in 0u64..32,
        ) {
            let (mut runs, mut set) = (Runs::default(), BTreeSet::new());
            for (inserts, number) in steps {
                if inserts {
                    runs.insert(number);
                    set.insert(number);
                } else {
                    runs.remove(number);
                    set.remove(&number);
                }
                prop_assert_eq!(runs.first(), set.first().copied());
                prop_assert_eq!(runs.is_empty(), set.is_empty());
                let gaps = set.iter().filter(|number| **number == 0 || !set.contains(&(**number - 1)));
                prop_assert_eq!(runs.runs.len(), gaps.count());
            }
            prop_assert!(runs.from(from).eq(set.range(from..).copied()));
        }
    }
}
