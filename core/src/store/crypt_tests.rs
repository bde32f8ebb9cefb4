#![allow(clippy::unwrap_used)]

use super::*;

const HERE: Place<'_> = Place { kind: b"journal", name: b"1" };
const THERE: Place<'_> = Place { kind: b"journal", name: b"2" };

fn vault(byte: u8) -> Vault {
    Vault::new(&EncryptionKey::from_bytes([byte; KEY_BYTES])).unwrap()
}

#[test]
fn what_is_sealed_opens_with_its_key_in_its_place_only() {
    let sealed = vault(1).seal(&HERE, b"contents").unwrap();
    assert_eq!(sealed.len(), SEAL_BYTES + 8);
    assert_eq!(vault(1).open(&HERE, &sealed).as_deref(), Some(&b"contents"[..]));
    assert_eq!(vault(1).open(&THERE, &sealed), None);
    assert_eq!(vault(2).open(&HERE, &sealed), None);
}

#[test]
fn every_flipped_bit_of_a_sealed_value_is_noticed() {
    let vault = vault(1);
    let sealed = vault.seal(&HERE, b"contents").unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(vault.open(&HERE, &flipped), None, "bit {bit}");
    }
    for length in 0..sealed.len() {
        assert_eq!(vault.open(&HERE, &sealed[..length]), None, "{length} bytes");
    }
}

#[test]
fn no_nonce_comes_twice_from_one_vault_or_two_of_a_key() {
    let vaults = [vault(1), vault(1)];
    let sealed = |n: usize| vaults[n % 2].seal(&HERE, b"contents").unwrap();
    let nonces: std::collections::HashSet<_> =
        (0..200).map(|n| sealed(n)[1..=NONCE_BYTES].to_vec()).collect();
    assert_eq!(nonces.len(), 200);
}

#[test]
fn a_hidden_name_is_the_same_each_time_and_differs_by_key_and_kind() {
    let hidden = vault(1).hide(b"room", b"user:42");
    assert_eq!(vault(1).hide(b"room", b"user:42"), hidden);
    assert_ne!(vault(2).hide(b"room", b"user:42"), hidden);
    assert_ne!(vault(1).hide(b"id", b"user:42"), hidden);
    assert_ne!(vault(1).hide(b"room", b"user:43"), hidden);
}

#[test]
fn a_key_is_read_with_and_without_padding_and_shown_to_nobody() {
    let key = EncryptionKey::from_bytes([7; KEY_BYTES]);
    let text = serde_json::to_string(&key).unwrap();
    assert_eq!(serde_json::from_str::<EncryptionKey>(&text).unwrap(), key);
    let padded = text.trim_matches('"');
    assert_eq!(padded.trim_end_matches('=').parse(), Ok(key.clone()));
    assert_eq!(padded[4..].parse::<EncryptionKey>(), Err(InvalidKey));
    assert_eq!("not base64!".parse::<EncryptionKey>(), Err(InvalidKey));
    assert!(!format!("{key:?}{:?}", vault(7)).contains('7'));
}
