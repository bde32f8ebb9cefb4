//! The names of fields: compared far more often than they are made.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;

use crate::name::Text;

/// Bytes of a name that one comparison covers.
const PREFIX_BYTES: usize = size_of::<u64>();

/// The name of a field, in the order of its bytes. Up to 23 bytes stand in place, without an allocation, and most
/// comparisons end with the first eight.
#[derive(Clone)]
pub struct FieldName {
    /// The first bytes, followed by zeros: as numbers they compare as the bytes do.
    prefix: u64,
    text: SmolStr,
}

impl FieldName {
    pub fn new(name: &str) -> Self {
        let mut prefix = [0; PREFIX_BYTES];
        let length = name.len().min(PREFIX_BYTES);
        prefix[..length].copy_from_slice(&name.as_bytes()[..length]);
        Self { prefix: u64::from_be_bytes(prefix), text: SmolStr::new(name) }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the prefix is all of it.
    fn is_short(&self) -> bool {
        self.text.len() <= PREFIX_BYTES
    }
}

impl PartialEq for FieldName {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for FieldName {}

impl Ord for FieldName {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        match self.prefix.cmp(&other.prefix) {
            // They may differ in how many zeros at their ends are their own.
            Ordering::Equal if self.is_short() && other.is_short() => self.text.len().cmp(&other.text.len()),
            Ordering::Equal => self.as_str().cmp(other.as_str()),
            unequal => unequal,
        }
    }
}

impl PartialOrd for FieldName {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq<str> for FieldName {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for FieldName {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

/// As a string's, so that fields are found by strings.
impl Hash for FieldName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Borrow<str> for FieldName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for FieldName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Deref for FieldName {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for FieldName {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for FieldName {
    fn from(name: String) -> Self {
        Self::new(&name)
    }
}

impl From<&String> for FieldName {
    fn from(name: &String) -> Self {
        Self::new(name)
    }
}

impl From<&Self> for FieldName {
    fn from(name: &Self) -> Self {
        name.clone()
    }
}

impl From<FieldName> for String {
    fn from(name: FieldName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for FieldName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for FieldName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(name) = Text::deserialize(deserializer)?;
        Ok(Self::new(&name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name() -> impl Strategy<Value = String> {
        // Zeros at the end, and names that agree in all that the prefix holds.
        prop_oneof!["[a-b\0]{0,3}", "abcdefg[h\0]{0,3}", "(long ){0,6}[a-b]?", ".{0,12}"]
    }

    proptest! {
        #[test]
        fn names_compare_as_their_text_does(one in name(), other in name()) {
            let (first, second) = (FieldName::new(&one), FieldName::new(&other));
            prop_assert_eq!(first.cmp(&second), one.cmp(&other));
            prop_assert_eq!(first == second, one == other);
            prop_assert_eq!(first.as_str(), one);
        }
    }

    #[test]
    fn a_name_takes_no_more_than_a_string_and_its_shortest_text() {
        assert!(size_of::<FieldName>() <= size_of::<String>() + PREFIX_BYTES);
    }
}
