//! What holds of Postgres alone: many servers on one database, and a database that fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline_protocol::message::{MutationStatus, Push};
use syncline_protocol::{ErrorCode, Room, Value, WireError};
use syncline_server::hub::{Author, Term, Terms};
use syncline_server::storage::postgres::PostgresError;
use syncline_server::storage::{Storage, StorageError};

use crate::cluster::{Cluster, PASSWORD};
use crate::proxy::Proxy;
use crate::support::{
    Fixture, author, client, create, eventually, increment, on_postgres, page, push, push_to, request, room,
    run, statuses,
};

use MutationStatus::{Applied, Duplicate};

/// What a client does: it sends a batch again until it is answered. How often it was told to come back later.
async fn push_until_answered(storage: &dyn Storage, byte: u8, seq: u64) -> usize {
    let mut refused = 0;
    loop {
        let batch = vec![increment(2 * seq - 1, "counter"), create(2 * seq, &format!("{byte} {seq}"))];
        match push_to(storage, &room(), byte, batch).await {
            Ok(answer) => {
                assert!(statuses(&answer).iter().all(|status| matches!(status, Applied | Duplicate)));
                assert!(answer.results.iter().all(|result| result.error.is_none()), "{answer:?}");
                return refused;
            }
            Err(error) => assert_eq!(error.code, ErrorCode::Unavailable),
        }
        refused += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The room holds each of so many writes once, and its log has no gaps.
async fn assert_nothing_lost_or_doubled(storage: &dyn Storage, writes: u64) {
    let whole = page(storage, 0, 1_000).await;
    assert_eq!(whole.cursor, 1 + 2 * writes);
    assert_eq!(whole.changes.len() as u64, writes + 1);
    let counter = whole.changes.iter().find(|document| document.id.as_str() == "counter").unwrap();
    assert_eq!(counter.fields["n"], Value::Int(i64::try_from(writes).unwrap()));
}

#[test]
fn servers_that_share_a_database_give_each_number_once_and_in_order() {
    const NODES: u8 = 3;
    const CLIENTS: u8 = 4;
    const PUSHES: u64 = 12;
    on_postgres(async |fixture: Fixture| {
        let mut nodes = Vec::new();
        for _ in 0..NODES {
            let node = Fixture { told: Arc::default(), ..fixture.clone() };
            nodes.push((node.open().await, node));
        }
        push(&*nodes[0].0, 100, vec![create(1, "counter")]).await;
        let mut writers = Vec::new();
        for (number, (storage, _)) in (0..).zip(&nodes) {
            for byte in 1..=CLIENTS {
                let (storage, byte) = (Arc::clone(storage), number * CLIENTS + byte);
                writers.push(tokio::spawn(async move {
                    for seq in 1..=PUSHES {
                        push_until_answered(&*storage, byte, seq).await;
                    }
                }));
            }
        }
        // Whoever reads meanwhile sees the log grow from its start, never a place before the ones in front of it.
        let reader = Arc::clone(&nodes[1].0);
        let writes = u64::from(NODES) * u64::from(CLIENTS) * PUSHES;
        let reading = tokio::spawn(async move {
            let (mut cursor, mut seen) = (0, std::collections::BTreeSet::new());
            while cursor < 1 + 2 * writes {
                let page = page(&*reader, cursor, 1_000).await;
                assert!(!page.reset && page.cursor >= cursor);
                seen.extend(page.changes.iter().map(|document| document.id.as_str().to_owned()));
                cursor = page.cursor;
            }
            seen.len() as u64
        });
        for writer in writers {
            writer.await.unwrap();
        }
        assert_eq!(reading.await.unwrap(), writes + 1, "a reader that followed the cursor missed nothing");
        assert_nothing_lost_or_doubled(&*nodes[2].0, writes).await;

        // Each server told of its own pushes, in order; together they told of all.
        let mut told: Vec<_> = nodes.iter().flat_map(|(_, node)| node.told()).collect();
        for (_, node) in &nodes {
            assert!(node.told().windows(2).all(|pair| pair[0].to_seq < pair[1].from_seq));
        }
        told.sort_by_key(|changes| changes.from_seq);
        let mut end = 0;
        for changes in told {
            assert_eq!(changes.from_seq, end + 1);
            end = changes.to_seq;
        }
        assert_eq!(end, 1 + 2 * writes);
    });
}

#[test]
fn a_client_that_two_servers_see_at_once_gets_one_owner() {
    on_postgres(async |fixture: Fixture| {
        let (first, second) = (fixture.open().await, fixture.open().await);
        for byte in 1..=20 {
            let claim = async |storage: &Arc<dyn Storage>, user: &str| {
                let author = Author::client(user, client(byte));
                // In rooms of their own: nothing but the owner's row is in their way.
                let room = Room::new(format!("list:{user}")).unwrap();
                storage.push(Push { room, after: None, mutations: vec![create(1, "d")] }, author).await
            };
            let (ann, bob) = tokio::join!(claim(&first, "ann"), claim(&second, "bob"));
            let owner = first.owner(client(byte)).await.unwrap().unwrap();
            let (won, lost) = if owner == "ann" { (ann, bob) } else { (bob, ann) };
            assert_eq!(statuses(&won.unwrap()), [Applied]);
            assert_eq!(lost.unwrap_err().code, ErrorCode::Forbidden);
        }
    });
}

#[test]
fn servers_that_start_at_once_make_the_schema_once() {
    on_postgres(async |fixture: Fixture| {
        let nodes = futures_util::future::join_all((0..4).map(|_| fixture.open())).await;
        push(&*nodes[3], 1, vec![create(1, "a")]).await;
        assert_eq!(page(&*nodes[0], 0, 10).await.cursor, 1);
    });
}

#[test]
fn how_many_parts_the_tables_have_is_decided_once() {
    on_postgres(async |mut fixture: Fixture| {
        fixture.config.postgres.partitions = 3;
        fixture.open().await.close().await.unwrap();
        let parts = "SELECT count(*) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhparent
             WHERE relkind = 'p' AND relnamespace = current_schema()::regnamespace";
        let count: i64 = fixture.schema().client.query_one(parts, &[]).await.unwrap().get(0);
        assert_eq!(count, 4 * 3, "rooms, documents, clients and rejections");
        for asked in [0, 4] {
            fixture.config.postgres.partitions = asked;
            let refused = fixture.try_open().await.err().unwrap();
            let told = matches!(refused, StorageError::Postgres(PostgresError::Partitions { asked: told, found: 3 }) if told == asked);
            assert!(told, "{refused}");
        }
        fixture.config.postgres.partitions = 3;
        fixture.open().await.close().await.unwrap();
    });
}

#[test]
fn more_parts_than_can_be_made_at_once_are_refused() {
    on_postgres(async |mut fixture: Fixture| {
        fixture.config.postgres.partitions = 129;
        let refused = fixture.try_open().await.err().unwrap();
        let told = matches!(refused, StorageError::Postgres(PostgresError::TooManyPartitions { .. }));
        assert!(told, "{refused}");
    });
}

#[test]
fn undivided_tables_stay_so() {
    on_postgres(async |mut fixture: Fixture| {
        fixture.open().await.close().await.unwrap();
        fixture.config.postgres.partitions = 2;
        let refused = fixture.try_open().await.err().unwrap();
        let told =
            matches!(refused, StorageError::Postgres(PostgresError::Partitions { asked: 2, found: 0 }));
        assert!(told, "{refused}");
    });
}

#[test]
fn a_newer_schema_is_refused() {
    on_postgres(async |fixture: Fixture| {
        fixture.open().await.close().await.unwrap();
        let schema = fixture.schema();
        schema.client.batch_execute("INSERT INTO syncline_schema (version) VALUES (99)").await.unwrap();
        let refused = fixture.try_open().await.err().unwrap();
        assert!(matches!(
            refused,
            StorageError::Postgres(PostgresError::SchemaNewer { found: 99, known: 1.. })
        ));
    });
}

#[test]
fn a_damaged_document_is_reported_not_served() {
    on_postgres(async |fixture: Fixture| {
        let storage = fixture.open().await;
        push(&*storage, 1, vec![create(1, "a")]).await;
        let damage =
            "UPDATE syncline_documents SET document = set_byte(document, 9, 255 - get_byte(document, 9))";
        fixture.schema().client.batch_execute(damage).await.unwrap();
        assert_eq!(storage.page(request(0, 10)).await.unwrap_err().code, ErrorCode::Internal);
        assert!(storage.is_healthy(), "other rooms are served");
    });
}

#[test]
fn a_push_that_cannot_be_made_takes_no_other_one_with_it() {
    on_postgres(async |fixture: Fixture| {
        let storage = fixture.open().await;
        push(&*storage, 1, vec![create(1, "damaged")]).await;
        let damage =
            "UPDATE syncline_documents SET document = set_byte(document, 9, 255 - get_byte(document, 9))";
        fixture.schema().client.batch_execute(damage).await.unwrap();
        // Held, so that all of them wait for one transaction.
        let schema = fixture.schema();
        schema.client.batch_execute("BEGIN; SELECT FROM syncline_rooms FOR UPDATE").await.unwrap();
        let pushes: Vec<_> = (1..=8)
            .map(|byte| {
                let storage = Arc::clone(&storage);
                let id = if byte == 4 { "damaged".to_owned() } else { format!("d{byte}") };
                tokio::spawn(async move { push_to(&*storage, &room(), byte, vec![create(2, &id)]).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        schema.client.batch_execute("ROLLBACK").await.unwrap();
        for (byte, answer) in (1..).zip(futures_util::future::join_all(pushes).await) {
            match answer.unwrap() {
                Ok(answer) => assert_eq!((byte != 4, statuses(&answer)), (true, vec![Applied])),
                Err(error) => assert_eq!((byte, error.code), (4, ErrorCode::Internal)),
            }
        }
        assert_eq!(storage.heads(vec![room()]).await.unwrap(), [(room(), 8)]);
    });
}

#[test]
fn a_server_that_hangs_in_the_middle_of_a_push_lets_the_room_go() {
    let Some(cluster) = Cluster::start("", |_| {}) else { return };
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let proxy = Proxy::start(cluster.port()).await;
        let mut hanging = Fixture::new(folder.path(), cluster.location_at(proxy.port, ""));
        hanging.config.postgres.query_timeout_ms = 500;
        hanging.config.storage.sweep_interval_ms = 60_000;
        let hanging = hanging.open().await;
        let other = Fixture::new(folder.path(), cluster.location("")).open().await;
        push(&*other, 1, vec![create(1, "a")]).await;

        proxy.hold_next_push();
        let held = tokio::spawn(async move { push_to(&*hanging, &room(), 2, vec![create(1, "b")]).await });
        eventually("the push holds the room", async || !proxy.is_armed()).await;
        let started = Instant::now();
        assert_eq!(statuses(&push(&*other, 1, vec![create(2, "c")]).await), [Applied]);
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        assert_eq!(statuses(&held.await.unwrap().unwrap()), [Applied], "by its next try");
        assert_eq!(page(&*other, 0, 10).await.cursor, 3);
    });
}

#[test]
fn a_push_whose_room_somebody_else_holds_is_answered_in_time_and_made_later() {
    on_postgres(async |mut fixture: Fixture| {
        fixture.config.postgres.query_timeout_ms = 200;
        fixture.config.postgres.retry_for_ms = 300;
        let storage = fixture.open().await;
        push(&*storage, 1, vec![create(1, "a")]).await;
        let schema = fixture.schema();
        schema.client.batch_execute("BEGIN; SELECT FROM syncline_rooms FOR UPDATE").await.unwrap();
        let started = Instant::now();
        let refused = push_to(&*storage, &room(), 1, vec![create(2, "b")]).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Unavailable);
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        assert_eq!(page(&*storage, 0, 10).await.cursor, 1, "a reader does not wait");
        schema.client.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(statuses(&push(&*storage, 1, vec![create(2, "b")]).await), [Applied]);
    });
}

#[test]
fn nothing_is_lost_or_doubled_when_the_database_crashes_in_the_middle_of_pushes() {
    const CLIENTS: u8 = 8;
    const PUSHES: u64 = 40;
    let Some(cluster) = Cluster::start("", |_| {}) else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::new(folder.path(), cluster.location(""));
    fixture.config.postgres.health_interval_ms = 20;
    fixture.config.postgres.retry_for_ms = 100;
    run(async {
        let storage = fixture.open().await;
        push(&*storage, 100, vec![create(1, "counter")]).await;
        let writers: Vec<_> = (1..=CLIENTS)
            .map(|byte| {
                let storage = Arc::clone(&storage);
                tokio::spawn(async move {
                    let mut refused = 0;
                    for seq in 1..=PUSHES {
                        refused += push_until_answered(&*storage, byte, seq).await;
                    }
                    refused
                })
            })
            .collect();
        for round in 1..=2 {
            // Well into the pushes of this round.
            let reached = round * u64::from(CLIENTS) * PUSHES / 3;
            let told = || fixture.told().last().map_or(0, |changes| changes.to_seq);
            eventually("the pushes get on", async || told() > reached).await;
            tokio::task::block_in_place(|| cluster.crash());
            eventually("it is not healthy", async || !storage.is_healthy()).await;
            assert_eq!(storage.page(request(0, 1)).await.unwrap_err().code, ErrorCode::Unavailable);
            tokio::task::block_in_place(|| cluster.start_again());
            eventually("it is healthy again", async || storage.is_healthy()).await;
        }
        let mut refused = 0;
        for writer in writers {
            refused += writer.await.unwrap();
        }
        assert!(refused > 0, "the database was away, and clients were told");
        assert_nothing_lost_or_doubled(&*storage, u64::from(CLIENTS) * PUSHES).await;
    });
}

/// With a storage whose connections can be cut, in which one document was written.
fn through_proxy(scenario: impl AsyncFnOnce(&Proxy, &Fixture, &dyn Storage)) {
    let Some(cluster) = Cluster::start("", |_| {}) else { return };
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let proxy = Proxy::start(cluster.port()).await;
        let mut fixture = Fixture::new(folder.path(), cluster.location_at(proxy.port, ""));
        // Nobody else commits.
        fixture.config.storage.sweep_interval_ms = 60_000;
        let storage = fixture.open().await;
        push(&*storage, 1, vec![create(1, "a")]).await;
        scenario(&proxy, &fixture, &*storage).await;
    });
}

#[test]
fn a_commit_whose_answer_is_lost_is_found_and_subscribers_hear_of_it() {
    through_proxy(async |proxy, fixture, storage| {
        proxy.cut_after_next_commit();
        let answer = push(storage, 1, vec![increment(2, "a"), increment(3, "missing")]).await;
        assert!(!proxy.is_armed(), "the connection broke");
        assert_eq!(statuses(&answer), [Duplicate; 2], "the second try found what the first one did");
        assert_eq!(answer.results[0].seq, Some(2));
        assert_eq!(answer.results[1].error.as_ref().unwrap().code, ErrorCode::NotFound);
        let whole = page(storage, 0, 10).await;
        assert_eq!((whole.cursor, &whole.changes[0].fields["n"]), (2, &Value::Int(1)));
        let told = fixture.told();
        let last = told.last().unwrap();
        assert_eq!(
            (told.len(), last.to_seq, last.changes.len()),
            (2, 2, 0),
            "a hint: pull what comes before"
        );
    });
}

#[test]
fn a_write_without_number_and_key_is_not_made_twice_when_its_answer_is_lost() {
    through_proxy(async |proxy, _, storage| {
        let terms = Some(Terms { items: vec![Term::default()], receipt: None });
        let author = Author { terms, ..author(2) };
        proxy.cut_after_next_commit();
        let batch = Push { room: room(), after: None, mutations: vec![increment(1, "a")] };
        let refused = storage.push(batch, author).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Unavailable, "only who wrote can tell whether to write again");
        let whole = page(storage, 0, 10).await;
        assert_eq!((whole.cursor, &whole.changes[0].fields["n"]), (2, &Value::Int(1)), "it was made once");
    });
}

#[test]
fn a_password_and_tls_are_checked_and_the_password_is_told_to_nobody() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_certificate = authority.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(authority, key);
    let server_key = rcgen::KeyPair::generate().unwrap();
    let server = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let server_certificate = server.signed_by(&server_key, &issuer).unwrap();
    let options = "-c ssl=on -c ssl_cert_file=../server.pem -c ssl_key_file=../server.key";
    let cluster = Cluster::start(options, |folder| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(folder.join("server.pem"), server_certificate.pem()).unwrap();
        let path = folder.join("server.key");
        std::fs::write(&path, server_key.serialize_pem()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    });
    let Some(cluster) = cluster else { return };
    let folder = tempfile::tempdir().unwrap();
    let authority_file = folder.path().join("authority.pem");
    std::fs::write(&authority_file, authority_certificate.pem()).unwrap();
    run(async {
        let mut fixture = Fixture::new(folder.path(), cluster.location("?sslmode=require"));
        fixture.config.postgres.startup_timeout_ms = 0;
        assert!(!format!("{:?}", fixture.config).contains(PASSWORD));
        let unknown = fixture.try_open().await.err().unwrap();
        assert!(unknown.to_string().contains("TLS"), "nobody vouches for its certificate: {unknown}");

        fixture.config.postgres.ca_file = Some(authority_file.clone());
        let storage = fixture.open().await;
        push(&*storage, 1, vec![create(1, "a")]).await;
        assert_eq!(page(&*storage, 0, 10).await.cursor, 1);
        storage.close().await.unwrap();

        let port = cluster.port();
        let wrong = format!("postgres://syncline:a%20wrong%20one@localhost:{port}/postgres?sslmode=require");
        fixture.config.storage.location = wrong.parse().unwrap();
        let denied = fixture.try_open().await.err().unwrap();
        assert!(matches!(denied, StorageError::Postgres(PostgresError::Denied(_))), "{denied:?}");
        assert!(!format!("{denied} {denied:?}").contains("wrong"), "{denied:?}");

        let path = folder.path().join("password");
        std::fs::write(&path, format!("{PASSWORD}\n")).unwrap();
        let bare = format!("postgres://syncline@localhost:{port}/postgres?sslmode=require");
        fixture.config.storage.location = bare.parse().unwrap();
        fixture.config.postgres.password_file = Some(path);
        assert_eq!(page(&*fixture.open().await, 0, 10).await.cursor, 1);
    });
}

#[test]
fn a_database_that_is_not_there_is_waited_for() {
    let Some(cluster) = Cluster::start("", |_| {}) else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::new(folder.path(), cluster.location(""));
    cluster.crash();
    run(async {
        let started = Instant::now();
        fixture.config.postgres.startup_timeout_ms = 200;
        let refused = fixture.try_open().await.err().unwrap();
        assert!(matches!(refused, StorageError::Postgres(PostgresError::Unavailable(_))));
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());

        fixture.config.postgres.startup_timeout_ms = 30_000;
        let (storage, ()) = tokio::join!(fixture.open(), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            tokio::task::block_in_place(|| cluster.start_again());
        });
        push(&*storage, 1, vec![create(1, "a")]).await;
        let refused: Result<_, WireError> =
            storage.push(Push { room: room(), after: None, mutations: Vec::new() }, author(1)).await;
        assert_eq!(refused.unwrap_err().code, ErrorCode::Invalid);
    });
}
