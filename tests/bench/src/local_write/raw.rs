//! The physical limit: the bytes, and one `fdatasync` for all that are written at once.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

use crate::contender::{Answer, Order};
use crate::scenario::BenchError;

/// The file is written over from the start when its end is reached.
const FILE_BYTES: usize = 8 << 20;

#[derive(Debug)]
pub(crate) struct Contender {
    file: File,
    at: usize,
}

impl Contender {
    /// Makes a file whose every byte was written before, so that `fdatasync` has no metadata to write.
    pub(crate) fn open(directory: &Path) -> Result<Self, BenchError> {
        let mut file = File::create(directory.join("raw"))?;
        file.write_all(&vec![0; FILE_BYTES])?;
        file.sync_all()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Self { file, at: 0 })
    }

    pub(crate) fn run(&mut self, order: &Order) -> Result<Answer, BenchError> {
        let operations = order.work.operations();
        let bytes: Vec<u8> = (1..=u8::MAX).cycle().take(order.bytes * operations).collect();
        let mut values = Vec::with_capacity(order.samples);
        for _ in 0..order.samples {
            if self.at + bytes.len() > FILE_BYTES {
                self.file.seek(SeekFrom::Start(0))?;
                self.at = 0;
            }
            let begin = Instant::now();
            self.file.write_all(&bytes)?;
            self.file.sync_data()?;
            #[allow(clippy::cast_precision_loss)]
            values.push(begin.elapsed().as_secs_f64() * 1e6 / operations as f64);
            self.at += bytes.len();
        }
        Ok(Answer { values, also: Vec::new(), bytes: None })
    }
}
