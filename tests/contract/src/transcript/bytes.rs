//! Bytes: `{"$bytes": base64}` in a transcript, beside the text where they cross.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};
use syncline_ffi::json::Parcel;

/// What a host hands over for JSON of a transcript.
pub(super) fn detached(json: &Json) -> Parcel {
    let mut attachments = Vec::new();
    let text = map_objects(json, &mut |object| {
        let bytes = STANDARD.decode(only(object, "$bytes")?.as_str()?).ok()?;
        attachments.push(bytes);
        Some(json!({ "$attachment": attachments.len() - 1 }))
    });
    Parcel { text: text.to_string(), attachments }
}

/// The JSON of a transcript for what the façade handed over.
pub(super) fn attached(parcel: &Parcel) -> serde_json::Result<Json> {
    let json = serde_json::from_str(&parcel.text)?;
    Ok(map_objects(&json, &mut |object| {
        let index = usize::try_from(only(object, "$attachment")?.as_u64()?).ok()?;
        Some(json!({ "$bytes": STANDARD.encode(parcel.attachments.get(index)?) }))
    }))
}

/// The value of the only member of an object, if it is this one.
fn only<'a>(object: &'a Map<String, Json>, key: &str) -> Option<&'a Json> {
    object.get(key).filter(|_| object.len() == 1)
}

/// `json` with each object that `replace` has something for replaced by that; one within `$object` stays one.
fn map_objects(json: &Json, replace: &mut impl FnMut(&Map<String, Json>) -> Option<Json>) -> Json {
    match json {
        Json::Array(items) => items.iter().map(|item| map_objects(item, replace)).collect(),
        Json::Object(object) => replace(object).unwrap_or_else(|| {
            let members = |object: &Map<String, Json>, replace: &mut _| {
                object.iter().map(|(key, member)| (key.clone(), map_objects(member, replace))).collect()
            };
            match only(object, "$object").and_then(Json::as_object) {
                Some(plain) => json!({ "$object": Json::Object(members(plain, replace)) }),
                None => Json::Object(members(object, replace)),
            }
        }),
        other => other.clone(),
    }
}
