//! FNV-1a, 64 bit: a hash that is the same everywhere and for good, and no secret.
//!
//! Source: Fowler, Noll and Vo, draft-eastlake-fnv.

/// What was written so far.
#[derive(Debug, Clone, Copy)]
pub struct Fnv1a(u64);

impl Default for Fnv1a {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv1a {
    pub fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    pub fn hash(self) -> u64 {
        self.0
    }
}
