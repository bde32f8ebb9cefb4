//! What a process that will be killed writes, and how to tell afterwards what became of it.
//!
//! A process has a collection of its own. Write 0 creates three documents; every later write leaves marks under its
//! own number, by increments where it can: a write applied twice leaves a 2, half a write some of its marks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use syncline::store::{EncryptionKey, KEY_BYTES};

use crate::Shown;

/// Rooms of directories that are encrypted, with another key now and then.
pub const SEALED_ROOMS: &str = "kill:sealed:";
/// Processes that use the same key. The first ones have none.
const PROCESSES_PER_KEY: u64 = 5;

/// What a process opens its directory with: its key, and those before it.
pub fn keys(room: &str, process: u64) -> (Option<EncryptionKey>, Vec<EncryptionKey>) {
    let number = if room.starts_with(SEALED_ROOMS) { process / PROCESSES_PER_KEY } else { 0 };
    let mut keys: Vec<_> = (1..=number)
        .map(|number| EncryptionKey::from_bytes([u8::try_from(number).unwrap(); KEY_BYTES]))
        .collect();
    (keys.pop(), keys)
}

/// Writes that a process has under way at once.
pub const WRITERS: u64 = 4;

/// A trace that a write leaves in its collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// An increment of a field of the document so named.
    Increment(&'static str),
    /// A field set in the document `set`.
    Set,
    /// A document of its own.
    Document,
}

fn marks(number: u64) -> &'static [Mark] {
    match number % 4 {
        0 => &[Mark::Increment("left")],
        1 => &[Mark::Document],
        2 => &[Mark::Increment("left"), Mark::Document, Mark::Increment("right")],
        _ => &[Mark::Set],
    }
}

/// The name of the collection that the process of this number writes to.
pub fn collection(process: u64) -> String {
    format!("process{process}")
}

/// A write as a command.
pub fn command(room: &str, process: u64, number: u64) -> Json {
    let request = |id: &str, write: Json| json!({"room": room, "collection": collection(process), "id": id, "write": write});
    let writes: Vec<Json> = if number == 0 {
        ["left", "right", "set"].map(|id| request(id, json!({"create": {}}))).into()
    } else {
        let field = field(number);
        let write = |mark: &Mark| match mark {
            Mark::Increment(id) => request(id, json!({"update": {field.as_str(): {"increment": 1}}})),
            Mark::Set => request("set", json!({"update": {field.as_str(): {"set": number}}})),
            Mark::Document => request(&field, json!({"create": {"number": number}})),
        };
        marks(number).iter().map(write).collect()
    };
    json!({"type": "write", "writes": writes})
}

fn field(number: u64) -> String {
    format!("n{number}")
}

/// What is known of one process's writes: those that were reported as accepted.
#[derive(Debug, Clone, Default)]
pub struct Accepted {
    pub numbers: BTreeSet<u64>,
}

/// Compares a process's collection with what it was told. Returns how many writes are there.
pub fn audit(accepted: &Accepted, rows: &BTreeMap<String, Shown>) -> Result<u64, String> {
    let Some(last) = accepted.numbers.last() else {
        // Write 0 may have become durable all the same, and nothing else was tried before it was accepted.
        let whole = rows.is_empty() || rows.len() == 3;
        return whole
            .then_some(rows.len().min(1) as u64)
            .ok_or(format!("half of write 0: {:?}", rows.keys()));
    };
    if !["left", "right", "set"].iter().all(|&id| rows.contains_key(id)) {
        return Err(format!("write 0 was accepted, and its documents are not all there: {:?}", rows.keys()));
    }
    let mut there = 1;
    let end = last + 1 + WRITERS;
    for number in 1..end {
        let counts: Vec<u64> = marks(number).iter().map(|mark| count(*mark, number, rows)).collect();
        let applied = counts[0];
        if counts.iter().any(|&count| count != applied) {
            return Err(format!("write {number} is there in parts: {counts:?}"));
        }
        match (applied, accepted.numbers.contains(&number)) {
            (0, true) => return Err(format!("write {number} was accepted, and is lost")),
            (0 | 1, _) => there += applied,
            _ => return Err(format!("write {number} was applied {applied} times")),
        }
    }
    let known: BTreeSet<String> = (1..end).map(field).collect();
    for id in ["left", "right", "set"] {
        let fields = rows[id].fields.as_object().ok_or("a document is an object")?;
        if let Some(unknown) = fields.keys().find(|name| !known.contains(*name)) {
            return Err(format!("{id} has the field {unknown}, which nobody wrote"));
        }
    }
    Ok(there)
}

fn count(mark: Mark, number: u64, rows: &BTreeMap<String, Shown>) -> u64 {
    let field = field(number);
    match mark {
        Mark::Increment(id) => {
            rows[id].fields.get(&field).map_or(0, |value| value.as_u64().unwrap_or(u64::MAX))
        }
        Mark::Set => rows["set"].fields.get(&field).map_or(0, |value| u64::from(value == number)),
        Mark::Document => rows.get(&field).map_or(0, |row| u64::from(row.fields["number"] == number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(left: Json, right: Json, set: Json, more: &[(&str, Json)]) -> BTreeMap<String, Shown> {
        let mut rows = vec![("left", left), ("right", right), ("set", set)];
        rows.extend(more.iter().cloned());
        let shown = |(id, fields): (&str, Json)| (id.to_owned(), Shown { fields, pending: false });
        rows.into_iter().map(shown).collect()
    }

    fn accepted(last: u64) -> Accepted {
        Accepted { numbers: (0..=last).collect() }
    }

    #[test]
    fn the_audit_finds_what_is_lost_doubled_or_halved() {
        let all = |left| {
            rows(
                left,
                json!({"n2": 1}),
                json!({"n3": 3}),
                &[("n1", json!({"number": 1})), ("n2", json!({"number": 2}))],
            )
        };
        let audit = |last, rows| audit(&accepted(last), &rows);
        assert_eq!(audit(4, all(json!({"n2": 1, "n4": 1}))), Ok(5));
        // Durable before it was reported.
        assert_eq!(audit(3, all(json!({"n2": 1, "n4": 1}))), Ok(5));
        assert!(audit(4, all(json!({"n2": 1}))).unwrap_err().contains("lost"));
        assert!(audit(4, all(json!({"n2": 1, "n4": 2}))).unwrap_err().contains("applied 2 times"));
        assert!(audit(4, all(json!({"n4": 1}))).unwrap_err().contains("in parts"));
        assert!(audit(4, all(json!({"n2": 1, "n4": 1, "n99": 1}))).unwrap_err().contains("nobody wrote"));
        assert!(audit(0, BTreeMap::new()).unwrap_err().contains("not all there"));
    }
}
