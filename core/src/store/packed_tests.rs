#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use syncline_protocol::message::{decode_compact, encode_compact};
use syncline_protocol::{ClientId, FieldName, Fields, Mutation, Op, Patch, Value, VersionVector, Write};

use super::*;
use crate::store::fixtures::{entry, outcome, parked, resent};
use crate::store::{Entry, Record};

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-200i64..70_000).prop_map(Value::Int),
        any::<f64>().prop_filter_map("finite", Value::number),
        ".{0,40}".prop_map(Value::String),
        (30usize..300).prop_map(|length| Value::String("y".repeat(length))),
    ];
    leaf.prop_recursive(3, 24, 20, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..18).prop_map(Value::Array),
            proptest::collection::btree_map(".{0,6}".prop_map(FieldName::from), inner, 0..18)
                .prop_map(Value::Object),
        ]
    })
}

fn op() -> impl Strategy<Value = Op> {
    let items = || proptest::collection::vec(value(), 0..3);
    prop_oneof![
        value().prop_map(Op::Set),
        Just(Op::Unset),
        (-5i64..5).prop_map(|by| Op::Increment(Value::Int(by))),
        items().prop_map(Op::Union),
        items().prop_map(Op::Remove),
        items().prop_map(Op::Append),
        Just(Op::ServerTime),
    ]
}

fn write() -> impl Strategy<Value = Write> {
    let path = proptest::collection::vec(r"[a-c.\\ ]{1,4}", 1..4).prop_map(|names| {
        let names = names.iter().map(|name| name.replace('\\', r"\\").replace('.', r"\."));
        Path::parse(&names.collect::<Vec<_>>().join(".")).unwrap()
    });
    prop_oneof![
        proptest::collection::btree_map(".{0,8}".prop_map(FieldName::from), value(), 0..5)
            .prop_map(Write::Create),
        proptest::collection::vec((path, op()), 0..4)
            .prop_map(|ops| Write::Update(ops.into_iter().collect())),
        Just(Write::Delete),
    ]
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let base = proptest::option::of(proptest::collection::vec((any::<u8>(), any::<u64>()), 0..20));
    let time = || (any::<u64>(), any::<u32>()).prop_map(|(wall_ms, counter)| HybridTime { wall_ms, counter });
    let accepted = proptest::option::of((any::<u64>(), time()));
    let names = ("[a-zü]{1,40}", "[a-z]{1,10}", "[a-z-]{1,40}");
    (names, any::<u64>(), write(), time(), base, any::<u64>(), accepted).prop_map(
        |((room, collection, id), client_seq, write, time, base, queued_at_ms, accepted)| {
            let version = |seen: Vec<(u8, u64)>| -> VersionVector {
                seen.into_iter().map(|(client, seq)| (ClientId::from_bytes([client; 16]), seq)).collect()
            };
            let mutation = Mutation {
                client_seq,
                collection: Collection::new(collection).unwrap(),
                id: DocumentId::new(id).unwrap(),
                write,
                time,
                base: base.map(version),
            };
            let accepted = accepted.map(|(client_seq, time)| Accepted { client_seq, time });
            Entry { room: Room::new(room).unwrap(), mutation, queued_at_ms, accepted }
        },
    )
}

impl<'r> EntryHead<'r> {
    fn of(entry: &'r Entry) -> Self {
        let Entry { room, mutation, queued_at_ms, .. } = entry;
        Self {
            room: room.as_str(),
            collection: mutation.collection.as_str(),
            id: mutation.id.as_str(),
            client_seq: mutation.client_seq,
            time: mutation.time,
            queued_at_ms: *queued_at_ms,
            bytes: mutation.byte_len() as u64,
        }
    }
}

fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    encode_compact(value).unwrap()
}

#[test]
fn only_records_that_queue_entries_are_read() {
    for record in [
        Record::Settled { client_seq: 1 },
        Record::Failed(outcome(1)),
        Record::Parked(parked(entry(1))),
        Record::LastJob { id: 3 },
    ] {
        assert_eq!(queued_entries(&encode(&record)), Ok(None));
    }
    let record = encode(&Record::Resolved { client_seq: 7, entry: None });
    let found = queued_entries(&record).unwrap().unwrap();
    assert_eq!((found.replaced, found.resolved, found.entries), (vec![], Some(7), vec![]));
}

#[test]
fn entries_of_older_versions_are_read() {
    let Entry { room, mutation, queued_at_ms, .. } = entry(5);
    let Mutation { client_seq, collection, id, write, time, .. } = &mutation;
    let old = encode(&[(&room, (client_seq, collection, id, write, time), queued_at_ms)]);
    let record = [&[0x81, 0xa6][..], b"Queued", &old].concat();
    let Record::Queued(decoded) = decode_compact(&record).unwrap() else { panic!("another record") };
    assert_eq!(decoded, [entry(5)]);
    let found = queued_entries(&record).unwrap().unwrap();
    assert_eq!(found.entries, [(EntryHead::of(&entry(5)), 9..record.len())]);
}

#[test]
fn what_would_not_decode_is_not_read() {
    let depth = |depth| (0..depth).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
    let with = |value| {
        let mut entry = entry(1);
        entry.mutation.write = Write::Create(Fields::from([("x".into(), value)]));
        encode(&Record::Queued(vec![entry]))
    };
    assert!(queued_entries(&with(depth(VALUE_DEPTH_MAX))).is_ok());
    assert_eq!(queued_entries(&with(depth(VALUE_DEPTH_MAX + 1))), Err(Unreadable::TooDeep));
    assert_eq!(queued_entries(&with(Value::Float(f64::NAN))), Err(Unreadable::NotFinite));
    let mut nameless = encode(&Record::Queued(vec![entry(1)]));
    let at = nameless.windows(5).position(|window| window == b"tasks").unwrap();
    nameless[at] = b'\n';
    assert!(matches!(queued_entries(&nameless), Err(Unreadable::Name(_))));
    let mut patch = entry(1);
    patch.mutation.write = Write::Update(Patch::new().with(Path::field("name"), Op::Unset));
    let mut patch = encode(&Record::Queued(vec![patch]));
    let at = patch.windows(4).position(|window| window == b"name").unwrap();
    patch[at + 3] = b'\\';
    assert!(matches!(queued_entries(&patch), Err(Unreadable::Path(_))));
}

proptest! {
    #[test]
    fn a_head_says_what_the_entry_says(entries in proptest::collection::vec(any_entry(), 0..20)) {
        let record = encode(&Record::Queued(entries.clone()));
        let found = queued_entries(&record).unwrap().unwrap();
        prop_assert_eq!(found.entries.len(), entries.len());
        for ((head, within), entry) in found.entries.into_iter().zip(&entries) {
            prop_assert_eq!(head, EntryHead::of(entry));
            prop_assert_eq!(&decode_compact::<Entry>(&record[within]).unwrap(), entry);
        }
        let packed: Vec<u8> = entries.iter().flat_map(encode).collect();
        prop_assert_eq!(queued_record(entries.len() as u32, &packed).unwrap(), record);
        let replaced = vec![3, 70_000];
        let record = encode(&Record::Resent { client_seqs: replaced.clone(), entries: entries.clone() });
        let found = queued_entries(&record).unwrap().unwrap();
        let heads: Vec<_> = found.entries.iter().map(|(head, _)| *head).collect();
        prop_assert_eq!((found.replaced, heads), (replaced, entries.iter().map(EntryHead::of).collect()));
        let record = encode(&Record::Resolved { client_seq: 9, entry: entries.first().cloned() });
        let found = queued_entries(&record).unwrap().unwrap();
        let heads: Vec<_> = found.entries.iter().map(|(head, _)| *head).collect();
        prop_assert_eq!((found.resolved, heads), (Some(9), entries.first().map(EntryHead::of).into_iter().collect()));
    }

    #[test]
    fn any_bytes_are_read_only_if_they_decode(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut record = encode(&Record::Queued(vec![entry(1), resent(1, 2)]));
        for (at, byte) in flips {
            let at = at.index(record.len());
            record[at] = byte;
        }
        for record in [&record[..], &record[..cut.index(record.len())]] {
            if let Ok(Some(_)) = queued_entries(record) {
                prop_assert!(decode_compact::<Record>(record).is_ok());
            }
        }
    }
}
