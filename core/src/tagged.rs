//! Reads what is told apart by its member `type`, and what lies flat beside other members.
//!
//! Serde's own way to both keeps every value in a form in between, and compiles each type once more to read it from there: a
//! twentieth of the library. JSON text can be read twice instead.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, EnumAccess, Error as _, IntoDeserializer, VariantAccess, Visitor,
};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};
use serde_json::value::RawValue;
use serde_json::{Error, Result};

/// An object with its tag in `type`, as serde expects an enum: `{"type": "a", "b": 1}` for `{"a": {"b": 1}}`.
pub(crate) struct Tagged<'de> {
    tag: &'de str,
    text: &'de str,
}

/// Reads an enum by its derived function, of which `serde(remote = "Self")` makes one that is no trait's.
pub(crate) fn read<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    derived: impl FnOnce(Tagged<'_>) -> Result<T>,
) -> std::result::Result<T, D::Error> {
    #[derive(Deserialize)]
    struct Tag {
        r#type: String,
    }
    let text = Text::read(deserializer)?;
    let Tag { r#type: tag } = text.get()?;
    derived(Tagged { tag: &tag, text: text.0.get() }).map_err(D::Error::custom)
}

/// JSON that may be read several times.
pub(crate) struct Text(Box<RawValue>);

impl Text {
    pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Deserialize::deserialize(deserializer).map(Self)
    }

    pub(crate) fn get<T: DeserializeOwned, E: serde::de::Error>(&self) -> std::result::Result<T, E> {
        serde_json::from_str(self.0.get()).map_err(E::custom)
    }
}

impl<'de> Deserializer<'de> for Tagged<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Tagged<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        let tag: StrDeserializer<'de, Error> = self.tag.into_deserializer();
        Ok((seed.deserialize(tag)?, self))
    }
}

impl<'de> VariantAccess<'de> for Tagged<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<()> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(&mut serde_json::Deserializer::from_str(self.text))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, _visitor: V) -> Result<V::Value> {
        Err(Error::custom("a tuple cannot carry a tag"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        serde_json::Deserializer::from_str(self.text).deserialize_struct("", fields, visitor)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        name: String,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(remote = "Self", rename_all = "camelCase")]
    enum Shape {
        Nothing,
        Some { count: u64 },
        Inside(Inner),
    }

    impl<'de> Deserialize<'de> for Shape {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
            read(deserializer, |tagged| Self::deserialize(tagged))
        }
    }

    fn shape(json: &str) -> Result<Shape> {
        serde_json::from_str(json)
    }

    #[test]
    fn the_tag_stands_anywhere_among_the_members() {
        assert_eq!(shape(r#"{"type": "some", "count": 3}"#).unwrap(), Shape::Some { count: 3 });
        assert_eq!(shape(r#"{"count": 3, "type": "some"}"#).unwrap(), Shape::Some { count: 3 });
        assert_eq!(shape(r#"{"type": "nothing", "more": [1]}"#).unwrap(), Shape::Nothing);
    }

    #[test]
    fn a_variant_of_another_type_reads_the_members_beside_the_tag() {
        let inside = shape(r#"{"type": "inside", "name": "a \" b"}"#).unwrap();
        assert_eq!(inside, Shape::Inside(Inner { name: "a \" b".to_owned() }));
    }

    #[test]
    fn a_list_of_them_is_read_whole() {
        let shapes: Vec<Shape> =
            serde_json::from_value(json!([{"type": "nothing"}, {"type": "some", "count": 1}])).unwrap();
        assert_eq!(shapes, [Shape::Nothing, Shape::Some { count: 1 }]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, named) in [
            (r#"{"count": 3}"#, "missing field `type`"),
            (r#"{"type": "none"}"#, "unknown variant `none`"),
            (r#"{"type": "some"}"#, "missing field `count`"),
            (r#"{"type": "some", "count": "3"}"#, "invalid type: string"),
            (r#"{"type": "some", "count": 3"#, "EOF"),
            (r#"{"type": "some", "type": "nothing", "count": 3}"#, "duplicate field `type`"),
            (r#"[]"#, "invalid length 0"),
            (r#"3"#, "invalid type: integer"),
        ] {
            let said = shape(json).unwrap_err().to_string();
            assert!(said.contains(named), "{json}: {said}");
        }
    }
}
