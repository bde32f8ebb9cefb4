//! Pages of other origins, as a browser asks for them.

use serde_json::json;
use syncline_server::{Config, Mode};

use crate::client::{Answer, Http, at};
use crate::support::{EmbeddedServer, SECRET};

const LISTED: &str = "https://app.example";

fn served(folder: &tempfile::TempDir, origins: &[&str]) -> EmbeddedServer {
    let mode = Mode::Production { jwt_secret: SECRET.as_bytes().to_vec() };
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), folder.path().join("data"), mode);
    config.door.origins = origins.iter().map(|&origin| origin.to_owned()).collect();
    config.rest.preflight_kept_ms = 90_000;
    EmbeddedServer::start(config)
}

/// What a browser asks before it sends a patch with a token.
fn preflight(url: &str, origin: &str) -> Answer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "PATCH"),
        ("access-control-request-headers", "authorization,content-type,idempotency-key"),
    ];
    Http::with(url, None).ask("OPTIONS", &at("a"), &headers, None)
}

fn lists(answer: &Answer, header: &str, wanted: &str) -> bool {
    let list = answer.header(header).unwrap_or_default();
    list.split(',').any(|one| one.trim().eq_ignore_ascii_case(wanted))
}

#[test]
fn a_page_of_a_listed_origin_may_write_with_a_token_and_read_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let server = served(&folder, &[LISTED, "https://other.example"]);
    let asked = preflight(&server.url, LISTED);
    assert_eq!(asked.status, 200);
    assert_eq!(asked.header("access-control-allow-origin"), Some(LISTED));
    assert_eq!(asked.header("access-control-max-age"), Some("90"));
    assert_eq!(asked.header("access-control-allow-credentials"), None, "no cookies");
    assert!(lists(&asked, "access-control-allow-methods", "PATCH"));
    for header in ["authorization", "content-type", "idempotency-key", "if-match"] {
        assert!(lists(&asked, "access-control-allow-headers", header), "{header}");
    }

    let origin = [("origin", LISTED)];
    let written = Http::ann(&server.url).ask("PUT", &at("a"), &origin, Some(json!({"title": "Milk"})));
    assert_eq!(written.status, 200);
    let refused = Http::with(&server.url, None).ask("GET", &at("a"), &origin, None);
    assert_eq!((refused.status, refused.code()), (401, "unauthorized"));
    for answer in [written, refused] {
        assert_eq!(answer.header("access-control-allow-origin"), Some(LISTED));
        assert!(lists(&answer, "vary", "origin"));
        assert!(lists(&answer, "access-control-expose-headers", "etag"));
    }
}

#[test]
fn a_page_of_an_origin_that_is_not_listed_is_refused_before_and_when_it_writes() {
    let folder = tempfile::tempdir().unwrap();
    let server = served(&folder, &[LISTED]);
    let http = Http::ann(&server.url);
    for origin in ["https://evil.example", "https://app.example.evil", "http://app.example", "null"] {
        let asked = preflight(&server.url, origin);
        assert_eq!((asked.status, asked.header("access-control-allow-origin")), (403, None), "{origin}");
        let written = http.ask("PUT", &at("a"), &[("origin", origin)], Some(json!({"title": "Milk"})));
        assert_eq!((written.status, written.header("access-control-allow-origin")), (403, None), "{origin}");
    }
    assert_eq!(http.get(&at("a")).status, 404, "nothing was written");
}

#[test]
fn without_a_list_pages_of_all_origins_may_use_documents_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let server = served(&folder, &[]);
    let any = "https://any.example";
    assert_eq!(preflight(&server.url, any).header("access-control-allow-origin"), Some(any));
    let http = Http::with(&server.url, None);
    for path in ["/health", "/ready", "/socket.io/?EIO=4&transport=polling"] {
        let answer = http.ask_text("OPTIONS", path, &[("origin", any)], None);
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
    }
}
