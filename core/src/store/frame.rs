//! How records stand in a journal file, and how they are found again in a damaged one. Pure but for reading.
//!
//! A file is a header, then frames, then zeros. A frame is `marker, tag, length, CRC32C, payload`, integers little
//! endian. The tag is the segment's own random number: bytes of another segment, or bytes of a payload that look
//! like a frame, do not pass for a frame. The CRC covers tag, length and payload; zeros never validate.

use std::io::{self, BufRead as _, BufReader, Read};
use std::ops::Range;

use syncline_protocol::sabotage::{Sabotage, is_active};

use super::crypt::{KEY_ID_BYTES, KeyId};

/// The newest format that this version reads.
pub(super) const FORMAT_VERSION: u32 = SEALED_VERSION;
/// Records in the clear.
const CLEAR_VERSION: u32 = 1;
/// Sealed records, with the key's id in the header.
const SEALED_VERSION: u32 = 2;
/// The longest payload, in bytes: an entry or outcome with a document of the largest size, several times over.
pub(super) const RECORD_BYTES_MAX: usize = 4 << 20;
pub(super) const HEADER_BYTES: usize = 32;
pub(super) const FRAME_HEADER_BYTES: usize = 16;

const KEY_ID: Range<usize> = 16..16 + KEY_ID_BYTES;
const MAGIC: [u8; 8] = *b"synclnj\xF5";
// Not UTF-8, so it does not occur within text.
const MARKER: [u8; 4] = [0xF5, 0xC1, 0xFE, 0xA7];
const READ_BYTES: usize = 256 << 10;
/// What is read at once of frames that are only checked, in bytes: it stays in the processor's cache.
const CHECKED_BYTES: usize = 64 << 10;

/// What the first bytes of a file say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    Valid { tag: u32, key_id: Option<KeyId> },
    TooNew { version: u32 },
    Damaged,
}

impl Header {
    pub(super) fn encode(tag: u32, key_id: Option<KeyId>) -> [u8; HEADER_BYTES] {
        let version = if key_id.is_some() { SEALED_VERSION } else { CLEAR_VERSION };
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&version.to_le_bytes());
        bytes[12..16].copy_from_slice(&tag.to_le_bytes());
        bytes[KEY_ID].copy_from_slice(&key_id.unwrap_or_default());
        let crc = crc32c::crc32c(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Self {
        let Some(bytes) = bytes.get(..HEADER_BYTES) else { return Self::Damaged };
        if bytes[..8] != MAGIC || crc32c::crc32c(&bytes[..28]) != u32_at(bytes, 28) {
            return Self::Damaged;
        }
        match u32_at(bytes, 8) {
            CLEAR_VERSION => Self::Valid { tag: u32_at(bytes, 12), key_id: None },
            SEALED_VERSION => {
                let mut key_id = KeyId::default();
                key_id.copy_from_slice(&bytes[KEY_ID]);
                Self::Valid { tag: u32_at(bytes, 12), key_id: Some(key_id) }
            }
            version if version > FORMAT_VERSION => Self::TooNew { version },
            _ => Self::Damaged,
        }
    }
}

/// Adds a frame. The payload must not exceed [`RECORD_BYTES_MAX`].
pub(super) fn encode_frame(into: &mut Vec<u8>, tag: u32, payload: &[u8]) {
    debug_assert!(payload.len() <= RECORD_BYTES_MAX);
    #[allow(clippy::cast_possible_truncation)]
    let length = payload.len() as u32;
    into.extend_from_slice(&MARKER);
    into.extend_from_slice(&tag.to_le_bytes());
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(&frame_crc(tag, length, payload).to_le_bytes());
    into.extend_from_slice(payload);
}

/// A journal of these records, whose checksums are right, for `tests/fuzz`.
#[cfg(fuzzing)]
pub fn fuzz_journal<'a>(records: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    const TAG: u32 = 7;
    let mut bytes = Header::encode(TAG, None).to_vec();
    for record in records {
        if record.len() <= RECORD_BYTES_MAX {
            encode_frame(&mut bytes, TAG, record);
        }
    }
    bytes
}

/// How long the frame that begins with these bytes says it is, with its header; `None` if none begins there.
pub(super) fn frame_length(bytes: &[u8], tag: u32) -> Option<usize> {
    let header = bytes.get(..FRAME_HEADER_BYTES)?;
    let length = u32_at(header, 8) as usize;
    let begins = header[..4] == MARKER && u32_at(header, 4) == tag && length <= RECORD_BYTES_MAX;
    begins.then_some(FRAME_HEADER_BYTES + length)
}

/// The payload of the frame that begins with these bytes; `None` if it is not whole.
pub(super) fn frame_payload(bytes: &[u8], tag: u32) -> Option<&[u8]> {
    let payload = bytes.get(FRAME_HEADER_BYTES..frame_length(bytes, tag)?)?;
    let valid = frame_crc(tag, u32_at(bytes, 8), payload) == u32_at(bytes, 12);
    valid.then_some(payload)
}

/// What a file holds after its header, as offsets in the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// The tag of the frames; known from the header or, if that is lost, from the first valid frame.
    pub(super) tag: Option<u32>,
    /// Where valid frames stand; neighbours are joined.
    pub(super) valid: Vec<Range<u64>>,
    /// What stands between them.
    pub(super) damaged: Vec<Range<u64>>,
    /// Bytes other than zeros after the last valid frame: a torn write, or damage.
    pub(super) tail: Range<u64>,
    pub(super) file_bytes: u64,
}

impl Scan {
    /// Valid frames stand before what was scanned, too.
    pub(super) fn add_before(&mut self, range: Range<u64>) {
        match self.valid.first_mut() {
            _ if range.is_empty() => {}
            Some(first) if first.start == range.end => first.start = range.start,
            _ => self.valid.insert(0, range),
        }
    }
}

/// Whether valid frames stand in a range, one behind the other, and nothing else. `source` stands at its beginning; where it ends
/// within a frame, that is an error.
pub(super) fn is_whole(source: impl Read, range: Range<u64>, tag: u32) -> io::Result<bool> {
    let mut source = BufReader::with_capacity(CHECKED_BYTES, source);
    let mut offset = range.start;
    while offset < range.end {
        let mut header = [0; FRAME_HEADER_BYTES];
        source.read_exact(&mut header)?;
        let Some(length) = frame_length(&header, tag) else { return Ok(false) };
        let mut left = length - FRAME_HEADER_BYTES;
        let mut crc = crc32c::crc32c(&header[4..12]);
        while left > 0 {
            let read = source.fill_buf()?;
            let taken = read.len().min(left);
            if taken == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            crc = crc32c::crc32c_append(crc, &read[..taken]);
            source.consume(taken);
            left -= taken;
        }
        if crc != u32_at(&header, 12) && !is_active(Sabotage::ChecksumIgnored) {
            return Ok(false);
        }
        offset += length as u64;
    }
    Ok(offset == range.end)
}

/// Visits the tag, the offset and the payload of every valid frame from `offset` on, where `source` stands.
pub(super) fn scan(
    source: impl Read,
    offset: u64,
    tag: Option<u32>,
    visit: &mut dyn FnMut(u32, u64, &[u8]),
) -> io::Result<Scan> {
    let mut window = Window { source, bytes: Vec::new(), start: 0, offset, at_end: false };
    let mut scan = Scan { tag, ..Scan::default() };
    loop {
        if let Some((frame_tag, length)) = window.frame_at_start(scan.tag)? {
            let offset = window.offset;
            visit(frame_tag, offset, &window.peek(length)?[FRAME_HEADER_BYTES..]);
            let frame = window.offset..window.offset + length as u64;
            match scan.valid.last_mut() {
                Some(last) if last.end == frame.start => last.end = frame.end,
                _ => scan.valid.push(frame),
            }
            scan.tag = Some(frame_tag);
            window.skip(length);
            continue;
        }
        let from = window.offset;
        let not_zero_until = window.skip_to_frame(scan.tag)?;
        if window.peek(1)?.is_empty() {
            scan.tail = from..not_zero_until.max(from);
            scan.file_bytes = window.offset;
            return Ok(scan);
        }
        scan.damaged.push(from..window.offset);
    }
}

/// The part of a file that is being looked at. Holds one frame and one read at most.
struct Window<R> {
    source: R,
    bytes: Vec<u8>,
    start: usize,
    /// Of `start`, in the file.
    offset: u64,
    at_end: bool,
}

impl<R: Read> Window<R> {
    /// The next bytes; fewer than asked for only at the end of the file.
    fn peek(&mut self, length: usize) -> io::Result<&[u8]> {
        while self.bytes.len() - self.start < length && !self.at_end {
            self.bytes.drain(..self.start);
            self.start = 0;
            let read = (&mut self.source).take(READ_BYTES as u64).read_to_end(&mut self.bytes)?;
            self.at_end = read < READ_BYTES;
        }
        let end = self.bytes.len().min(self.start + length);
        Ok(&self.bytes[self.start..end])
    }

    fn skip(&mut self, length: usize) {
        self.start += length;
        self.offset += length as u64;
    }

    /// The tag, and the length with its header, of a valid frame that begins here.
    fn frame_at_start(&mut self, tag: Option<u32>) -> io::Result<Option<(u32, usize)>> {
        let header = self.peek(FRAME_HEADER_BYTES)?;
        if header.len() < FRAME_HEADER_BYTES || header[..4] != MARKER {
            return Ok(None);
        }
        let frame_tag = u32_at(header, 4);
        let payload_length = u32_at(header, 8);
        let crc = u32_at(header, 12);
        let length = FRAME_HEADER_BYTES + payload_length as usize;
        if tag.is_some_and(|tag| tag != frame_tag) || length > FRAME_HEADER_BYTES + RECORD_BYTES_MAX {
            return Ok(None);
        }
        let frame = self.peek(length)?;
        let valid = frame.len() == length
            && (frame_crc(frame_tag, payload_length, &frame[FRAME_HEADER_BYTES..]) == crc
                || is_active(Sabotage::ChecksumIgnored));
        Ok(valid.then_some((frame_tag, length)))
    }

    /// Goes on to the next valid frame, or to the end of the file. Returns the offset after the last byte on the
    /// way that is not zero, 0 if there is none.
    fn skip_to_frame(&mut self, tag: Option<u32>) -> io::Result<u64> {
        let mut not_zero_until = 0;
        // Nothing valid begins at the first byte: that is why the caller came here.
        let mut candidate_is_known_bad = true;
        loop {
            let bytes = self.peek(READ_BYTES)?;
            if bytes.is_empty() {
                return Ok(not_zero_until);
            }
            let from = usize::from(candidate_is_known_bad);
            let marker = bytes[from..].iter().position(|&byte| byte == MARKER[0]).map(|at| from + at);
            let length = marker.unwrap_or(bytes.len());
            let last_not_zero = bytes[..length].iter().rposition(|&byte| byte != 0);
            if let Some(last) = last_not_zero {
                not_zero_until = self.offset + last as u64 + 1;
            }
            self.skip(length);
            if marker.is_some() && self.frame_at_start(tag)?.is_some() {
                return Ok(not_zero_until);
            }
            candidate_is_known_bad = marker.is_some();
        }
    }
}

fn frame_crc(tag: u32, length: u32, payload: &[u8]) -> u32 {
    let mut head = [0; 8];
    head[..4].copy_from_slice(&tag.to_le_bytes());
    head[4..].copy_from_slice(&length.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&head), payload)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}
