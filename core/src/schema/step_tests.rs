#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;
use syncline_protocol::{
    ClientId, DocumentId, FieldName, HybridTime, Mutation, Stamps, VersionVector, merge,
};

use super::*;

fn tasks() -> Collection {
    Collection::new("tasks").unwrap()
}

fn step(json: serde_json::Value) -> MigrationStep {
    serde_json::from_value(json).unwrap()
}

fn rename(from: &str, to: &str) -> MigrationStep {
    step(json!({"renameField": {"collection": "tasks", "from": from, "to": to}}))
}

fn remove(path: &str) -> MigrationStep {
    step(json!({"removeField": {"collection": "tasks", "path": path}}))
}

fn default(path: &str, value: &serde_json::Value) -> MigrationStep {
    step(json!({"setDefault": {"collection": "tasks", "path": path, "value": value}}))
}

/// A write of a task after a step, both as JSON.
fn after(step: &MigrationStep, write: serde_json::Value) -> serde_json::Value {
    let write = step.write(&tasks(), serde_json::from_value(write).unwrap());
    serde_json::to_value(write).unwrap()
}

fn document(fields: Fields) -> Document {
    Document {
        collection: tasks(),
        id: DocumentId::new("1").unwrap(),
        fields,
        seq: 1,
        version: VersionVector::default(),
        stamps: Stamps::new(stamp(1)),
        deleted: false,
    }
}

fn stamp(wall_ms: u64) -> Stamp {
    Stamp { time: HybridTime { wall_ms, counter: 0 }, writer: ClientId::from_bytes([1; 16]) }
}

#[test]
fn a_rename_takes_along_what_lies_below() {
    let step = rename("address.zip", "address.postcode");
    let create = json!({"create": {"address": {"zip": {"code": 1}, "city": "Bern"}, "zip": 2}});
    let renamed = json!({"create": {"address": {"postcode": {"code": 1}, "city": "Bern"}, "zip": 2}});
    assert_eq!(after(&step, create), renamed);
    let update = json!({"update": {"address.zip.code": {"increment": 1}, "address.zips": "unset"}});
    let renamed = json!({"update": {"address.postcode.code": {"increment": 1}, "address.zips": "unset"}});
    assert_eq!(after(&step, update), renamed);
}

#[test]
fn a_rename_reaches_into_the_value_of_a_set() {
    let update = json!({"update": {"address": {"set": {"zip": 1}}}});
    let renamed = json!({"update": {"address": {"set": {"postcode": 1}}}});
    assert_eq!(after(&rename("address.zip", "address.postcode"), update), renamed);
}

#[test]
fn what_stands_under_the_new_name_stays() {
    let step = rename("name", "title");
    assert_eq!(
        after(&step, json!({"create": {"name": "old", "title": "new"}})),
        json!({"create": {"title": "new"}})
    );
    let update = json!({"update": {"name": {"set": "old"}, "title.de": {"set": "new"}}});
    assert_eq!(after(&step, update), json!({"update": {"title.de": {"set": "new"}}}));
}

#[test]
fn a_removed_field_takes_its_operations_along() {
    let update = json!({"update": {"a.b": "unset", "a.b.c": {"set": 1}, "a.d": {"set": 2}}});
    // Not valid as a whole, but the step does not care.
    assert_eq!(after(&remove("a.b"), update), json!({"update": {"a.d": {"set": 2}}}));
    let set = json!({"update": {"a": {"set": {"b": 1, "d": 2}}}});
    assert_eq!(after(&remove("a.b"), set), json!({"update": {"a": {"set": {"d": 2}}}}));
}

#[test]
fn of_an_update_whose_fields_are_removed_nothing_is_left() {
    let update = json!({"update": {"legacy": {"set": 1}}});
    assert_eq!(after(&remove("legacy"), update), json!(null));
    // The document is still made, or deleted.
    assert_eq!(after(&remove("legacy"), json!({"create": {"legacy": 1}})), json!({"create": {}}));
    assert_eq!(after(&remove("legacy"), json!("delete")), json!("delete"));
}

#[test]
fn a_default_is_for_what_is_missing() {
    let step = default("done", &json!(false));
    assert_eq!(after(&step, json!({"create": {"n": 1}})), json!({"create": {"n": 1, "done": false}}));
    assert_eq!(after(&step, json!({"create": {"done": null}})), json!({"create": {"done": null}}));
    let update = json!({"update": {"n": {"increment": 1}}});
    assert_eq!(after(&step, update.clone()), update, "an update says nothing of other fields");
    assert_eq!(
        after(&step, json!({"update": {"done": "unset"}})),
        json!({"update": {"done": {"set": false}}})
    );
}

#[test]
fn a_default_makes_no_object_to_stand_in() {
    let step = default("address.country", &json!("CH"));
    assert_eq!(after(&step, json!({"create": {}})), json!({"create": {}}));
    assert_eq!(
        after(&step, json!({"update": {"address": {"set": {}}}})),
        json!({"update": {"address": {"set": {"country": "CH"}}}})
    );
}

#[test]
fn other_collections_are_left_alone() {
    let other = Collection::new("notes").unwrap();
    let write: Write = serde_json::from_value(json!({"update": {"a": {"set": 1}}})).unwrap();
    for step in [rename("a", "b"), remove("a"), default("b", &json!(1))] {
        assert_eq!(step.write(&other, write.clone()), Some(write.clone()));
    }
}

#[test]
fn collections_are_renamed_and_removed() {
    let rename = step(json!({"renameCollection": {"from": "tasks", "to": "todos"}}));
    let renamed = rename.document(document(Fields::new())).unwrap();
    assert_eq!(renamed.collection.as_str(), "todos");
    let removal = step(json!({"removeCollection": {"collection": "tasks"}}));
    assert_eq!(removal.document(document(Fields::new())), None);
}

#[test]
fn the_times_of_writes_follow_their_fields() {
    let mut before = document(Fields::new());
    let path = |text: &str| Path::parse(text).unwrap();
    before.stamps.fields.extend([
        (path("name.de"), stamp(3)),
        (path("title.de"), stamp(2)),
        (path("x"), stamp(5)),
    ]);
    let renamed = rename("name", "title").document(before.clone()).unwrap();
    assert_eq!(renamed.stamps.fields, BTreeMap::from([(path("title.de"), stamp(3)), (path("x"), stamp(5))]));
    let removed = remove("x").document(before).unwrap();
    assert!(!removed.stamps.fields.contains_key(&path("x")));
}

#[test]
fn a_deleted_document_gets_no_defaults() {
    let deleted = Document { deleted: true, ..document(Fields::new()) };
    assert!(default("done", &json!(false)).document(deleted).unwrap().fields.is_empty());
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![Just(Value::Null), (0..3i64).prop_map(Value::Int), "[xy]".prop_map(Value::from)]
}

/// Objects with the fields `a`, `b` and `c`, two levels deep.
fn fields() -> impl Strategy<Value = Fields> {
    let inner = proptest::collection::btree_map("[abc]".prop_map(FieldName::from), scalar(), 0..3);
    let value = prop_oneof![scalar(), inner.prop_map(Value::Object)];
    proptest::collection::btree_map("[abc]".prop_map(FieldName::from), value, 0..4)
}

fn op() -> impl Strategy<Value = Op> {
    let items = || proptest::collection::vec(scalar(), 0..2);
    prop_oneof![
        3 => scalar().prop_map(Op::Set),
        2 => fields().prop_map(|fields| Op::Set(Value::Object(fields))),
        2 => Just(Op::Unset),
        1 => (0..3i64).prop_map(|amount| Op::Increment(Value::Int(amount))),
        1 => items().prop_map(Op::Append),
        1 => items().prop_map(Op::Union),
        1 => items().prop_map(Op::Remove),
    ]
}

fn path() -> impl Strategy<Value = Path> {
    prop_oneof!["[abc]", r"[abc]\.[abc]"].prop_map(|text| Path::parse(&text).unwrap())
}

fn patch() -> impl Strategy<Value = Patch> {
    proptest::collection::vec((path(), op()), 1..4)
        .prop_map(Patch::from_iter)
        .prop_filter("valid", |patch| patch.validate().is_ok())
}

fn any_step() -> impl Strategy<Value = MigrationStep> {
    let renamed = (path(), "[abcd]").prop_map(|(from, name)| {
        let to = from.renamed(from.segments().len() - 1, &name);
        MigrationStep::RenameField { collection: tasks(), from, to }
    });
    prop_oneof![
        renamed.prop_filter("another name", |step| step.validate().is_ok()),
        path().prop_map(|path| MigrationStep::RemoveField { collection: tasks(), path }),
        (path(), scalar()).prop_map(|(path, value)| MigrationStep::SetDefault {
            collection: tasks(),
            path,
            value
        }),
    ]
}

/// The document after a patch, which is written later than anything in it.
fn patched(document: &Document, patch: Option<Patch>) -> Document {
    let Some(patch) = patch else { return document.clone() };
    let mutation = Mutation {
        client_seq: 1,
        collection: document.collection.clone(),
        id: document.id.clone(),
        write: Write::Update(patch),
        time: stamp(9).time,
        base: None,
    };
    let mut patched = Some(document.clone());
    merge::apply(&mut patched, &mutation, stamp(9).writer, 9).unwrap();
    patched.unwrap()
}

/// Leaves out empty objects: an operation makes the objects on its way, so without it they may be missing.
fn without_empty_objects(fields: Fields) -> Fields {
    fields
        .into_iter()
        .map(|(name, value)| match value {
            Value::Object(fields) => (name, Value::Object(without_empty_objects(fields))),
            other => (name, other),
        })
        .filter(|(_, value)| *value != Value::Object(Fields::new()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_left_of_a_patch_is_a_valid_patch(step in any_step(), patch in patch()) {
        if let Some(Write::Update(after)) = step.write(&tasks(), Write::Update(patch)) {
            prop_assert!(after.validate().is_ok(), "{after:?}");
        }
    }

    #[test]
    fn to_write_and_then_rename_is_to_rename_and_then_write(
        from in path(), fields in fields(), patch in patch(),
    ) {
        // A name that is not in use.
        let to = from.renamed(from.segments().len() - 1, "new");
        check_commutes(&from.clone(), &MigrationStep::RenameField { collection: tasks(), from, to }, fields, patch)?;
    }

    #[test]
    fn to_write_and_then_remove_is_to_remove_and_then_write(
        path in path(), fields in fields(), patch in patch(),
    ) {
        check_commutes(&path.clone(), &MigrationStep::RemoveField { collection: tasks(), path }, fields, patch)?;
    }

    #[test]
    fn every_document_has_the_shape_afterwards(step in any_step(), fields in fields()) {
        let before = document(fields);
        let after = step.document(before.clone()).unwrap().fields;
        match &step {
            MigrationStep::RenameField { from, to, .. } => {
                prop_assert_eq!(from.value_in(&after), None);
                let expected = to.value_in(&before.fields).or(from.value_in(&before.fields));
                prop_assert_eq!(to.value_in(&after), expected);
            }
            MigrationStep::RemoveField { path, .. } => prop_assert_eq!(path.value_in(&after), None),
            MigrationStep::SetDefault { path, value, .. } => {
                let holds_object = |outer: &Path| matches!(outer.value_in(&before.fields), Some(Value::Object(_)));
                let default = path.ancestors().all(|outer| holds_object(&outer)).then_some(value);
                prop_assert_eq!(path.value_in(&after), path.value_in(&before.fields).or(default));
            }
            _ => {}
        }
        prop_assert_eq!(step.document(Document { fields: after.clone(), ..before }).unwrap().fields, after);
    }
}

fn check_commutes(
    path: &Path,
    step: &MigrationStep,
    fields: Fields,
    patch: Patch,
) -> Result<(), TestCaseError> {
    // An operation puts an object in the place of anything else on its way, at its turn, which is another one now.
    prop_assume!(
        path.ancestors().all(|outer| matches!(outer.value_in(&fields), None | Some(Value::Object(_))))
    );
    let before = document(fields);
    let written_first = step.document(patched(&before, Some(patch.clone()))).unwrap();
    let write = step.write(&tasks(), Write::Update(patch));
    let left = write.map(|write| match write {
        Write::Update(patch) => patch,
        other => unreachable!("{other:?}"),
    });
    let migrated_first = patched(&step.document(before).unwrap(), left);
    prop_assert_eq!(
        without_empty_objects(migrated_first.fields),
        without_empty_objects(written_first.fields)
    );
    Ok(())
}
