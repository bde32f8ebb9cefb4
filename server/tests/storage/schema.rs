//! A schema of a test's own, in the database that `SYNCLINE_POSTGRES_URL` names.

use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

/// The database, or `None` and a word about it.
pub(crate) fn url() -> Option<String> {
    let url = std::env::var("SYNCLINE_POSTGRES_URL").ok();
    if url.is_none() {
        // Past the harness, which keeps what a test prints.
        let _ = writeln!(std::io::stderr(), "skipped: SYNCLINE_POSTGRES_URL names no database");
    }
    url
}

/// A schema that only one test uses.
pub(crate) struct Schema {
    url: String,
    name: String,
    pub(crate) client: tokio_postgres::Client,
}

impl Schema {
    pub(crate) async fn create(url: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let create = format!("CREATE SCHEMA {name}; SET search_path TO {name}");
        client.batch_execute(&create).await.unwrap();
        Self { url: url.to_owned(), name, client }
    }

    /// Where rooms are in it.
    pub(crate) fn url(&self) -> String {
        format!("{}?options=-csearch_path%3D{}", self.url, self.name)
    }

    pub(crate) async fn remove(&self) {
        self.client.batch_execute(&format!("DROP SCHEMA {} CASCADE", self.name)).await.unwrap();
    }
}
