//! Who webhooks are told to: an HTTP server that notes what it hears.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::extract::State;
use axum::routing::post;
use serde_json::Value;
use syncline_integration::PATIENCE;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

const SECRET: &str = "a secret of the webhook, long enough";

/// A receiver; ends when it is dropped.
pub struct Receiver {
    address: String,
    heard: Arc<Heard>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Heard {
    /// The changes, in the order in which they were told.
    changes: Mutex<Vec<Value>>,
    more: Notify,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heard = Arc::new(Heard::default());
        let router = axum::Router::new().route("/hook", post(hear)).with_state(Arc::clone(&heard));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, heard, serving }
    }

    /// Settings of a server that tells it of all rooms `list:*`: it searches for news of its own once in so long that no test
    /// sees it, and neither does a test see the end of a lease.
    pub fn settings(&self, folder: &Path, more: &str) -> String {
        let secret = folder.join("hook-secret");
        std::fs::write(&secret, SECRET).unwrap();
        format!(
            "[webhooks]\nscan_interval_ms = 3600000\nlease_ms = 600000\n\n[[webhooks.endpoints]]\nname = \"hook\"\n\
             url = \"http://{}/hook\"\nsecret_file = \"{}\"\nrooms = [\"list:*\"]\n{more}\n",
            self.address,
            secret.display()
        )
    }

    /// Waits until it was told of a document.
    pub async fn wait_for(&self, id: &str) {
        let waiting = async {
            loop {
                let more = self.heard.more.notified();
                if self.ids().iter().any(|told| told == id) {
                    return;
                }
                more.await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "{id} was not told, of {:?}", self.ids());
    }

    /// The documents that it was told of.
    pub fn ids(&self) -> Vec<String> {
        let changes = self.heard.changes.lock().unwrap();
        changes.iter().map(|change| change["id"].as_str().unwrap().to_owned()).collect()
    }
}

async fn hear(State(heard): State<Arc<Heard>>, Json(message): Json<Value>) {
    heard.changes.lock().unwrap().extend(message["data"]["changes"].as_array().unwrap().clone());
    heard.more.notify_one();
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
