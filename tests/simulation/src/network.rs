//! A TCP connection: two streams of bytes, each in order, each with its own delays.
//!
//! Frames travel as bytes, so that a connection can end within one. What a stream carries when an end dies may still
//! arrive, as far as a random byte, and later than what a newer connection carries.

use std::collections::VecDeque;

use syncline::transport::Frame;

use crate::random::Random;

/// A frame's kind and length, before its payload.
const HEADER_BYTES: usize = 5;
const TEXT: u8 = 1;
const BINARY: u8 = 2;

/// One direction of a connection.
#[derive(Debug, Default)]
pub struct Pipe {
    segments: VecDeque<Segment>,
    /// Arrived, and not a whole frame yet.
    arrived: Vec<u8>,
    /// When the other end is told that there is no more.
    end_us: Option<u64>,
    last_us: u64,
    /// When the world looks at it next.
    alarm_us: Option<u64>,
}

#[derive(Debug)]
struct Segment {
    at_us: u64,
    bytes: Vec<u8>,
}

/// What came out of a pipe.
#[derive(Debug, Default)]
pub struct Received {
    pub frames: Vec<Frame>,
    pub ended: bool,
}

impl Pipe {
    /// Puts frames on their way; whatever was sent later arrives later.
    pub fn send(&mut self, frames: &[Frame], now_us: u64, delay_us: u64, random: &mut Random) {
        if self.end_us.is_some() {
            return;
        }
        let mut bytes = Vec::new();
        for frame in frames {
            write_frame(frame, &mut bytes);
        }
        let mut at_us = self.last_us.max(now_us + delay_us);
        if random.percent(20) {
            let rest = bytes.split_off(random.index(bytes.len() + 1));
            self.segments.push_back(Segment { at_us, bytes });
            bytes = rest;
            at_us += random.between(1, 1 + delay_us);
        }
        self.segments.push_back(Segment { at_us, bytes });
        self.last_us = at_us;
    }

    /// Loses what is under way from a random byte on.
    pub fn cut(&mut self, random: &mut Random) {
        let under_way: usize = self.segments.iter().map(|segment| segment.bytes.len()).sum();
        let mut kept = random.index(under_way + 1);
        for segment in &mut self.segments {
            segment.bytes.truncate(kept);
            kept -= segment.bytes.len();
        }
        self.segments.retain(|segment| !segment.bytes.is_empty());
    }

    /// No more is sent; the reader hears of it behind what is under way.
    pub fn end(&mut self, at_us: u64) {
        if self.end_us.is_none() {
            self.end_us = Some(at_us.max(self.last_us));
        }
    }

    /// When the next byte, or the end, arrives.
    pub fn next_us(&self) -> Option<u64> {
        self.segments.front().map(|segment| segment.at_us).or(self.end_us)
    }

    /// The time at which the world is to look again, unless it does so earlier anyway.
    pub fn set_alarm(&mut self, at_us: u64) -> Option<u64> {
        let is_news = self.alarm_us.is_none_or(|alarm_us| at_us < alarm_us);
        if is_news {
            self.alarm_us = Some(at_us);
        }
        is_news.then_some(at_us)
    }

    /// The world looks.
    pub fn clear_alarm(&mut self, now_us: u64) {
        self.alarm_us = self.alarm_us.filter(|alarm_us| *alarm_us > now_us);
    }

    /// Segments under way.
    pub fn len(&self) -> usize {
        self.segments.len()
    }

    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Reads what has arrived, but no segment beyond `segments_max`.
    pub fn receive(&mut self, now_us: u64, segments_max: usize) -> Received {
        for _ in 0..segments_max {
            let Some(segment) = self.segments.pop_front_if(|next| next.at_us <= now_us) else { break };
            self.arrived.extend(segment.bytes);
        }
        let mut read = 0;
        let mut frames = Vec::new();
        while let Some((frame, bytes)) = read_frame(&self.arrived[read..]) {
            frames.push(frame);
            read += bytes;
        }
        self.arrived.drain(..read);
        let ended = self.segments.is_empty() && self.end_us.is_some_and(|end_us| end_us <= now_us);
        Received { frames, ended }
    }
}

fn write_frame(frame: &Frame, out: &mut Vec<u8>) {
    let (kind, payload): (u8, &[u8]) = match frame {
        Frame::Text(text) => (TEXT, text.as_bytes()),
        Frame::Binary(bytes) => (BINARY, bytes),
    };
    out.push(kind);
    out.extend(u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(payload);
}

/// The first frame in these bytes, and how many of them it takes.
fn read_frame(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let [kind, length @ ..] = *header;
    let payload = rest.get(..usize::try_from(u32::from_le_bytes(length)).ok()?)?;
    let frame = match kind {
        TEXT => Frame::Text(String::from_utf8_lossy(payload).into_owned()),
        _ => Frame::Binary(payload.to_vec().into()),
    };
    Some((frame, HEADER_BYTES + payload.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Vec<Frame> {
        vec![
            Frame::Text("4[\"é\"]".to_owned()),
            Frame::Binary(vec![0; 70].into()),
            Frame::Text(String::new()),
        ]
    }

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_split() {
        for seed in 0..50 {
            let (mut pipe, mut random) = (Pipe::default(), Random::new(seed));
            for frame in frames() {
                pipe.send(&[frame], 0, 10, &mut random);
            }
            let mut read = Vec::new();
            while let Some(at_us) = pipe.next_us() {
                read.extend(pipe.receive(at_us, 1).frames);
            }
            assert_eq!(read, frames());
        }
    }

    #[test]
    fn a_cut_leaves_whole_frames_only_and_then_the_end() {
        let mut lengths = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let (mut pipe, mut random) = (Pipe::default(), Random::new(seed));
            pipe.send(&frames(), 0, 10, &mut random);
            pipe.cut(&mut random);
            pipe.end(20);
            let received = pipe.receive(1_000, usize::MAX);
            assert!(frames().starts_with(&received.frames));
            assert!(received.ended);
            lengths.insert(received.frames.len());
        }
        assert!(lengths.len() > 1);
    }
}
