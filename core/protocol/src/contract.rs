//! How the types with their own serde forms look in TypeScript.

use ts_rs::{Config, TS};

use crate::field::FieldName;
use crate::name::{Collection, DocumentId, Room};
use crate::patch::{Patch, Path};
use crate::value::Value;

macro_rules! typescript {
    ($($type:ty => $text:literal),* $(,)?) => { $(
        impl TS for $type {
            type WithoutGenerics = Self;
            type OptionInnerType = Self;

            fn name(_: &Config) -> String {
                $text.to_owned()
            }

            fn inline(config: &Config) -> String {
                Self::name(config)
            }
        }
    )* };
}

typescript! {
    Room => "string",
    Collection => "string",
    DocumentId => "string",
    FieldName => "string",
    Path => "string",
    Patch => "Patch",
    Value => "JsonValue",
}
