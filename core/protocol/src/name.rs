//! Validated names. A name that exists is well formed: checks happen once, where it is made or decoded.

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("{what} is empty")]
    Empty { what: &'static str },
    #[error("{what} has {bytes} bytes, at most {bytes_max} are allowed")]
    TooLong { what: &'static str, bytes: usize, bytes_max: usize },
    #[error("{what} holds a control character")]
    ControlCharacter { what: &'static str },
    #[error("client id is not a UUID")]
    NotUuid,
}

fn check(what: &'static str, name: &str, bytes_max: usize) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { what });
    }
    if name.len() > bytes_max {
        return Err(NameError::TooLong { what, bytes: name.len(), bytes_max });
    }
    let has_control = if name.is_ascii() {
        // Each byte is looked at: that many go at once, and names are checked wherever they are read.
        name.bytes().fold(false, |found, byte| found | byte.is_ascii_control())
    } else {
        name.chars().any(char::is_control)
    };
    if has_control {
        return Err(NameError::ControlCharacter { what });
    }
    Ok(())
}

/// Text to be read on, copied only where the format cannot lend it.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $bytes_max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The longest name, in bytes of UTF-8.
            pub const BYTES_MAX: usize = $bytes_max;

            /// Checks and wraps a name: 1 to `BYTES_MAX` bytes, no control characters.
            pub fn new(name: impl AsRef<str>) -> Result<Self, NameError> {
                let name = name.as_ref();
                Self::check(name)?;
                Ok(Self(name.into()))
            }

            /// Whether this can be such a name.
            pub fn check(name: &str) -> Result<(), NameError> {
                check($what, name, Self::BYTES_MAX)
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let Text(name) = Text::deserialize(deserializer)?;
                Self::new(name).map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// The unit of subscription, authorization, ordering and presence, such as `user:42` or `list:9`.
    Room, "room", 128
);
name!(
    /// A kind of documents within a room.
    Collection, "collection", 64
);
name!(
    /// A document's name within its room and collection; made by clients, by default a UUIDv7.
    DocumentId, "document id", 128
);

/// One installation of an app: it numbers its own mutations. Text outside, 16 bytes in compact messages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientId(Uuid);

/// As the bytes compare, at once.
impl Ord for ClientId {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.as_u128().cmp(&other.0.as_u128())
    }
}

impl PartialOrd for ClientId {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl ClientId {
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Reads the hyphenated form.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        Uuid::try_parse(text).map(Self).map_err(|_| NameError::NotUuid)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_refused_with_its_reason() {
        assert_eq!(Room::new(""), Err(NameError::Empty { what: "room" }));
        assert_eq!(DocumentId::new("a\nb"), Err(NameError::ControlCharacter { what: "document id" }));
        let long = "x".repeat(Collection::BYTES_MAX + 1);
        assert_eq!(
            Collection::new(long),
            Err(NameError::TooLong { what: "collection", bytes: 65, bytes_max: 64 })
        );
    }

    #[test]
    fn every_control_character_is_refused_and_nothing_else() {
        for character in (0..=0x2ff).filter_map(char::from_u32) {
            for name in [format!("{character}"), format!("long enough {character} and some more")] {
                assert_eq!(DocumentId::check(&name).is_err(), character.is_control(), "{character:?}");
            }
        }
    }

    #[test]
    fn a_malformed_name_does_not_decode() {
        assert!(serde_json::from_str::<Room>("\"\"").is_err());
        assert!(serde_json::from_str::<Room>("\"user:42\"").is_ok());
        assert!(serde_json::from_str::<ClientId>("\"42\"").is_err());
    }

    #[test]
    fn a_client_id_is_text_in_json_and_16_bytes_in_compact() {
        let id = ClientId::from_bytes([7; 16]);
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"07070707-0707-0707-0707-070707070707\"");
        assert_eq!(rmp_serde::to_vec(&id).unwrap().len(), 18);
        assert_eq!(ClientId::parse(&id.to_string()), Ok(id));
    }
}
