//! `presence`: all members of a room come at once, and then all show something new at once.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use serde_json::json;

use super::contenders;
use super::served::{ROOM, Served};
use super::socket::Socket;
use crate::contender::{Answer, Order};
use crate::process::cpu_s_of;
use crate::scenario::{BenchError, Block, Figure, Scenario, Work};

const MEMBERS: usize = 500;

/// Members connected at a time before any of them joins.
const CONNECTING: usize = 64;

const PATIENCE: Duration = Duration::from_secs(60);

const JOINED: &str = "all join at once, until each knows all";
const CHANGED: &str = "all change at once, until each knows all";
const JOINED_CPU: &str = "what joining takes of the server's processor";
const CHANGED_CPU: &str = "what changing takes of the server's processor";

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "presence",
    description: "500 members of a room join at once, then change what they show at once",
    contenders: &contenders("presence/syncline", "presence/socketio"),
    blocks: &[Block {
        name: JOINED,
        samples: 1,
        work: Work::Concurrent(MEMBERS),
        unit: "s",
        also: &[
            Figure { name: JOINED_CPU, unit: "s" },
            Figure { name: CHANGED, unit: "s" },
            Figure { name: CHANGED_CPU, unit: "s" },
        ],
    }],
    rounds: 3,
    goals: &[],
};

/// What everybody shows, before and after the change.
const SHOWN: [&str; 2] = ["before", "after"];

/// Socket.IO's farewell.
const DISCONNECTED: &[u8] = b"41";

/// Where a member begins in a message.
const MEMBER: &[u8] = b"\"client_id\":\"";

/// A member, and whose state it has heard of.
struct Member {
    socket: Socket,
    number: usize,
    heard: Vec<bool>,
    missing: usize,
}

pub(super) async fn run(served: &Served, order: &Order) -> Result<Answer, BenchError> {
    let count = order.work.operations();
    let mut members = Vec::new();
    for first in (0..count).step_by(CONNECTING) {
        let connecting =
            (first..count.min(first + CONNECTING)).map(|number| Member::connect(served, number, count));
        members.extend(try_join_all(connecting).await?);
    }
    let mut figures = Vec::new();
    for (event, shown) in ["presence:join", "presence:update"].into_iter().zip(SHOWN) {
        let (started, before) = (Instant::now(), cpu_s_of(served.process_id())?);
        let all = members.into_iter().map(|member| member.show(event, shown));
        let done = tokio::time::timeout(PATIENCE, try_join_all(all)).await;
        members = done.map_err(|_| BenchError::failed("presence", "somebody was not heard of"))??;
        figures.push(vec![started.elapsed().as_secs_f64()]);
        figures.push(vec![cpu_s_of(served.process_id())? - before]);
    }
    let also = figures.split_off(1);
    Ok(Answer { values: figures.concat(), also, bytes: None })
}

impl Member {
    async fn connect(served: &Served, number: usize, count: usize) -> Result<Self, BenchError> {
        let socket = served.connect(number as u64).await?;
        Ok(Self { socket, number, heard: vec![false; count], missing: count })
    }

    /// Shows something, and reads until everybody else has shown it.
    async fn show(mut self, event: &str, shown: &str) -> Result<Self, BenchError> {
        self.heard.fill(false);
        self.heard[self.number] = true;
        self.missing = self.heard.len() - 1;
        let state = json!({"name": format!("member {}", self.number), "at": shown});
        self.socket.request(event, &json!({"room": ROOM, "state": state})).await?;
        let (heard, missing) = (&mut self.heard, &mut self.missing);
        while *missing > 0 {
            let text = self.socket.text().await?;
            if text.starts_with(DISCONNECTED) {
                return Err(BenchError::failed("presence", "the server disconnected a member"));
            }
            hear(text, shown, heard, missing);
        }
        Ok(self)
    }
}

/// Notes whose state a message has. It is not read as JSON, which would measure this process.
fn hear(text: &[u8], shown: &str, heard: &mut [bool], missing: &mut usize) {
    let shown = format!("\"at\":\"{shown}\"");
    let mut starts = positions(text, MEMBER).peekable();
    while let Some(start) = starts.next() {
        let member = &text[start + MEMBER.len()..starts.peek().copied().unwrap_or(text.len())];
        let number = member.get(24..36).and_then(|hex| std::str::from_utf8(hex).ok());
        let number = number.and_then(|hex| usize::from_str_radix(hex, 16).ok());
        if let Some(heard) = number.and_then(|number| heard.get_mut(number))
            && positions(member, shown.as_bytes()).next().is_some()
            && !std::mem::replace(heard, true)
        {
            *missing -= 1;
        }
    }
}

fn positions<'t>(text: &'t [u8], part: &'t [u8]) -> impl Iterator<Item = usize> + 't {
    text.windows(part.len()).enumerate().filter(move |(_, found)| *found == part).map(|(place, _)| place)
}
