//! Events of the server that the app has not taken yet. They are hints: when there are too many, the oldest give way.

use std::collections::VecDeque;

use super::types::SocketMessage;
use crate::argument::Argument;
use crate::engine::io::Event;
use crate::error::{Code, Error};

#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct InboxLimits {
    pub(in crate::engine) count_max: u64,
    pub(in crate::engine) bytes_max: u64,
}

#[derive(Debug, Default)]
pub(in crate::engine) struct Inbox {
    messages: VecDeque<SocketMessage>,
    bytes: u64,
    /// Since the app was told.
    dropped: u64,
    dropped_in_all: u64,
}

impl Inbox {
    /// Returns the tokens of answers that the app will never give, because it will not see the question.
    pub(in crate::engine) fn push(&mut self, message: SocketMessage, limits: InboxLimits) -> Vec<u64> {
        self.bytes += byte_len(&message);
        self.messages.push_back(message);
        let mut unanswerable = Vec::new();
        while self.messages.len() as u64 > limits.count_max || self.bytes > limits.bytes_max {
            let Some(oldest) = self.messages.pop_front() else { break };
            self.bytes -= byte_len(&oldest);
            self.dropped += 1;
            self.dropped_in_all += 1;
            unanswerable.extend(oldest.ack);
        }
        unanswerable
    }

    pub(in crate::engine) fn poll_events(&mut self, events: &mut Vec<Event>) {
        self.bytes = 0;
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            let message = format!("the app took its messages too late: the oldest {dropped} were dropped");
            events.push(Event::Error { error: Error::new(Code::QueueFull, message).into() });
        }
        events.extend(self.messages.drain(..).map(Event::Message));
    }

    /// How many gave way since the client was opened.
    pub(in crate::engine) fn dropped_in_all(&self) -> u64 {
        self.dropped_in_all
    }

    pub(in crate::engine) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn byte_len(message: &SocketMessage) -> u64 {
    let args = message.args.iter().map(Argument::byte_len).sum::<usize>();
    (message.namespace.len() + message.event.len() + args) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u64) -> SocketMessage {
        SocketMessage {
            namespace: "/".to_owned(),
            event: "e".to_owned(),
            args: vec![Argument::String("x".repeat(100))],
            ack: Some(number),
        }
    }

    fn filled(limits: InboxLimits) -> (Vec<u64>, Vec<Event>) {
        let mut inbox = Inbox::default();
        let unanswerable = (1..=3).flat_map(|number| inbox.push(message(number), limits)).collect();
        let mut events = Vec::new();
        inbox.poll_events(&mut events);
        (unanswerable, events)
    }

    #[test]
    fn beyond_the_caps_the_oldest_give_way_and_that_is_told_once() {
        for limits in
            [InboxLimits { count_max: 2, bytes_max: 10_000 }, InboxLimits { count_max: 10, bytes_max: 250 }]
        {
            let (unanswerable, events) = filled(limits);
            assert_eq!(unanswerable, [1]);
            assert!(matches!(&events[0], Event::Error { error } if error.code == Code::QueueFull));
            assert_eq!(events[1..], [Event::Message(message(2)), Event::Message(message(3))]);
        }
    }

    #[test]
    fn what_gave_way_is_counted_as_long_as_the_client_is_open() {
        let limits = InboxLimits { count_max: 1, bytes_max: 10_000 };
        let mut inbox = Inbox::default();
        for number in 1..=4 {
            inbox.push(message(number), limits);
            inbox.poll_events(&mut Vec::new());
            inbox.push(message(number), limits);
            inbox.push(message(number), limits);
        }
        // The first three times, one of the three was there when the next came.
        assert_eq!(inbox.dropped_in_all(), 7);
    }

    #[test]
    fn within_the_caps_all_are_told_in_order() {
        let (unanswerable, events) = filled(InboxLimits { count_max: 3, bytes_max: 10_000 });
        assert_eq!(unanswerable, [0; 0]);
        assert_eq!(events, [1, 2, 3].map(|number| Event::Message(message(number))));
    }
}
