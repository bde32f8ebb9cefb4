//! Histories of one document: what an implementation of the merge rule must make of them.
//!
//! Some by hand, for what is easily got wrong in another language; many at random, from a fixed seed.

use serde::Serialize;
use serde_json::{Value as Json, json};
use syncline_protocol::conflict::fields_in_conflict;
use syncline_protocol::{ClientId, Document, Mutation, Path, VersionVector, merge};

use crate::golden::{quoted, render};
use crate::values::{START_MS, ada, bob, collection, id, time};

/// What the applying end's clock says, in milliseconds since the epoch.
pub const NOW_MS: u64 = START_MS + 1_000_000;

const RANDOM_HISTORIES: u64 = 120;
const RANDOM_STEPS_MAX: u64 = 10;

/// A mutation, and whether it is in conflict with the document before it: then it changes nothing.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    pub writer: ClientId,
    pub mutation: Mutation,
    /// The paths that both wrote.
    pub conflict: Option<Vec<Path>>,
}

#[derive(Debug, Clone)]
pub struct History {
    pub name: String,
    pub steps: Vec<Step>,
    /// What comes of it; `None` where nothing created the document.
    pub document: Option<Document>,
}

impl History {
    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), steps: Vec::new(), document: None }
    }

    /// Applies a write, made so many milliseconds after [`START_MS`].
    fn write(&mut self, writer: ClientId, after_ms: u64, write: Json, base: Option<VersionVector>) {
        let mutation = Mutation {
            client_seq: self.steps.len() as u64 + 1,
            collection: collection("places"),
            id: id("first"),
            write: serde_json::from_value(write).unwrap(),
            time: time(after_ms, 0),
            base,
        };
        let conflict =
            self.document.as_ref().and_then(|document| fields_in_conflict(document, &mutation, writer));
        if conflict.is_none() {
            // What is refused leaves no document, or the one there was.
            let _ = merge::apply(&mut self.document, &mutation, writer, NOW_MS);
        }
        self.steps.push(Step { writer, mutation, conflict });
    }
}

/// The vectors, in the order of the file.
pub fn all() -> Vec<History> {
    let random = (0..RANDOM_HISTORIES).map(random_history);
    by_hand().into_iter().chain(random).collect()
}

/// The text of the file that holds these vectors.
pub fn render_all(histories: &[History]) -> String {
    render(histories.iter().map(|history| {
        vec![
            ("name", quoted(&history.name)),
            ("now_ms", NOW_MS.to_string()),
            ("steps", serde_json::to_string(&history.steps).unwrap()),
            ("document", serde_json::to_string(&history.document).unwrap()),
        ]
    }))
}

fn by_hand() -> Vec<History> {
    let create = |fields: Json| (ada(), 0, json!({ "create": fields }));
    let update = |writer, after_ms, patch: Json| (writer, after_ms, json!({ "update": patch }));
    let history = |name: &str, writes: Vec<(ClientId, u64, Json)>| {
        let mut history = History::new(name);
        for (writer, after_ms, write) in writes {
            history.write(writer, after_ms, write, None);
        }
        history
    };
    vec![
        history("an update creates nothing", vec![update(ada(), 0, json!({"n": {"set": 1}}))]),
        history(
            "stamps of one time are ordered by their client",
            vec![
                create(json!({})),
                update(bob(), 5, json!({"n": {"set": "bob"}})),
                update(ada(), 5, json!({"n": {"set": "ada"}})),
            ],
        ),
        history(
            "what is newer within an older object stays, values and absences",
            vec![
                create(json!({"a": {"x": 1, "y": 2, "z": 3}})),
                update(bob(), 9, json!({"a.y": {"set": {"deep": true}}, "a.z": "unset"})),
                update(ada(), 7, json!({"a": {"set": {"x": 5, "y": 6, "z": 7}}})),
            ],
        ),
        history(
            "operations go in the order of their paths",
            vec![
                create(json!({"a": 7, "b": 7})),
                update(ada(), 3, json!({"a.set": {"set": 1}, "a.increment": {"increment": 1}})),
                update(ada(), 4, json!({"b.c": {"increment": 1}, "b.b": {"set": 1}})),
            ],
        ),
        history(
            "paths are ordered by the bytes of their names",
            vec![
                create(json!({"a": 7})),
                update(ada(), 3, json!({"a.\u{e000}": {"set": 1}, "a.\u{1f600}": {"increment": 1}})),
            ],
        ),
        history(
            "names that a language gives a meaning are names",
            vec![
                create(json!({"__proto__": {"x": 1}, "constructor": 1, "": 0})),
                update(
                    bob(),
                    3,
                    json!({"__proto__.polluted": {"set": true}, "toString.a": {"increment": 1}}),
                ),
                update(
                    ada(),
                    4,
                    json!({"constructor": "unset", "": {"increment": 2}, "hasOwnProperty": {"append": [1]}}),
                ),
                update(ada(), 5, json!({"a.__proto__.b": {"set": 1}})),
            ],
        ),
        history(
            "a dot or a backslash in a name is escaped",
            vec![
                create(json!({"v1.0": 1, "back\\slash": {"a.b": 1}})),
                update(bob(), 3, json!({"v1\\.0": {"set": 2}, "back\\\\slash.a\\.b": {"increment": 1}})),
                update(ada(), 2, json!({"back\\\\slash": {"set": {}}, "v1\\.0": {"set": 3}})),
            ],
        ),
        history(
            "items are equal when their values are",
            vec![
                create(json!({"list": [1, {"a": 1, "b": [2]}, "x", null, true]})),
                update(ada(), 2, json!({"list": {"union": [1.0, {"b": [2.0], "a": 1}, "y", "y", false]}})),
                update(ada(), 3, json!({"list": {"remove": [null, {"a": 1.0, "b": [2]}, "absent"]}})),
            ],
        ),
        history(
            "what does not fit changes nothing",
            vec![
                create(json!({"text": "x", "n": 1, "list": [1]})),
                update(
                    bob(),
                    2,
                    json!({"text": {"increment": 1}, "n.deep": {"union": [1]}, "list.0": {"append": [1]}}),
                ),
                update(bob(), 3, json!({"n": {"remove": [1]}, "text.a": "unset", "list": {"increment": 1}})),
            ],
        ),
        history(
            "a tombstone keeps its fields for an update that is newer",
            vec![
                create(json!({"n": 1, "m": 5})),
                (ada(), 10, json!("delete")),
                update(bob(), 9, json!({"n": {"increment": 1}})),
                update(bob(), 11, json!({"n": {"increment": 1}, "at": "server_time"})),
            ],
        ),
        history(
            "a creation after the deletion begins afresh",
            vec![
                create(json!({"old": 1})),
                (ada(), 10, json!("delete")),
                (bob(), 11, json!({"create": {"new": 1}})),
            ],
        ),
        history(
            "a deletion is weighed against every stamp",
            vec![
                create(json!({"n": 1})),
                update(bob(), 12, json!({"n": {"set": 2}})),
                (ada(), 11, json!("delete")),
            ],
        ),
    ]
}

/// SplitMix64: the same histories on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[usize::try_from(self.below(items.len() as u64)).unwrap()].clone()
    }
}

fn random_history(seed: u64) -> History {
    let mut random = Random(seed);
    let mut history = History::new(format!("random {seed}"));
    let mut bases = vec![None];
    for _ in 0..=random.below(RANDOM_STEPS_MAX) {
        let writer = random.pick(&[ada(), bob()]);
        // Few times, so that they often meet.
        let after_ms = random.below(12);
        let base = random.pick(&bases);
        let write = random_write(&mut random, history.document.is_none());
        history.write(writer, after_ms, write, base);
        bases.push(history.document.as_ref().map(|document| document.version.clone()));
    }
    history
}

fn random_write(random: &mut Random, is_first: bool) -> Json {
    match random.below(if is_first { 4 } else { 16 }) {
        0..3 => json!({"create": {"a": random_value(random), "b": random_value(random), "list": [1, "x"]}}),
        3..5 => json!("delete"),
        _ => json!({ "update": random_patch(random) }),
    }
}

fn random_patch(random: &mut Random) -> Json {
    let outer = ["a", "b", "list", "c"];
    let inner = ["a.x", "a.x.y", "a.z", "b.x", "list.0", "c.d.e"];
    let mut patch = serde_json::Map::new();
    patch.insert(random.pick(&outer).to_owned(), random_op(random));
    for _ in 0..random.below(3) {
        let path = random.pick(&inner);
        let overlaps = patch
            .keys()
            .any(|other| path.starts_with(&format!("{other}.")) || other.starts_with(&format!("{path}.")));
        if !overlaps {
            patch.insert(path.to_owned(), random_op(random));
        }
    }
    patch.into()
}

fn random_op(random: &mut Random) -> Json {
    match random.below(8) {
        0 | 1 => json!({ "set": random_value(random) }),
        2 => json!("unset"),
        3 => json!("server_time"),
        4 => json!({ "increment": random.pick(&[json!(1), json!(-2), json!(0.5)]) }),
        5 => json!({ "union": [random_value(random), "x"] }),
        6 => json!({ "remove": [random_value(random), "x"] }),
        _ => json!({ "append": [random_value(random)] }),
    }
}

fn random_value(random: &mut Random) -> Json {
    random.pick(&[
        json!(null),
        json!(1),
        json!(2.5),
        json!("x"),
        json!([1, "x"]),
        json!({}),
        json!({"x": 1, "z": [1]}),
        json!({"x": {"y": 2}}),
    ])
}
