#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::json;

use super::*;

fn identity(claims: Value) -> Identity {
    let Value::Object(claims) = claims else { panic!("claims are a map") };
    let user = claims.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
    Identity { user, claims, token_id: None, issued_s: None, ends_s: u64::MAX }
}

fn rights(rules: Value, claims: Value, room: &str) -> Vec<&'static str> {
    let rules: Vec<Rule> = serde_json::from_value(rules).unwrap();
    let rules = Rules::new(&rules).unwrap();
    let rights = rules.rights_in(&identity(claims), &Room::new(room).unwrap());
    rights.iter().map(Right::as_str).collect()
}

fn refused(rule: Value) -> RuleError {
    Rules::new(&[serde_json::from_value(rule).unwrap()]).unwrap_err()
}

#[test]
fn without_rules_the_personal_room_and_the_claimed_ones_are_allowed() {
    let claims = json!({"sub": "42", "rooms": ["list:9", "demo:*", "*", ":*"]});
    for allowed in ["user:42", "list:9", "demo:1", "demo:1:2"] {
        assert_eq!(rights(json!([]), claims.clone(), allowed).len(), 4, "{allowed}");
    }
    for denied in ["user:421", "user:4", "list:99", "demo", "other", ":x"] {
        assert_eq!(rights(json!([]), claims.clone(), denied).len(), 0, "{denied}");
    }
}

#[test]
fn a_rule_allows_what_it_names_where_its_conditions_hold() {
    let rules = json!([
        {"room": "org:{org}:*", "when": {"claims.org": "{org}"}, "allow": ["join", "read"]},
        {"room": "org:{org}:{list}", "when": {"claims.org": "{org}", "claims.roles": ["admin", "editor"]},
         "allow": ["write"]},
    ]);
    let of = |claims: Value, room: &str| rights(rules.clone(), claims, room);
    assert_eq!(of(json!({"org": "a"}), "org:a:1"), ["join", "read"]);
    assert_eq!(of(json!({"org": "a", "roles": ["reader", "editor"]}), "org:a:1"), ["join", "read", "write"]);
    assert_eq!(of(json!({"org": "a", "roles": "admin"}), "org:a:1:deeper"), ["join", "read"]);
    for (claims, room) in [
        (json!({"org": "a", "roles": ["admin"]}), "org:b:1"),
        (json!({"org": "a"}), "org:a"),
        (json!({"org": "a"}), "org::1"),
        (json!({"org": ""}), "org::1"),
        (json!({"org": null}), "org:a:1"),
        (json!({"org": {"a": 1}}), "org:a:1"),
        (json!({}), "org:a:1"),
    ] {
        assert!(of(claims.clone(), room).is_empty(), "{claims} {room}");
    }
}

#[test]
fn a_claim_is_compared_with_a_part_of_the_name_as_text_and_with_a_literal_as_it_is() {
    let by_capture = json!([{"room": "n:{n}", "when": {"claims.n": "{n}"}, "allow": ["read"]}]);
    assert_eq!(rights(by_capture.clone(), json!({"n": 7}), "n:7"), ["read"]);
    assert_eq!(rights(by_capture.clone(), json!({"n": [5, 7]}), "n:7"), ["read"]);
    assert!(rights(by_capture, json!({"n": true}), "n:true").is_empty());
    let by_literal = json!([{"room": "*", "when": {"claims.app.level": 7}, "allow": ["read"]}]);
    assert_eq!(rights(by_literal.clone(), json!({"app": {"level": 7}}), "any:room"), ["read"]);
    assert!(rights(by_literal, json!({"app": {"level": "7"}}), "any:room").is_empty());
}

#[test]
fn a_claim_with_a_colon_reaches_no_room_of_the_part_before_it() {
    let rules = json!([{"room": "org:{claims.org}:*", "allow": ["read"]}]);
    assert_eq!(rights(rules.clone(), json!({"org": "a"}), "org:a:1"), ["read"]);
    assert!(rights(rules.clone(), json!({"org": "a:b"}), "org:a:b:1").is_empty());
    assert!(rights(rules.clone(), json!({"org": "a"}), "org:ab:1").is_empty());
    assert!(rights(rules, json!({"org": ""}), "org::1").is_empty());
}

#[test]
fn a_rule_that_cannot_be_meant_is_refused() {
    let read = json!(["read"]);
    let pattern = |text: &str| refused(json!({"room": text, "allow": read}));
    for wrong in ["", "a:*:b", "a*", "a:{x", "a:x}", "a{x}", "a:{x}y", "a:{}", "a:{x}:{x}", "**"] {
        assert!(matches!(pattern(wrong), RuleError::Pattern { .. }), "{wrong}");
    }
    assert_eq!(refused(json!({"allow": read})), RuleError::NotOneOfRooms { index: 0 });
    assert_eq!(
        refused(json!({"room": "a", "rooms_in": "claims.b", "allow": read})),
        RuleError::NotOneOfRooms { index: 0 }
    );
    assert_eq!(refused(json!({"room": "a"})), RuleError::AllowsNothing { index: 0 });
    let when = |when: Value| refused(json!({"room": "a:{x}", "when": when, "allow": read}));
    assert!(matches!(when(json!({"org": "a"})), RuleError::NotAClaim { .. }));
    assert!(matches!(when(json!({"claims.": "a"})), RuleError::NotAClaim { .. }));
    assert!(matches!(when(json!({"claims.a": "{y}"})), RuleError::NoSuchCapture { .. }));
    assert!(matches!(when(json!({"claims.a": null})), RuleError::NotAValue { .. }));
    let unknown = serde_json::from_value::<Rule>(json!({"room": "a", "allow": ["everything"]}));
    assert!(unknown.is_err());
}
