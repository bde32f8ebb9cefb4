//! Webhooks, told to a real HTTP receiver that fails, hangs, goes away and comes back, by a server that is killed.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::client::{Http, ROOM, at};
use crate::support::{STEP_TIMEOUT, ServerProcess, command, token};

const HOOK_SECRET: &str = "a secret of the webhook, long enough";

/// How a receiver treats the next message.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Takes,
    /// Answers 500, after it has heard the message.
    Fails,
    /// Never answers.
    Hangs,
    /// Hears half of it.
    Breaks,
}

#[derive(Debug, Clone)]
struct Heard {
    headers: BTreeMap<String, String>,
    body: String,
    taken: bool,
}

impl Heard {
    fn data(&self) -> Value {
        serde_json::from_str::<Value>(&self.body).unwrap()["data"].clone()
    }
}

struct State {
    mood: Mood,
    /// Messages of rooms whose names begin so are refused.
    refused: Option<&'static str>,
    heard: Vec<Heard>,
}

/// An HTTP server that notes what it hears; gone when dropped.
struct Receiver {
    address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Receiver {
    fn start(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new((
            Mutex::new(State { mood: Mood::Takes, refused: None, heard: Vec::new() }),
            Condvar::new(),
        ));
        let stop = Arc::new(AtomicBool::new(false));
        let (heard_by, stopped) = (Arc::clone(&state), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let state = Arc::clone(&heard_by);
                std::thread::spawn(move || hear(stream, &state));
            }
        });
        Self { address, state, stop, thread: Some(thread) }
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    fn set(&self, mood: Mood) {
        self.state.0.lock().unwrap().mood = mood;
    }

    fn refuse(&self, rooms: &'static str) {
        self.state.0.lock().unwrap().refused = Some(rooms);
    }

    /// Waits until what was heard is as it should be.
    fn wait(&self, what: &str, is_so: impl Fn(&[Heard]) -> bool) -> Vec<Heard> {
        let ends = Instant::now() + STEP_TIMEOUT;
        let mut state = self.state.0.lock().unwrap();
        while !is_so(&state.heard) {
            let left = ends.checked_duration_since(Instant::now());
            let left = left.unwrap_or_else(|| panic!("{what}: {:?}", state.heard));
            state = self.state.1.wait_timeout(state, left).unwrap().0;
        }
        state.heard.clone()
    }

    fn wait_for(&self, seq: u64) -> Vec<Heard> {
        self.wait("not all was told", |heard| taken(heard).iter().any(|change| change["seq"] == seq))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread, which then lets go of the port.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn hear(stream: TcpStream, state: &(Mutex<State>, Condvar)) {
    stream.set_read_timeout(Some(STEP_TIMEOUT)).unwrap();
    let mut reader = BufReader::new(stream);
    let mut headers = BTreeMap::new();
    let mut line = String::new();
    let _ = reader.read_line(&mut line);
    if !line.starts_with("POST /hook ") {
        return;
    }
    loop {
        line.clear();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length: usize = headers["content-length"].parse().unwrap();
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let mut heard = Heard { headers, body: String::from_utf8(body).unwrap(), taken: false };
    let mood = {
        let mut state = state.0.lock().unwrap();
        let room = heard.data()["room"].as_str().unwrap().to_owned();
        let is_refused = state.refused.is_some_and(|rooms| room.starts_with(rooms));
        let mood = if is_refused { Mood::Fails } else { state.mood };
        heard.taken = mood == Mood::Takes;
        state.heard.push(heard);
        mood
    };
    state.1.notify_all();
    let mut stream = reader.into_inner();
    let answer = match mood {
        Mood::Takes => "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
        Mood::Fails => "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        Mood::Breaks => return,
        Mood::Hangs => {
            // Until the server gives up.
            let _ = stream.read(&mut [0]);
            return;
        }
    };
    let _ = stream.write_all(answer.as_bytes());
}

/// The changes of the messages that were taken, in their order.
fn taken(heard: &[Heard]) -> Vec<Value> {
    let messages = heard.iter().filter(|heard| heard.taken);
    messages.flat_map(|heard| heard.data()["changes"].as_array().unwrap().clone()).collect()
}

fn settings(folder: &Path, receiver: &Receiver, more: &str) -> String {
    let secret = folder.join("hook-secret");
    std::fs::write(&secret, HOOK_SECRET).unwrap();
    let text = format!(
        r#"
[webhooks]
lease_ms = 300
retry_ms_min = 20
retry_ms_max = 100
scan_interval_ms = 1000

[[webhooks.endpoints]]
name = "search"
url = "{}"
secret_file = "{}"
rooms = ["list:*"]
timeout_ms = 500
{more}
"#,
        receiver.url(),
        secret.display()
    );
    let file = folder.join("server.toml");
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn start(folder: &Path, receiver: &Receiver, more: &str) -> ServerProcess {
    ServerProcess::start_with(folder, &["--config", &settings(folder, receiver, more)])
}

fn put(server: &ServerProcess, id: &str, n: u64) -> u64 {
    let answer = Http::ann(&server.url).put(&at(id), json!({"n": n}));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["seq"].as_u64().unwrap()
}

#[test]
fn a_change_is_told_with_a_signature_that_holds() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start("127.0.0.1:0");
    let server = start(folder.path(), &receiver, "collections = [\"todos\"]");
    let others = "/v1/rooms/list:1/collections/others/documents/a";
    assert_eq!(Http::ann(&server.url).put(others, json!({})).status, 200);
    let own = Http::with(&server.url, Some(token("ann", &[])));
    assert_eq!(own.put("/v1/rooms/user:ann/collections/todos/documents/a", json!({})).status, 200);
    let seq = put(&server, "a", 1);
    let heard = receiver.wait_for(seq);
    let changes = taken(&heard);
    let expected =
        json!({"collection": "todos", "id": "a", "seq": seq, "fields": {"n": 1}, "deleted": false});
    assert_eq!(changes, [expected], "neither another collection nor another room is told");
    let message = heard.last().unwrap();
    assert_eq!(message.data()["room"], ROOM);
    let header = |name: &str| message.headers[name].as_str();
    let signed = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), message.body);
    let mut mac = Hmac::<Sha256>::new_from_slice(HOOK_SECRET.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(header("webhook-signature"), expected);

    Http::ann(&server.url).delete(&at("a"));
    let gone = taken(&receiver.wait_for(seq + 1)).pop().unwrap();
    assert_eq!((&gone["deleted"], &gone["fields"]), (&json!(true), &json!({})));
}

#[test]
fn nothing_is_missed_and_the_order_holds_while_the_receiver_fails_hangs_and_goes_away() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start("127.0.0.1:0");
    let server = start(folder.path(), &receiver, "changes_max = 2");
    let mut last = 0;
    let mut written = 0;
    for mood in [Mood::Fails, Mood::Hangs, Mood::Breaks, Mood::Takes] {
        receiver.set(mood);
        let heard = receiver.wait("", |_| true).len();
        for _ in 0..4 {
            written += 1;
            last = put(&server, &format!("d{written}"), written);
        }
        receiver.wait("it is not tried again", |all| all.len() >= heard + 2);
    }
    let before = receiver.wait_for(last);
    let address = receiver.address.to_string();
    drop(receiver);
    for _ in 0..5 {
        written += 1;
        last = put(&server, &format!("d{written}"), written);
    }
    let receiver = Receiver::start(&address);
    let after = receiver.wait_for(last);
    let seqs: Vec<u64> =
        taken(&[before, after].concat()).iter().map(|change| change["seq"].as_u64().unwrap()).collect();
    // At least once: what was taken and not known to be is told again, from there on.
    assert!(seqs.windows(2).all(|pair| pair[1] <= pair[0] + 1), "a gap: {seqs:?}");
    assert_eq!(seqs.first(), Some(&1));
    assert_eq!(seqs.last(), Some(&written));
}

#[test]
fn a_server_that_is_killed_again_and_again_tells_everything() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start("127.0.0.1:0");
    let mut written = 0;
    for round in 0..4 {
        let server = start(folder.path(), &receiver, "changes_max = 3");
        receiver.set(if round % 2 == 0 { Mood::Takes } else { Mood::Hangs });
        let heard = receiver.wait("", |_| true).len();
        for _ in 0..10 {
            written += 1;
            put(&server, &format!("d{written}"), written);
        }
        receiver.wait("nothing is told", |all| all.len() > heard);
        server.kill();
    }
    receiver.set(Mood::Takes);
    let _server = start(folder.path(), &receiver, "changes_max = 3");
    let all = taken(&receiver.wait_for(written));
    let seqs: Vec<u64> = all.iter().map(|change| change["seq"].as_u64().unwrap()).collect();
    for seq in 1..=written {
        assert!(seqs.contains(&seq), "{seq} is missing: {seqs:?}");
    }
    assert!(seqs.windows(2).all(|pair| pair[1] <= pair[0] + 1), "a gap: {seqs:?}");
}

#[test]
fn a_receiver_that_takes_nothing_holds_up_no_write_and_another_receiver_neither() {
    let folder = tempfile::tempdir().unwrap();
    let (dead, live) = (Receiver::start("127.0.0.1:0"), Receiver::start("127.0.0.1:0"));
    dead.set(Mood::Hangs);
    let secret = folder.path().join("hook-secret");
    let more = format!(
        "[[webhooks.endpoints]]\nname = \"live\"\nurl = \"{}\"\nsecret_file = \"{}\"\nrooms = [\"list:1\"]",
        live.url(),
        secret.display()
    );
    let server = start(folder.path(), &dead, &more);
    let last = (1..=50).map(|n| put(&server, &format!("d{n}"), n)).max().unwrap();
    live.wait_for(last);
    assert!(taken(&dead.wait("it is tried", |heard| !heard.is_empty())).is_empty());
}

/// Rooms are told of although others are refused again and again, with so many told of at once.
fn refused_rooms_hold_up_no_other(rooms_at_once_max: usize) {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start("127.0.0.1:0");
    receiver.refuse("list:refused");
    let flag = format!("webhooks.rooms_at_once_max={rooms_at_once_max}");
    let file = settings(folder.path(), &receiver, "");
    let server = ServerProcess::start_with(folder.path(), &["--config", &file, "--set", &flag]);
    let ann = Http::with(&server.url, Some(token("ann", &["list:*"])));
    let put = |room: &str| {
        let answer = ann.put(&format!("/v1/rooms/{room}/collections/todos/documents/a"), json!({}));
        assert_eq!(answer.status, 200, "{}", answer.body);
    };
    let rooms_of = |heard: &[Heard], taken: bool| -> Vec<String> {
        let messages = heard.iter().filter(|heard| heard.taken == taken);
        messages.map(|heard| heard.data()["room"].as_str().unwrap().to_owned()).collect()
    };
    for number in 1..=3 {
        put(&format!("list:refused-{number}"));
    }
    receiver.wait("they are tried again and again", |heard| {
        let refused = rooms_of(heard, false);
        (1..=3).all(|number| {
            let name = format!("list:refused-{number}");
            refused.iter().filter(|room| **room == name).count() >= 4
        })
    });
    for number in 1..=3 {
        let room = format!("list:taken-{number}");
        put(&room);
        receiver.wait("it is held up", |heard| rooms_of(heard, true).contains(&room));
    }
}

#[test]
fn rooms_that_are_refused_again_and_again_hold_up_no_other() {
    refused_rooms_hold_up_no_other(8);
}

#[test]
fn rooms_take_turns_while_so_many_are_refused_that_the_receiver_seems_to_be_down() {
    refused_rooms_hold_up_no_other(2);
}

#[test]
fn an_endpoint_that_begins_now_is_told_nothing_of_before_and_everything_after() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start("127.0.0.1:0");
    let server = ServerProcess::start(folder.path());
    put(&server, "before-1", 1);
    put(&server, "before-2", 2);
    assert_eq!(server.terminate(), Some(0));
    let server = start(folder.path(), &receiver, "from = \"now\"");
    // Until it has begun, it passes over what is written as well.
    let mut number = 0;
    while receiver.wait("", |_| true).is_empty() {
        number += 1;
        put(&server, &format!("n{number}"), number);
    }
    let first = taken(&receiver.wait("", |_| true))[0]["seq"].as_u64().unwrap();
    assert!(first > 2);
    receiver.set(Mood::Fails);
    let failing = receiver.wait("", |_| true).len();
    let missed = put(&server, "while-it-failed", 1);
    receiver.wait("it is tried", |heard| heard.len() > failing);
    server.kill();
    receiver.set(Mood::Takes);
    let server = start(folder.path(), &receiver, "from = \"now\"");
    receiver.wait_for(missed);
    let last = put(&server, "last", 1);
    let seqs: Vec<u64> =
        taken(&receiver.wait_for(last)).iter().map(|change| change["seq"].as_u64().unwrap()).collect();
    for seq in first..=last {
        assert!(seqs.contains(&seq), "{seq} is missing: {seqs:?}");
    }
    assert!(!seqs.contains(&1) && !seqs.contains(&2));
}

#[test]
fn a_message_is_given_up_only_where_the_settings_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start("127.0.0.1:0");
    receiver.set(Mood::Fails);
    let server = start(folder.path(), &receiver, "attempts_max = 2\nchanges_max = 1");
    put(&server, "lost", 1);
    receiver.wait("it is given up", |heard| heard.len() >= 2);
    receiver.set(Mood::Takes);
    let last = put(&server, "told", 2);
    let changes = taken(&receiver.wait_for(last));
    let ids: Vec<&Value> = changes.iter().map(|change| &change["id"]).collect();
    assert_eq!(ids, ["told"]);
}

#[test]
fn settings_that_cannot_work_are_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start("127.0.0.1:0");
    let good = std::fs::read_to_string(settings(folder.path(), &receiver, "")).unwrap();
    for (from, to, told) in [
        ("http://127.0.0.1", "http://example.com", "must be https://"),
        ("name = \"search\"", "name = \"a b\"", "a name has"),
        ("hook-secret", "no-such-file", "cannot read the secret"),
        ("rooms =", "collections = [\"\"]\nrooms =", "no name of a collection"),
        ("timeout_ms", "timeout", "timeout"),
        ("rooms =", "from = \"then\"\nrooms =", "from"),
    ] {
        let file = folder.path().join("wrong.toml");
        std::fs::write(&file, good.replacen(from, to, 1)).unwrap();
        let ended = command(&folder.path().join("data"), "127.0.0.1:0")
            .args(["--dev", "--config", file.to_str().unwrap()])
            .stdout(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(2), "{text}");
        assert!(text.contains(told), "{text}");
        assert!(!text.contains(HOOK_SECRET));
    }
}
