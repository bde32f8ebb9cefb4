//! Paths of the application's own: the user-stats endpoints of `examples/user-stats`, with the bodies of their clients.

use serde_json::json;

use crate::client::Http;
use crate::support::{ServerProcess, token};

/// The example's settings, as they stand in their file.
fn served(folder: &tempfile::TempDir) -> ServerProcess {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/user-stats/syncline-server.toml");
    ServerProcess::start_with(folder.path(), &["--config", file])
}

#[test]
fn a_users_stats_are_read_updated_and_patched() {
    let folder = tempfile::tempdir().unwrap();
    let server = served(&folder);
    let ann = Http::with(&server.url, Some(token("user123", &[])));
    let path = "/api/users/user123/stats";
    assert_eq!(ann.get(path).status, 404);

    let stats = json!({
        "xp": 160, "hearts": 4, "diamonds": 26, "level": 3, "streak": 8, "accuracy": 86, "maxStreak": 12,
        "completedQuestions": 51, "correctAnswers": 44, "wrongAnswers": 7, "totalQuestions": 51,
        "timePerQuestion": [2.5, 3.1, 2.8, 2.9], "totalTimeSpent": 155, "lastGameResults": {"won": true},
        "updatedAt": "2024-01-15T10:35:00Z",
    });
    let body = json!({"userId": "user123", "stats": stats});
    assert_eq!(ann.ask("POST", "/api/users/updateStats", &[], Some(body)).status, 200);
    let read = ann.get(path);
    assert_eq!((read.status, &read.body), (200, &stats));

    // Numbers that stand for themselves are added, as in the documents.
    let deltas = json!({"xp": 10, "diamonds": 1, "hearts": -1, "streak": 1});
    assert_eq!(ann.ask("POST", "/api/users/data/patch", &[], Some(deltas)).status, 200);
    let mixed = json!({"xp": 100, "diamonds": 10, "__set": {"hearts": 5, "level": 2}});
    assert_eq!(ann.patch(path, mixed).status, 200);
    let read = ann.get(path).body;
    let told = ["xp", "diamonds", "hearts", "streak", "level"].map(|name| read[name].clone());
    assert_eq!(told, [json!(270), json!(37), json!(5), json!(9), json!(2)]);

    assert_eq!(ann.put(path, json!({"xp": 0})).status, 200);
    assert_eq!(ann.get(path).body, json!({"xp": 0}));
    let tag = ann.get(path).header("etag").unwrap().to_owned();
    assert_eq!(ann.ask("GET", path, &[("if-none-match", &tag)], None).status, 304);
}

#[test]
fn the_first_patch_makes_the_stats() {
    let folder = tempfile::tempdir().unwrap();
    let server = served(&folder);
    let ann = Http::with(&server.url, Some(token("ann", &[])));
    ann.ask("POST", "/api/users/data/patch", &[("idempotency-key", "k")], Some(json!({"xp": 10})));
    ann.ask("POST", "/api/users/data/patch", &[("idempotency-key", "k")], Some(json!({"xp": 10})));
    assert_eq!(ann.get("/api/users/ann/stats").body, json!({"xp": 10}));
}

#[test]
fn nobody_reaches_the_stats_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let server = served(&folder);
    let bob = Http::with(&server.url, Some(token("bob", &[])));
    let update = Some(json!({"userId": "ann", "stats": {"xp": 1}}));
    for (method, path, body) in [
        ("GET", "/api/users/ann/stats", None),
        ("PUT", "/api/users/ann/stats", Some(json!({}))),
        ("PATCH", "/api/users/ann/stats", Some(json!({"xp": 1}))),
        ("POST", "/api/users/updateStats", update),
    ] {
        assert_eq!(bob.ask(method, path, &[], body.clone()).status, 403, "{method} {path}");
        assert_eq!(Http::with(&server.url, None).ask(method, path, &[], body).status, 401, "{method} {path}");
    }
    assert_eq!(bob.ask("DELETE", "/api/users/bob/stats", &[], None).header("allow"), Some("GET, PATCH, PUT"));
    let nameless = bob.ask("POST", "/api/users/updateStats", &[], Some(json!({"stats": {}})));
    assert_eq!(nameless.status, 422);
}
