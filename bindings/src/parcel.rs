//! JSON with bytes in it, as it crosses into other languages: in the typed API and in the façade.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use syncline::argument::{Argument, portable};
use syncline::{Code, Error, attachments};

use crate::error::SynclineError;

/// JSON text, and the bytes that it names as `{"$attachment": index}`. An object that has no other key than `$attachment`,
/// `$bytes` or `$object` is written as `{"$object": {...}}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, uniffi::Record)]
pub struct Parcel {
    pub text: String,
    pub attachments: Vec<Vec<u8>>,
}

impl Parcel {
    pub(crate) fn pack<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Self> {
        attachments::to_text(value).map(Self::from_parts)
    }

    pub(crate) fn unpack<T: DeserializeOwned>(self) -> serde_json::Result<T> {
        let (text, attachments) = self.into_parts();
        attachments::from_text(&text, attachments)
    }

    // Compiled once, and not for each type that is packed.
    fn from_parts<B: Into<Vec<u8>>>((text, attachments): (String, Vec<B>)) -> Self {
        Self { text, attachments: attachments.into_iter().map(Into::into).collect() }
    }

    fn into_parts<B: From<Vec<u8>>>(self) -> (String, Vec<B>) {
        (self.text, self.attachments.into_iter().map(Into::into).collect())
    }

    /// Several arguments: a JSON array.
    pub(crate) fn of_all(args: Vec<Argument>) -> Self {
        Self::of_one(Argument::Array(args))
    }

    /// An argument always has a JSON form.
    pub(crate) fn of_one(arg: Argument) -> Self {
        Self::pack(&One(arg)).unwrap_or_default()
    }

    /// The arguments that the app gave.
    pub(crate) fn into_all(self) -> Result<Vec<Argument>, SynclineError> {
        Ok(self.unpack::<Args>().map_err(|error| invalid(&error))?.0)
    }

    /// The argument that the app gave.
    pub(crate) fn into_one(self) -> Result<Argument, SynclineError> {
        Ok(self.unpack::<One>().map_err(|error| invalid(&error))?.0)
    }
}

impl From<String> for Parcel {
    fn from(text: String) -> Self {
        Self { text, attachments: Vec::new() }
    }
}

#[derive(Deserialize)]
struct Args(#[serde(deserialize_with = "portable::deserialize")] Vec<Argument>);

#[derive(Serialize, Deserialize)]
struct One(
    #[serde(serialize_with = "portable::serialize_one", deserialize_with = "portable::deserialize_one")]
    Argument,
);

fn invalid(error: &serde_json::Error) -> SynclineError {
    Error::new(Code::Invalid, error.to_string()).into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn arguments_cross_with_their_bytes_beside_the_text() {
        let args = vec![Argument::Bytes(vec![0, 255].into()), Argument::Int(1)];
        let parcel = Parcel::of_all(args.clone());
        assert_eq!(
            (parcel.text.as_str(), &parcel.attachments),
            (r#"[{"$attachment":0},1]"#, &vec![vec![0, 255]])
        );
        assert_eq!(parcel.into_all().unwrap(), args);
        let parcel = Parcel::of_one(args[0].clone());
        assert_eq!((parcel.text.as_str(), parcel.attachments.len()), (r#"{"$attachment":0}"#, 1));
        assert_eq!(parcel.into_one().unwrap(), args[0]);
    }

    #[test]
    fn a_text_that_is_none_or_names_what_is_not_there_is_invalid() {
        for text in ["", "[", "[] []", r#"[{"$attachment":0}]"#, r#"{"a":1}"#] {
            let refused = Parcel::from(text.to_owned()).into_all().unwrap_err();
            assert!(
                matches!(&refused, SynclineError::Failed { code, .. } if code == "invalid"),
                "{text}: {refused}"
            );
        }
    }
}
