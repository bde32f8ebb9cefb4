//! What the parts of a mutation count, in bytes: roughly what they take in memory and on the wire. Used for caps, not
//! for billing; also by those who measure what they do not decode.

use crate::patch::Path;

/// Null, true, false.
pub const CONSTANT: usize = 1;
pub const NUMBER: usize = 9;
/// An array or an object, without what is in it.
pub const CONTAINER: usize = 3;
/// A client and its number in a version vector.
const VERSION_ENTRY: usize = 26;

pub fn text(text: &str) -> usize {
    3 + text.len()
}

/// A field whose value counts so much.
pub fn field(name: &str, value: usize) -> usize {
    3 + name.len() + value
}

/// An operation whose values count so much.
pub fn op(path: &Path, values: usize) -> usize {
    12 + path.segments().iter().map(|segment| segment.len()).sum::<usize>() + values
}

/// A mutation of a write that counts so much, made upon a version that names so many clients.
pub fn mutation(collection: &str, id: &str, write: usize, base_clients: usize) -> usize {
    48 + collection.len() + id.len() + write + base_clients * VERSION_ENTRY
}
