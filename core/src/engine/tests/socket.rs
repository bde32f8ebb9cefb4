//! The app's own events, rooms and namespaces.

use serde_json::json;

use super::bench::*;
use crate::argument::Argument;
use crate::config::Settings;
use crate::engine::io::{Command, ConnectionState, ConnectionStatus, Event, Input, Reply};
use crate::engine::socket::cause::DisconnectCause;
use crate::engine::socket::types::{
    Answer, Answered, Emit, EmitWithAck, NamespaceOptions, NamespaceState, NamespaceStatus, SocketMessage,
    SocketRoom, Topic,
};
use crate::error::{Code, Error};
use crate::transport::{Message, Namespace, Packet, Parser, Payload};

fn chat() -> Namespace {
    Namespace::new("/chat").unwrap()
}

fn text(text: &str) -> Argument {
    Argument::String(text.to_owned())
}

fn payload(value: &serde_json::Value) -> Payload {
    Payload::encode(Parser::Msgpack, value).unwrap()
}

fn emit(event: &str) -> Command {
    Command::Emit(Emit { namespace: None, event: event.to_owned(), args: vec![text("x")], volatile: false })
}

fn ask(event: &str, timeout_ms: Option<u64>) -> Command {
    Command::EmitWithAck(EmitWithAck { namespace: None, event: event.to_owned(), args: vec![], timeout_ms })
}

fn on(event: &str) -> Command {
    Command::On(Topic { namespace: None, event: event.to_owned() })
}

fn join() -> Command {
    Command::JoinRoom(SocketRoom { namespace: None, room: room() })
}

fn leave() -> Command {
    Command::LeaveRoom(SocketRoom { namespace: None, room: room() })
}

impl Bench {
    /// The next event that the app sent: its namespace, name and ack id.
    #[track_caller]
    fn expect_event(&mut self) -> (Namespace, String, Option<u64>) {
        match self.sent.pop_front() {
            Some((namespace, Packet::Event { name, ack, .. })) => (namespace, name, ack),
            other => panic!("no event: {other:?}"),
        }
    }

    #[track_caller]
    fn expect_ask(&mut self, name: &str) -> u64 {
        let (_, sent, ack) = self.expect_event();
        assert_eq!(sent, name);
        ack.expect("no answer is wanted")
    }

    /// What the client said as it joined a namespace.
    #[track_caller]
    fn expect_greeting(&mut self, namespace: &Namespace) -> serde_json::Value {
        match self.sent.pop_front() {
            Some((of, Packet::Connect { data: Some(data) })) if of == *namespace => data.decode().unwrap(),
            other => panic!("no greeting: {other:?}"),
        }
    }

    fn namespace_packet(&mut self, namespace: &Namespace, packet: Packet) {
        self.message(Message::Socket { namespace: namespace.clone(), packet });
    }

    fn server_event(&mut self, name: &str, args: &[serde_json::Value], ack: Option<u64>) {
        let args = args.iter().map(payload).collect();
        self.packet(Packet::Event { name: name.to_owned(), args, ack });
    }

    fn session_is_open(&mut self) -> bool {
        self.state() == ConnectionState::Open
    }

    /// Waits for the next attempt, which succeeds.
    fn retry(&mut self) {
        let delay_ms = self.retry_in_ms();
        self.advance_ms(delay_ms);
        self.accept();
    }

    /// The server takes the socket that was dialed, for the session with this private id.
    fn accept_as(&mut self, pid: &str) {
        self.input(Input::SocketOpened(self.socket.expect("no socket")));
        self.packet(Packet::Connect { data: Some(payload(&json!({"sid": "s", "pid": pid}))) });
    }

    fn messages(&mut self) -> Vec<SocketMessage> {
        let events = std::mem::take(&mut self.events).into_iter();
        let messages = events.filter_map(|event| match event {
            Event::Message(message) => Some(message),
            _ => None,
        });
        messages.collect()
    }

    fn status(&mut self) -> ConnectionStatus {
        match self.call(Command::Connection).unwrap() {
            Reply::Connection(status) => status,
            other => panic!("{other:?}"),
        }
    }

    fn last_namespace(&mut self) -> NamespaceStatus {
        let statuses = self.events.drain(..).filter_map(|event| match event {
            Event::Namespace { status } => Some(status),
            _ => None,
        });
        statuses.last().expect("nothing was told of a namespace")
    }
}

#[test]
fn an_event_waits_for_the_connection_and_a_volatile_one_does_not() {
    let mut bench = Bench::new();
    assert_eq!(bench.call(emit("a")), Ok(Reply::Emitted { sent: false, waiting: true }));
    let volatile =
        Command::Emit(Emit { namespace: None, event: "b".to_owned(), args: vec![], volatile: true });
    assert_eq!(bench.call(volatile.clone()), Ok(Reply::Emitted { sent: false, waiting: false }));
    bench.open();
    assert_eq!(bench.expect_event(), (Namespace::ROOT, "a".to_owned(), None));
    assert_eq!(bench.call(volatile), Ok(Reply::Emitted { sent: true, waiting: false }));
    assert_eq!(bench.expect_event().1, "b");
    assert!(bench.sent.is_empty());
}

#[test]
fn what_waits_for_the_connection_is_limited() {
    let mut bench = Bench::with(Settings { emit_buffer_count_max: 2, ..at_once() });
    bench.call(emit("a")).unwrap();
    bench.call(emit("b")).unwrap();
    assert_eq!(bench.call(emit("c")).unwrap_err().code, Code::QueueFull);
    assert_eq!(bench.call(ask("d", None)).unwrap_err().code, Code::QueueFull);
}

#[test]
fn names_that_are_not_the_apps_are_refused() {
    let mut bench = Bench::opened();
    for name in ["connect", "disconnect", "sync:push", "presence:join"] {
        assert_eq!(bench.call(emit(name)).unwrap_err().code, Code::Invalid, "{name}");
    }
    assert!(bench.sent.is_empty());
}

#[test]
fn an_answer_reaches_who_asked() {
    let mut bench = Bench::opened();
    let (first, second) = (bench.start(ask("a", None)), bench.start(ask("b", None)));
    let (to_first, to_second) = (bench.expect_ask("a"), bench.expect_ask("b"));
    bench.answer(to_second, &"two");
    bench.answer(to_first, &"one");
    for (request, said) in [(first, "one"), (second, "two")] {
        let answered = Answered { args: vec![text(said)] };
        assert_eq!(bench.replies.remove(&request), Some(Ok(Reply::Answered(answered))));
    }
}

#[test]
fn an_answer_that_is_late_is_an_error_of_that_event_alone() {
    let mut bench = Bench::opened();
    let request = bench.start(ask("a", Some(100)));
    let ack = bench.expect_ask("a");
    bench.advance_ms(100);
    assert_eq!(bench.replies[&request].as_ref().unwrap_err().code, Code::Timeout);
    bench.answer(ack, &"late");
    assert!(bench.session_is_open());
}

#[test]
fn an_event_that_waits_for_the_connection_is_not_sent_after_its_time() {
    let mut bench = Bench::new();
    let request = bench.start(ask("a", Some(100)));
    bench.advance_ms(100);
    assert_eq!(bench.replies[&request].as_ref().unwrap_err().code, Code::Timeout);
    bench.open();
    assert!(bench.sent.is_empty());
}

#[test]
fn a_lost_connection_ends_what_was_asked_and_keeps_what_waits() {
    let mut bench = Bench::opened();
    let sent = bench.start(ask("a", None));
    bench.expect_ask("a");
    bench.lose_connection();
    assert_eq!(bench.replies[&sent].as_ref().unwrap_err().code, Code::Unavailable);
    let waits = bench.start(ask("b", None));
    let delay_ms = bench.retry_in_ms();
    bench.advance_ms(delay_ms);
    bench.accept();
    let ack = bench.expect_ask("b");
    bench.answer(ack, &1);
    assert!(bench.replies[&waits].is_ok());
}

#[test]
fn only_what_is_listened_to_is_told() {
    let mut bench = Bench::opened();
    bench.call(on("news")).unwrap();
    bench.call(on("activity:*")).unwrap();
    for name in ["news", "other", "activity:new"] {
        bench.server_event(name, &[json!({"n": 1})], None);
    }
    let told: Vec<_> = bench.messages().into_iter().map(|message| message.event).collect();
    assert_eq!(told, ["news", "activity:new"]);
    bench.call(Command::Off(Topic { namespace: None, event: "news".to_owned() })).unwrap();
    bench.server_event("news", &[], None);
    assert!(bench.messages().is_empty());
}

#[test]
fn a_question_of_the_server_is_answered_once_and_on_its_connection() {
    let mut bench = Bench::opened();
    bench.call(on("ask")).unwrap();
    bench.server_event("ask", &[], Some(7));
    let token = bench.messages()[0].ack.unwrap();
    let answer = Command::Ack(Answer { token, args: vec![text("yes")] });
    bench.call(answer.clone()).unwrap();
    let Some((_, Packet::Ack { id: 7, args })) = bench.sent.pop_front() else { panic!("no answer") };
    assert_eq!(args, [payload(&json!("yes"))]);
    assert_eq!(bench.call(answer).unwrap_err().code, Code::NotFound);
    bench.server_event("ask", &[], Some(8));
    let token = bench.messages()[0].ack.unwrap();
    bench.reconnect();
    let late = Command::Ack(Answer { token, args: vec![] });
    assert_eq!(bench.call(late).unwrap_err().code, Code::NotFound);
}

#[test]
fn an_event_that_cannot_be_read_is_told_and_the_session_goes_on() {
    let mut bench = Bench::opened();
    bench.call(on("*")).unwrap();
    let not_a_number = Payload::Msgpack(vec![0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0].into());
    bench.packet(Packet::Event { name: "bad".to_owned(), args: vec![not_a_number], ack: None });
    assert!(
        bench
            .events
            .iter()
            .any(|event| matches!(event, Event::Error { error } if error.code == Code::Protocol))
    );
    assert!(bench.session_is_open());
}

#[test]
fn a_backends_own_user_events_do_not_end_the_session() {
    let mut bench = Bench::opened();
    bench.call(on("user:*")).unwrap();
    bench.server_event("user:online", &[json!("ada")], None);
    bench.server_event("user:online", &[json!({"userId": "bob"})], None);
    let told: Vec<_> = bench.messages().into_iter().map(|message| message.args).collect();
    let bob = Argument::Object([("userId".to_owned(), text("bob"))].into());
    assert_eq!(told, [vec![text("ada")], vec![bob]]);
}

#[test]
fn a_room_is_joined_again_until_it_is_left() {
    let mut bench = Bench::opened();
    let request = bench.start(join());
    let ack = bench.expect_ask("room:join");
    bench.answer(ack, &json!({"ok": true}));
    assert_eq!(bench.replies[&request], Ok(Reply::Joined { joined: true }));
    assert_eq!(bench.call(join()), Ok(Reply::Joined { joined: true }));
    bench.reconnect();
    let ack = bench.expect_ask("room:join");
    bench.answer(ack, &json!({"ok": true}));
    assert_eq!(bench.call(leave()), Ok(Reply::Done {}));
    assert!(bench.sent.is_empty(), "somebody still holds it");
    let request = bench.start(leave());
    let ack = bench.expect_ask("room:leave");
    bench.answer(ack, &json!({"ok": true}));
    assert_eq!(bench.replies[&request], Ok(Reply::Done {}));
    bench.reconnect();
    assert!(bench.sent.is_empty());
    assert_eq!(bench.call(leave()).unwrap_err().code, Code::NotFound);
}

#[test]
fn a_room_that_is_refused_is_an_error_and_forgotten() {
    let mut bench = Bench::opened();
    let request = bench.start(join());
    let ack = bench.expect_ask("room:join");
    bench.answer(ack, &json!({"error": {"code": "forbidden", "message": "not yours"}}));
    assert_eq!(bench.replies[&request].as_ref().unwrap_err().code, Code::Forbidden);
    bench.reconnect();
    assert!(bench.sent.is_empty());
}

#[test]
fn a_room_that_is_refused_again_is_told_and_tried_on_the_next_connection() {
    let mut bench = Bench::new();
    assert_eq!(bench.call(join()), Ok(Reply::Joined { joined: false }));
    bench.open();
    let ack = bench.expect_ask("room:join");
    bench.answer(ack, &json!({"ok": true}));
    bench.reconnect();
    let ack = bench.expect_ask("room:join");
    bench.answer(ack, &json!({"error": "not any more"}));
    assert!(bench.events.iter().any(|event| matches!(event, Event::JoinRefused { .. })));
    bench.reconnect();
    bench.expect_ask("room:join");
}

#[test]
fn a_server_that_answers_no_room_gets_plain_names_by_other_events() {
    let settings = Settings {
        room_join_event: "enter".to_owned(),
        room_argument: crate::config::RoomArgument::Text,
        room_acked: false,
        ..at_once()
    };
    let mut bench = Bench::with(settings);
    bench.open();
    assert_eq!(bench.call(join()), Ok(Reply::Joined { joined: true }));
    let Some((_, Packet::Event { name, args, ack: None })) = bench.sent.pop_front() else { panic!() };
    assert_eq!((name.as_str(), args), ("enter", vec![payload(&json!("list:1"))]));
}

#[test]
fn a_namespace_is_joined_at_its_first_use_and_again_on_each_connection() {
    let mut bench = Bench::opened();
    let in_chat = Command::Emit(Emit {
        namespace: Some("/chat".to_owned()),
        event: "a".to_owned(),
        args: vec![],
        volatile: false,
    });
    assert_eq!(bench.call(in_chat), Ok(Reply::Emitted { sent: false, waiting: true }));
    assert_eq!(bench.expect_greeting(&chat()), json!({"token": "token"}));
    bench.namespace_packet(&chat(), Packet::Connect { data: Some(payload(&json!({"sid": "s"}))) });
    assert_eq!(bench.expect_event(), (chat(), "a".to_owned(), None));
    assert_eq!(bench.last_namespace().state, NamespaceState::Open);
    bench.lose_connection();
    assert_eq!(bench.last_namespace().state, NamespaceState::Idle);
    let delay_ms = bench.retry_in_ms();
    bench.advance_ms(delay_ms);
    bench.accept();
    bench.expect_greeting(&chat());
}

fn connect_chat(bench: &mut Bench) -> u64 {
    let auth = serde_json::from_value(json!({"key": 1})).unwrap();
    let options = NamespaceOptions { namespace: "/chat".to_owned(), auth: Some(auth) };
    bench.start(Command::ConnectNamespace(options))
}

#[test]
fn a_namespace_that_is_refused_says_why_and_concerns_no_other() {
    let mut bench = Bench::opened();
    let request = connect_chat(&mut bench);
    assert_eq!(bench.expect_greeting(&chat()), json!({"token": "token", "key": 1}));
    let said = json!({"message": "no", "data": {"code": "forbidden", "plan": "free"}});
    bench.namespace_packet(&chat(), Packet::ConnectError { data: Some(payload(&said)) });
    assert_eq!(bench.replies[&request].as_ref().unwrap_err().code, Code::Forbidden);
    let status = bench.last_namespace();
    assert_eq!((status.state, status.cause), (NamespaceState::Idle, Some(DisconnectCause::Refused)));
    assert_eq!(serde_json::to_value(&status).unwrap()["data"], said["data"]);
    assert!(bench.session_is_open());
}

#[test]
fn a_namespace_that_the_server_ends_stays_ended_until_it_is_asked_for() {
    let mut bench = Bench::opened();
    connect_chat(&mut bench);
    bench.expect_greeting(&chat());
    bench.namespace_packet(&chat(), Packet::Connect { data: None });
    bench.namespace_packet(&chat(), Packet::Disconnect);
    assert_eq!(bench.last_namespace().cause, Some(DisconnectCause::NamespaceDisconnect));
    bench.reconnect();
    assert!(bench.sent.is_empty());
    connect_chat(&mut bench);
    bench.expect_greeting(&chat());
}

#[test]
fn a_namespace_that_does_not_answer_is_given_up_and_asked_for_again() {
    let mut bench = Bench::opened();
    let request = connect_chat(&mut bench);
    bench.advance_ms(bench.settings.connect_timeout_ms);
    assert_eq!(bench.replies[&request].as_ref().unwrap_err().code, Code::Timeout);
    bench.sent.clear();
    connect_chat(&mut bench);
    bench.expect_greeting(&chat());
}

#[test]
fn the_end_of_a_connection_has_a_cause() {
    let mut bench = Bench::opened();
    assert_eq!(bench.status().cause, None);
    bench.packet(Packet::Disconnect);
    assert_eq!(bench.status().cause, Some(DisconnectCause::ServerDisconnect));
    bench.retry();
    bench.message(Message::Close);
    assert_eq!(bench.status().cause, Some(DisconnectCause::TransportClosed));
    bench.retry();
    bench.advance_ms(PING_INTERVAL_MS + PING_TIMEOUT_MS);
    assert_eq!(bench.status().cause, Some(DisconnectCause::PingTimeout));
    bench.retry();
    bench.call(Command::SetToken { token: Some("other".into()), expires_at_ms: None }).unwrap();
    assert_eq!(bench.status().cause, Some(DisconnectCause::TokenChanged));
    bench.accept();
    bench.call(Command::Disconnect).unwrap();
    assert_eq!(bench.status().cause, Some(DisconnectCause::ClientDisconnect));
    bench.start(Command::Connect);
    bench.advance_ms(bench.settings.connect_timeout_ms);
    assert_eq!(bench.status().cause, Some(DisconnectCause::ConnectTimeout));
}

#[test]
fn what_a_refusal_carries_is_in_the_status() {
    let mut bench = Bench::new();
    bench.start(Command::Connect);
    let said = json!({"message": "too many devices", "data": {"devices": 3}});
    bench.packet(Packet::ConnectError { data: Some(payload(&said)) });
    let status = bench.status();
    assert_eq!(
        (status.cause, status.reason.clone().unwrap().code),
        (Some(DisconnectCause::Refused), Code::Unauthorized)
    );
    assert_eq!(serde_json::to_value(&status).unwrap()["data"], said["data"]);
    bench.call(Command::SetToken { token: Some("another".into()), expires_at_ms: None }).unwrap();
    bench.accept();
    assert_eq!(bench.status().data, None);
}

#[test]
fn a_session_that_the_server_continues_is_told_and_its_rooms_are_left_there_too() {
    let mut bench = Bench::new();
    bench.call(join()).unwrap();
    bench.start(Command::Connect);
    bench.accept_as("p1");
    let ack = bench.expect_ask("room:join");
    bench.answer(ack, &json!({"ok": true}));
    bench.server_event("any", &[json!("offset-1")], None);
    assert!(!bench.status().recovered);
    bench.lose_connection();
    bench.call(leave()).unwrap();
    let delay_ms = bench.retry_in_ms();
    bench.advance_ms(delay_ms);
    bench.accept_as("p1");
    assert!(bench.status().recovered);
    assert_eq!(bench.expect_event().1, "room:leave");
    bench.lose_connection();
    let status = bench.status();
    assert!(!status.recovered);
}

/// Whether a session goes on when a token takes the place of another.
fn goes_on(old: &str, new: &str) -> bool {
    let mut bench = Bench::with_token(at_once(), Some(old));
    bench.start(Command::Connect);
    bench.accept_as("p1");
    bench.server_event("any", &[json!("offset-1")], None);
    bench.call(Command::SetToken { token: Some(new.into()), expires_at_ms: None }).unwrap();
    assert_eq!(bench.farewells, 0, "a server forgets a session that says goodbye");
    bench.accept_as("p1");
    bench.status().recovered
}

#[test]
fn a_newer_token_of_the_same_user_continues_the_session_and_any_other_does_not() {
    // {"sub":"ada","exp":1}, {"sub":"ada","exp":2} and {"sub":"eve","exp":2}
    let [ada, newer, eve] =
        ["eyJzdWIiOiJhZGEiLCJleHAiOjF9", "eyJzdWIiOiJhZGEiLCJleHAiOjJ9", "eyJzdWIiOiJldmUiLCJleHAiOjJ9"]
            .map(|claims| format!("e30.{claims}.c2ln"));
    assert!(goes_on(&ada, &newer));
    assert!(!goes_on(&ada, &eve));
    assert!(!goes_on("opaque", "another"));
}

#[test]
fn a_closed_client_answers_who_waits() {
    let mut bench = Bench::new();
    let request = bench.start(ask("a", None));
    bench.call(Command::Close).unwrap();
    assert_eq!(bench.replies[&request], Err(Error::closed()));
}
