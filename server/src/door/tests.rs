#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn door() -> Arc<Door> {
    let config = DoorConfig {
        strangers_max: 3,
        strangers_per_address_max: 2,
        stranger_bytes_max: 100,
        ..DoorConfig::default()
    };
    Door::new(&config)
}

fn peer(text: &str) -> SocketAddr {
    SocketAddr::new(text.parse().unwrap(), 1)
}

/// A session of ann, who may have two.
fn accept(door: &Arc<Door>, session: &str) -> Option<Known> {
    door.accept(session, &"ann".into(), 2)
}

#[test]
fn strangers_are_bounded_per_address_and_in_total_until_they_are_known_or_gone() {
    let door = door();
    let first = door.admit(peer("192.0.2.1")).unwrap();
    let second = door.admit(peer("192.0.2.1")).unwrap();
    assert!(door.admit(peer("192.0.2.1")).is_none(), "a third of one address");
    first.welcome();
    let third = door.admit(peer("192.0.2.1")).unwrap();
    let fourth = door.admit(peer("192.0.2.2")).unwrap();
    assert!(door.admit(peer("192.0.2.3")).is_none(), "a fourth in all");
    drop((first, second, third, fourth));
    let inner = door.inner();
    assert_eq!((inner.strangers, inner.strangers_of.len()), (0, 0));
}

#[test]
fn a_network_of_ipv6_is_one_address_and_this_machine_is_none() {
    let door = door();
    let held: Vec<_> = ["2001:db8::1", "2001:db8::2"].map(|text| door.admit(peer(text)).unwrap()).into();
    assert!(door.admit(peer("2001:db8::3")).is_none());
    drop(held);
    let held: Vec<_> = (0..3).map(|_| door.admit(peer("127.0.0.1")).unwrap()).collect();
    assert_eq!(held.len(), 3);
}

#[test]
fn a_stranger_may_send_little_until_its_session_is_accepted() {
    let door = door();
    let visitor = door.admit(peer("192.0.2.1")).unwrap();
    assert!(visitor.sent(60));
    assert!(!visitor.sent(60));
    visitor.claim("s");
    assert!(!visitor.sent(60));
    let known = accept(&door, "s").unwrap();
    assert!(visitor.sent(1_000_000));
    let later = door.admit(peer("192.0.2.1")).unwrap();
    later.claim("s");
    assert!(later.sent(1_000_000), "a connection of a session that is known");
    drop(known);
    let impostor = door.admit(peer("192.0.2.1")).unwrap();
    impostor.claim("s");
    assert!(!impostor.sent(1_000_000));
    drop((visitor, later, impostor));
    let inner = door.inner();
    assert!(inner.sessions.is_empty() && inner.waiting.is_empty() && inner.strangers == 0);
}

#[test]
fn all_connections_of_a_session_are_known_once_it_is_accepted() {
    let door = door();
    let polling = door.admit(peer("192.0.2.1")).unwrap();
    let socket = door.admit(peer("192.0.2.1")).unwrap();
    let gone = door.admit(peer("192.0.2.2")).unwrap();
    for visitor in [&socket, &gone, &polling] {
        visitor.claim("s");
    }
    drop(gone);
    let _known = accept(&door, "s");
    assert!(polling.sent(1_000_000) && socket.sent(1_000_000));
    assert!(door.inner().waiting.is_empty());
}

#[test]
fn a_user_has_so_many_sessions_and_others_have_theirs() {
    let door = door();
    let (first, second) = (accept(&door, "a"), accept(&door, "b"));
    assert!(first.is_some() && second.is_some());
    assert!(accept(&door, "c").is_none());
    assert!(door.accept("d", &"bob".into(), 2).is_some());
    drop(first);
    assert!(accept(&door, "c").is_some());
    drop(second);
    let inner = door.inner();
    assert!(inner.sessions.is_empty() && inner.sessions_of.is_empty());
}
