//! Backups of the embedded store, as one file that checks itself.
//!
//! A file is a heading and blocks: `length, CRC32C, payload`, integers little endian. A payload is records: `table, length
//! of the key, length of the value, key, value`. The last block is empty but for how many records there were, so a file
//! that was cut off is told from a whole one.

use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use axum::http::{HeaderValue, Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use syncline_protocol::Room;

use super::ahead::Ahead;
use super::tables::{REVOCATIONS, Record, Tables, Walk};
use super::{StorageError, StorageLocation};
use crate::auth::revocation;
use crate::config::StorageConfig;
use crate::https::{self, Trust, TrustError};

/// The format's version follows.
const HEADING: [u8; 15] = *b"syncline-backup";
const VERSION: u8 = 2;
/// A file of this version has no revocations.
const OLDEST_VERSION: u8 = 1;
/// A block is written when it holds this much, in bytes.
const BLOCK_BYTES: usize = 256 << 10;
/// Longer blocks are none of ours, in bytes: a record is at most a chunk of a document.
const BLOCK_BYTES_MAX: u32 = 16 << 20;
const RECORD_HEADER_BYTES: usize = 9;

/// Why there is no backup, or no data from it.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{path} is no backup that this version reads")]
    NotABackup { path: PathBuf },
    #[error("{path} is damaged: {reason}")]
    Damaged { path: PathBuf, reason: &'static str },
    #[error("there is something in {path} already: a backup is restored into a folder that is new")]
    NotEmpty { path: PathBuf },
    #[error("the rooms are in Postgres: back them up with pg_dump")]
    InPostgres,
    #[error("rooms are moved to a database: --to postgres://user@host/name")]
    NotToPostgres,
    #[error("there is something in the database already: rooms are put into one that is new")]
    DatabaseNotEmpty,
    #[error("the database does not hold {what} as it was written, so nothing was kept")]
    Differs { what: String },
    #[error("the reading ended before its time")]
    ReaderFailed,
    #[error("there is no data in {path}")]
    NoData { path: PathBuf },
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("the server at {url} gave no backup: {reason}")]
    Refused { url: String, reason: String },
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    pub records: u64,
    pub bytes: u64,
}

/// A backup that is being written, a step at a time.
#[derive(Debug)]
pub(crate) struct Export {
    output: BufWriter<File>,
    block: Vec<u8>,
    records: u64,
    walk: Walk,
}

impl Export {
    /// Begins a backup of the data in a folder.
    pub(crate) fn begin(file: File, folder: &Path) -> Result<Self, StorageError> {
        let mut export = Self::empty(file)?;
        let revocations = revocation::kept_in(folder)?;
        for (number, part) in (0_u32..).zip(revocations.chunks(BLOCK_BYTES)) {
            let key = number.to_be_bytes().to_vec();
            export.put(&Record { table: REVOCATIONS, key, value: part.to_vec() })?;
        }
        Ok(export)
    }

    fn empty(file: File) -> Result<Self, StorageError> {
        let mut output = BufWriter::new(file);
        output.write_all(&HEADING)?;
        output.write_all(&[VERSION])?;
        Ok(Self { output, block: Vec::new(), records: 0, walk: Walk::default() })
    }

    /// The room that is in it in part, and must not change before the next step.
    pub(crate) fn within(&self) -> Option<&Room> {
        self.walk.within()
    }

    /// Copies so many bytes more. Answers the file, at its start, once it is whole and durable.
    pub(crate) fn step(&mut self, tables: &Tables, bytes_max: usize) -> Result<Option<File>, StorageError> {
        if let Some(records) = self.walk.step(tables, bytes_max)? {
            for record in &records {
                self.put(record)?;
            }
            return Ok(None);
        }
        self.end().map(Some)
    }

    /// Answers the file, at its start, once it is whole and durable.
    fn end(&mut self) -> Result<File, StorageError> {
        self.end_block()?;
        self.block.extend_from_slice(&self.records.to_le_bytes());
        let end = std::mem::take(&mut self.block);
        self.output.write_all(&0_u32.to_le_bytes())?;
        self.output.write_all(&crc32c::crc32c(&end).to_le_bytes())?;
        self.output.write_all(&end)?;
        self.output.flush()?;
        let mut file = self.output.get_ref().try_clone()?;
        file.sync_all()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }

    fn put(&mut self, Record { table, key, value }: &Record) -> Result<(), StorageError> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
        self.block.push(*table);
        self.block.extend_from_slice(&length(key));
        self.block.extend_from_slice(&length(value));
        self.block.extend_from_slice(key);
        self.block.extend_from_slice(value);
        self.records += 1;
        if self.block.len() >= BLOCK_BYTES { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> Result<(), StorageError> {
        if !self.block.is_empty() {
            let length = u32::try_from(self.block.len()).unwrap_or(u32::MAX);
            self.output.write_all(&length.to_le_bytes())?;
            self.output.write_all(&crc32c::crc32c(&self.block).to_le_bytes())?;
            self.output.write_all(&self.block)?;
            self.block.clear();
        }
        Ok(())
    }
}

/// Copies the data in a folder that no server uses into a new file.
pub fn backup(folder: &Path, config: &StorageConfig, to: &Path) -> Result<Summary, BackupError> {
    only_embedded(config)?;
    let mut rooms = open_data(folder, config)?;
    let tables = rooms.with_all()?;
    let partial = Partial::beside(to)?;
    let mut export = Export::begin(partial.file()?, folder)?;
    while export.step(tables, config.backup_step_bytes)?.is_none() {}
    partial.keep()
}

/// Opens the data in a folder, which must be there and in nobody's use.
pub(super) fn open_data(folder: &Path, config: &StorageConfig) -> Result<Ahead, BackupError> {
    if !folder.join("db").is_file() {
        return Err(BackupError::NoData { path: folder.to_owned() });
    }
    Ok(Ahead::open(folder, config)?)
}

/// Fetches a backup of a server that runs, with its admin token. At an `https:` address it is believed by the authorities in a
/// file, or by the system's.
pub async fn fetch(
    url: &str,
    ca_file: Option<&Path>,
    token: &[u8],
    to: &Path,
) -> Result<Summary, BackupError> {
    let refused = |reason: String| BackupError::Refused { url: url.to_owned(), reason };
    let bearer =
        HeaderValue::from_bytes(&[b"Bearer ", token].concat()).map_err(|error| refused(error.to_string()))?;
    let request = Request::get(format!("{}/admin/api/backup", url.trim_end_matches('/')))
        .header(header::AUTHORIZATION, bearer)
        .body(Empty::<Bytes>::new())
        .map_err(|error| refused(error.to_string()))?;
    let trust = match (request.uri().scheme_str(), ca_file) {
        (Some("https"), Some(path)) => Trust::File(path),
        (Some("https"), None) => Trust::System,
        (_, Some(_)) => return Err(refused("authorities are for an https:// address".to_owned())),
        // There is nobody to believe; nor are the system's authorities needed.
        (_, None) => Trust::Anybody,
    };
    let client = https::client(trust)?;
    let response = client.request(request).await.map_err(|error| refused(https::reason(&error)))?;
    if response.status() != StatusCode::OK {
        return Err(refused(response.status().to_string()));
    }
    let mut body = response.into_body();
    let partial = Partial::beside(to)?;
    let mut output = BufWriter::new(partial.file()?);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| refused(error.to_string()))?;
        if let Some(part) = frame.data_ref() {
            output.write_all(part).map_err(|source| BackupError::Io { path: to.to_owned(), source })?;
        }
    }
    output.flush().map_err(|source| BackupError::Io { path: to.to_owned(), source })?;
    partial.keep()
}

/// A file that is seen under its name only when it is whole, and was read back.
struct Partial {
    temporary: tempfile::NamedTempFile,
    to: PathBuf,
}

impl Partial {
    fn beside(to: &Path) -> Result<Self, BackupError> {
        let temporary = tempfile::NamedTempFile::new_in(parent_of(to));
        let temporary = temporary.map_err(|source| BackupError::Io { path: to.to_owned(), source })?;
        Ok(Self { temporary, to: to.to_owned() })
    }

    fn file(&self) -> Result<File, BackupError> {
        let file = self.temporary.as_file().try_clone();
        file.map_err(|source| BackupError::Io { path: self.to.clone(), source })
    }

    /// Gives it its name, which must be free.
    fn keep(self) -> Result<Summary, BackupError> {
        let Self { temporary, to } = self;
        let io = |source| BackupError::Io { path: to.clone(), source };
        let Contents { summary, .. } = read(temporary.path(), |_| Ok(())).map_err(|error| error.of(&to))?;
        temporary.as_file().sync_all().map_err(io)?;
        temporary.persist_noclobber(&to).map_err(|error| io(error.error))?;
        File::open(parent_of(&to)).and_then(|folder| folder.sync_all()).map_err(io)?;
        Ok(summary)
    }
}

fn only_embedded(config: &StorageConfig) -> Result<(), BackupError> {
    match config.location {
        StorageLocation::Sled => Ok(()),
        StorageLocation::Postgres(_) => Err(BackupError::InPostgres),
    }
}

/// The folder that a path is in.
fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a folder of data out of a backup. It is seen under its name only when it is whole.
pub fn restore(from: &Path, folder: &Path, config: &StorageConfig) -> Result<Summary, BackupError> {
    only_embedded(config)?;
    let io = |source| BackupError::Io { path: folder.to_owned(), source };
    match std::fs::read_dir(folder) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(BackupError::NotEmpty { path: folder.to_owned() });
            }
            std::fs::remove_dir(folder).map_err(io)?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(io(error)),
    }
    let parent = parent_of(folder);
    std::fs::create_dir_all(parent).map_err(io)?;
    let partial = tempfile::Builder::new().prefix(".restoring").tempdir_in(parent).map_err(io)?;
    let summary = {
        let tables = Tables::open(partial.path(), config.cache_bytes, config.rejections_kept_max)?;
        let Contents { summary, revocations } = read(from, |records| Ok(tables.restore(records)?))?;
        tables.flush()?;
        revocation::keep_in(partial.path(), &revocations).map_err(io)?;
        summary
    };
    std::fs::rename(partial.keep(), folder).map_err(io)?;
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(io)?;
    Ok(summary)
}

/// Reads any bytes as a backup; and as a block of one whose checksums are right, which is written again as it was. For
/// `tests/fuzz`.
#[cfg(fuzzing)]
#[allow(clippy::expect_used)]
pub fn fuzz_backup(bytes: &[u8]) {
    let write = |contents: &[u8]| {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(contents).expect("there is room");
        file
    };
    drop(read(write(bytes).path(), |_| Ok(())));
    let sealed = |block: &[u8]| {
        let length = u32::try_from(block.len()).expect("inputs are short").to_le_bytes();
        [&length[..], &crc32c::crc32c(block).to_le_bytes(), block].concat()
    };
    let Some(records) = records_in(bytes).filter(|records| !records.is_empty()) else {
        drop(read(write(&[&HEADING[..], &[VERSION], &sealed(bytes)].concat()).path(), |_| Ok(())));
        return;
    };
    let file = write(b"");
    let mut export = Export::empty(file.reopen().expect("it is there")).expect("there is room");
    for record in &records {
        export.put(record).expect("there is room");
    }
    export.end().expect("there is room");
    let mut found = Vec::new();
    let contents = read(file.path(), |records| {
        found.extend(records);
        Ok(())
    });
    let contents = contents.expect("what was written reads");
    assert_eq!(contents.summary.records, records.len() as u64);
    let (revocations, tables): (Vec<_>, Vec<_>) = records.into_iter().partition(is_of_revocations);
    assert_eq!(
        contents.revocations,
        revocations.into_iter().flat_map(|record| record.value).collect::<Vec<_>>()
    );
    assert_eq!(found, tables);
}

/// What was read of a backup, beside the records of its tables.
pub(super) struct Contents {
    pub(super) summary: Summary,
    /// As [`revocation::keep_in`] takes them.
    pub(super) revocations: Vec<u8>,
}

fn is_of_revocations(record: &Record) -> bool {
    record.table == REVOCATIONS
}

/// Reads a backup to its end, a block at a time.
pub(super) fn read(
    path: &Path,
    mut visit: impl FnMut(Vec<Record>) -> Result<(), BackupError>,
) -> Result<Contents, BackupError> {
    let damaged = |reason| BackupError::Damaged { path: path.to_owned(), reason };
    let io = |source: std::io::Error| match source.kind() {
        ErrorKind::UnexpectedEof => damaged("it ends too early"),
        _ => BackupError::Io { path: path.to_owned(), source },
    };
    let mut input = BufReader::new(File::open(path).map_err(io)?);
    let mut heading = [0; HEADING.len() + 1];
    let is_backup = input.read_exact(&mut heading).is_ok() && heading.starts_with(&HEADING);
    if !is_backup || !(OLDEST_VERSION..=VERSION).contains(&heading[HEADING.len()]) {
        return Err(BackupError::NotABackup { path: path.to_owned() });
    }
    let mut records = 0;
    let mut revocations = Vec::new();
    loop {
        let mut header = [0; 8];
        input.read_exact(&mut header).map_err(io)?;
        let [a, b, c, d, crc @ ..] = header;
        let length = u32::from_le_bytes([a, b, c, d]);
        if length > BLOCK_BYTES_MAX {
            return Err(damaged("a block is too long"));
        }
        let is_last = length == 0;
        let mut block = vec![0; if is_last { 8 } else { length as usize }];
        input.read_exact(&mut block).map_err(io)?;
        if crc32c::crc32c(&block) != u32::from_le_bytes(crc) {
            return Err(damaged("a checksum does not match"));
        }
        if is_last {
            let told = <[u8; 8]>::try_from(block.as_slice()).map(u64::from_le_bytes);
            if told.ok() != Some(records) {
                return Err(damaged("records are missing"));
            }
            if input.read(&mut [0; 1]).map_err(io)? != 0 {
                return Err(damaged("it goes on beyond its end"));
            }
            let bytes = input.stream_position().map_err(io)?;
            return Ok(Contents { summary: Summary { records, bytes }, revocations });
        }
        let block = records_in(&block).ok_or_else(|| damaged("a block does not read"))?;
        records += block.len() as u64;
        let (parts, block): (Vec<_>, Vec<_>) = block.into_iter().partition(is_of_revocations);
        parts.iter().for_each(|part| revocations.extend_from_slice(&part.value));
        visit(block)?;
    }
}

fn records_in(mut block: &[u8]) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    while !block.is_empty() {
        let (header, rest) = block.split_at_checked(RECORD_HEADER_BYTES)?;
        let [table, lengths @ ..] = header else { return None };
        let (key, value) = lengths.split_at_checked(4)?;
        let length = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize);
        let (key, rest) = rest.split_at_checked(length(key)?)?;
        let (value, rest) = rest.split_at_checked(length(value)?)?;
        records.push(Record { table: *table, key: key.to_vec(), value: value.to_vec() });
        block = rest;
    }
    Some(records)
}

impl BackupError {
    /// The same of a file by its later name.
    fn of(self, to: &Path) -> Self {
        let to = to.to_owned();
        match self {
            Self::NotABackup { .. } => Self::NotABackup { path: to },
            Self::Damaged { reason, .. } => Self::Damaged { path: to, reason },
            other => other,
        }
    }
}

#[cfg(test)]
#[path = "backup_tests.rs"]
mod tests;
