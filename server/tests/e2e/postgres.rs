//! A server whose rooms are in Postgres, where `SYNCLINE_POSTGRES_URL` names one.

use crate::durability::{answered_push_survives, answered_pushes_are_there};
use crate::schema::{self, Schema};
use crate::support::{ServerProcess, http};
use crate::sync::two_clients;

/// Runs a scenario with servers that share a schema.
fn on_postgres(scenario: impl FnOnce(&dyn Fn() -> ServerProcess)) {
    let Some(url) = schema::url() else { return };
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let schema = runtime.block_on(Schema::create(&url));
    scenario(&|| ServerProcess::start_on(folder.path(), &schema.url()));
    assert!(!folder.path().join("data").exists(), "nothing is kept beside the database");
    runtime.block_on(schema.remove());
}

#[test]
fn what_one_client_writes_the_other_one_hears_and_reads() {
    on_postgres(|start| two_clients(&start()));
}

#[test]
fn an_answered_push_survives_sigkill_and_its_retry_is_a_duplicate() {
    on_postgres(|start| answered_push_survives(start));
}

#[test]
fn every_push_answered_before_a_kill_in_mid_stream_is_there() {
    on_postgres(|start| answered_pushes_are_there(start));
}

#[test]
fn it_is_healthy_and_ends_cleanly() {
    on_postgres(|start| {
        let server = start();
        let (status, _, body) = http(&server.url, "GET", "/health", None, "");
        assert_eq!(status, 200, "{body}");
        assert_eq!(server.terminate(), Some(0));
    });
}
