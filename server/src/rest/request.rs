//! The parts of a request: names, headers, bodies.

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use serde::de::DeserializeOwned;
use syncline_protocol::{Collection, DocumentId, ErrorCode, NameError, Room};

use super::error::RestError;
use crate::hub::Condition;

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The longest idempotency key, in bytes.
pub(crate) const KEY_BYTES_MAX: usize = 255;

pub(crate) fn room(name: &str) -> Result<Room, RestError> {
    named(Room::new(name))
}

pub(crate) fn collection(name: &str) -> Result<Collection, RestError> {
    named(Collection::new(name))
}

pub(crate) fn document_id(name: &str) -> Result<DocumentId, RestError> {
    named(DocumentId::new(name))
}

fn named<T>(name: Result<T, NameError>) -> Result<T, RestError> {
    name.map_err(|error| RestError::senseless(error.to_string()))
}

/// Reads a JSON body.
pub(crate) fn json<T: DeserializeOwned>(headers: &HeaderMap, body: &Bytes) -> Result<T, RestError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let message = "the body must be application/json";
        return Err(RestError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::Invalid, message));
    }
    serde_json::from_slice(body)
        .map_err(|error| RestError::malformed(format!("the body does not read: {error}")))
}

/// The key by which the answer is remembered.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, RestError> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = key.to_str().unwrap_or_default();
    let fits = (1..=KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if fits {
        Ok(Some(key))
    } else {
        let message = format!("an idempotency key has 1 to {KEY_BYTES_MAX} visible characters of ASCII");
        Err(RestError::malformed(message))
    }
}

/// An `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    Any,
    Listed(Vec<Tag>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Tag {
    text: String,
    weak: bool,
}

/// The document's tag.
pub(crate) fn tag(seq: u64) -> String {
    format!("\"{seq}\"")
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, RestError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let malformed = || RestError::malformed(format!("{name} is neither * nor a list of tags"));
    let text = value.to_str().map_err(|_| malformed())?.trim();
    if text == "*" {
        return Ok(Some(Tags::Any));
    }
    let tags: Option<Vec<Tag>> = text.split(',').map(|part| read_tag(part.trim())).collect();
    tags.map(|tags| Some(Tags::Listed(tags))).ok_or_else(malformed)
}

fn read_tag(text: &str) -> Option<Tag> {
    let (weak, quoted) = match text.strip_prefix("W/") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    // Some clients take the quotes off.
    let is_bare = !quoted.is_empty() && quoted.bytes().all(|byte| byte.is_ascii_digit());
    let text = if is_bare { quoted } else { quoted.strip_prefix('"')?.strip_suffix('"')? };
    let fits = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    fits.then(|| Tag { text: text.to_owned(), weak })
}

/// What a write's headers ask of the document.
pub(crate) fn condition(headers: &HeaderMap) -> Result<Condition, RestError> {
    let unwanted = match tags(headers, &header::IF_NONE_MATCH)? {
        None => Condition::Always,
        Some(Tags::Any) => Condition::Absent,
        // Here a weak tag is as good as a strong one.
        Some(Tags::Listed(tags)) => Condition::NotAt(places(&tags)),
    };
    match tags(headers, &header::IF_MATCH)? {
        Some(_) if unwanted != Condition::Always => {
            Err(RestError::senseless("if-match and if-none-match exclude each other"))
        }
        Some(Tags::Any) => Ok(Condition::Exists),
        // A weak tag never matches here, nor does one that no document of ours has.
        Some(Tags::Listed(tags)) => {
            let strong: Vec<Tag> = tags.into_iter().filter(|tag| !tag.weak).collect();
            Ok(Condition::At(places(&strong)))
        }
        None => Ok(unwanted),
    }
}

fn places(tags: &[Tag]) -> Vec<u64> {
    tags.iter().filter_map(|tag| tag.text.parse().ok()).collect()
}

/// Whether a reader has what it asks for already.
pub(crate) fn has_already(headers: &HeaderMap, seq: u64) -> Result<bool, RestError> {
    Ok(match tags(headers, &header::IF_NONE_MATCH)? {
        None => false,
        Some(Tags::Any) => true,
        Some(Tags::Listed(tags)) => tags.iter().any(|tag| tag.text == seq.to_string()),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn conditions_are_read_from_the_headers() {
        for (pairs, expected) in [
            (vec![], Condition::Always),
            (vec![(header::IF_MATCH, "*")], Condition::Exists),
            (vec![(header::IF_NONE_MATCH, "\"7\", W/\"8\"")], Condition::NotAt(vec![7, 8])),
            (vec![(header::IF_NONE_MATCH, "*")], Condition::Absent),
            (vec![(header::IF_MATCH, "\"7\"")], Condition::At(vec![7])),
            (vec![(header::IF_MATCH, "7")], Condition::At(vec![7])),
            (vec![(header::IF_MATCH, "\"7\", W/\"8\",\"x\"")], Condition::At(vec![7])),
        ] {
            assert_eq!(condition(&headers(&pairs)).unwrap(), expected, "{pairs:?}");
        }
        for pairs in [
            vec![(header::IF_MATCH, "x")],
            vec![(header::IF_MATCH, "\"7")],
            vec![(header::IF_MATCH, "*"), (header::IF_NONE_MATCH, "*")],
        ] {
            assert!(condition(&headers(&pairs)).is_err(), "{pairs:?}");
        }
    }

    #[test]
    fn a_reader_may_name_weak_tags_too() {
        let asked = |value: &str| has_already(&headers(&[(header::IF_NONE_MATCH, value)]), 7).unwrap();
        assert!(asked("W/\"7\""));
        assert!(asked("\"6\", \"7\""));
        assert!(asked("*"));
        assert!(!asked("\"6\""));
    }
}
