//! Wraps a stored value so that damage is noticed: `version, CRC32C of the rest (little endian), contents`.

const VERSION: u8 = 1;
pub(super) const ENVELOPE_BYTES: usize = 5;

pub(super) fn seal(contents: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(ENVELOPE_BYTES + contents.len());
    sealed.push(VERSION);
    sealed.extend_from_slice(&crc32c::crc32c(contents).to_le_bytes());
    sealed.extend_from_slice(contents);
    sealed
}

/// The contents, or what is wrong.
pub(super) fn unseal(sealed: &[u8]) -> Result<&[u8], &'static str> {
    let Some((head, contents)) = sealed.split_first_chunk::<ENVELOPE_BYTES>() else {
        return Err("a value is shorter than its envelope");
    };
    let [version, crc @ ..] = *head;
    if version != VERSION {
        return Err("a value has an unknown version");
    }
    if crc32c::crc32c(contents) != u32::from_le_bytes(crc) {
        return Err("a value's checksum does not match");
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed() {
        let sealed = seal(b"contents");
        assert_eq!(unseal(&sealed), Ok(&b"contents"[..]));
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal(&flipped).is_err(), "bit {bit}");
        }
        assert!(unseal(&sealed[..4]).is_err());
    }
}
