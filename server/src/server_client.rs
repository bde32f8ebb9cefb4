//! The client ids under which the server itself writes. They are UUIDs of version 8, which no client may bring along.

use sha2::{Digest, Sha256};
use syncline_protocol::ClientId;

/// The version, in the byte where a UUID says it.
const VERSION: u8 = 0x80;
const VERSION_BYTE: usize = 6;
const VERSION_MASK: u8 = 0xf0;

/// The one client that writes for a user on every server, so that a document's version grows by one entry per user and
/// not by one per request.
pub(crate) fn server_client(user: &str) -> ClientId {
    const VARIANT_BYTE: usize = 8;
    let hash = Sha256::new_with_prefix(b"syncline server-side client\0").chain_update(user).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    bytes[VERSION_BYTE] = (bytes[VERSION_BYTE] & !VERSION_MASK) | VERSION;
    bytes[VARIANT_BYTE] = (bytes[VARIANT_BYTE] & 0x3f) | 0x80;
    ClientId::from_bytes(bytes)
}

/// Whether an id is one of the server's own.
pub(crate) fn is_server_client(client: ClientId) -> bool {
    client.as_bytes()[VERSION_BYTE] & VERSION_MASK == VERSION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_one_id_of_the_servers_own() {
        assert_eq!(server_client("ann"), server_client("ann"));
        assert_ne!(server_client("ann"), server_client("bob"));
        assert!(is_server_client(server_client("ann")));
        assert!(!is_server_client(ClientId::from_bytes([1; 16])));
    }
}
