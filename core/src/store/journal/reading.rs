//! Records read again, one by one.

use std::io;
use std::ops::Range;

use super::super::StoreError;
use super::super::file_system::{FileSystem, OpenMode, Part, RandomAccessFile};
use super::super::frame::{HEADER_BYTES, Header, frame_length, frame_payload, is_whole};
use super::{Journal, Place, read_header};

/// What is read of a record at first, in bytes: most have no more.
const FIRST_READ_BYTES: usize = 1 << 10;

impl<F: FileSystem> Journal<F> {
    /// Whether the segment with this tag is in place, and whole from its beginning to the last of these places, each of which
    /// is the end of a record; and what `meanwhile` gives.
    pub(in crate::store) fn is_whole<T>(
        place: &Place<F>,
        tag: u32,
        ends: &[u64],
        meanwhile: impl FnOnce() -> T,
    ) -> io::Result<(bool, T)> {
        let file = place.files.open(&place.path(), OpenMode::Existing)?;
        let first = HEADER_BYTES as u64;
        let is_it = matches!(read_header(&file)?, Header::Valid { tag: found, .. } if found == tag);
        let begins = std::iter::once(first).chain(ends.iter().copied());
        let parts: Vec<_> = begins.zip(ends).filter(|_| is_it).map(|(begin, end)| begin..*end).collect();
        // What cannot be read is not whole, as far as anybody can tell.
        let check = |file: &F::File, part: Range<u64>| {
            is_whole(Part::of(file, part.clone()), part, tag).unwrap_or(false)
        };
        let (is_whole, value) = place.files.check_parts(&file, &parts, &check, meanwhile);
        Ok((is_it && is_whole, value))
    }

    /// Reads the record at this offset, committed or not, in the place of what `into` holds.
    ///
    /// # Errors
    /// `Io`, `Locked`: it may be read later. `Unreadable`: it is not there any more as it was written.
    pub(in crate::store) fn read(&self, offset: u64, into: &mut Vec<u8>) -> Result<(), StoreError> {
        into.clear();
        let after_end = offset.checked_sub(self.end);
        let held = match after_end {
            Some(after) => usize::try_from(after).ok().and_then(|after| self.pending.get(after..)),
            None => self.recent.from(offset),
        };
        if let Some(held) = held {
            return self.open_frame(held, offset, into);
        }
        let mut first = [0; FIRST_READ_BYTES];
        let read = read_fully(&self.file, offset, &mut first)?;
        let length = frame_length(&first[..read], self.sealing.tag).unwrap_or(0);
        if length <= read {
            return self.open_frame(&first[..read], offset, into);
        }
        let mut frame = vec![0; length];
        frame[..read].copy_from_slice(&first[..read]);
        read_fully(&self.file, offset + read as u64, &mut frame[read..])?;
        self.open_frame(&frame, offset, into)
    }

    fn open_frame(&self, frame: &[u8], offset: u64, into: &mut Vec<u8>) -> Result<(), StoreError> {
        let stored = frame_payload(frame, self.sealing.tag);
        let record = stored.and_then(|stored| self.sealing.open(stored));
        let record = record.ok_or_else(|| StoreError::Unreadable(format!("at byte {offset}")))?;
        into.extend_from_slice(&record);
        Ok(())
    }
}

/// Ranges of a file that follow each other in another one.
#[derive(Debug)]
pub(in crate::store) struct Moved(pub(super) Vec<Range<u64>>);

impl Moved {
    /// Where in the other file that stands which stood there; `None` if it was left out.
    pub(in crate::store) fn offset(&self, before: u64) -> Option<u64> {
        let mut offset = HEADER_BYTES as u64;
        for range in &self.0 {
            if range.contains(&before) {
                return Some(offset + before - range.start);
            }
            offset += range.end - range.start;
        }
        None
    }
}

/// Reads until `into` is full or the file ends, and returns how much it was.
fn read_fully(file: &impl RandomAccessFile, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < into.len() {
        match file.read_at(offset + read as u64, &mut into[read..]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
