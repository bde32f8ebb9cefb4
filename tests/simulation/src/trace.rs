//! What happened, as a hash and, if wanted, as text.

use std::fmt::{self, Write};

/// Every line of a run goes through here; equal hashes mean equal runs.
#[derive(Debug)]
pub struct Trace {
    hash: Fnv1a,
    print: bool,
}

impl Trace {
    pub fn new(print: bool) -> Self {
        Self { hash: Fnv1a(0xcbf2_9ce4_8422_2325), print }
    }

    pub fn note(&mut self, now_us: u64, what: fmt::Arguments<'_>) {
        self.hash.write(&now_us.to_le_bytes());
        // Hashing cannot fail, and a value that cannot be shown is the same in every run.
        let _infallible = self.hash.write_fmt(what);
        if self.print {
            println!("{:>12.6} {what}", std::time::Duration::from_micros(now_us).as_secs_f64());
        }
    }

    /// Adds bytes that are not worth a line.
    pub fn absorb(&mut self, bytes: &[u8]) {
        self.hash.write(bytes);
    }

    pub fn hash(&self) -> u64 {
        self.hash.0
    }
}

/// Source: Fowler, Noll and Vo, draft-eastlake-fnv.
#[derive(Debug)]
struct Fnv1a(u64);

impl Fnv1a {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

impl Write for Fnv1a {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}
