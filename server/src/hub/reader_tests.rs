//! Readers at any point of any history, with purges in between.

use std::collections::BTreeMap;

use proptest::prelude::*;
use syncline_protocol::Document;

use super::*;

/// A client that only reads, by the rules of the protocol.
#[derive(Debug, Clone, Default)]
struct Reader {
    cursor: u64,
    snapshot: Option<u64>,
    documents: BTreeMap<DocumentId, Document>,
}

impl Reader {
    /// Reads a page; whether there is more.
    fn read(&mut self, scene: &Scene<MemoryStore>, limit: u32) -> bool {
        let page = scene.page(self.cursor, self.snapshot, limit);
        if page.reset {
            *self = Self::default();
        }
        if self.cursor == 0 {
            self.snapshot = page.snapshot;
        }
        for document in page.changes {
            if document.deleted {
                self.documents.remove(&document.id);
            } else {
                self.documents.insert(document.id.clone(), document);
            }
        }
        self.cursor = page.cursor;
        self.snapshot = self.snapshot.filter(|_| page.more);
        page.more
    }
}

#[derive(Debug, Clone)]
enum Step {
    Create(u8),
    Delete(u8),
    Compact,
    Read { reader: usize, limit: u32 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u8..12).prop_map(Step::Create),
        3 => (0u8..12).prop_map(Step::Delete),
        1 => Just(Step::Compact),
        4 => (0usize..4, 1u32..4).prop_map(|(reader, limit)| Step::Read { reader, limit }),
    ];
    proptest::collection::vec(step, 0..120)
}

proptest! {
    #[test]
    fn whenever_a_reader_gets_to_the_end_it_holds_what_the_server_holds(steps in steps(), kept in 0u64..4) {
        let mut scene = Scene::<MemoryStore>::new();
        scene.config.tombstones_kept_max = kept;
        let mut readers = vec![Reader::default(); 4];
        for (step, client_seq) in steps.into_iter().zip(1..) {
            match step {
                Step::Create(id) => drop(scene.push(1, vec![create(client_seq, &id.to_string())])),
                Step::Delete(id) => drop(scene.push(1, vec![delete(client_seq, &id.to_string())])),
                Step::Compact => drop(scene.compact()),
                Step::Read { reader, limit } => drop(readers[reader].read(&scene, limit)),
            }
        }
        let room = room();
        let live = scene.store.documents(&room).filter(|document| !document.deleted);
        let live: BTreeMap<_, _> = live.map(|document| (document.id.clone(), document.clone())).collect();
        for reader in &mut readers {
            let pages = (0..200).take_while(|_| reader.read(&scene, 1)).count();
            prop_assert!(pages < 200, "it reads for ever");
            prop_assert_eq!(&reader.documents, &live);
        }
    }
}
