//! A sorted set that also answers by position.

use std::cmp::Ordering;

/// A set of distinct keys in their order. Insertion, removal, rank and selection take logarithmic time.
///
/// A weight-balanced tree, with the parameters that Hirai and Yamamoto proved ("Balancing weight-balanced trees",
/// 2011): the sizes that balance it are the counts that rank and selection need.
#[derive(Debug)]
pub(super) struct RankedSet<K> {
    root: Link<K>,
}

type Link<K> = Option<Box<Node<K>>>;

#[derive(Debug)]
struct Node<K> {
    key: K,
    left: Link<K>,
    right: Link<K>,
    len: usize,
}

/// No side may weigh more than so many times the other.
const WEIGHT_RATIO_MAX: usize = 3;

/// A single rotation is enough while the inner grandchild weighs less than so many times the outer one.
const SINGLE_ROTATION_RATIO: usize = 2;

impl<K: Ord> RankedSet<K> {
    /// Builds the set in linear time from keys in ascending order, without duplicates.
    pub(super) fn from_ascending(keys: Vec<K>) -> Self {
        let len = keys.len();
        Self { root: build(&mut keys.into_iter(), len) }
    }

    pub(super) fn len(&self) -> usize {
        len(&self.root)
    }

    /// Adds a key; a key that is there already stays.
    pub(super) fn insert(&mut self, key: K) {
        self.root = Some(insert(self.root.take(), key));
    }

    /// Takes a key out, if it is there.
    pub(super) fn remove(&mut self, key: &K) {
        self.root = remove(self.root.take(), key);
    }

    /// How many keys are less than or equal to `bound`.
    pub(super) fn count_through(&self, bound: &K) -> usize {
        let (mut link, mut count) = (&self.root, 0);
        while let Some(node) = link {
            if node.key <= *bound {
                count += len(&node.left) + 1;
                link = &node.right;
            } else {
                link = &node.left;
            }
        }
        count
    }

    /// The key with so many keys before it.
    pub(super) fn select(&self, mut position: usize) -> Option<&K> {
        let mut link = &self.root;
        while let Some(node) = link {
            let before = len(&node.left);
            match position.cmp(&before) {
                Ordering::Less => link = &node.left,
                Ordering::Equal => return Some(&node.key),
                Ordering::Greater => {
                    position -= before + 1;
                    link = &node.right;
                }
            }
        }
        None
    }
}

fn len<K>(link: &Link<K>) -> usize {
    link.as_ref().map_or(0, |node| node.len)
}

fn weight<K>(link: &Link<K>) -> usize {
    len(link) + 1
}

fn join<K>(left: Link<K>, key: K, right: Link<K>) -> Box<Node<K>> {
    let len = len(&left) + len(&right) + 1;
    Box::new(Node { key, left, right, len })
}

/// Takes the next `len` keys.
fn build<K>(keys: &mut std::vec::IntoIter<K>, len: usize) -> Link<K> {
    if len == 0 {
        return None;
    }
    let left = build(keys, len / 2);
    let key = keys.next()?;
    let right = build(keys, len - len / 2 - 1);
    Some(join(left, key, right))
}

fn insert<K: Ord>(link: Link<K>, key: K) -> Box<Node<K>> {
    let Some(mut node) = link else { return join(None, key, None) };
    match key.cmp(&node.key) {
        Ordering::Equal => return node,
        Ordering::Less => node.left = Some(insert(node.left.take(), key)),
        Ordering::Greater => node.right = Some(insert(node.right.take(), key)),
    }
    balance(node)
}

fn remove<K: Ord>(link: Link<K>, key: &K) -> Link<K> {
    let mut node = link?;
    match key.cmp(&node.key) {
        Ordering::Less => node.left = remove(node.left.take(), key),
        Ordering::Greater => node.right = remove(node.right.take(), key),
        Ordering::Equal => return unite(node.left.take(), node.right.take()),
    }
    Some(balance(node))
}

/// Joins the two sides of a node that is gone.
fn unite<K>(left: Link<K>, right: Link<K>) -> Link<K> {
    let Some(right) = right else { return left };
    let (mut least, rest) = take_least(right);
    least.left = left;
    least.right = rest;
    Some(balance(least))
}

/// Splits off the node with the least key, which is left without children.
fn take_least<K>(mut node: Box<Node<K>>) -> (Box<Node<K>>, Link<K>) {
    match node.left.take() {
        None => {
            let rest = node.right.take();
            (node, rest)
        }
        Some(left) => {
            let (least, rest) = take_least(left);
            node.left = rest;
            (least, Some(balance(node)))
        }
    }
}

/// Restores the count and the balance of a node after one key came to or went from one of its sides.
fn balance<K>(mut node: Box<Node<K>>) -> Box<Node<K>> {
    let (left, right) = (weight(&node.left), weight(&node.right));
    if right > WEIGHT_RATIO_MAX * left {
        node.right = node.right.map(|child| {
            let double = weight(&child.left) >= SINGLE_ROTATION_RATIO * weight(&child.right);
            if double { rotate_right(child) } else { child }
        });
        return rotate_left(node);
    }
    if left > WEIGHT_RATIO_MAX * right {
        node.left = node.left.map(|child| {
            let double = weight(&child.right) >= SINGLE_ROTATION_RATIO * weight(&child.left);
            if double { rotate_left(child) } else { child }
        });
        return rotate_right(node);
    }
    recount(&mut node);
    node
}

fn recount<K>(node: &mut Node<K>) {
    node.len = len(&node.left) + len(&node.right) + 1;
}

/// Lifts the right child above the node.
fn rotate_left<K>(mut node: Box<Node<K>>) -> Box<Node<K>> {
    let Some(mut child) = node.right.take() else { return node };
    node.right = child.left.take();
    recount(&mut node);
    child.left = Some(node);
    recount(&mut child);
    child
}

/// Lifts the left child above the node.
fn rotate_right<K>(mut node: Box<Node<K>>) -> Box<Node<K>> {
    let Some(mut child) = node.left.take() else { return node };
    node.left = child.right.take();
    recount(&mut node);
    child.right = Some(node);
    recount(&mut child);
    child
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn assert_balanced(link: &Link<u16>) {
        let Some(node) = link else { return };
        assert_eq!(node.len, len(&node.left) + len(&node.right) + 1);
        let (left, right) = (weight(&node.left), weight(&node.right));
        assert!(
            left <= WEIGHT_RATIO_MAX * right && right <= WEIGHT_RATIO_MAX * left,
            "{left} beside {right}"
        );
        assert_balanced(&node.left);
        assert_balanced(&node.right);
    }

    fn assert_same(set: &RankedSet<u16>, expected: &BTreeSet<u16>) {
        assert_balanced(&set.root);
        assert_eq!(set.len(), expected.len());
        let keys: Vec<u16> = (0..set.len()).filter_map(|position| set.select(position).copied()).collect();
        assert!(keys.iter().eq(expected));
        assert_eq!(set.select(set.len()), None);
    }

    #[test]
    fn ascending_insertions_stay_balanced() {
        let mut set = RankedSet::from_ascending(vec![]);
        (0..5000).for_each(|key| set.insert(key));
        assert_same(&set, &(0..5000).collect());
    }

    proptest! {
        #[test]
        fn it_holds_what_a_sorted_set_holds(
            first in proptest::collection::btree_set(0u16..300, 0..200),
            steps in proptest::collection::vec((any::<bool>(), 0u16..300), 0..400),
            bound in 0u16..300,
        ) {
            let mut expected = first;
            let mut set = RankedSet::from_ascending(expected.iter().copied().collect());
            assert_same(&set, &expected);
            for (insert, key) in steps {
                if insert {
                    set.insert(key);
                    expected.insert(key);
                } else {
                    set.remove(&key);
                    expected.remove(&key);
                }
                assert_balanced(&set.root);
            }
            assert_same(&set, &expected);
            prop_assert_eq!(set.count_through(&bound), expected.range(..=bound).count());
        }
    }
}
