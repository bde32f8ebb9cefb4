//! A process that queues requests, and sends them, is killed at a random moment, again and again. Whatever job it was told
//! is accepted takes effect once, in the order of its lane, or is a dead letter.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use syncline::engine::queue::command::JobReply;
use syncline::{Argument, ClientConfig, JobWork, Reply, Settings};
use syncline_faults::cases;
use syncline_faults::errands::{Backend, Errand};
use syncline_faults::random::Random;
use syncline_integration::Device;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::kills::{Moment, Writer};

/// Processes that work in one directory, one after the other.
const LIVES: u64 = 25;
/// After so many accepted jobs the next kill comes, at the most.
const ACCEPTED_MAX: u64 = 30;

async fn answer(
    State(backend): State<Arc<Backend>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> StatusCode {
    let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap()).unwrap_or_default();
    StatusCode::from_u16(backend.take(key, &body)).unwrap()
}

/// Starts the backend; returns its address.
async fn serve(backend: Arc<Backend>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/errands", post(answer)).with_state(backend);
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

/// Lets everything end, and returns the dead letters.
async fn drain(directory: &Path, url: &str) -> BTreeSet<Errand> {
    let settings = Settings { job_retry_delay_ms: 5, job_retry_delay_ms_max: 20, ..Settings::default() };
    let config = ClientConfig {
        directory: Some(directory.to_path_buf()),
        token: Some("any".to_owned()),
        auto_connect: false,
        settings,
        ..ClientConfig::new(url)
    };
    let device = Device::open(config).await.expect("a killed store opens");
    loop {
        let Reply::Queue(status) = device.run(json!({"type": "queue"})).await.unwrap() else {
            unreachable!()
        };
        if status.count == 0 {
            break;
        }
        device.until("fewer jobs", |seen| seen.queue.count < status.count).await;
    }
    let letters = device.run(json!({"type": "jobs", "command": {"type": "deadLetters"}})).await.unwrap();
    let Reply::Jobs(JobReply::DeadLetters { dead_letters }) = letters else { unreachable!() };
    let errands = dead_letters.iter().map(|letter| match &letter.work {
        JobWork::Request { body: Some(body), .. } => errand_in(body),
        other => panic!("{other:?}"),
    });
    let errands = errands.collect();
    device.close().await;
    errands
}

fn errand_in(body: &Argument) -> Errand {
    Errand::read(&serde_json::to_value(body).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_job_that_was_accepted_takes_effect_once_and_in_order_through_every_kill() {
    let kills = cases(200, 2_000);
    let (mut killed, mut before_opened, mut accepted_jobs, mut repetitions) = (0, 0, 0, 0);
    while killed < kills {
        let directory = TempDir::new().unwrap();
        let backend = Arc::new(Backend::default());
        let url = serve(Arc::clone(&backend)).await;
        let mut random = Random::new(killed);
        let mut lives = BTreeMap::new();
        for process in 0..LIVES.min(kills - killed) {
            let moment = Moment::random(ACCEPTED_MAX, &mut random);
            let started = Writer::start("enqueue", directory.path(), &url, "", process);
            let (opened, accepted) = started.kill_at(moment, directory.path()).await;
            before_opened += u64::from(!opened);
            accepted_jobs += accepted.numbers.len() as u64;
            lives.insert(process, accepted);
            killed += 1;
        }
        let dead = drain(directory.path(), &url).await;
        if let Err(error) = backend.audit(&lives, &dead) {
            panic!("after {killed} kills: {error}");
        }
        repetitions += backend.repetitions();
    }
    println!(
        "{killed} kills, {before_opened} before it was open, {accepted_jobs} jobs, {repetitions} repetitions"
    );
    assert!(before_opened > 0, "no kill hit an opening store");
    assert!(accepted_jobs > killed, "hardly anything was queued");
    assert!(repetitions > 0, "no kill hit a request whose answer was under way");
}
