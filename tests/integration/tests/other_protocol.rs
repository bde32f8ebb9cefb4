//! A server that does not speak this client's protocol.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use syncline::engine::io::ConnectionState;
use syncline::transport::Parser;
use syncline_integration::{Device, config};
use tempfile::tempdir;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

const ROOM: &str = "user:ada";

/// What the server says after the client's greeting.
#[derive(Clone, Copy)]
enum Answer {
    Refusal,
    HelloOfAnother,
}

impl Answer {
    fn frames(self) -> Vec<String> {
        match self {
            Self::Refusal => {
                let message = "unsupported_protocol: this server speaks version 2, not 1";
                vec![format!("44{}", json!({ "message": message }))]
            }
            Self::HelloOfAnother => {
                let hello = json!({
                    "protocol": 2, "encoding": "plain", "limits": {}, "server_time_ms": 1, "user_id": "ada",
                });
                vec!["40{\"sid\":\"s\"}".to_owned(), format!("42{}", json!(["sync:hello", hello]))]
            }
        }
    }
}

/// Serves one greeting per connection; counts them.
async fn serve(listener: TcpListener, answer: Answer, greetings: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let open = json!({"sid": "s", "upgrades": [], "pingInterval": 25_000, "pingTimeout": 20_000});
        socket.send(Message::text(format!("0{open}"))).await.unwrap();
        let greeting = socket.next().await.unwrap().unwrap().into_text().unwrap();
        assert!(greeting.starts_with("40{") && greeting.contains("\"protocol\":1"), "{greeting}");
        greetings.fetch_add(1, Ordering::SeqCst);
        for frame in answer.frames() {
            socket.send(Message::text(frame)).await.unwrap();
        }
        while let Some(Ok(_)) = socket.next().await {}
    }
}

async fn a_client_keeps_its_queue_and_does_not_ask_again_and_again(answer: Answer) {
    let directory = tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let greetings = Arc::new(AtomicUsize::new(0));
    let serving = tokio::spawn(serve(listener, answer, Arc::clone(&greetings)));
    let mut config = config("ada", &[], &url, directory.path());
    config.parser = Parser::Json;
    config.settings.reconnect_delay_ms = 1;
    config.settings.reconnect_delay_ms_max = 1;

    let device = Device::open(config.clone()).await.unwrap();
    device.watch(ROOM).await;
    device
        .until("why there is no connection", |seen| {
            let status = seen.connection.as_ref();
            status.is_some_and(|status| {
                let reason = status.reason.as_ref();
                let told = reason.is_some_and(|reason| {
                    reason.code.as_str() == "unsupported_protocol" && reason.message.contains("version 2")
                });
                let long_ms = config.settings.unsupported_retry_ms / 2;
                told && status.state == ConnectionState::Backoff && status.retry_in_ms > Some(long_ms)
            })
        })
        .await;
    for n in 0..20 {
        let id = format!("n{n}");
        device.write(ROOM, &id, json!({"create": {"n": n}})).await.unwrap();
        assert_eq!(device.row(ROOM, &id).await, Some((json!({"n": n}), true)));
    }
    assert_eq!(greetings.load(Ordering::SeqCst), 1, "it does not ask again and again");
    device.close().await;

    let device = Device::open(config).await.unwrap();
    device.until("the queue", |seen| seen.queue.count == 20).await;
    assert_eq!(device.row(ROOM, "n7").await, Some((json!({"n": 7}), true)));
    serving.abort();
}

#[tokio::test]
async fn a_refused_client_keeps_its_queue_and_waits() {
    a_client_keeps_its_queue_and_does_not_ask_again_and_again(Answer::Refusal).await;
}

#[tokio::test]
async fn a_client_greeted_in_another_version_keeps_its_queue_and_waits() {
    a_client_keeps_its_queue_and_does_not_ask_again_and_again(Answer::HelloOfAnother).await;
}
