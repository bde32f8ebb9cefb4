//! Entries as they stand in the journal: what is in a record is found, checked and measured without being decoded.

use std::ops::Range;
use std::str;

use rmp::Marker;
use syncline_protocol::limits::VALUE_DEPTH_MAX;
use syncline_protocol::{Collection, DocumentId, HybridTime, NameError, Path, Room, measure};

use super::Accepted;

/// Why bytes are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it ends too early")]
    Cut,
    #[error("bytes follow it")]
    TooLong,
    #[error("{0} is expected")]
    Unexpected(&'static str),
    #[error("a text is not UTF-8")]
    NotText,
    #[error("a number is not finite")]
    NotFinite,
    #[error("nested deeper than {VALUE_DEPTH_MAX}")]
    TooDeep,
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("{0}")]
    Path(String),
}

/// An entry, without what it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryHead<'r> {
    pub(super) room: &'r str,
    pub(super) collection: &'r str,
    pub(super) id: &'r str,
    pub(super) client_seq: u64,
    pub(super) time: HybridTime,
    pub(super) queued_at_ms: u64,
    /// See [`Mutation::byte_len`](syncline_protocol::Mutation::byte_len).
    pub(super) bytes: u64,
}

/// The entries that a record queues.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct QueuedEntries<'r> {
    /// Numbers whose place they take.
    pub(super) replaced: Vec<u64>,
    /// The write that the app decided about, by the number it knows.
    pub(super) resolved: Option<u64>,
    /// Where each stands in the record.
    pub(super) entries: Vec<(EntryHead<'r>, Range<usize>)>,
}

/// What a record queues; `None` if it is of another kind.
pub(super) fn queued_entries(record: &[u8]) -> Result<Option<QueuedEntries<'_>>, Unreadable> {
    let mut reader = Reader { bytes: record, at: 0 };
    if reader.marker()? != Marker::FixMap(1) {
        return Ok(None);
    }
    let mut found = QueuedEntries::default();
    match reader.text()? {
        "Queued" => reader.entries(&mut found)?,
        "Resent" => {
            reader.array_of(2..=2)?;
            for _ in 0..reader.array()? {
                found.replaced.push(reader.whole()?);
            }
            reader.entries(&mut found)?;
        }
        "Resolved" => {
            reader.array_of(2..=2)?;
            found.resolved = Some(reader.whole()?);
            if !reader.takes_nil() {
                let PackedEntry { head, within, .. } = reader.entry()?;
                found.entries.push((head, within));
            }
        }
        _ => return Ok(None),
    }
    if reader.at == record.len() { Ok(Some(found)) } else { Err(Unreadable::TooLong) }
}

/// Where the mutation stands in an entry, and its number.
pub(super) fn packed_mutation(entry: &[u8]) -> Result<(u64, Range<usize>), Unreadable> {
    let mut reader = Reader { bytes: entry, at: 0 };
    let PackedEntry { head, mutation, .. } = reader.entry()?;
    if reader.at == entry.len() { Ok((head.client_seq, mutation)) } else { Err(Unreadable::TooLong) }
}

/// The head of a record of [`Record::Queued`](super::Record::Queued) with so many entries.
pub(super) fn queued_record(entries: u32, packed: &[u8]) -> Result<Vec<u8>, super::StoreError> {
    let mut record = Vec::with_capacity(packed.len() + 16);
    let written = rmp::encode::write_map_len(&mut record, 1)
        .and_then(|_| rmp::encode::write_str(&mut record, "Queued"))
        .and_then(|()| rmp::encode::write_array_len(&mut record, entries));
    written.map_err(|error| super::StoreError::Encode(error.to_string()))?;
    record.extend_from_slice(packed);
    Ok(record)
}

struct Reader<'r> {
    bytes: &'r [u8],
    at: usize,
}

/// An entry, and where it and its mutation stand.
struct PackedEntry<'r> {
    head: EntryHead<'r>,
    within: Range<usize>,
    mutation: Range<usize>,
}

impl<'r> Reader<'r> {
    fn take(&mut self, length: usize) -> Result<&'r [u8], Unreadable> {
        let end = self.at.checked_add(length).ok_or(Unreadable::Cut)?;
        let taken = self.bytes.get(self.at..end).ok_or(Unreadable::Cut)?;
        self.at = end;
        Ok(taken)
    }

    fn marker(&mut self) -> Result<Marker, Unreadable> {
        Ok(Marker::from_u8(self.take(1)?[0]))
    }

    /// A big-endian number of so many bytes.
    fn number(&mut self, bytes: usize) -> Result<u64, Unreadable> {
        Ok(self.take(bytes)?.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn length(&mut self, bytes: usize) -> Result<usize, Unreadable> {
        usize::try_from(self.number(bytes)?).map_err(|_| Unreadable::Cut)
    }

    fn takes_nil(&mut self) -> bool {
        let is_nil = self.bytes.get(self.at) == Some(&Marker::Null.to_u8());
        self.at += usize::from(is_nil);
        is_nil
    }

    fn whole(&mut self) -> Result<u64, Unreadable> {
        match self.marker()? {
            Marker::FixPos(number) => Ok(number.into()),
            Marker::U8 => self.number(1),
            Marker::U16 => self.number(2),
            Marker::U32 => self.number(4),
            Marker::U64 => self.number(8),
            _ => Err(Unreadable::Unexpected("a whole number")),
        }
    }

    fn text(&mut self) -> Result<&'r str, Unreadable> {
        let marker = self.marker()?;
        self.text_after(marker)?.ok_or(Unreadable::Unexpected("a text"))
    }

    fn text_after(&mut self, marker: Marker) -> Result<Option<&'r str>, Unreadable> {
        let length = match marker {
            Marker::FixStr(length) => length.into(),
            Marker::Str8 => self.length(1)?,
            Marker::Str16 => self.length(2)?,
            Marker::Str32 => self.length(4)?,
            _ => return Ok(None),
        };
        str::from_utf8(self.take(length)?).map(Some).map_err(|_| Unreadable::NotText)
    }

    fn array(&mut self) -> Result<usize, Unreadable> {
        match self.marker()? {
            Marker::FixArray(length) => Ok(length.into()),
            Marker::Array16 => self.length(2),
            Marker::Array32 => self.length(4),
            _ => Err(Unreadable::Unexpected("an array")),
        }
    }

    /// The length of an array whose last items older versions left out.
    fn array_of(&mut self, lengths: std::ops::RangeInclusive<usize>) -> Result<usize, Unreadable> {
        let length = self.array()?;
        if lengths.contains(&length) { Ok(length) } else { Err(Unreadable::Unexpected("another array")) }
    }

    fn map(&mut self) -> Result<usize, Unreadable> {
        match self.marker()? {
            Marker::FixMap(length) => Ok(length.into()),
            Marker::Map16 => self.length(2),
            Marker::Map32 => self.length(4),
            _ => Err(Unreadable::Unexpected("a map")),
        }
    }

    fn entries(&mut self, found: &mut QueuedEntries<'r>) -> Result<(), Unreadable> {
        for _ in 0..self.array()? {
            let PackedEntry { head, within, .. } = self.entry()?;
            found.entries.push((head, within));
        }
        Ok(())
    }

    fn entry(&mut self) -> Result<PackedEntry<'r>, Unreadable> {
        let start = self.at;
        let length = self.array_of(3..=4)?;
        let room = self.text()?;
        Room::check(room)?;
        let mutation_start = self.at;
        let mutation_length = self.array_of(5..=6)?;
        let client_seq = self.whole()?;
        let (collection, id) = (self.text()?, self.text()?);
        Collection::check(collection)?;
        DocumentId::check(id)?;
        let written = self.write()?;
        let time = self.time()?;
        let base = if mutation_length == 6 { self.base()? } else { 0 };
        let mutation = mutation_start..self.at;
        let queued_at_ms = self.whole()?;
        if length == 4 {
            self.accepted()?;
        }
        let bytes = measure::mutation(collection, id, written, base) as u64;
        let head = EntryHead { room, collection, id, client_seq, time, queued_at_ms, bytes };
        Ok(PackedEntry { head, within: start..self.at, mutation })
    }

    fn time(&mut self) -> Result<HybridTime, Unreadable> {
        self.array_of(2..=2)?;
        let wall_ms = self.whole()?;
        let counter = u32::try_from(self.whole()?).map_err(|_| Unreadable::Unexpected("a counter"))?;
        Ok(HybridTime { wall_ms, counter })
    }

    fn accepted(&mut self) -> Result<Option<Accepted>, Unreadable> {
        if self.takes_nil() {
            return Ok(None);
        }
        self.array_of(2..=2)?;
        Ok(Some(Accepted { client_seq: self.whole()?, time: self.time()? }))
    }

    /// How many clients the version names.
    fn base(&mut self) -> Result<usize, Unreadable> {
        if self.takes_nil() {
            return Ok(0);
        }
        let clients = self.map()?;
        for _ in 0..clients {
            if self.marker()? != Marker::Bin8 || self.number(1)? != 16 {
                return Err(Unreadable::Unexpected("a client id"));
            }
            self.take(16)?;
            self.whole()?;
        }
        Ok(clients)
    }

    /// [`Write::byte_len`](syncline_protocol::Write::byte_len).
    fn write(&mut self) -> Result<usize, Unreadable> {
        let marker = self.marker()?;
        if let Some(unit) = self.text_after(marker)? {
            return if unit == "delete" { Ok(0) } else { Err(Unreadable::Unexpected("a write")) };
        }
        if marker != Marker::FixMap(1) {
            return Err(Unreadable::Unexpected("a write"));
        }
        let mut bytes = 0;
        match self.text()? {
            "create" => {
                for _ in 0..self.map()? {
                    let name = self.text()?;
                    bytes += measure::field(name, self.value(0)?);
                }
            }
            "update" => {
                for _ in 0..self.map()? {
                    let path = self.text()?;
                    let path = Path::parse(path).map_err(|error| Unreadable::Path(error.to_string()))?;
                    bytes += measure::op(&path, self.op()?);
                }
            }
            _ => return Err(Unreadable::Unexpected("a write")),
        }
        Ok(bytes)
    }

    fn op(&mut self) -> Result<usize, Unreadable> {
        let marker = self.marker()?;
        match self.text_after(marker)? {
            Some("unset" | "server_time") => return Ok(0),
            None if marker == Marker::FixMap(1) => {}
            _ => return Err(Unreadable::Unexpected("an operation")),
        }
        match self.text()? {
            "set" | "increment" => self.value(0),
            "union" | "remove" | "append" => {
                let mut bytes = 0;
                for _ in 0..self.array()? {
                    bytes += self.value(0)?;
                }
                Ok(bytes)
            }
            _ => Err(Unreadable::Unexpected("an operation")),
        }
    }

    /// [`Value::byte_len`](syncline_protocol::Value::byte_len) of a value at this depth.
    fn value(&mut self, depth: usize) -> Result<usize, Unreadable> {
        if depth > VALUE_DEPTH_MAX {
            return Err(Unreadable::TooDeep);
        }
        let marker = self.marker()?;
        if let Some(text) = self.text_after(marker)? {
            return Ok(measure::text(text));
        }
        let number = |read: Result<&[u8], Unreadable>| read.map(|_| measure::NUMBER);
        match marker {
            Marker::Null | Marker::True | Marker::False => Ok(measure::CONSTANT),
            Marker::FixPos(_) | Marker::FixNeg(_) => Ok(measure::NUMBER),
            Marker::U8 | Marker::I8 => number(self.take(1)),
            Marker::U16 | Marker::I16 => number(self.take(2)),
            Marker::U32 | Marker::I32 => number(self.take(4)),
            Marker::U64 | Marker::I64 => number(self.take(8)),
            Marker::F32 | Marker::F64 => self.float(marker),
            Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
                self.at -= 1;
                let mut bytes = measure::CONTAINER;
                for _ in 0..self.array()? {
                    bytes += self.value(depth + 1)?;
                }
                Ok(bytes)
            }
            Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => {
                self.at -= 1;
                let mut bytes = measure::CONTAINER;
                for _ in 0..self.map()? {
                    let name = self.text()?;
                    bytes += measure::field(name, self.value(depth + 1)?);
                }
                Ok(bytes)
            }
            _ => Err(Unreadable::Unexpected("a value")),
        }
    }

    fn float(&mut self, marker: Marker) -> Result<usize, Unreadable> {
        #[allow(clippy::cast_possible_truncation)]
        let is_finite = match marker {
            Marker::F32 => f32::from_bits(self.number(4)? as u32).is_finite(),
            _ => f64::from_bits(self.number(8)?).is_finite(),
        };
        if is_finite { Ok(measure::NUMBER) } else { Err(Unreadable::NotFinite) }
    }
}

#[cfg(test)]
#[path = "packed_tests.rs"]
mod tests;
