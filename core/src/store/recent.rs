//! The end of a file that only grows, kept in memory.

/// What is kept at least, in bytes, and twice as much at most: what is written is mostly read again soon, or never.
const RECENT_BYTES: usize = 128 << 10;

#[derive(Debug)]
pub(super) struct Recent {
    bytes: Vec<u8>,
    /// Of the first byte, in the file.
    start: u64,
}

impl Recent {
    /// Nothing yet, of a file that ends here.
    pub(super) fn after(end: u64) -> Self {
        Self { bytes: Vec::new(), start: end }
    }

    /// The file grew.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() <= 2 * RECENT_BYTES {
            return self.bytes.extend_from_slice(bytes);
        }
        let (_, newest) = bytes.split_at(bytes.len().saturating_sub(RECENT_BYTES));
        let kept_before = (RECENT_BYTES - newest.len()).min(self.bytes.len());
        self.start += (self.bytes.len() - kept_before + bytes.len() - newest.len()) as u64;
        self.bytes.drain(..self.bytes.len() - kept_before);
        self.bytes.extend_from_slice(newest);
    }

    /// What stands in the file from this offset on; `None` if its beginning is not kept.
    pub(super) fn from(&self, offset: u64) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..).filter(|bytes| !bytes.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_file_is_kept_and_nothing_else() {
        let mut file = vec![0; 32];
        let mut recent = Recent::after(32);
        for length in
            [1, RECENT_BYTES, 10, RECENT_BYTES - 1, 2 * RECENT_BYTES + 1, 3, RECENT_BYTES, RECENT_BYTES]
        {
            let added: Vec<u8> = (0..length).map(|byte| (byte % 251) as u8).collect();
            recent.add(&added);
            file.extend(added);
            assert!(recent.bytes.len() <= 2 * RECENT_BYTES);
            assert!(recent.bytes.len() >= RECENT_BYTES.min(file.len() - 32));
            assert_eq!(recent.start as usize + recent.bytes.len(), file.len());
            for offset in [recent.start, file.len() as u64 - 1] {
                assert_eq!(recent.from(offset), file.get(offset as usize..));
            }
            assert_eq!((recent.from(recent.start - 1), recent.from(file.len() as u64)), (None, None));
        }
    }
}
