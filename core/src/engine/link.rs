//! How much is put on a link at once: a slow one must end each transfer before one of the two ends gives the other up.

/// Sizes are halved this often at most.
const HALVINGS_MAX: u32 = 6;
/// A transfer that takes more than this part of the time that a request has is too large for the link.
const SLOW_PART: u64 = 4;
/// One that takes less than this part of it leaves room for larger ones.
const FAST_PART: u64 = 16;
/// What a transfer must have to say something of the link, in bytes, and less of it where less is put on it.
const TELLING_BYTES: u64 = 32 << 10;

/// Additive in its steps, multiplicative in sizes: each connection that ends over a transfer halves what the next one may hold,
/// each transfer that goes quickly doubles it again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Link {
    halvings: u32,
}

impl Link {
    /// A connection ended over a transfer that had waited for so long.
    pub(super) fn handle_broken(&mut self, waited_us: u64, timeout_ms: u64) {
        if waited_us >= timeout_ms.saturating_mul(1000) / SLOW_PART {
            self.halvings = (self.halvings + 1).min(HALVINGS_MAX);
        }
    }

    /// A transfer of so many bytes took so long.
    pub(super) fn handle_done(&mut self, bytes: u64, took_us: u64, timeout_ms: u64) {
        let is_telling = bytes >= self.part_of(TELLING_BYTES);
        if is_telling && took_us < timeout_ms.saturating_mul(1000) / FAST_PART {
            self.halvings = self.halvings.saturating_sub(1);
        }
    }

    /// The part of `most` that the link takes, at least 1.
    pub(super) fn part_of(self, most: u64) -> u64 {
        (most >> self.halvings).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_breaks_over_transfers_is_given_less_and_then_more_again() {
        let mut link = Link::default();
        assert_eq!(link.part_of(1_000), 1_000);
        link.handle_broken(4_999_000, 20_000);
        assert_eq!(link.part_of(1_000), 1_000);
        for _ in 0..10 {
            link.handle_broken(20_000_000, 20_000);
        }
        assert_eq!((link.part_of(1_000), link.part_of(4)), (15, 1));
        link.handle_done(1 << 20, 5_000_000, 20_000);
        link.handle_done(100, 1_000, 20_000);
        assert_eq!(link.part_of(1_000), 15);
        for _ in 0..HALVINGS_MAX {
            link.handle_done(TELLING_BYTES, 100_000, 20_000);
        }
        assert_eq!(link, Link::default());
    }
}
