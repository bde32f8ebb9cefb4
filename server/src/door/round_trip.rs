//! How long a client takes to answer a ping, seen on its WebSocket: engineioxide sends the pings, and does not tell.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Engine.IO's packets without data, as texts of WebSocket.
const PING: u8 = b'2';
const PONG: u8 = b'3';

/// The first byte of a text in one frame.
const WHOLE_TEXT: u8 = 0x81;

/// A frame's two fixed bytes, the longest length, and a mask.
const HEADER_BYTES_MAX: usize = 14;

/// What ends the head of the answer that makes a connection a WebSocket.
const HEAD_END: &[u8; 4] = b"\r\n\r\n";

/// The last round trip of one connection.
#[derive(Debug, Default)]
pub(super) struct RoundTrip {
    /// In microseconds; 0 before the first.
    last_us: AtomicU64,
}

impl RoundTrip {
    pub(super) fn last(&self) -> Option<Duration> {
        let us = self.last_us.load(Ordering::Relaxed);
        (us > 0).then(|| Duration::from_micros(us))
    }

    fn note(&self, elapsed: Duration) {
        let us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        self.last_us.store(us.max(1), Ordering::Relaxed);
    }
}

/// Watches both directions of a connection that has become a WebSocket.
#[derive(Debug, Default)]
pub(super) struct Heartbeat {
    head: Head,
    sent: Frames,
    received: Frames,
    pinged: Option<Instant>,
}

impl Heartbeat {
    /// The server wrote these bytes.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        let frames = self.head.skip(bytes);
        let mut is_ping = false;
        self.sent.read(frames, |packet| is_ping |= packet == PING);
        if is_ping {
            self.pinged = Some(Instant::now());
        }
    }

    /// The client wrote these bytes.
    pub(super) fn received(&mut self, bytes: &[u8], round_trip: &RoundTrip) {
        let mut is_pong = false;
        self.received.read(bytes, |packet| is_pong |= packet == PONG);
        if is_pong && let Some(pinged) = self.pinged.take() {
            round_trip.note(pinged.elapsed());
        }
    }
}

/// The head of an answer, up to its end.
#[derive(Debug, Default)]
struct Head {
    matched: usize,
}

impl Head {
    /// What follows it.
    fn skip<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        for (index, byte) in bytes.iter().enumerate() {
            match HEAD_END.get(self.matched) {
                None => return &bytes[index..],
                Some(wanted) if wanted == byte => self.matched += 1,
                Some(_) => self.matched = usize::from(*byte == HEAD_END[0]),
            }
        }
        &[]
    }
}

/// The frames of one direction, of which only texts of a single byte are looked at.
#[derive(Debug, Default)]
struct Frames {
    header: [u8; HEADER_BYTES_MAX],
    header_len: usize,
    payload_left: u64,
    /// The first byte of the mask, in a text of a single byte.
    single: Option<u8>,
}

impl Frames {
    fn read(&mut self, mut bytes: &[u8], mut on_single: impl FnMut(u8)) {
        while let Some((first, rest)) = bytes.split_first() {
            if self.payload_left > 0 {
                if let Some(mask) = self.single.take() {
                    on_single(first ^ mask);
                }
                let skipped = usize::try_from(self.payload_left).unwrap_or(usize::MAX).min(bytes.len());
                self.payload_left -= skipped as u64;
                bytes = &bytes[skipped..];
            } else {
                self.header[self.header_len] = *first;
                self.header_len += 1;
                self.begin_payload();
                bytes = rest;
            }
        }
    }

    /// Once the header is whole.
    fn begin_payload(&mut self) {
        let [kind, second, ..] = self.header;
        let (is_masked, short_len) = (second & 0x80 != 0, second & 0x7f);
        let long_len = match short_len {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask_at = 2 + long_len;
        if self.header_len < 2 || self.header_len < mask_at + if is_masked { 4 } else { 0 } {
            return;
        }
        let long = self.header[2..mask_at].iter().fold(0, |len: u64, byte| len << 8 | u64::from(*byte));
        self.payload_left = if long_len == 0 { short_len.into() } else { long };
        let mask = if is_masked { self.header[mask_at] } else { 0 };
        self.single = (kind == WHOLE_TEXT && self.payload_left == 1).then_some(mask);
        self.header_len = 0;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
        let masked = if mask.is_some() { 0x80 } else { 0 };
        let mut frame = vec![kind];
        match payload.len() {
            len @ 0..126 => frame.push(masked | u8::try_from(len).unwrap()),
            len @ 126..65_536 => {
                frame.push(masked | 126);
                frame.extend(u16::try_from(len).unwrap().to_be_bytes());
            }
            len => {
                frame.push(masked | 127);
                frame.extend((len as u64).to_be_bytes());
            }
        }
        frame.extend(mask.iter().flatten());
        let mask = mask.unwrap_or_default();
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    fn packets() -> impl Strategy<Value = (u8, Vec<u8>, Option<[u8; 4]>)> {
        let payload = prop_oneof![
            4 => prop::sample::select(vec![b"2".to_vec(), b"3".to_vec(), b"".to_vec(), b"2probe".to_vec()]),
            2 => prop::collection::vec(any::<u8>(), 0..300),
            1 => prop::collection::vec(any::<u8>(), 65_530..65_550),
        ];
        (prop::sample::select(vec![0x81, 0x82, 0x01, 0x80, 0x89]), payload, any::<Option<[u8; 4]>>())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn texts_of_one_byte_are_found_however_the_bytes_are_cut(
            all in prop::collection::vec(packets(), 0..8),
            step in 1_usize..2000,
        ) {
            let bytes: Vec<u8> = all.iter().flat_map(|(kind, text, mask)| frame(*kind, text, *mask)).collect();
            let wanted: Vec<u8> = all
                .iter()
                .filter(|(kind, text, _)| *kind == WHOLE_TEXT && text.len() == 1)
                .map(|(_, text, _)| text[0])
                .collect();
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            for part in bytes.chunks(step) {
                frames.read(part, |byte| found.push(byte));
            }
            prop_assert_eq!(found, wanted);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..4000), step in 1_usize..100) {
            let (mut heartbeat, round_trip) = (Heartbeat::default(), RoundTrip::default());
            for part in bytes.chunks(step) {
                heartbeat.sent(part);
                heartbeat.received(part, &round_trip);
            }
        }
    }

    #[test]
    fn a_round_trip_is_from_a_ping_after_the_head_to_the_next_pong() {
        let (mut heartbeat, round_trip) = (Heartbeat::default(), RoundTrip::default());
        let pong = frame(WHOLE_TEXT, b"3", Some([1, 2, 3, 4]));
        heartbeat.sent(b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\n\r");
        heartbeat.sent(b"\n");
        heartbeat.sent(&frame(WHOLE_TEXT, br#"0{"sid":"a"}"#, None));
        heartbeat.received(&pong, &round_trip);
        assert_eq!(round_trip.last(), None, "nobody asked");
        heartbeat.sent(&frame(WHOLE_TEXT, b"2", None));
        heartbeat.received(&frame(WHOLE_TEXT, b"42[]", Some([9; 4])), &round_trip);
        assert_eq!(round_trip.last(), None, "it is no answer to a ping");
        heartbeat.received(&pong, &round_trip);
        assert!(round_trip.last().is_some());
    }
}
