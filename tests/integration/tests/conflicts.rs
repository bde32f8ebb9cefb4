//! Two devices write one document without having seen each other's write: what each strategy makes of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use serde_json::{Value as Json, json};
use syncline::engine::io::{ParkedWrite, Reply};
use syncline::{ClientConfig, Code, ConflictStrategy};
use syncline_integration::{Device, TestServer};
use syncline_protocol::ConflictKind;
use tempfile::{TempDir, tempdir};

const ROOM: &str = "user:ada";

/// Two devices of one user. Both know the note `n`; then `earlier` wrote it, then `later`, both without a
/// connection.
struct Duel {
    server: TestServer,
    earlier: Device,
    later: Device,
    directories: [TempDir; 3],
}

fn config(conflict: ConflictStrategy, server: &str, directory: &Path) -> ClientConfig {
    ClientConfig { conflict, ..syncline_integration::config("ada", &[], server, directory) }
}

fn set(n: i64) -> Json {
    json!({"update": {"n": {"set": n}}})
}

impl Duel {
    async fn new(strategy: ConflictStrategy, earlier_write: Json, later_write: Json) -> Self {
        let directories = [tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap()];
        let server = TestServer::start(directories[0].path()).await;
        let open = |index: usize| Device::open(config(strategy, &server.url(), directories[index].path()));
        let (earlier, later) = (open(1).await.unwrap(), open(2).await.unwrap());
        earlier.watch(ROOM).await;
        later.watch(ROOM).await;
        earlier.write(ROOM, "n", json!({"create": {"n": 0, "calm": true}})).await.unwrap();
        later.until("the note", |seen| seen.rows.values().any(|rows| rows.contains_key("n"))).await;
        earlier.synced(ROOM).await;
        for device in [&earlier, &later] {
            device.run(json!({"type": "disconnect"})).await.unwrap();
        }
        earlier.write(ROOM, "n", earlier_write).await.unwrap();
        let written_ms = now_ms();
        while now_ms() == written_ms {
            // The clocks of the two devices must tell their writes apart.
            std::hint::spin_loop();
        }
        later.write(ROOM, "n", later_write).await.unwrap();
        Self { server, earlier, later, directories }
    }

    /// The earlier writer reaches the server first, or the later one.
    async fn connect(&self, earlier_first: bool) {
        let order = match earlier_first {
            true => [&self.earlier, &self.later],
            false => [&self.later, &self.earlier],
        };
        for device in order {
            device.run(json!({"type": "connect"})).await.unwrap();
            device.synced(ROOM).await;
        }
    }

    /// Both devices show these fields, or no note.
    async fn converges_on(&self, expected: Option<Json>) {
        for device in [&self.earlier, &self.later] {
            device
                .until("the same note on both devices", |seen| {
                    let row = seen.rows.values().last().unwrap().get("n");
                    let fields = row.map(|row| serde_json::to_value(&row.fields).unwrap());
                    fields == expected && row.is_none_or(|row| !row.pending)
                })
                .await;
        }
    }
}

fn now_ms() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()
}

fn note(n: i64) -> Option<Json> {
    Some(json!({"n": n, "calm": true}))
}

fn dropped(device: &Device) -> Vec<(Code, Option<ConflictKind>)> {
    device.seen(|seen| {
        let outcomes = seen.outcomes.iter();
        outcomes
            .map(|outcome| (outcome.error.code, outcome.conflict.as_ref().map(|conflict| conflict.kind)))
            .collect()
    })
}

async fn conflicts(device: &Device) -> Vec<ParkedWrite> {
    match device.run(json!({"type": "conflicts"})).await.unwrap() {
        Reply::Conflicts { conflicts } => conflicts,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_strategy_but_manual_converges_whoever_comes_first() {
    use ConflictStrategy::{ClientWins, FirstWriteWins, LastWriteWins, Merge, ServerWins};
    // What stays when the earlier, or the later, writer reaches the server first. The earlier wrote 1, the later 2.
    let table = [
        (Merge, 2, 2, false),
        (LastWriteWins, 2, 2, false),
        (FirstWriteWins, 1, 1, true),
        (ServerWins, 1, 2, true),
        (ClientWins, 2, 1, false),
    ];
    for (strategy, earlier_first, later_first, second_drops_in_order) in table {
        for (order, expected) in [(true, earlier_first), (false, later_first)] {
            let duel = Duel::new(strategy, set(1), set(2)).await;
            duel.connect(order).await;
            duel.converges_on(note(expected)).await;
            if order {
                let reported = [(Code::Conflict, Some(ConflictKind::UpdateUpdate))];
                let reported = if second_drops_in_order { &reported[..] } else { &[] };
                assert_eq!(dropped(&duel.later), reported, "{strategy:?}");
            }
            assert_eq!(conflicts(&duel.later).await, []);
        }
    }
}

#[tokio::test]
async fn a_deletion_that_meets_an_update_is_decided_by_the_strategy() {
    let duel = Duel::new(ConflictStrategy::ServerWins, set(1), json!("delete")).await;
    duel.connect(true).await;
    duel.converges_on(note(1)).await;
    assert_eq!(dropped(&duel.later), [(Code::Conflict, Some(ConflictKind::DeleteUpdate))]);

    let duel = Duel::new(ConflictStrategy::ClientWins, set(1), json!("delete")).await;
    duel.connect(true).await;
    duel.converges_on(None).await;

    let duel = Duel::new(ConflictStrategy::ServerWins, json!("delete"), set(2)).await;
    duel.connect(true).await;
    duel.converges_on(None).await;
    assert_eq!(dropped(&duel.later), [(Code::Conflict, Some(ConflictKind::UpdateDelete))]);
}

#[tokio::test]
async fn increments_of_the_client_that_wins_count_once() {
    let add = |amount: i64| json!({"update": {"n": {"increment": amount}}});
    let duel = Duel::new(ConflictStrategy::ClientWins, add(1), add(10)).await;
    for _ in 0..5 {
        duel.later.write(ROOM, "n", add(10)).await.unwrap();
    }
    duel.connect(true).await;
    duel.converges_on(note(61)).await;
}

#[tokio::test]
async fn a_parked_write_survives_a_restart_of_both_ends_and_the_app_decides() {
    let resolutions = [
        (json!("local"), note(2)),
        (json!("server"), note(1)),
        (json!({"merged": {"n": 3, "both": true}}), Some(json!({"n": 3, "both": true}))),
    ];
    for (resolution, expected) in resolutions {
        let duel = Duel::new(ConflictStrategy::Manual, set(1), set(2)).await;
        duel.connect(true).await;
        duel.converges_on(note(1)).await;
        let told = duel.later.seen(|seen| seen.conflicts.clone());
        assert_eq!(told.len(), 1);

        let Duel { server, earlier, later, directories } = duel;
        later.close().await;
        let addr = server.stop().await;
        let server = TestServer::start_at(addr, directories[0].path()).await;
        let config = config(ConflictStrategy::Manual, &server.url(), directories[2].path());
        let later = Device::open(config).await.unwrap();
        let listed = conflicts(&later).await;
        assert_eq!(listed, told);
        assert_eq!(listed[0].conflict.kind, ConflictKind::UpdateUpdate);
        later.watch(ROOM).await;
        later.synced(ROOM).await;

        let command =
            json!({"type": "resolveConflict", "clientSeq": listed[0].client_seq, "resolution": resolution});
        assert_eq!(later.run(command).await.unwrap(), Reply::Done {});
        let duel = Duel { server, earlier, later, directories };
        duel.converges_on(expected).await;
        assert_eq!(conflicts(&duel.later).await, []);
        assert_eq!(dropped(&duel.later), []);
    }
}
