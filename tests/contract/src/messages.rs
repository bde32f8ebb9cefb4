//! Every message of the protocol, by hand.

use std::collections::BTreeMap;

use serde_json::json;
use syncline_protocol::message::{
    AccessLost, Auth, Changes, Done, Encoding, Failure, Hello, Member, Members, MutationResult,
    MutationStatus, PROTOCOL_VERSION, Page, Presence, PresenceDiff, PresencePong, PresenceStatus, Pull, Push,
    PushAnswer, RoomRequest, Subscribe, TokenRefresh, UserStatus, event,
};
use syncline_protocol::{
    Checksum, Document, ErrorCode, Fields, Limits, Mutation, Op, Patch, Path, WireError, Write,
};

use crate::values::{
    START_MS, ada, bob, collection, deleted_document, fields, id, path, room, shared_document, time, version,
};
use crate::vector::Direction::{ToClient, ToServer};
use crate::vector::Encodings::{Both, PlainOnly};
use crate::vector::Vector;

/// The vectors, in the order of the file.
pub fn all() -> Vec<Vector> {
    [handshake(), rooms(), reading(), writing(), presence(), events(), failures()]
        .into_iter()
        .flatten()
        .collect()
}

fn handshake() -> Vec<Vector> {
    let auth = Auth {
        token: Some("header.claims.signature".to_owned()),
        client_id: Some(ada()),
        protocol: Some(PROTOCOL_VERSION),
        encoding: Encoding::Compact,
    };
    let bare = Auth {
        token: Some("header.claims.signature".to_owned()),
        client_id: None,
        protocol: None,
        encoding: Encoding::Plain,
    };
    let hello = Hello {
        protocol: PROTOCOL_VERSION,
        encoding: Encoding::Compact,
        limits: Limits::default(),
        server_time_ms: START_MS,
        user_id: "ada".to_owned(),
        offers: vec![event::AUTH_REFRESH.to_owned()],
    };
    let refresh = TokenRefresh { token: "header.newer_claims.signature".to_owned() };
    vec![
        Vector::new("auth", ToServer, "connect", PlainOnly, auth),
        Vector::new("auth_of_a_reader", ToServer, "connect", PlainOnly, bare),
        Vector::new("hello", ToClient, event::SYNC_HELLO, PlainOnly, hello),
        Vector::new("auth_refresh", ToServer, event::AUTH_REFRESH, Both, refresh),
    ]
}

/// The requests that name only a room, and all acks that say only that it is done.
fn rooms() -> Vec<Vector> {
    let asked = [
        ("room_join", event::ROOM_JOIN),
        ("room_leave", event::ROOM_LEAVE),
        ("unsubscribe", event::SYNC_UNSUBSCRIBE),
        ("presence_leave", event::PRESENCE_LEAVE),
    ];
    let request =
        |(name, event)| Vector::new(name, ToServer, event, Both, RoomRequest { room: room("list:9") });
    let done = [event::PRESENCE_UPDATE, event::AUTH_REFRESH]
        .into_iter()
        .chain(asked.map(|(_, event)| event))
        .map(|event| {
            let name = format!("done_{}", event.replace(':', "_"));
            Vector::new(&name, ToClient, &ack_of(event), Both, Done { ok: true })
        });
    asked.into_iter().map(request).chain(done).collect()
}

fn reading() -> Vec<Vector> {
    let everything = Subscribe { room: room("user:ada"), cursor: 11, collections: None, snapshot: None };
    let continued = Subscribe { snapshot: Some(27), ..everything.clone() };
    let narrowed = Subscribe {
        room: room("list:9 – café"),
        cursor: 4_294_967_296,
        collections: Some(vec![collection("todos"), collection("places")]),
        snapshot: None,
    };
    let pull = Pull { room: room("user:ada"), cursor: 11, limit: 1000, snapshot: None };
    let pull_on = Pull { cursor: 13, snapshot: Some(27), ..pull.clone() };
    let first = Page {
        changes: vec![shared_document(), deleted_document()],
        cursor: 13,
        more: true,
        reset: false,
        checksum: None,
        snapshot: None,
    };
    let begun = Page { snapshot: Some(27), ..first.clone() };
    let last = Page {
        changes: vec![shared_document()],
        cursor: 12,
        more: false,
        reset: true,
        checksum: Some(shared_document().checksum()),
        snapshot: None,
    };
    let nothing = |cursor, checksum| Page {
        changes: vec![],
        cursor,
        more: false,
        reset: false,
        checksum: Some(checksum),
        snapshot: None,
    };
    let up_to_date = nothing(11, shared_document().checksum());
    let empty = nothing(0, Checksum::default());
    vec![
        Vector::new("subscribe", ToServer, event::SYNC_SUBSCRIBE, Both, everything),
        Vector::new("subscribe_narrowed", ToServer, event::SYNC_SUBSCRIBE, Both, narrowed),
        Vector::new("subscribe_in_snapshot", ToServer, event::SYNC_SUBSCRIBE, Both, continued),
        Vector::new("page_up_to_date", ToClient, &ack_of(event::SYNC_SUBSCRIBE), Both, up_to_date),
        Vector::new("page_empty_room", ToClient, &ack_of(event::SYNC_SUBSCRIBE), Both, empty),
        Vector::new("pull", ToServer, event::SYNC_PULL, Both, pull),
        Vector::new("pull_in_snapshot", ToServer, event::SYNC_PULL, Both, pull_on),
        Vector::new("page_with_more", ToClient, &ack_of(event::SYNC_PULL), Both, first),
        Vector::new("page_of_snapshot", ToClient, &ack_of(event::SYNC_SUBSCRIBE), Both, begun),
        Vector::new("page_reset_last", ToClient, &ack_of(event::SYNC_PULL), Both, last),
    ]
}

fn writing() -> Vec<Vector> {
    let push = |name: &str, after: Option<u64>, mutations: Vec<Mutation>| {
        let push = Push { room: room("user:ada"), after, mutations };
        Vector::new(name, ToServer, event::SYNC_PUSH, Both, push)
    };
    let answer = |name: &str, results: Vec<MutationResult>, error: Option<WireError>| {
        Vector::new(name, ToClient, &ack_of(event::SYNC_PUSH), Both, PushAnswer { results, error })
    };
    let merging = |client_seq, write| mutation(client_seq, "places", "first", write);
    let conflicting = Mutation {
        base: Some(version(&[(ada(), 7), (bob(), 2)])),
        ..mutation(12, "todos", "second", Write::Delete)
    };
    vec![
        push("push_create", None, vec![merging(8, Write::Create(every_value()))]),
        push("push_update", Some(8), vec![merging(9, Write::Update(every_op()))]),
        push("push_paths", Some(9), vec![merging(10, Write::Update(every_path()))]),
        push(
            "push_batch",
            Some(10),
            vec![mutation(11, "todos", "second", Write::Create(Fields::new())), conflicting],
        ),
        answer("push_answer", results(), None),
        answer("push_answer_applied", vec![applied(8, 12)], None),
        answer("push_answer_stopped", vec![applied(11, 14)], Some(stopped())),
    ]
}

/// Every kind of value, with numbers at the edges of what is exact.
pub fn every_value() -> Fields {
    fields(json!({
        "": "the empty name",
        "array": [1, [2, []], {"in": null}],
        "bool": [true, false],
        "exact": [0, -1, 127, 128, -129, 65_536, 9_007_199_254_740_992_i64, i64::MIN, i64::MAX],
        "float": [0.5, -1.25e-7, 1.5e300, 1e21],
        "name with spaces": "a\"b\\c\n\u{7f}",
        "null": null,
        "unicode": "Grüße, 世界 🌍 \u{2028}",
    }))
}

/// Every operation once.
pub fn every_op() -> Patch {
    let items = |items: serde_json::Value| serde_json::from_value(items).unwrap();
    Patch::new()
        .with(path("a_set"), Op::Set("replaced".into()))
        .with(path("b_unset"), Op::Unset)
        .with(path("c_increment"), Op::Increment((-3).into()))
        .with(path("d_union"), Op::Union(items(json!(["x", {"y": 1}]))))
        .with(path("e_remove"), Op::Remove(items(json!(["z"]))))
        .with(path("f_append"), Op::Append(items(json!([1, 1]))))
        .with(path("g_server_time"), Op::ServerTime)
}

/// Nested names, and names with a dot, a backslash, spaces and nothing in them.
pub fn every_path() -> Patch {
    [path("address.city"), path(r"v1\.0"), path(r"back\\slash.größe in m"), Path::field("")]
        .into_iter()
        .map(|path| (path, Op::Increment(serde_json::from_value(json!(0.5)).unwrap())))
        .collect()
}

fn mutation(client_seq: u64, collection_name: &str, document: &str, write: Write) -> Mutation {
    Mutation {
        client_seq,
        collection: collection(collection_name),
        id: id(document),
        write,
        time: time(client_seq, 0),
        base: None,
    }
}

fn result(client_seq: u64, status: MutationStatus) -> MutationResult {
    MutationResult { client_seq, status, seq: None, document: None, fields: None, error: None }
}

fn applied(client_seq: u64, seq: u64) -> MutationResult {
    MutationResult { seq: Some(seq), ..result(client_seq, MutationStatus::Applied) }
}

/// Every status, and the three outcomes that a duplicate can repeat.
fn results() -> Vec<MutationResult> {
    let rejection = WireError::new(ErrorCode::NotFound, "the document does not exist");
    let conflict = WireError::new(ErrorCode::Conflict, "the document changed since the mutation's base");
    vec![
        applied(8, 12),
        MutationResult { seq: Some(12), ..result(9, MutationStatus::Duplicate) },
        MutationResult { error: Some(rejection.clone()), ..result(10, MutationStatus::Rejected) },
        MutationResult { error: Some(rejection), ..result(11, MutationStatus::Duplicate) },
        MutationResult {
            document: Some(shared_document()),
            fields: Some(vec![path("address.city"), path(r"v1\.0")]),
            ..result(12, MutationStatus::Conflict)
        },
        MutationResult {
            document: Some(deleted_document()),
            error: Some(conflict),
            ..result(13, MutationStatus::Duplicate)
        },
    ]
}

fn stopped() -> WireError {
    WireError {
        retry_after_ms: Some(250),
        ..WireError::new(ErrorCode::Unavailable, "the batch writes too much at once; send the rest again")
    }
}

fn presence() -> Vec<Vector> {
    let shown = |state, status| Presence {
        room: room("list:9"),
        state: fields(state),
        status,
        expires_ms: BTreeMap::new(),
        background_lease_ms: None,
    };
    let active = shown(json!({"cursor": {"line": 3}, "name": "Ada"}), PresenceStatus::Active);
    let away = Presence { background_lease_ms: Some(300_000), ..shown(json!({}), PresenceStatus::Away) };
    let typing = Presence {
        expires_ms: BTreeMap::from([("typing".to_owned(), 4000)]),
        ..shown(json!({"cursor": null, "typing": true}), PresenceStatus::Active)
    };
    let members = Members { members: vec![ada_present(), bob_present()] };
    let heads = BTreeMap::from([(room("list:9"), 41), (room("user:ada"), 13)]);
    let ping = BTreeMap::<String, String>::new();
    let pong = PresencePong { heads, lapsed: vec![] };
    let lapsed = PresencePong { heads: BTreeMap::new(), lapsed: vec![room("list:9")] };
    vec![
        Vector::new("presence_join", ToServer, event::PRESENCE_JOIN, Both, active),
        Vector::new("members", ToClient, &ack_of(event::PRESENCE_JOIN), Both, members),
        Vector::new("presence_update", ToServer, event::PRESENCE_UPDATE, Both, away),
        Vector::new("presence_update_expiring", ToServer, event::PRESENCE_UPDATE, Both, typing),
        Vector::new("presence_ping", ToServer, event::PRESENCE_PING, Both, ping),
        Vector::new("presence_pong", ToClient, &ack_of(event::PRESENCE_PING), Both, pong),
        Vector::new("presence_pong_lapsed", ToClient, &ack_of(event::PRESENCE_PING), Both, lapsed),
    ]
}

fn ada_present() -> Member {
    Member {
        client_id: ada(),
        user_id: "ada".to_owned(),
        state: fields(json!({"name": "Ada", "typing": true})),
        status: PresenceStatus::Active,
        expires_ms: BTreeMap::from([("typing".to_owned(), 3500)]),
        idle_ms: 500,
    }
}

fn bob_present() -> Member {
    Member {
        client_id: bob(),
        user_id: "bob".to_owned(),
        state: Fields::new(),
        status: PresenceStatus::Away,
        expires_ms: BTreeMap::new(),
        idle_ms: 90_000,
    }
}

fn events() -> Vec<Vector> {
    let changes = |name: &str, from_seq, to_seq, changes: Vec<Document>| {
        let changes = Changes { room: room("user:ada"), from_seq, to_seq, changes };
        Vector::new(name, ToClient, event::SYNC_CHANGES, Both, changes)
    };
    let diff = PresenceDiff {
        room: room("list:9"),
        joined: vec![ada_present()],
        updated: vec![bob_present()],
        left: vec![bob()],
    };
    let lost = AccessLost {
        room: room("list:9"),
        lost: vec!["read".to_owned(), "presence".to_owned()],
        error: WireError::new(ErrorCode::Forbidden, "a sentence for people"),
    };
    let user = || UserStatus { user_id: "bob".to_owned() };
    vec![
        changes("changes", 12, 13, vec![shared_document(), deleted_document()]),
        changes("changes_head_only", 42, 41, vec![]),
        Vector::new("presence_diff", ToClient, event::PRESENCE_DIFF, Both, diff),
        Vector::new("access_lost", ToClient, event::ACCESS_LOST, Both, lost),
        Vector::new("user_online", ToClient, event::USER_ONLINE, Both, user()),
        Vector::new("user_offline", ToClient, event::USER_OFFLINE, Both, user()),
    ]
}

/// One failed request for each code that is sent.
fn failures() -> Vec<Vector> {
    let codes = [
        (ErrorCode::Unauthorized, None),
        (ErrorCode::Forbidden, None),
        (ErrorCode::NotFound, None),
        (ErrorCode::Invalid, None),
        (ErrorCode::Conflict, None),
        (ErrorCode::TooLarge, None),
        (ErrorCode::RateLimited, Some(1000)),
        (ErrorCode::UnsupportedProtocol, None),
        (ErrorCode::OutOfOrder, None),
        (ErrorCode::Unavailable, Some(250)),
        (ErrorCode::Internal, None),
    ];
    codes
        .into_iter()
        .map(|(code, retry_after_ms)| {
            let error = WireError { retry_after_ms, ..WireError::new(code, "a sentence for people") };
            let name = format!("failure_{}", code.as_str());
            Vector::new(&name, ToClient, &ack_of("any request"), PlainOnly, Failure { error })
        })
        .collect()
}

fn ack_of(event: &str) -> String {
    format!("ack of {event}")
}
