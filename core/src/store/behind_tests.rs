#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use syncline_protocol::{Path, Value};

use super::super::fixtures::{collection, deleted, document, key, room, state};
use super::super::memory::MemoryCache;
use super::*;
use syncline_protocol::collation::encode_key;

/// A cache that is lost once when its turn comes.
#[derive(Debug, Default)]
struct Breakable {
    inner: MemoryCache,
    /// How many changes it still takes.
    takes: Option<usize>,
    lost: Option<String>,
}

impl Cache for Breakable {
    fn document(&self, key: &DocumentKey) -> Result<Option<Document>, StoreError> {
        self.inner.document(key)
    }

    fn visit_collection(
        &self,
        room: &Room,
        collection: &Collection,
        visit: &mut dyn FnMut(Document),
    ) -> Result<(), StoreError> {
        self.inner.visit_collection(room, collection, visit)
    }

    fn rooms(&self) -> Result<Vec<(Room, RoomState)>, StoreError> {
        self.inner.rooms()
    }

    fn room_bytes(&self) -> Result<Vec<(Room, u64)>, StoreError> {
        self.inner.room_bytes()
    }

    fn schema_version(&self) -> Result<Option<u32>, StoreError> {
        self.inner.schema_version()
    }

    fn rewrite(&mut self, version: Option<u32>, retain: &mut dyn Retain) -> Result<(), StoreError> {
        self.inner.rewrite(version, retain)
    }

    fn apply(&mut self, room: &Room, update: &RoomUpdate<'_>) -> Result<(), StoreError> {
        match &mut self.takes {
            Some(0) => {
                *self = Self { lost: Some("for the test".to_owned()), ..Self::default() };
                Err(StoreError::CacheLost { reason: "for the test".to_owned() })
            }
            takes => {
                takes.iter_mut().for_each(|takes| *takes -= 1);
                self.inner.apply(room, update)
            }
        }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.inner.flush()
    }

    fn take_loss(&mut self) -> Option<String> {
        self.lost.take()
    }

    fn bytes_on_disk(&self) -> u64 {
        0
    }
}

fn ids(cache: &impl Cache, room: &Room) -> Vec<String> {
    let mut ids = Vec::new();
    let name = |document: Document| ids.push(format!("{}@{}", document.id, document.seq));
    let mut name = name;
    cache.visit_collection(room, &collection("tasks"), &mut name).unwrap();
    ids
}

/// The entries in a part of the index, and the documents.
fn indexed(
    cache: &impl Cache,
    room: &Room,
    range: &IndexRange,
) -> (Vec<(Vec<u8>, String)>, BTreeSet<String>) {
    let (mut entries, mut documents) = (Vec::new(), BTreeSet::new());
    let mut entry = |values: &[u8], id: DocumentId| entries.push((values.to_vec(), id.to_string()));
    assert!(cache.visit_entries(room, &collection("tasks"), range, &mut entry).unwrap());
    let mut note =
        |document: Document| assert!(documents.insert(format!("{}@{}", document.id, document.seq)));
    cache.visit_range(room, &collection("tasks"), range, &mut note).unwrap();
    (entries, documents)
}

fn change(documents: &[Document], cursor: u64) -> RoomUpdate<'_> {
    RoomUpdate { reset: false, documents, state: state(cursor) }
}

#[test]
fn a_change_is_seen_at_once_and_below_after_a_flush() {
    let mut cache = Behind::new(MemoryCache::default());
    let documents = [document("a", 1, "text"), document("b", 2, "text")];
    cache.apply(&room("user:42"), &change(&documents, 2)).unwrap();
    assert_eq!(cache.document(&key("user:42", "a")).unwrap().as_ref(), Some(&documents[0]));
    assert_eq!(cache.inner.rooms().unwrap(), []);
    cache.flush().unwrap();
    assert_eq!(cache.inner.rooms().unwrap(), [(room("user:42"), state(2))]);
    assert_eq!((cache.bytes, cache.rooms.len(), cache.waiting.len()), (0, 0, 0));
}

#[test]
fn what_waits_is_bounded() {
    let mut cache = Behind::new(MemoryCache::default());
    let text = "x".repeat(100 << 10);
    for seq in 1..100 {
        cache.apply(&room("user:42"), &change(&[document("a", seq, &text)], seq)).unwrap();
        assert!(cache.bytes <= WAITING_BYTES_MAX);
    }
    assert!(cache.first > 50);
}

#[test]
fn what_waits_is_written_by_parts() {
    let mut cache = Behind::new(MemoryCache::default());
    for seq in 1..=3 {
        cache.apply(&room("user:42"), &change(&[document("a", seq, "text")], seq)).unwrap();
    }
    let spilled: Vec<_> = (0..3).map(|_| cache.spill().unwrap()).collect();
    assert_eq!(spilled, [Spilled::Some, Spilled::Some, Spilled::All]);
    assert_eq!(cache.inner.document(&key("user:42", "a")).unwrap(), Some(document("a", 3, "text")));
}

#[test]
fn a_loss_below_takes_what_waits_and_nothing_is_added_before_it_is_told() {
    let mut cache = Behind::new(Breakable { takes: Some(1), ..Breakable::default() });
    for seq in 1..=3 {
        cache.apply(&room("user:42"), &change(&[document("a", seq, "text")], seq)).unwrap();
    }
    assert!(matches!(cache.flush(), Err(StoreError::CacheLost { .. })));
    let late = document("b", 4, "text");
    let refused = cache.apply(&room("user:42"), &change(std::slice::from_ref(&late), 4));
    assert!(matches!(refused, Err(StoreError::CacheLost { .. })));
    assert_eq!(cache.document(&key("user:42", "a")).unwrap(), None);
    assert_eq!(cache.take_loss().as_deref(), Some("for the test"));
    assert_eq!((cache.rooms().unwrap(), cache.take_loss()), (vec![], None));
    cache.apply(&room("user:42"), &change(&[late], 4)).unwrap();
    cache.flush().unwrap();
    assert_eq!(ids(&cache, &room("user:42")), ["b@4"]);
}

#[test]
fn a_cache_that_stays_away_is_a_loss_of_what_waited_for_it() {
    let mut cache = Behind::new(Breakable { takes: Some(0), ..Breakable::default() });
    cache.apply(&room("user:42"), &change(&[document("a", 1, "text")], 1)).unwrap();
    assert!(cache.flush().is_err());
    cache.inner.lost = None;
    assert!(cache.take_loss().is_some());
    assert_eq!(ids(&cache, &room("user:42")), Vec::<String>::new());
}

#[derive(Debug, Clone)]
enum Step {
    Apply { room: u8, reset: bool, documents: Vec<(u8, bool)> },
    Spill,
    Flush,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let documents = proptest::collection::vec((0u8..6, any::<bool>()), 0..4);
    let apply = (0u8..2, proptest::bool::weighted(0.1), documents);
    let step = prop_oneof![
        6 => apply.prop_map(|(room, reset, documents)| Step::Apply { room, reset, documents }),
        3 => Just(Step::Spill),
        1 => Just(Step::Flush),
    ];
    proptest::collection::vec(step, 0..40)
}

proptest! {
    #[test]
    fn it_is_the_cache_below_but_for_the_time(steps in steps()) {
        let (mut behind, mut direct) = (Behind::new(MemoryCache::default()), MemoryCache::default());
        let rooms = [room("user:1"), room("user:2")];
        let indexes = Indexes::new([(collection("tasks"), vec![Index { fields: vec![Path::field("text")] }])]);
        for cache in [&mut behind as &mut dyn Cache, &mut direct] {
            cache.declare_indexes(indexes.clone().unwrap());
        }
        let mut high = Vec::new();
        encode_key(&Value::from("text-1"), &mut high);
        let ranges = [
            IndexRange { number: 0, low: Vec::new(), high: Vec::new() },
            IndexRange { number: 0, low: Vec::new(), high },
        ];
        for (step, seq) in steps.into_iter().zip(1..) {
            match step {
                Step::Apply { room, reset, documents } => {
                    let made = |(id, is_deleted): &(u8, bool)| {
                        let id = format!("d{id}");
                        if *is_deleted { deleted(&id, seq) } else { document(&id, seq, &format!("text-{}", seq % 3)) }
                    };
                    let documents: Vec<_> = documents.iter().map(made).collect();
                    let update = RoomUpdate { reset, documents: &documents, state: state(seq) };
                    for cache in [&mut behind as &mut dyn Cache, &mut direct] {
                        cache.apply(&rooms[usize::from(room)], &update).unwrap();
                    }
                }
                Step::Spill => drop(behind.spill().unwrap()),
                Step::Flush => behind.flush().unwrap(),
            }
            prop_assert_eq!(behind.rooms().unwrap(), direct.rooms().unwrap());
            for room in &rooms {
                prop_assert_eq!(ids(&behind, room), ids(&direct, room));
                for range in &ranges {
                    prop_assert_eq!(indexed(&behind, room, range), indexed(&direct, room, range));
                }
                for id in 0..6 {
                    let key = key(room.as_str(), &format!("d{id}"));
                    prop_assert_eq!(behind.document(&key).unwrap(), direct.document(&key).unwrap());
                }
            }
        }
        behind.flush().unwrap();
        prop_assert_eq!(behind.bytes, 0);
        for room in &rooms {
            prop_assert_eq!(ids(&behind.inner, room), ids(&direct, room));
        }
    }
}
