//! Directories of every kind are damaged, file by file: nothing panics, nothing goes without a word, every unsent
//! write that can be read comes back, and the client goes on.

use std::path::Path;

use serde_json::json;
use syncline_faults::damage::copy;
use syncline_faults::master::Variant;
use syncline_faults::{cases, drained};
use syncline_integration::TestServer;
use tempfile::TempDir;

use crate::process::Process;

/// Directories that one process goes through: a broken database leaves its files and memory behind.
const CASES_PER_PROCESS: u64 = 50;

/// Makes the directory, and lets an undamaged copy send what is unsent: the numbers of all copies are the same.
async fn prepare(variant: Variant, masters: &Path, url: &str) {
    let master = masters.join(variant.name());
    std::fs::create_dir(&master).unwrap();
    variant.make(&master, url).await;
    let undamaged = TempDir::new().unwrap();
    copy(&master, undamaged.path());
    let device = variant.open(undamaged.path(), url).await;
    device.run(json!({"type": "subscribe", "room": variant.room()})).await.unwrap();
    device.run(json!({"type": "connect"})).await.unwrap();
    drained(&device, &[&variant.room()]).await;
    device.run(json!({"type": "close"})).await.unwrap();
    assert_eq!(device.seen(|seen| seen.reports.clone()), [] as [String; 0]);
}

/// Runs seeds in a process of their own. Returns the numbers of lost writes and of reports.
async fn rescue(masters: &Path, url: &str, variant: Variant, from: u64, to: u64) -> (u64, u64) {
    let (from_text, to_text) = (from.to_string(), to.to_string());
    let arguments =
        [masters.as_os_str(), url.as_ref(), variant.name().as_ref(), from_text.as_ref(), to_text.as_ref()];
    let mut process = Process::start("rescue", arguments);
    let (mut lost, mut reports, mut rescued) = (0, 0, 0);
    let mut last = "nothing".to_owned();
    while let Some(line) = process.hear_after(&last).await {
        if let Some(sums) = line.strip_prefix("rescued ") {
            let sums: Vec<u64> = sums.split(' ').skip(1).map(|sum| sum.parse().unwrap()).collect();
            (lost, reports, rescued) = (lost + sums[0], reports + sums[1], rescued + 1);
        }
        last = line;
    }
    let status = process.end().await;
    assert!(status.success(), "{status}, {variant:?}, it said last: {last}");
    assert_eq!(rescued, to - from, "every seed was looked at");
    (lost, reports)
}

async fn damaged(variant: Variant, seeds: u64) {
    let (data, masters) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = TestServer::start(data.path()).await;
    prepare(variant, masters.path(), &server.url()).await;
    let (mut lost, mut reports) = (0, 0);
    for from in (0..seeds).step_by(CASES_PER_PROCESS as usize) {
        let to = (from + CASES_PER_PROCESS).min(seeds);
        let sum = rescue(masters.path(), &server.url(), variant, from, to).await;
        (lost, reports) = (lost + sum.0, reports + sum.1);
    }
    server.stop().await;
    println!("{variant:?}: {seeds} directories, {lost} unsent writes hit and reported, {reports} reports");
    assert!(lost > 0 && reports > 0, "no damage was felt");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_journal_of_unsent_writes_loses_no_record_that_was_not_hit() {
    damaged(Variant::Queued, cases(500, 5_000)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_store_comes_back_from_the_server_and_the_journal() {
    damaged(Variant::Mixed, cases(500, 5_000)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_store_with_large_documents_and_a_compacted_journal_comes_back() {
    damaged(Variant::Large, cases(500, 5_000)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_store_that_is_encrypted_comes_back() {
    damaged(Variant::Sealed, cases(300, 3_000)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_store_of_a_killed_process_comes_back() {
    damaged(Variant::Killed, cases(500, 5_000)).await;
}
