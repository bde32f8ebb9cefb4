//! Field operations, and the paths they act on.

use std::cmp::Ordering;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::field::FieldName;
use crate::limits::PATH_SEGMENTS_MAX;
use crate::measure;
use crate::name::Text;
use crate::value::{Fields, Value};

/// Where in a document an operation acts: one field name per level. Spelled with dots, `address.city`; a dot or
/// a backslash within a name is escaped by a backslash.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Path(Segments);

/// Nearly every path has one segment: it takes no list.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Segments {
    One(FieldName),
    /// Never one.
    Several(Vec<FieldName>),
}

impl Ord for Path {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Segments::One(own), Segments::One(other)) => own.cmp(other),
            _ => self.segments().cmp(other.segments()),
        }
    }
}

impl PartialOrd for Path {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Why a patch was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    #[error("a path has {segments} segments, at most {PATH_SEGMENTS_MAX} are allowed")]
    PathTooDeep { segments: usize },
    #[error("a path ends in an escape, or escapes something other than a dot or a backslash: {path}")]
    BadEscape { path: String },
    #[error("the patch is empty")]
    Empty,
    #[error("{inner} lies within {outer}, and both are changed by the patch")]
    Overlap { outer: Path, inner: Path },
    #[error("{path} is incremented by something that is not a number")]
    NotANumber { path: Path },
    #[error("{path} holds {found}, which {op} cannot change")]
    TypeMismatch { path: Path, op: &'static str, found: &'static str },
}

impl Path {
    /// Of segments, of which there is at least one.
    fn of(mut segments: Vec<FieldName>) -> Self {
        match segments.pop() {
            Some(only) if segments.is_empty() => Self(Segments::One(only)),
            last => {
                segments.extend(last);
                Self(Segments::Several(segments))
            }
        }
    }

    /// A path of one segment, taken literally.
    pub fn field(name: impl Into<FieldName>) -> Self {
        Self(Segments::One(name.into()))
    }

    /// Reads the dotted spelling.
    pub fn parse(text: &str) -> Result<Self, PatchError> {
        if !text.contains(['.', '\\']) {
            return Ok(Self::field(text));
        }
        let mut segments = vec![String::new()];
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            let literal = match char {
                '.' => {
                    segments.push(String::new());
                    continue;
                }
                '\\' => match chars.next() {
                    Some(escaped @ ('.' | '\\')) => escaped,
                    _ => return Err(PatchError::BadEscape { path: text.to_owned() }),
                },
                other => other,
            };
            if let Some(segment) = segments.last_mut() {
                segment.push(literal);
            }
        }
        if segments.len() > PATH_SEGMENTS_MAX {
            return Err(PatchError::PathTooDeep { segments: segments.len() });
        }
        Ok(Self::of(segments.into_iter().map(FieldName::from).collect()))
    }

    /// The names, outermost first; never empty.
    pub fn segments(&self) -> &[FieldName] {
        match &self.0 {
            Segments::One(only) => std::slice::from_ref(only),
            Segments::Several(segments) => segments,
        }
    }

    /// The value here; `None` where a field is missing or the path leads through something other than an object.
    pub fn value_in<'a>(&self, fields: &'a Fields) -> Option<&'a Value> {
        let (first, rest) = self.segments().split_first()?;
        rest.iter().try_fold(fields.get(first)?, |value, name| match value {
            Value::Object(fields) => fields.get(name),
            _ => None,
        })
    }

    /// This path with another name at one level, counted from 0.
    #[must_use]
    pub fn renamed(&self, level: usize, name: &str) -> Self {
        let mut segments = self.segments().to_vec();
        if let Some(segment) = segments.get_mut(level) {
            *segment = name.into();
        }
        Self::of(segments)
    }

    /// Whether this path lies strictly within `outer`.
    pub fn is_within(&self, outer: &Self) -> bool {
        let (own, outer) = (self.segments(), outer.segments());
        own.len() > outer.len() && own.starts_with(outer)
    }

    /// The enclosing paths, outermost first, without the path itself.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + '_ {
        (1..self.segments().len()).map(|length| Self::of(self.segments()[..length].to_vec()))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments().iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            for char in segment.chars() {
                if matches!(char, '.' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{char}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({self})")
    }
}

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.segments() {
            [name] if !name.contains(['.', '\\']) => serializer.serialize_str(name),
            _ => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// What happens to the value at a path.
///
/// An increment or array operation that does not fit the value it finds (an increment of a string, a union into a
/// number), or whose path leads through something that is no object, changes nothing, on both ends. A set replaces
/// whatever its path leads through. A client refuses both before it accepts them, so this happens only when somebody
/// else changed the type meanwhile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Replaces the value. The newer stamp wins.
    Set(Value),
    /// Removes the field. The newer stamp wins.
    Unset,
    /// Adds a number, possibly negative; a missing or null value counts as 0. Always applies.
    Increment(Value),
    /// Adds the items that an array lacks; a missing or null value counts as empty. Always applies.
    Union(Vec<Value>),
    /// Removes all items equal to one of these. Always applies.
    Remove(Vec<Value>),
    /// Adds items to the end of an array. Always applies.
    Append(Vec<Value>),
    /// Sets the server's time in milliseconds since the epoch; the client's until it is confirmed. The newer
    /// stamp wins.
    ServerTime,
}

impl Op {
    /// The name of the operation on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Set(_) => "set",
            Self::Unset => "unset",
            Self::Increment(_) => "increment",
            Self::Union(_) => "union",
            Self::Remove(_) => "remove",
            Self::Append(_) => "append",
            Self::ServerTime => "server_time",
        }
    }

    fn byte_len(&self) -> usize {
        match self {
            Self::Set(value) | Self::Increment(value) => value.byte_len(),
            Self::Union(items) | Self::Remove(items) | Self::Append(items) => {
                items.iter().map(Value::byte_len).sum()
            }
            Self::Unset | Self::ServerTime => 0,
        }
    }
}

/// Operations on distinct paths, none of which lies within another; in the order of the paths.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Patch(Vec<(Path, Op)>);

impl Patch {
    pub fn new() -> Self {
        Self::default()
    }

    fn of(mut ops: Vec<(Path, Op)>) -> Self {
        // Stable, so that the last of several on one path stays the last.
        ops.sort_by(|(one, _), (other, _)| one.cmp(other));
        ops.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        Self(ops)
    }

    /// Adds an operation; one on the same path is replaced.
    #[must_use]
    pub fn with(mut self, path: Path, op: Op) -> Self {
        match self.0.binary_search_by(|(own, _)| own.cmp(&path)) {
            Ok(found) => self.0[found].1 = op,
            Err(place) => self.0.insert(place, (path, op)),
        }
        self
    }

    pub fn ops(&self) -> impl Iterator<Item = (&Path, &Op)> {
        self.0.iter().map(|(path, op)| (path, op))
    }

    /// Checks what can be told without a document: not empty, no overlap, increments by numbers.
    pub fn validate(&self) -> Result<(), PatchError> {
        if self.0.is_empty() {
            return Err(PatchError::Empty);
        }
        for ((outer, _), (inner, _)) in self.0.iter().zip(self.0.iter().skip(1)) {
            // Paths are sorted, so the paths within one follow it directly.
            if inner.is_within(outer) {
                return Err(PatchError::Overlap { outer: outer.clone(), inner: inner.clone() });
            }
        }
        for (path, op) in &self.0 {
            if let Op::Increment(amount) = op
                && amount.as_f64().is_none()
            {
                return Err(PatchError::NotANumber { path: path.clone() });
            }
        }
        Ok(())
    }

    /// See [`Value::byte_len`].
    pub fn byte_len(&self) -> usize {
        self.0.iter().map(|(path, op)| measure::op(path, op.byte_len())).sum()
    }
}

impl FromIterator<(Path, Op)> for Patch {
    /// Of several operations on one path the last holds.
    fn from_iter<I: IntoIterator<Item = (Path, Op)>>(ops: I) -> Self {
        Self::of(ops.into_iter().collect())
    }
}

impl Serialize for Patch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.ops())
    }
}

impl<'de> Deserialize<'de> for Patch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ReadOps)
    }
}

struct ReadOps;

impl<'de> Visitor<'de> for ReadOps {
    type Value = Patch;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of paths to operations")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Patch, A::Error> {
        let mut ops = Vec::new();
        while let Some(entry) = map.next_entry()? {
            ops.push(entry);
        }
        Ok(Patch::of(ops))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_dot_in_a_name_is_escaped() {
        let path = Path::parse(r"a\.b.c\\d").unwrap();
        assert_eq!(path.segments(), ["a.b", r"c\d"]);
        assert!(matches!(Path::parse(r"a\b"), Err(PatchError::BadEscape { .. })));
        assert!(matches!(Path::parse("a\\"), Err(PatchError::BadEscape { .. })));
    }

    #[test]
    fn a_path_within_another_of_the_same_patch_is_refused() {
        let path = |text| Path::parse(text).unwrap();
        let patch =
            Patch::new().with(path("a"), Op::Unset).with(path("a.b"), Op::Unset).with(path("ab"), Op::Unset);
        assert_eq!(patch.validate(), Err(PatchError::Overlap { outer: path("a"), inner: path("a.b") }));
        let siblings = Patch::new().with(path("a"), Op::Unset).with(path("ab"), Op::Unset);
        assert_eq!(siblings.validate(), Ok(()));
    }

    #[test]
    fn an_increment_by_text_is_refused() {
        let patch = Patch::new().with(Path::field("n"), Op::Increment("1".into()));
        assert_eq!(patch.validate(), Err(PatchError::NotANumber { path: Path::field("n") }));
    }

    proptest! {
        #[test]
        fn the_spelling_of_a_path_reads_back(segments in proptest::collection::vec(r"[a-c.\\ ]{0,4}", 1..5)) {
            let path = Path::of(segments.iter().map(FieldName::from).collect());
            prop_assert_eq!(Path::parse(&path.to_string()).unwrap(), path);
        }

        #[test]
        fn paths_compare_as_their_segments_do(
            one in proptest::collection::vec("[a-b]{0,2}", 1..4),
            other in proptest::collection::vec("[a-b]{0,2}", 1..4),
        ) {
            let path = |names: &[String]| Path::of(names.iter().map(FieldName::from).collect());
            let (first, second) = (path(&one), path(&other));
            prop_assert_eq!(first.cmp(&second), one.cmp(&other));
            prop_assert_eq!(first == second, one == other);
            prop_assert!(first.segments().iter().map(FieldName::as_str).eq(one.iter().map(String::as_str)));
        }
    }
}
