#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use proptest::prelude::*;
use syncline_protocol::message::{Mutation, Push};
use syncline_protocol::{Collection, DocumentId, Fields, HybridTime, Limits, Value, Write};

use super::*;
use crate::config::HubConfig;
use crate::hub::{self, Author, Logged, RoomStore};
use crate::storage::memory::MemoryStore;

const ROOMS: [&str; 2] = ["list:1", "list:2"];
const KEPT_MAX: usize = 3;

fn config(bytes_max: usize) -> StorageConfig {
    StorageConfig {
        cache_bytes: 1 << 20,
        rejections_kept_max: KEPT_MAX,
        ahead_bytes_max: bytes_max,
        ahead_file_bytes: 4 << 10,
        ..StorageConfig::default()
    }
}

fn author(client: u8) -> Author {
    Author::client(format!("user-{client}"), ClientId::from_bytes([client; 16]))
}

fn mutation(client_seq: u64, id: u8, write: u8) -> Mutation {
    let fields = Fields::from([("n".into(), Value::Int(i64::try_from(client_seq).unwrap()))]);
    let write = match write {
        0 => Write::Delete,
        // Refused where there is no such document.
        1 => Write::Update(
            syncline_protocol::Patch::new()
                .with(syncline_protocol::Path::field("n"), syncline_protocol::Op::Increment(Value::Int(1))),
        ),
        _ => Write::Create(fields),
    };
    Mutation {
        client_seq,
        collection: Collection::new("notes").unwrap(),
        id: DocumentId::new(format!("d{id}")).unwrap(),
        write,
        time: HybridTime { wall_ms: client_seq, counter: 0 },
        base: None,
    }
}

fn pushed<S: PushStore<Error: std::fmt::Debug>>(store: &S, push: &Push, author: &Author) -> hub::Pushed {
    hub::push(store, push.clone(), author, 1_000, &Limits::default(), &HubConfig::default()).unwrap()
}

fn changes<S: RoomStore<Error: std::fmt::Debug>>(store: &S, room: &Room) -> Vec<Document> {
    let mut seen = Vec::new();
    let mut visit = |logged| {
        if let Logged::Wanted(document) = logged {
            seen.push(document);
        }
        ControlFlow::Continue(())
    };
    store.changes_after(room, 0, &|_| true, &mut visit).unwrap();
    seen
}

#[derive(Debug, Clone)]
enum Step {
    Push {
        room: usize,
        client: u8,
        again: bool,
        writes: Vec<(u8, u8)>,
    },
    Write,
    Read {
        room: usize,
    },
    /// As after a kill, or after a close.
    Reopen {
        closed: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let writes = proptest::collection::vec((0u8..5, 0u8..6), 1..4);
    let push = (0usize..2, 1u8..3, proptest::bool::weighted(0.1), writes);
    let step = prop_oneof![
        8 => push.prop_map(|(room, client, again, writes)| Step::Push { room, client, again, writes }),
        3 => Just(Step::Write),
        1 => (0usize..2).prop_map(|room| Step::Read { room }),
        1 => any::<bool>().prop_map(|closed| Step::Reopen { closed }),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_push_is_answered_as_by_a_store_that_is_never_behind(
        steps in steps(),
        bytes_max in prop_oneof![Just(0usize), Just(500), Just(1 << 20)],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (mut ahead, mut model) =
            (Ahead::open(folder.path(), &config(bytes_max)).unwrap(), MemoryStore::new(KEPT_MAX));
        let rooms = ROOMS.map(|name| Room::new(name).unwrap());
        let mut last = 0;
        for step in steps {
            match step {
                Step::Push { room, client, again, writes } => {
                    let first = if again { last.max(1) } else { last + 1 };
                    last = first + writes.len() as u64 - 1;
                    let mutations = (first..).zip(&writes).map(|(seq, (id, write))| mutation(seq, *id, *write));
                    let push = Push { room: rooms[room].clone(), after: None, mutations: mutations.collect() };
                    let (found, expected) =
                        (pushed(&ahead, &push, &author(client)), pushed(&model, &push, &author(client)));
                    prop_assert_eq!(&found, &expected);
                    if let (Some(commit), Some(same)) = (found.commit, expected.commit) {
                        ahead.commit(commit).unwrap();
                        model.apply(same);
                    }
                    ahead.sync().unwrap();
                    prop_assert!(ahead.bytes <= bytes_max);
                }
                Step::Write => ahead.write_first().unwrap(),
                Step::Read { room } => {
                    let tables = ahead.with_all_of(&rooms[room]).unwrap();
                    prop_assert_eq!(changes(tables, &rooms[room]), changes(&model, &rooms[room]));
                }
                Step::Reopen { closed } => {
                    if closed {
                        ahead.with_all().unwrap();
                        ahead.flush().unwrap();
                    }
                    drop(ahead);
                    ahead = Ahead::open(folder.path(), &config(bytes_max)).unwrap();
                }
            }
        }
        for room in &rooms {
            prop_assert_eq!(ahead.head(room).unwrap(), model.head(room).unwrap());
        }
        let tables = ahead.with_all().unwrap();
        for room in &rooms {
            prop_assert_eq!(changes(tables, room), changes(&model, room));
        }
        prop_assert!(ahead.rooms.is_empty() && ahead.owners.is_empty() && ahead.bytes == 0);
    }
}
