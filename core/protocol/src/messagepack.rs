//! Reads serde types from MessagePack, as `rmp_serde` writes it.
//!
//! Its own reader compiles a way to read every kind of value for every type, and all of that once more for readable forms: a
//! tenth of a phone's library. This one asks for the kind that the type wants, and is told at run time what is readable.

use serde::de::{DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::{Deserialize, Deserializer};
use thiserror::Error;

/// How deep arrays, maps and enums may nest, so that hostile input cannot exhaust the stack. Values have a limit of their own.
const DEPTH_MAX: u16 = 256;

/// Why bytes do not read as what they should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(transparent)]
pub struct ReadError(Box<Reason>);

#[derive(Debug, Clone, PartialEq, Eq, Error)]
enum Reason {
    #[error("the value ends too early")]
    Truncated,
    #[error("bytes follow the value")]
    TrailingBytes,
    #[error("{found} where {expected} is expected")]
    Kind { expected: &'static str, found: &'static str },
    #[error("text is not UTF-8")]
    Utf8,
    #[error("nested deeper than {DEPTH_MAX}")]
    TooDeep,
    #[error("{0} elements more than are known")]
    TooLong(usize),
    #[error("{0}")]
    Type(String),
}

type Result<T> = std::result::Result<T, ReadError>;

impl ReadError {
    #[cold]
    fn new(reason: Reason) -> Self {
        Self(Box::new(reason))
    }

    /// Whether there was a value, and more.
    pub fn is_trailing_bytes(&self) -> bool {
        *self.0 == Reason::TrailingBytes
    }

    #[cold]
    fn kind<T>(expected: &'static str, found: Head) -> Result<T> {
        Err(Self::new(Reason::Kind { expected, found: found.name() }))
    }
}

impl serde::de::Error for ReadError {
    #[cold]
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::new(Reason::Type(message.to_string()))
    }
}

/// Reads a whole value, in which structs are arrays and ids are bytes.
pub fn from_compact<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T> {
    read(bytes, false)
}

/// Reads a whole value in its readable form, as JavaScript writes it: structs are maps, and ids are text.
pub fn from_named<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T> {
    read(bytes, true)
}

fn read<'de, T: Deserialize<'de>>(bytes: &'de [u8], is_readable: bool) -> Result<T> {
    let mut reader = Reader { rest: bytes, depth: 0, is_readable };
    let value = T::deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// The start of a value: all of a scalar, else how much follows.
#[derive(Debug, Clone, Copy)]
enum Head {
    Nil,
    Bool(bool),
    UInt(u64),
    /// Negative.
    Int(i64),
    Float(f64),
    Text(usize),
    Bytes(usize),
    Array(usize),
    Map(usize),
    Extension(usize),
    Reserved,
}

impl Head {
    fn name(self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "a boolean",
            Self::UInt(_) | Self::Int(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Array(_) => "an array",
            Self::Map(_) => "a map",
            Self::Extension(_) => "an extension",
            Self::Reserved => "a reserved type",
        }
    }
}

struct Reader<'de> {
    rest: &'de [u8],
    depth: u16,
    is_readable: bool,
}

impl<'de> Reader<'de> {
    fn end(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(ReadError::new(Reason::TrailingBytes)) }
    }

    #[inline(never)]
    fn take(&mut self, count: usize) -> Result<&'de [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(ReadError::new(Reason::Truncated));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// A big-endian number of 1, 2, 4 or 8 bytes, whose logarithm is given.
    fn uint(&mut self, log_width: u8) -> Result<u64> {
        let bytes = self.take(1 << log_width)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn int(&mut self, log_width: u8) -> Result<Head> {
        let unused_bits = 64 - (8 << log_width);
        let number = (self.uint(log_width)? << unused_bits).cast_signed() >> unused_bits;
        Ok(u64::try_from(number).map_or(Head::Int(number), Head::UInt))
    }

    fn len(&mut self, log_width: u8) -> Result<usize> {
        usize::try_from(self.uint(log_width)?).map_err(|_| ReadError::new(Reason::Truncated))
    }

    #[inline(never)]
    fn head(&mut self) -> Result<Head> {
        let marker = self.take(1)?.first().copied().unwrap_or(0xc1);
        Ok(match marker {
            0x00..=0x7f => Head::UInt(u64::from(marker)),
            0x80..=0x8f => Head::Map(usize::from(marker & 0x0f)),
            0x90..=0x9f => Head::Array(usize::from(marker & 0x0f)),
            0xa0..=0xbf => Head::Text(usize::from(marker & 0x1f)),
            0xc0 => Head::Nil,
            0xc1 => Head::Reserved,
            0xc2 | 0xc3 => Head::Bool(marker == 0xc3),
            0xc4..=0xc6 => Head::Bytes(self.len(marker - 0xc4)?),
            0xc7..=0xc9 => Head::Extension(self.len(marker - 0xc7)?),
            // In range: four bytes were read.
            #[allow(clippy::cast_possible_truncation)]
            0xca => Head::Float(f64::from(f32::from_bits(self.uint(2)? as u32))),
            0xcb => Head::Float(f64::from_bits(self.uint(3)?)),
            0xcc..=0xcf => Head::UInt(self.uint(marker - 0xcc)?),
            0xd0..=0xd3 => self.int(marker - 0xd0)?,
            0xd4..=0xd8 => Head::Extension(1 << (marker - 0xd4)),
            0xd9..=0xdb => Head::Text(self.len(marker - 0xd9)?),
            0xdc | 0xdd => Head::Array(self.len(marker - 0xdc + 1)?),
            0xde | 0xdf => Head::Map(self.len(marker - 0xde + 1)?),
            0xe0..=0xff => Head::Int(i64::from(marker.cast_signed())),
        })
    }

    #[inline(never)]
    fn text(&mut self, byte_len: usize) -> Result<&'de str> {
        std::str::from_utf8(self.take(byte_len)?).map_err(|_| ReadError::new(Reason::Utf8))
    }

    /// Moves past a value, however deep.
    #[inline(never)]
    fn skip(&mut self) -> Result<()> {
        let mut left = 1_u64;
        while left > 0 {
            left -= 1;
            match self.head()? {
                Head::Text(length) => drop(self.text(length)?),
                Head::Bytes(length) => drop(self.take(length)?),
                // Its type comes first.
                Head::Extension(length) => drop((self.take(1)?, self.take(length)?)),
                Head::Array(count) => left += count as u64,
                Head::Map(count) => left += 2 * count as u64,
                reserved @ Head::Reserved => return ReadError::kind("a value", reserved),
                Head::Nil | Head::Bool(_) | Head::UInt(_) | Head::Int(_) | Head::Float(_) => {}
            }
        }
        Ok(())
    }

    fn enter(&mut self) -> Result<()> {
        if self.depth == DEPTH_MAX {
            return Err(ReadError::new(Reason::TooDeep));
        }
        self.depth += 1;
        Ok(())
    }

    fn array<V: Visitor<'de>>(&mut self, count: usize, visitor: V) -> Result<V::Value> {
        let mut elements = Elements::enter(self, count)?;
        let value = visitor.visit_seq(&mut elements)?;
        elements.leave()?;
        Ok(value)
    }

    fn map<V: Visitor<'de>>(&mut self, count: usize, visitor: V) -> Result<V::Value> {
        let mut elements = Elements::enter(self, count)?;
        let value = visitor.visit_map(&mut elements)?;
        elements.leave()?;
        Ok(value)
    }

    fn number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        match self.head()? {
            Head::UInt(number) => visitor.visit_u64(number),
            Head::Int(number) => visitor.visit_i64(number),
            Head::Float(number) => visitor.visit_f64(number),
            other => ReadError::kind("a number", other),
        }
    }

    fn text_or_bytes<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        match self.head()? {
            Head::Text(length) => visitor.visit_borrowed_str(self.text(length)?),
            Head::Bytes(length) => visitor.visit_borrowed_bytes(self.take(length)?),
            other => ReadError::kind("text or bytes", other),
        }
    }

    fn is_nil(&self) -> bool {
        self.rest.first() == Some(&0xc0)
    }
}

macro_rules! forward {
    ($($method:ident)* => $to:ident) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            self.$to(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = ReadError;

    fn is_human_readable(&self) -> bool {
        self.is_readable
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.head()? {
            Head::Nil => visitor.visit_unit(),
            Head::Bool(flag) => visitor.visit_bool(flag),
            Head::UInt(number) => visitor.visit_u64(number),
            Head::Int(number) => visitor.visit_i64(number),
            Head::Float(number) => visitor.visit_f64(number),
            Head::Text(length) => visitor.visit_borrowed_str(self.text(length)?),
            Head::Bytes(length) => visitor.visit_borrowed_bytes(self.take(length)?),
            Head::Array(count) => self.array(count, visitor),
            Head::Map(count) => self.map(count, visitor),
            other @ (Head::Extension(_) | Head::Reserved) => ReadError::kind("a value", other),
        }
    }

    forward! {
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_i8 deserialize_i16 deserialize_i32
        deserialize_i64 deserialize_f32 deserialize_f64 => number
    }
    forward! {
        deserialize_char deserialize_str deserialize_string deserialize_identifier deserialize_bytes
        deserialize_byte_buf => text_or_bytes
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.head()? {
            Head::Bool(flag) => visitor.visit_bool(flag),
            other => ReadError::kind("a boolean", other),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.is_nil() {
            self.take(1)?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.head()? {
            Head::Nil => visitor.visit_unit(),
            other => ReadError::kind("nil", other),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value> {
        match self.head()? {
            Head::Nil | Head::Array(0) => visitor.visit_unit(),
            other => ReadError::kind("nil", other),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.head()? {
            Head::Array(count) => self.array(count, visitor),
            other => ReadError::kind("an array", other),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.head()? {
            Head::Map(count) => self.map(count, visitor),
            other => ReadError::kind("a map", other),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.head()? {
            Head::Array(count) => self.array(count, visitor),
            Head::Map(count) => self.map(count, visitor),
            other => ReadError::kind("a map or an array", other),
        }
    }

    /// A variant is its name, or a map of that to what it holds.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        let start = self.rest;
        match self.head()? {
            Head::Text(_) => {
                self.rest = start;
                visitor.visit_enum(Variant { reader: self, is_alone: true })
            }
            Head::Map(1) => {
                self.enter()?;
                let value = visitor.visit_enum(Variant { reader: &mut *self, is_alone: false })?;
                self.depth -= 1;
                Ok(value)
            }
            other => ReadError::kind("a variant", other),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.skip()?;
        visitor.visit_unit()
    }
}

/// The elements of an array, or the entries of a map.
struct Elements<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: usize,
}

impl<'a, 'de> Elements<'a, 'de> {
    fn enter(reader: &'a mut Reader<'de>, count: usize) -> Result<Self> {
        // Each takes a byte at least: what is counted and not there is not prepared for.
        if count > reader.rest.len() {
            return Err(ReadError::new(Reason::Truncated));
        }
        reader.enter()?;
        Ok(Self { reader, left: count })
    }

    fn leave(self) -> Result<()> {
        if self.left > 0 {
            return Err(ReadError::new(Reason::TooLong(self.left)));
        }
        self.reader.depth -= 1;
        Ok(())
    }

    fn next(&mut self) -> Option<&mut Reader<'de>> {
        self.left = self.left.checked_sub(1)?;
        Some(self.reader)
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        self.next().map(|reader| seed.deserialize(reader)).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for Elements<'_, 'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        self.next().map(|reader| seed.deserialize(reader)).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        seed.deserialize(&mut *self.reader)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// A variant that is about to be read: its name, and what follows unless that stands alone.
struct Variant<'a, 'de> {
    reader: &'a mut Reader<'de>,
    is_alone: bool,
}

impl<'a, 'de> Variant<'a, 'de> {
    fn content(self) -> Result<&'a mut Reader<'de>> {
        if self.is_alone {
            return Err(ReadError::new(Reason::Kind {
                expected: "a variant's content",
                found: "its name alone",
            }));
        }
        Ok(self.reader)
    }
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = ReadError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        Ok((seed.deserialize(&mut *self.reader)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<()> {
        if self.is_alone { Ok(()) } else { Deserialize::deserialize(self.reader) }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self.content()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        self.content()?.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.content()?.deserialize_struct("", fields, visitor)
    }
}

#[cfg(test)]
#[path = "messagepack_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
