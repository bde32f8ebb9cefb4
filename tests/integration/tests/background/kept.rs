//! What the device keeps for the rounds, and for how long.

use std::sync::mpsc::sync_channel;

use serde_json::json;
use syncline_ffi::background::BackgroundOutcome;
use syncline_ffi::json::{self, AppState};
use syncline_integration::{PATIENCE, TestServer, token};
use tempfile::TempDir;

use crate::{Bench, ROOM, call, create, holds, open, other_device, refused, round, silent};

#[tokio::test]
async fn a_token_that_is_taken_back_is_forgotten_and_no_round_is_made_without_one() {
    let bench = Bench::new().await;
    let (listener, url) = silent();
    let options = bench.options(&url);
    let client = open(&options).await;
    let old = options["token"].as_str().unwrap();
    assert!(bench.phone.holds(old));
    call(client, json!({"type": "setToken", "token": "another"})).await;
    assert!(bench.phone.holds("another") && !bench.phone.holds(old));
    assert_eq!(refused(client, json!({"type": "setToken", "token": "no\ntoken"})).await, "invalid");
    assert!(bench.phone.holds("another"), "what the core refuses is not kept");
    call(client, json!({"type": "setToken", "token": null})).await;
    assert!(!bench.phone.holds("another"));
    json::close_all().await;
    assert_eq!(round().await, BackgroundOutcome::Complete);
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody connected");
}

#[tokio::test]
async fn a_client_that_is_opened_without_the_option_is_forgotten() {
    let bench = Bench::new().await;
    let (_listener, url) = silent();
    let mut options = bench.options(&url);
    open(&options).await;
    options.as_object_mut().unwrap().remove("background");
    open(&options).await;
    assert!(bench.phone.secrets.lock().unwrap().is_empty());
    assert_eq!(*bench.phone.every_ms.lock().unwrap(), None);
    json::close_all().await;
    assert_eq!(round().await, BackgroundOutcome::Nothing);
}

#[tokio::test]
async fn rounds_that_the_system_did_not_take_are_asked_for_again_at_the_next_start() {
    let bench = Bench::new().await;
    let (_listener, url) = silent();
    let options = bench.options(&url);
    open(&options).await;
    json::close_all().await;
    // As where the user has switched them off, and on again.
    *bench.phone.every_ms.lock().unwrap() = None;
    open(&options).await;
    assert_eq!(*bench.phone.every_ms.lock().unwrap(), Some(3_600_000));
    json::close_all().await;
}

#[tokio::test]
async fn a_start_whose_get_token_has_no_answer_keeps_the_token_and_the_rooms_of_the_rounds() {
    let bench = Bench::new().await;
    let (data, bobs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = TestServer::start(data.path()).await;
    let options = bench.options_without_token(&server.url());
    bench.app_came_and_went_with(&options, Some(&token("ada", &[ROOM]))).await;
    let bob = other_device(&server, bobs.path()).await;
    bob.write(ROOM, "from bob", json!({"create": {}})).await.unwrap();
    bob.synced(ROOM).await;

    let client = open(&options).await;
    call(client, json!({"type": "tokenFailed", "message": "there is no network", "retryable": true})).await;
    call(client, create("written offline")).await;
    json::close_all().await;
    assert_eq!(round().await, BackgroundOutcome::Complete);

    bob.until("the note that was written offline", |seen| {
        seen.rows.values().any(|rows| rows.contains_key("written offline"))
    })
    .await;
    bob.close().await;
    server.stop().await;
    let client = open(&options).await;
    assert!(holds(client, "from bob").await);
    json::close_all().await;
}

#[tokio::test]
async fn a_token_is_kept_for_the_server_only_that_it_is_meant_for() {
    let bench = Bench::new().await;
    let mut options = bench.options_without_token("http://127.0.0.1:9");
    bench.app_came_and_went_with(&options, Some("a token")).await;
    open(&options).await;
    assert!(bench.phone.holds("a token"));
    options["url"] = json!("http://127.0.0.1:10");
    open(&options).await;
    assert!(!bench.phone.holds("a token"));
    json::close_all().await;
}

#[tokio::test]
async fn a_get_token_that_answers_null_signs_out_of_the_rounds() {
    let bench = Bench::new().await;
    let options = bench.options_without_token("http://127.0.0.1:9");
    bench.app_came_and_went_with(&options, Some("a token")).await;
    let client = open(&options).await;
    assert!(bench.phone.holds("a token"));
    call(client, json!({"type": "tokenFailed", "message": "signed out", "retryable": false})).await;
    assert!(!bench.phone.holds("a token"));
    json::close_all().await;
    open(&options).await;
    assert!(!bench.phone.holds("a token"));
    json::close_all().await;
}

#[tokio::test]
async fn closing_keeps_what_the_rounds_need() {
    let bench = Bench::new().await;
    let options = bench.options_without_token("http://127.0.0.1:9");
    bench.app_came_and_went_with(&options, Some("a token")).await;
    assert!(bench.phone.holds("a token") && bench.phone.holds(ROOM));
    let client = open(&options).await;
    call(client, json!({"type": "close"})).await;
    assert!(bench.phone.holds("a token") && bench.phone.holds(ROOM));
}

#[tokio::test]
async fn who_tells_that_the_app_is_left_does_not_wait_for_the_device() {
    let bench = Bench::new().await;
    let client = open(&bench.options("http://127.0.0.1:9")).await;
    call(client, json!({"type": "subscribe", "room": ROOM})).await;
    {
        let _busy = bench.phone.busy.lock().unwrap();
        let (tell, told) = sync_channel(1);
        let teller = std::thread::spawn(move || {
            json::set_app_state(AppState::Background);
            tell.send(()).unwrap();
        });
        told.recv_timeout(PATIENCE).expect("it returns while the device is busy");
        teller.join().unwrap();
        assert!(!bench.phone.holds(ROOM));
    }
    // What is said while the thread is at it is not overwritten by what it had been given.
    call(client, json!({"type": "setToken", "token": "another"})).await;
    json::close_all().await;
    assert!(bench.phone.holds(ROOM) && bench.phone.holds("another"));
}
