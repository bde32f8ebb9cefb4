//! Things by their numbers, where numbers that are there mostly follow each other: hardly more than an array takes, and
//! a gap costs nothing.

use std::collections::BTreeMap;

/// Numbers of one block. Few, so that what is left between many that are gone does not hold much.
const BLOCK: usize = 16;

#[derive(Debug, Clone)]
pub(crate) struct Numbered<T> {
    /// By the number of the block; none is empty.
    blocks: BTreeMap<u64, Box<[Option<T>; BLOCK]>>,
    len: usize,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { blocks: BTreeMap::new(), len: 0 }
    }
}

fn place(number: u64) -> (u64, usize) {
    let block = BLOCK as u64;
    #[allow(clippy::cast_possible_truncation)]
    (number / block, (number % block) as usize)
}

fn number(block: u64, slot: usize) -> u64 {
    block * BLOCK as u64 + slot as u64
}

impl<T> Numbered<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn get(&self, number: u64) -> Option<&T> {
        let (block, slot) = place(number);
        self.blocks.get(&block)?[slot].as_ref()
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let (block, slot) = place(number);
        self.blocks.get_mut(&block)?[slot].as_mut()
    }

    /// Returns what had the number before.
    pub(crate) fn insert(&mut self, number: u64, item: T) -> Option<T> {
        let (block, slot) = place(number);
        let old = match self.blocks.last_entry() {
            // Mostly it is the next number.
            Some(mut newest) if *newest.key() == block => newest.get_mut()[slot].replace(item),
            _ => {
                let empty = || Box::new(std::array::from_fn(|_| None));
                self.blocks.entry(block).or_insert_with(empty)[slot].replace(item)
            }
        };
        self.len += usize::from(old.is_none());
        old
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<T> {
        let (block, slot) = place(number);
        let slots = self.blocks.get_mut(&block)?;
        let old = slots[slot].take()?;
        self.len -= 1;
        if slots.iter().all(Option::is_none) {
            self.blocks.remove(&block);
        }
        Some(old)
    }

    /// In ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.blocks.iter().flat_map(|(&block, slots)| {
            let items = slots.iter().enumerate();
            items.filter_map(move |(slot, item)| Some((number(block, slot), item.as_ref()?)))
        })
    }

    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.iter().map(|(number, _)| number)
    }

    pub(crate) fn last_number(&self) -> Option<u64> {
        let (&block, slots) = self.blocks.last_key_value()?;
        slots.iter().rposition(Option::is_some).map(|slot| number(block, slot))
    }

    /// In ascending order; what was handed over takes no memory any more.
    pub(crate) fn drain(mut self) -> impl Iterator<Item = (u64, T)> {
        std::iter::from_fn(move || self.blocks.pop_first()).flat_map(|(block, slots)| {
            let items = slots.into_iter().enumerate();
            items.filter_map(move |(slot, item)| Some((number(block, slot), item?)))
        })
    }
}

/// Things that come in the order of their numbers, for none of which a place is looked for.
#[derive(Debug)]
pub(crate) struct Ascending<T> {
    blocks: Vec<(u64, Box<[Option<T>; BLOCK]>)>,
    len: usize,
}

impl<T> Default for Ascending<T> {
    fn default() -> Self {
        Self { blocks: Vec::new(), len: 0 }
    }
}

impl<T> Ascending<T> {
    pub(crate) fn push(&mut self, number: u64, item: T) {
        let (block, slot) = place(number);
        if self.blocks.last().is_none_or(|(last, _)| *last != block) {
            self.blocks.push((block, Box::new(std::array::from_fn(|_| None))));
        }
        if let Some((_, slots)) = self.blocks.last_mut() {
            self.len += usize::from(slots[slot].replace(item).is_none());
        }
    }

    pub(crate) fn finish(self) -> Numbered<T> {
        Numbered { blocks: self.blocks.into_iter().collect(), len: self.len }
    }
}

impl<T: PartialEq> PartialEq for Numbered<T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_gone_takes_no_memory() {
        let mut numbered = Numbered::default();
        for number in (0..1000).chain([u64::MAX]) {
            numbered.insert(number, ());
        }
        for number in 0..1000 {
            numbered.remove(number);
        }
        assert_eq!((numbered.len(), numbered.blocks.len()), (1, 1));
        assert_eq!(numbered.last_number(), Some(u64::MAX));
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in proptest::collection::vec((any::<bool>(), 0u64..100, any::<u8>()), 0..200)) {
            let (mut numbered, mut map) = (Numbered::default(), BTreeMap::new());
            for (inserts, number, item) in steps {
                if inserts {
                    prop_assert_eq!(numbered.insert(number, item), map.insert(number, item));
                } else {
                    prop_assert_eq!(numbered.remove(number), map.remove(&number));
                }
                prop_assert_eq!(numbered.get(number), map.get(&number));
                prop_assert_eq!(numbered.len(), map.len());
                prop_assert_eq!(numbered.last_number(), map.keys().next_back().copied());
            }
            prop_assert!(numbered.iter().eq(map.iter().map(|(number, item)| (*number, item))));
            let mut ascending = Ascending::default();
            map.iter().for_each(|(number, item)| ascending.push(*number, *item));
            let ascending = ascending.finish();
            prop_assert!(ascending == numbered && ascending.len() == map.len());
            prop_assert!(numbered.drain().eq(map));
        }
    }
}
