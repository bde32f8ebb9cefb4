//! An ordered map whose values lie apart from it.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::ops::RangeBounds;

/// What a `BTreeMap` does is compiled for every type of value, 5 KB each time. Pointers are all alike, and are compiled for once.
/// Not for what is read in great numbers: each value is a step further away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BoxedMap<K, V>(BTreeMap<K, Box<V>>);

impl<K, V> Default for BoxedMap<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, V> BoxedMap<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key).map(Box::as_ref)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.0.get_mut(key).map(Box::as_mut)
    }

    /// What is there, or else what is made.
    pub(crate) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        self.0.entry(key).or_insert_with(|| Box::new(make()))
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, Box::new(value)).map(|old| *old)
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.0.remove(key).map(|value| *value)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn retain(&mut self, mut stays: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain(|key, value| stays(key, value));
    }

    pub(crate) fn iter(&self) -> Iter<'_, K, V> {
        self.into_iter()
    }

    pub(crate) fn iter_mut(&mut self) -> IterMut<'_, K, V> {
        self.into_iter()
    }

    pub(crate) fn range(&self, keys: impl RangeBounds<K>) -> impl Iterator<Item = (&K, &V)> {
        self.0.range(keys).map(|(key, value)| (key, value.as_ref()))
    }

    pub(crate) fn keys(&self) -> btree_map::Keys<'_, K, Box<V>> {
        self.0.keys()
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.values().map(Box::as_ref)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.values_mut().map(Box::as_mut)
    }

    pub(crate) fn into_values(self) -> impl Iterator<Item = V> {
        self.0.into_values().map(|value| *value)
    }
}

type Iter<'a, K, V> =
    std::iter::Map<btree_map::Iter<'a, K, Box<V>>, fn((&'a K, &'a Box<V>)) -> (&'a K, &'a V)>;
type IterMut<'a, K, V> =
    std::iter::Map<btree_map::IterMut<'a, K, Box<V>>, fn((&'a K, &'a mut Box<V>)) -> (&'a K, &'a mut V)>;
type IntoIter<K, V> = std::iter::Map<btree_map::IntoIter<K, Box<V>>, fn((K, Box<V>)) -> (K, V)>;

impl<'a, K, V> IntoIterator for &'a BoxedMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

impl<'a, K, V> IntoIterator for &'a mut BoxedMap<K, V> {
    type Item = (&'a K, &'a mut V);
    type IntoIter = IterMut<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter_mut().map(|(key, value)| (key, value))
    }
}

impl<K, V> IntoIterator for BoxedMap<K, V> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().map(|(key, value)| (key, *value))
    }
}

impl<K: Ord, V> Extend<(K, V)> for BoxedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        self.0.extend(entries.into_iter().map(|(key, value)| (key, Box::new(value))));
    }
}
