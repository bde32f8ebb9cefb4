//! Documents that only add up: nobody sets or deletes them, and every write leaves a tag of its own. So whoever counts
//! the tags knows which writes took effect, how often, and in which order.

use std::collections::{BTreeMap, BTreeSet};

use syncline::store::DocumentKey;
use syncline_protocol::{DocumentId, Fields, Op, Patch, Path, Value, Write};

use crate::book::{Book, Fate, Noted, ops};
use crate::failure::{Failure, ensure};
use crate::random::Random;

/// The ledger's name in every collection.
pub(crate) const ID: &str = "ledger";
/// The tags, in the order of their effect.
const TAGS: &str = "tags";
/// The sum of the tags' amounts, once at the top and once nested.
const SUM: &str = "sum";
/// The tags as a set.
const SET: &str = "set";
/// Tags that were put in, without those taken out again.
const BAG: &str = "bag";
/// Where the server's time is written.
pub(crate) const TIME: &str = "at";

#[allow(clippy::expect_used)]
pub(crate) fn id() -> DocumentId {
    DocumentId::new(ID).expect("a valid name")
}

#[allow(clippy::expect_used)]
fn nested() -> Path {
    Path::parse("deep.sum").expect("a valid path")
}

/// What a ledger begins with.
pub(crate) fn creation() -> Write {
    let deep = Value::Object(Fields::from([(SUM.into(), Value::Int(0))]));
    Write::Create(Fields::from([(SUM.into(), Value::Int(0)), ("deep".into(), deep)]))
}

/// One entry: every operation that adds up, in one update. `old` is a tag that this device put into the bag before.
pub(crate) fn entry(device: usize, number: u64, old: Option<&str>, random: &mut Random) -> Write {
    let amount = i64::try_from(random.below(9)).unwrap_or(0) - 3;
    let tag = format!("{device}.{number}.{amount}");
    let items = || vec![Value::String(tag.clone())];
    let mut patch = Patch::new()
        .with(Path::field(TAGS), Op::Append(items()))
        .with(Path::field(SUM), Op::Increment(Value::Int(amount)))
        .with(nested(), Op::Increment(Value::Int(amount)))
        .with(Path::field(SET), Op::Union(items()));
    let bag = match old {
        Some(old) => Op::Remove(vec![Value::String(old.to_owned())]),
        None => Op::Union(items()),
    };
    patch = patch.with(Path::field(BAG), bag);
    if random.percent(20) {
        patch = patch.with(Path::field(TIME), Op::ServerTime);
    }
    Write::Update(patch)
}

/// The tags that a write leaves: several, if several entries became one write.
pub(crate) fn tags_of(write: &Write) -> Vec<&str> {
    let items = ops(write).filter_map(|(path, op)| match op {
        Op::Append(items) if *path == Path::field(TAGS) => Some(items),
        _ => None,
    });
    items.flatten().filter_map(text).collect()
}

/// The tags that a write takes out of the bag.
fn removed_by(write: &Write) -> impl Iterator<Item = &str> {
    let items = ops(write).filter_map(|(path, op)| match op {
        Op::Remove(items) if *path == Path::field(BAG) => Some(items),
        _ => None,
    });
    items.flatten().filter_map(text)
}

/// The tags that a write puts into the bag.
pub(crate) fn put_in_by(write: &Write) -> impl Iterator<Item = &str> {
    let items = ops(write).filter_map(|(path, op)| match op {
        Op::Union(items) if *path == Path::field(BAG) => Some(items),
        _ => None,
    });
    items.flatten().filter_map(text)
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// The texts in an array field.
fn texts<'a>(fields: &'a Fields, name: &str) -> Vec<&'a str> {
    match fields.get(name) {
        Some(Value::Array(items)) => items.iter().filter_map(text).collect(),
        _ => Vec::new(),
    }
}

/// The tags that a ledger shows, in order.
pub(crate) fn tags(fields: &Fields) -> Vec<&str> {
    texts(fields, TAGS)
}

fn amount(tag: &str) -> i64 {
    tag.rsplit('.').next().and_then(|amount| amount.parse().ok()).unwrap_or(0)
}

/// Whether the fields of a ledger agree with each other: each tag once, and every sum that of the tags. It holds at any
/// time, on the server and in what any app shows.
pub(crate) fn check_sums(fields: &Fields) -> Result<(), Failure> {
    let tags = tags(fields);
    let different: BTreeSet<_> = tags.iter().collect();
    ensure!(different.len() == tags.len(), "a tag stands twice in {tags:?}");
    let set = texts(fields, SET);
    ensure!(set == tags, "the set {set:?} is not the tags {tags:?}");
    let sum = Value::Int(tags.iter().map(|tag| amount(tag)).sum());
    ensure!(fields.get(SUM) == Some(&sum), "the sum is {:?}, the tags make {sum:?}", fields.get(SUM));
    let deep = nested().value_in(fields);
    ensure!(deep == Some(&sum), "the nested sum is {deep:?}, the tags make {sum:?}");
    Ok(())
}

/// Whether the server's ledger holds what the apps were promised: each accepted entry once, in the order of its device,
/// and nothing else.
pub(crate) fn check_entries(key: &DocumentKey, fields: &Fields, books: &[&Book]) -> Result<(), Failure> {
    check_sums(fields)?;
    let mut expected = BTreeMap::new();
    for (device, book) in books.iter().enumerate() {
        for (number, noted) in book.writes().filter(|(_, noted)| is_in(noted, key)) {
            for tag in noted.tags() {
                expected.insert(tag, (device, *number, noted));
            }
        }
    }
    let tags = tags(fields);
    let mut last = vec![0; books.len()];
    for tag in &tags {
        let known = expected.get(tag);
        let Some((device, number, noted)) = known else {
            return Err(Failure(format!("{tag} is in {key:?}, and nobody wrote it")));
        };
        ensure!(noted.fate == Fate::Accepted, "{tag} took effect, and is {:?} to its app", noted.fate);
        if !noted.overtaken {
            ensure!(last[*device] <= *number, "{tag} took effect behind a later write of its device");
            last[*device] = *number;
        }
    }
    let present: BTreeSet<&str> = tags.into_iter().collect();
    for (tag, (_, number, noted)) in &expected {
        let lost = noted.fate == Fate::Accepted && !present.contains(tag);
        ensure!(!lost, "write {number} was accepted, and its tag {tag} is not in {key:?}");
    }
    check_bag(fields, &expected)
}

fn check_bag(fields: &Fields, expected: &BTreeMap<&str, (usize, u64, &Noted)>) -> Result<(), Failure> {
    let effective = || expected.iter().filter(|(_, (_, _, noted))| noted.fate == Fate::Accepted);
    let removed: BTreeSet<&str> =
        effective().flat_map(|(_, (_, _, noted))| removed_by(&noted.entry.mutation.write)).collect();
    let bag: BTreeSet<&str> = texts(fields, BAG).into_iter().collect();
    for (tag, (_, _, noted)) in effective().filter(|(_, (_, _, noted))| !noted.overtaken) {
        let put_in = put_in_by(&noted.entry.mutation.write).any(|found| found == *tag);
        let there = put_in && !removed.contains(tag);
        ensure!(bag.contains(tag) == there, "{tag} is in the bag: {}; it should: {there}", bag.contains(tag));
    }
    Ok(())
}

pub(crate) fn is_in(noted: &Noted, key: &DocumentKey) -> bool {
    let mutation = &noted.entry.mutation;
    noted.entry.room == key.room && mutation.collection == key.collection && mutation.id == key.id
}
