#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

fn schema(json: serde_json::Value) -> Schema {
    serde_json::from_value(json).unwrap()
}

fn leading_to(version: u32, steps_to: &[u32]) -> Schema {
    let migrations = steps_to.iter().map(|&to| Migration { to, steps: Vec::new() }).collect();
    Schema { version, migrations }
}

#[test]
fn an_app_that_declares_nothing_has_version_1() {
    assert_eq!(schema(json!({"version": 1})), Schema::default());
    assert!(Schema::default().validate().is_ok());
}

#[test]
fn every_step_has_a_spelling_in_json() {
    let steps = json!([
        {"renameField": {"collection": "tasks", "from": "a.b", "to": "a.c"}},
        {"removeField": {"collection": "tasks", "path": "legacy"}},
        {"setDefault": {"collection": "tasks", "path": "done", "value": false}},
        {"renameCollection": {"from": "todos", "to": "tasks"}},
        {"removeCollection": {"collection": "drafts"}},
    ]);
    let schema = schema(json!({"version": 2, "migrations": [{"to": 2, "steps": steps}]}));
    assert!(schema.validate().is_ok());
    assert_eq!(serde_json::to_value(&schema.migrations[0].steps).unwrap(), steps);
}

#[test]
fn migrations_lead_to_one_version_after_the_other() {
    for (version, steps_to) in [(3, &[2, 3][..]), (3, &[3]), (3, &[]), (1, &[])] {
        assert!(leading_to(version, steps_to).validate().is_ok(), "{version} by {steps_to:?}");
    }
    for (version, steps_to) in
        [(3, &[2][..]), (3, &[3, 2]), (4, &[2, 4]), (2, &[2, 2]), (2, &[1, 2]), (2, &[3])]
    {
        let result = leading_to(version, steps_to).validate();
        assert!(matches!(result, Err(SchemaError::Order { .. })), "{version} by {steps_to:?}");
    }
    assert!(matches!(leading_to(0, &[]).validate(), Err(SchemaError::Version)));
}

#[test]
fn data_needs_the_migrations_after_its_version() {
    let schema = leading_to(4, &[3, 4]);
    let to =
        |found| schema.path_from(found).unwrap().iter().map(|migration| migration.to).collect::<Vec<_>>();
    assert_eq!(to(2), [3, 4]);
    assert_eq!(to(3), [4]);
    assert!(to(4).is_empty());
}

#[test]
fn data_that_no_migration_starts_from_is_refused() {
    let result = leading_to(4, &[4]).path_from(1).map(<[_]>::len);
    assert!(matches!(result, Err(SchemaError::Missing { found: 1, missing: 2 })), "{result:?}");
}

#[test]
fn data_of_a_newer_version_is_refused_with_both_versions() {
    let error = leading_to(2, &[2]).path_from(3).unwrap_err();
    let error = crate::Error::from(error);
    assert_eq!(error.code, crate::Code::SchemaTooNew);
    assert!(!error.retryable());
    assert!(error.message.contains('3') && error.message.contains('2'), "{error}");
}

#[test]
fn a_rename_stays_within_its_object() {
    for (from, to) in [("a.b", "c"), ("a", "a"), ("a.b", "b.b")] {
        let step = json!({"renameField": {"collection": "tasks", "from": from, "to": to}});
        let schema = schema(json!({"version": 2, "migrations": [{"to": 2, "steps": [step]}]}));
        assert!(matches!(schema.validate(), Err(SchemaError::Step { to: 2, .. })), "{from} to {to}");
    }
}
