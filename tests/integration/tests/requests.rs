//! Queued HTTP requests, over real sockets, to a backend that misbehaves in every way that it can.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value as Json, json};
use syncline::engine::queue::command::{JobCommand, JobReply};
use syncline::{ClientConfig, Command, JobEvent, Reply, Settings, StoreKind};
use syncline_integration::Device;
use tokio::net::TcpListener;

/// What the backend has seen, and what it answers.
#[derive(Default)]
struct Backend {
    /// How often each path was asked for.
    asked: BTreeMap<String, u32>,
    /// Orders by their idempotency keys.
    orders: BTreeMap<String, String>,
    /// Who was asking, of each request.
    tokens: Vec<String>,
}

type Shared = Arc<Mutex<Backend>>;

async fn answer(
    State(backend): State<Shared>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header =
        |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let (asked, authorization) = {
        let mut backend = backend.lock().unwrap();
        backend.tokens.push(header("authorization"));
        let asked = backend.asked.entry(path.clone()).or_default();
        *asked += 1;
        (*asked, header("authorization"))
    };
    match path.as_str() {
        "orders" => {
            let order = String::from_utf8(body.to_vec()).unwrap();
            backend.lock().unwrap().orders.insert(header("idempotency-key"), order);
            axum::Json(json!({ "accepted": true })).into_response()
        }
        "private" if authorization != "Bearer newer" => StatusCode::UNAUTHORIZED.into_response(),
        "busy" if asked == 1 => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")]).into_response(),
        "busy-until" if asked == 1 => {
            // Two seconds ahead of a clock that is years behind the device's.
            let headers =
                [("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("retry-after", "Sun, 06 Nov 1994 08:49:39 GMT")];
            (StatusCode::SERVICE_UNAVAILABLE, headers).into_response()
        }
        "invalid" => (StatusCode::UNPROCESSABLE_ENTITY, "{\"message\":\"no such item\"}").into_response(),
        "moved" => (StatusCode::FOUND, [("location", "/orders")]).into_response(),
        "large" => vec![0u8; 100_000].into_response(),
        "hang" if asked == 1 => std::future::pending().await,
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn serve(listener: TcpListener) -> Shared {
    let backend = Shared::default();
    let app = Router::new().route("/{*path}", post(answer)).with_state(Arc::clone(&backend));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    backend
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// A client without a socket: requests need none.
async fn device(url: &str) -> Device {
    let settings = Settings {
        job_retry_delay_ms: 50,
        job_retry_delay_ms_max: 100,
        http_timeout_ms: 1_000,
        http_response_bytes_max: 10_000,
        ..Settings::default()
    };
    let config = ClientConfig {
        store: StoreKind::Memory,
        token: Some("older".to_owned()),
        auto_connect: false,
        settings,
        ..ClientConfig::new(url)
    };
    Device::open(config).await.unwrap()
}

async fn jobs(device: &Device, command: Json) -> JobReply {
    let command: JobCommand = serde_json::from_value(command).unwrap();
    match device.client.execute(Command::Jobs { command }).await.unwrap() {
        Reply::Jobs(reply) => reply,
        other => panic!("{other:?}"),
    }
}

async fn enqueue(device: &Device, url: &str) {
    let work = json!({ "request": { "method": "POST", "url": url, "body": { "item": 7 } } });
    jobs(device, json!({ "type": "enqueue", "jobs": [{ "work": work }] })).await;
}

async fn until_done(device: &Device, jobs: usize) {
    let is_done = |event: &&JobEvent| matches!(event, JobEvent::Done { .. });
    device.until("jobs done", |seen| seen.jobs.iter().filter(is_done).count() == jobs).await;
}

/// The error of the only dead letter.
async fn until_dead(device: &Device) -> (String, Option<u16>) {
    device.until("a dead letter", |seen| seen.queue.dead_letters == 1).await;
    match jobs(device, json!({ "type": "deadLetters" })).await {
        JobReply::DeadLetters { dead_letters } => {
            (dead_letters[0].error.code.clone(), dead_letters[0].error.status)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_carries_its_body_its_key_and_the_token() {
    let (listener, url) = listen().await;
    let backend = serve(listener).await;
    let device = device(&url).await;
    enqueue(&device, "/orders").await;
    until_done(&device, 1).await;
    let backend = backend.lock().unwrap();
    assert_eq!(backend.orders.values().collect::<Vec<_>>(), [r#"{"item":7}"#]);
    assert!(backend.orders.keys().all(|key| key.len() == 36));
    assert_eq!(backend.tokens, ["Bearer older"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_for_a_backend_that_is_not_there() {
    let (listener, url) = listen().await;
    let address = listener.local_addr().unwrap();
    drop(listener);
    let device = device(&url).await;
    enqueue(&device, "/orders").await;
    device
        .until("a failed attempt", |seen| {
            seen.jobs.iter().any(|event| matches!(event, JobEvent::Failed { attempts: 0, .. }))
        })
        .await;
    let backend = serve(TcpListener::bind(address).await.unwrap()).await;
    until_done(&device, 1).await;
    assert_eq!(backend.lock().unwrap().orders.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_pauses_requests_and_a_new_one_sends_them() {
    let (listener, url) = listen().await;
    let backend = serve(listener).await;
    let device = device(&url).await;
    enqueue(&device, "/private").await;
    device.until("that a token is needed", |seen| seen.tokens_needed == 1).await;
    device.run(json!({ "type": "setToken", "token": "newer" })).await.unwrap();
    until_done(&device, 1).await;
    assert_eq!(backend.lock().unwrap().tokens, ["Bearer older", "Bearer newer"]);
}

/// Has a job done whose first attempt is told to come back, not before so many milliseconds.
async fn comes_back_after(name: &str, ms: u128) {
    let (listener, url) = listen().await;
    let backend = serve(listener).await;
    let device = device(&url).await;
    let began = std::time::Instant::now();
    enqueue(&device, &format!("/{name}")).await;
    until_done(&device, 1).await;
    assert!(began.elapsed().as_millis() >= ms);
    assert_eq!(backend.lock().unwrap().asked[name], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn advice_to_come_later_is_followed() {
    comes_back_after("busy", 1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn advice_that_is_a_date_is_followed_by_the_servers_own_clock() {
    comes_back_after("busy-until", 2_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_refused_becomes_a_dead_letter() {
    let (listener, url) = listen().await;
    let _backend = serve(listener).await;
    let device = device(&url).await;
    enqueue(&device, "/invalid").await;
    assert_eq!(until_dead(&device).await, ("invalid".to_owned(), Some(422)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let (listener, url) = listen().await;
    let backend = serve(listener).await;
    let device = device(&url).await;
    enqueue(&device, "/moved").await;
    assert_eq!(until_dead(&device).await, ("invalid".to_owned(), Some(302)));
    assert!(backend.lock().unwrap().orders.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_is_too_large_is_not_read() {
    let (listener, url) = listen().await;
    let _backend = serve(listener).await;
    let device = device(&url).await;
    enqueue(&device, "/large").await;
    assert_eq!(until_dead(&device).await.0, "too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_never_answers_is_asked_again() {
    let (listener, url) = listen().await;
    let backend = serve(listener).await;
    let device = device(&url).await;
    enqueue(&device, "/hang").await;
    until_done(&device, 1).await;
    assert_eq!(backend.lock().unwrap().asked["hang"], 2);
}
