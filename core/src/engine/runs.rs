//! A set of numbers that mostly follow each other.

use std::collections::VecDeque;

/// Numbers mostly come at the end and leave at the beginning, so both cost nothing; in between all runs behind move.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// The first number of each run, and the last one, in ascending order. None begins where another ends.
    runs: VecDeque<(u64, u64)>,
}

impl Runs {
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub(super) fn first(&self) -> Option<u64> {
        self.runs.front().map(|(first, _)| *first)
    }

    /// The run that the number is in, or the place of one that it would begin.
    fn place(&self, number: u64) -> Result<usize, usize> {
        let place = self.runs.partition_point(|(_, last)| *last < number);
        let is_in = self.runs.get(place).is_some_and(|(first, _)| *first <= number);
        if is_in { Ok(place) } else { Err(place) }
    }

    pub(super) fn insert(&mut self, number: u64) {
        // Mostly it is the next one.
        if let Some((_, last)) = self.runs.back_mut()
            && last.checked_add(1) == Some(number)
        {
            *last = number;
            return;
        }
        let Err(place) = self.place(number) else { return };
        let before =
            place.checked_sub(1).filter(|before| self.runs[*before].1.checked_add(1) == Some(number));
        let is_before_next =
            self.runs.get(place).is_some_and(|(first, _)| number.checked_add(1) == Some(*first));
        match (before, is_before_next) {
            (None, false) => self.runs.insert(place, (number, number)),
            (None, true) => self.runs[place].0 = number,
            (Some(before), false) => self.runs[before].1 = number,
            (Some(before), true) => {
                self.runs[before].1 = self.runs[place].1;
                self.runs.remove(place);
            }
        }
    }

    pub(super) fn remove(&mut self, number: u64) {
        let Ok(place) = self.place(number) else { return };
        let (first, last) = self.runs[place];
        match (first < number, number < last) {
            (false, false) => drop(self.runs.remove(place)),
            (false, true) => self.runs[place].0 = number + 1,
            (true, false) => self.runs[place].1 = number - 1,
            (true, true) => {
                self.runs[place].1 = number - 1;
                self.runs.insert(place + 1, (number + 1, last));
            }
        }
    }

    /// The numbers from this one on, in ascending order.
    pub(super) fn from(&self, number: u64) -> impl Iterator<Item = u64> {
        let place = self.runs.partition_point(|(_, last)| *last < number);
        self.runs.range(place..).flat_map(move |(first, last)| number.max(*first)..=*last)
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
