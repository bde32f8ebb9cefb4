//! How records look on disk: a version byte, a CRC32C and the record in MessagePack; keys that sort as needed.

use serde::{Deserialize, Serialize};
use syncline_protocol::message::{decode_compact, encode_compact};
use syncline_protocol::{ClientId, Collection, Room};

use super::StorageError;

const RECORD_VERSION: u8 = 1;
const ENVELOPE_BYTES: usize = 5;

/// A larger value is split: sled keeps a page of several values in memory at a time.
pub(crate) const CHUNK_BYTES_MAX: usize = 24 << 10;

pub(crate) fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, StorageError> {
    let payload = encode_compact(record)?;
    let mut bytes = Vec::with_capacity(ENVELOPE_BYTES + payload.len());
    bytes.push(RECORD_VERSION);
    bytes.extend_from_slice(&crc32c::crc32c(&payload).to_le_bytes());
    bytes.extend_from_slice(&payload);
    Ok(bytes)
}

pub(crate) fn decode<'a, T: Deserialize<'a>>(tree: &'static str, bytes: &'a [u8]) -> Result<T, StorageError> {
    let damaged = |reason: String| StorageError::Damaged { tree, reason };
    let Some((&[version, ref crc @ ..], payload)) = bytes.split_first_chunk::<ENVELOPE_BYTES>() else {
        return Err(damaged("shorter than its envelope".to_owned()));
    };
    if version != RECORD_VERSION {
        return Err(damaged(format!("version {version}")));
    }
    if u32::from_le_bytes(*crc) != crc32c::crc32c(payload) {
        return Err(damaged("its checksum does not match".to_owned()));
    }
    decode_compact(payload).map_err(|error| damaged(error.to_string()))
}

// Names hold no control characters, so a zero byte ends one without doubt.

pub(crate) fn room_prefix(room: &Room) -> Vec<u8> {
    let mut key = room.as_str().as_bytes().to_vec();
    key.push(0);
    key
}

/// After every key that starts with the room's prefix, and before any other room's.
pub(crate) fn room_end(room: &Room) -> Vec<u8> {
    let mut key = room.as_str().as_bytes().to_vec();
    key.push(1);
    key
}

/// The room that a key starts with.
pub(crate) fn read_room(tree: &'static str, key: &[u8]) -> Result<Room, StorageError> {
    let name = key.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = std::str::from_utf8(name).map_err(|error| error.to_string());
    name.and_then(|name| Room::new(name).map_err(|error| error.to_string()))
        .map_err(|reason| StorageError::Damaged { tree, reason })
}

/// The number that a key ends with.
pub(crate) fn read_last_number(tree: &'static str, key: &[u8]) -> Result<u64, StorageError> {
    let (_, number) = key
        .split_last_chunk::<8>()
        .ok_or_else(|| StorageError::Damaged { tree, reason: "a key is too short".to_owned() })?;
    Ok(u64::from_be_bytes(*number))
}

pub(crate) fn log_key(room: &Room, seq: u64) -> Vec<u8> {
    let mut key = room_prefix(room);
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

/// A document's place in the tree, by its collection and id.
pub(crate) fn chunk_key(room: &Room, names: [&str; 2], chunk: u16) -> Vec<u8> {
    let mut key = Vec::with_capacity(room.as_str().len() + names[0].len() + names[1].len() + 5);
    key.extend_from_slice(room.as_str().as_bytes());
    key.push(0);
    for name in names {
        key.extend_from_slice(name.as_bytes());
        key.push(0);
    }
    key.extend_from_slice(&chunk.to_be_bytes());
    key
}

/// How many bytes tell which chunk a key is of.
const CHUNK_NUMBER_BYTES: usize = 2;

/// Whether a key is that of a document's first chunk.
pub(crate) fn is_first_chunk(key: &[u8]) -> bool {
    key.ends_with(&[0; CHUNK_NUMBER_BYTES])
}

/// The key of another chunk of the document whose first one has this key.
pub(crate) fn later_chunk_key(first: &[u8], chunk: u16) -> Vec<u8> {
    let (document, _) = first.split_last_chunk::<CHUNK_NUMBER_BYTES>().unwrap_or((first, &[0; 2]));
    [document, &chunk.to_be_bytes()].concat()
}

/// Before every document of a collection.
pub(crate) fn collection_prefix(room: &Room, collection: &Collection) -> Vec<u8> {
    let mut key = room_prefix(room);
    key.extend_from_slice(collection.as_str().as_bytes());
    key.push(0);
    key
}

/// After every document of a collection, and before those of any other one.
pub(crate) fn collection_end(room: &Room, collection: &Collection) -> Vec<u8> {
    let mut key = room_prefix(room);
    key.extend_from_slice(collection.as_str().as_bytes());
    key.push(1);
    key
}

/// After every chunk of a document, and before any other one.
pub(crate) fn document_end(room: &Room, names: [&str; 2]) -> Vec<u8> {
    let mut key = chunk_key(room, names, 0);
    key.truncate(key.len() - CHUNK_NUMBER_BYTES - 1);
    key.push(1);
    key
}

pub(crate) fn client_key(room: &Room, client: ClientId) -> Vec<u8> {
    let mut key = room_prefix(room);
    key.extend_from_slice(client.as_bytes());
    key
}

pub(crate) fn rejection_key(room: &Room, client: ClientId, client_seq: u64) -> Vec<u8> {
    let mut key = client_key(room, client);
    key.extend_from_slice(&client_seq.to_be_bytes());
    key
}

/// Splits a value; the first chunk starts with how many there are.
pub(crate) fn split(value: &[u8]) -> Result<Vec<Vec<u8>>, StorageError> {
    let count = value.len().div_ceil(CHUNK_BYTES_MAX).max(1);
    let count = u16::try_from(count).map_err(|_| {
        StorageError::Io(std::io::Error::other(format!("a record of {} bytes is too large", value.len())))
    })?;
    let mut chunks: Vec<Vec<u8>> = value.chunks(CHUNK_BYTES_MAX).map(<[u8]>::to_vec).collect();
    let first = chunks.first().map_or(&[][..], Vec::as_slice);
    let headed = [&count.to_be_bytes(), first].concat();
    if chunks.is_empty() {
        chunks.push(headed);
    } else {
        chunks[0] = headed;
    }
    Ok(chunks)
}

/// How many chunks a value has, and the first one's part of it.
pub(crate) fn read_first_chunk<'a>(
    tree: &'static str,
    chunk: &'a [u8],
) -> Result<(u16, &'a [u8]), StorageError> {
    let (count, part) = chunk
        .split_first_chunk::<2>()
        .ok_or_else(|| StorageError::Damaged { tree, reason: "shorter than its chunk count".to_owned() })?;
    Ok((u16::from_be_bytes(*count), part))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_is_noticed() {
        let bytes = encode(&"record".to_owned()).unwrap();
        assert_eq!(decode::<String>("t", &bytes).unwrap(), "record");
        for index in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[index] ^= 1;
            assert!(matches!(decode::<String>("t", &damaged), Err(StorageError::Damaged { .. })));
        }
        assert!(decode::<String>("t", &bytes[..3]).is_err());
    }

    #[test]
    fn a_large_value_is_split_and_says_so() {
        let value = vec![7; 2 * CHUNK_BYTES_MAX + 1];
        let chunks = split(&value).unwrap();
        let (count, first) = read_first_chunk("t", &chunks[0]).unwrap();
        assert_eq!((count, chunks.len()), (3, 3));
        assert_eq!([first, &chunks[1], &chunks[2]].concat(), value);
        assert_eq!(split(&[]).unwrap(), [vec![0, 1]]);
    }
}
