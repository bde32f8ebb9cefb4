//! The dynamic value that a document's fields hold: JSON's data model with exact integers.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::field::FieldName;
use crate::limits::VALUE_DEPTH_MAX;
use crate::measure;

/// A document's fields, sorted by name.
pub type Fields = BTreeMap<FieldName, Value>;

/// A JSON value. A number that is whole and within ±2^53 is always `Int`, so that `1` and `1.0`, which
/// JavaScript cannot tell apart, are equal. A `Float` is always finite.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(String),
    Array(Vec<Value>),
    Object(Fields),
}

/// The largest magnitude at which every whole `f64` is exact.
const EXACT_INT_MAX: f64 = 9_007_199_254_740_992.0;

impl Value {
    /// A number in its canonical form; `None` when it is not finite.
    pub fn number(number: f64) -> Option<Self> {
        if !number.is_finite() {
            return None;
        }
        if number.fract() == 0.0 && number.abs() <= EXACT_INT_MAX {
            // In range and whole, so the cast is exact.
            #[allow(clippy::cast_possible_truncation)]
            return Some(Self::Int(number as i64));
        }
        Some(Self::Float(number))
    }

    /// Whether it nests at most `depth_max` deep, as the wire counts.
    pub fn nests_within(&self, depth_max: usize) -> bool {
        let inner = depth_max.checked_sub(1);
        match self {
            Self::Array(items) => {
                items.iter().all(|item| inner.is_some_and(|depth| item.nests_within(depth)))
            }
            Self::Object(fields) => {
                fields.values().all(|item| inner.is_some_and(|depth| item.nests_within(depth)))
            }
            _ => true,
        }
    }

    /// The sum of two numbers; `None` when either is not a number or the sum is not finite.
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        if let (Self::Int(a), Self::Int(b)) = (self, other)
            && let Some(sum) = a.checked_add(*b)
        {
            return Some(Self::Int(sum));
        }
        Self::number(self.as_f64()? + other.as_f64()?)
    }

    pub fn as_f64(&self) -> Option<f64> {
        match self {
            #[allow(clippy::cast_precision_loss)]
            Self::Int(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }

    pub fn as_object_mut(&mut self) -> Option<&mut Fields> {
        match self {
            Self::Object(fields) => Some(fields),
            _ => None,
        }
    }

    /// What the value takes in memory and, roughly, on the wire, in bytes. Used for caps, not for billing.
    pub fn byte_len(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) => measure::CONSTANT,
            Self::Int(_) | Self::Float(_) => measure::NUMBER,
            Self::String(text) => measure::text(text),
            Self::Array(items) => measure::CONTAINER + items.iter().map(Self::byte_len).sum::<usize>(),
            Self::Object(fields) => measure::CONTAINER + fields_byte_len(fields),
        }
    }
}

/// [`Value::byte_len`] of all fields and their names.
pub fn fields_byte_len(fields: &Fields) -> usize {
    fields.iter().map(|(name, value)| measure::field(name, value.byte_len())).sum()
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(items) => items.serialize(serializer),
            Self::Object(fields) => fields.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        AtDepth(0).deserialize(deserializer)
    }
}

/// Carries the nesting depth down, so that hostile input cannot exhaust the stack.
struct AtDepth(usize);

impl<'de> DeserializeSeed<'de> for AtDepth {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.0 > VALUE_DEPTH_MAX {
            return Err(D::Error::custom(format_args!("nested deeper than {VALUE_DEPTH_MAX}")));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AtDepth {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    #[allow(clippy::cast_precision_loss)]
    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Float(number as f64), Value::Int))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        Value::number(number).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(AtDepth(self.0 + 1))? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Fields::new();
        while let Some(name) = map.next_key::<FieldName>()? {
            fields.insert(name, map.next_value_seed(AtDepth(self.0 + 1))?);
        }
        Ok(Value::Object(fields))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn whole_floats_are_integers_in_json_and_in_messagepack() {
        assert_eq!(serde_json::from_str::<Value>("1.0").unwrap(), Value::Int(1));
        assert_eq!(serde_json::from_str::<Value>("-0.0").unwrap(), Value::Int(0));
        let packed = rmp_serde::to_vec(&2.0f64).unwrap();
        assert_eq!(rmp_serde::from_slice::<Value>(&packed).unwrap(), Value::Int(2));
    }

    #[test]
    fn a_number_that_is_not_finite_is_refused() {
        let packed = rmp_serde::to_vec(&f64::NAN).unwrap();
        assert!(rmp_serde::from_slice::<Value>(&packed).is_err());
        assert_eq!(Value::Float(f64::MAX).checked_add(&Value::Float(f64::MAX)), None);
    }

    #[test]
    fn integer_overflow_becomes_a_float() {
        let sum = Value::Int(i64::MAX).checked_add(&Value::Int(1)).unwrap();
        assert_eq!(sum, Value::Float(9_223_372_036_854_775_808.0));
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(serde_json::from_str::<Value>(&nested(VALUE_DEPTH_MAX)).is_ok());
        assert!(serde_json::from_str::<Value>(&nested(VALUE_DEPTH_MAX + 1)).is_err());
        let mut packed = vec![0x91; 100_000];
        packed.push(0xc0);
        assert!(rmp_serde::from_slice::<Value>(&packed).is_err());
    }

    #[test]
    fn a_value_survives_both_encodings() {
        let text = r#"{"a":[1,2.5,null,true,"ü"],"b":{"c d":-9007199254740993},"e":[]}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&value).unwrap(), text);
        let packed = rmp_serde::to_vec(&value).unwrap();
        assert_eq!(rmp_serde::from_slice::<Value>(&packed).unwrap(), value);
    }
}
