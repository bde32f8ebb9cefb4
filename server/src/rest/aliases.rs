//! Paths of the application's own that stand for one document each.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use matchit::Router;
use syncline_protocol::{Fields, Value, Write};

use super::access::Caller;
use super::documents::{answer, find, read_patch};
use super::error::RestError;
use super::patch::Numbers;
use super::write::{self, Asked, Item, write_one};
use super::{Rest, request};
use crate::config::{AliasAction, AliasConfig, AliasNumbers};

/// Why an alias cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum AliasError {
    #[error("the path {path} of an alias does not read: {reason}")]
    Path { path: String, reason: String },
    #[error("{method} of {path} is no method of HTTP")]
    Method { path: String, method: String },
    #[error("{template} of {path} does not read: a name stands between braces")]
    Template { path: String, template: String },
    #[error("{template} of {path} names {name}, which the path does not have")]
    UnknownName { path: String, template: String, name: String },
}

/// All aliases, by their paths.
pub(crate) struct Aliases(Router<Alias>);

struct Alias {
    methods: BTreeMap<String, AliasAction>,
    room: Template,
    collection: Template,
    id: Template,
    numbers: Numbers,
    member: Option<String>,
    upsert: bool,
}

/// Text with names in it.
#[derive(Debug, PartialEq)]
struct Template(Vec<Part>);

#[derive(Debug, PartialEq)]
enum Part {
    Text(String),
    Path(String),
    User,
    Body(String),
}

impl Template {
    fn read(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, behind) = after.split_once('}')?;
            if before.contains('}') || name.is_empty() || name.contains('{') {
                return None;
            }
            parts.push(Part::Text(before.to_owned()));
            parts.push(match name.strip_prefix("body.") {
                Some(member) => Part::Body(member.to_owned()),
                None if name == "sub" => Part::User,
                None => Part::Path(name.to_owned()),
            });
            rest = behind;
        }
        if rest.contains('}') {
            return None;
        }
        parts.push(Part::Text(rest.to_owned()));
        Some(Self(parts))
    }

    fn fill(&self, found: &Found<'_>) -> Result<String, RestError> {
        self.0.iter().try_fold(String::new(), |text, part| {
            let missing = |name: &str| RestError::senseless(format!("the body has no text at {name}"));
            Ok(text
                + match part {
                    Part::Text(text) => text,
                    Part::User => found.user,
                    Part::Path(name) => found.path.get(name).map(String::as_str).unwrap_or_default(),
                    Part::Body(name) => match found.body.get(name.as_str()) {
                        Some(Value::String(text)) => text,
                        _ => return Err(missing(name)),
                    },
                })
        })
    }
}

/// What names may stand for.
struct Found<'a> {
    user: &'a str,
    path: BTreeMap<String, String>,
    body: &'a Fields,
}

impl Aliases {
    /// Checks and keeps what was configured.
    pub(crate) fn new(aliases: &[AliasConfig]) -> Result<Self, AliasError> {
        let mut router = Router::new();
        for alias in aliases {
            let path = &alias.path;
            let wrong = |error: matchit::InsertError| AliasError::Path {
                path: path.clone(),
                reason: error.to_string(),
            };
            if !path.starts_with('/') {
                return Err(AliasError::Path {
                    path: path.clone(),
                    reason: "it does not begin with /".into(),
                });
            }
            let mut methods = BTreeMap::new();
            for (method, action) in &alias.methods {
                let name = method.to_ascii_uppercase();
                if Method::from_bytes(name.as_bytes()).is_err() {
                    return Err(AliasError::Method { path: path.clone(), method: method.clone() });
                }
                methods.insert(name, *action);
            }
            let read = |text: &str| template(path, text);
            let alias = Alias {
                methods,
                room: read(&alias.room)?,
                collection: read(&alias.collection)?,
                id: read(&alias.id)?,
                numbers: match alias.numbers {
                    AliasNumbers::Set => Numbers::Set,
                    AliasNumbers::Increment => Numbers::Increment,
                },
                member: alias.member.clone(),
                upsert: alias.upsert,
            };
            router.insert(path.clone(), alias).map_err(wrong)?;
        }
        Ok(Self(router))
    }
}

fn template(path: &str, text: &str) -> Result<Template, AliasError> {
    let wrong = || AliasError::Template { path: path.to_owned(), template: text.to_owned() };
    let template = Template::read(text).ok_or_else(wrong)?;
    for part in &template.0 {
        if let Part::Path(name) = part
            && !path.contains(&format!("{{{name}}}"))
        {
            let (path, template, name) = (path.to_owned(), text.to_owned(), name.clone());
            return Err(AliasError::UnknownName { path, template, name });
        }
    }
    Ok(template)
}

/// Serves a path that is none of the server's own.
pub(crate) async fn serve(
    State(rest): State<Rest>,
    method: Method,
    uri: Uri,
    caller: Result<Caller, RestError>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RestError> {
    let Ok(matched) = rest.aliases.0.at(uri.path()) else {
        return Err(RestError::of_status(StatusCode::NOT_FOUND));
    };
    let alias = matched.value;
    let Some(action) = alias.methods.get(method.as_str()).copied() else {
        let mut response = RestError::of_status(StatusCode::METHOD_NOT_ALLOWED).into_response();
        let allowed: Vec<&str> = alias.methods.keys().map(String::as_str).collect();
        if let Ok(allowed) = HeaderValue::from_str(&allowed.join(", ")) {
            response.headers_mut().insert(header::ALLOW, allowed);
        }
        return Ok(response);
    };
    let caller = caller?;
    let mut path = BTreeMap::new();
    for (name, value) in matched.params.iter() {
        path.insert(name.to_owned(), decoded(value)?);
    }
    let has_body = matches!(action, AliasAction::Replace | AliasAction::Patch);
    let fields: Fields = if has_body { request::json(&headers, &body)? } else { Fields::new() };
    let found = Found { user: caller.user(), path, body: &fields };
    let (room, collection) = (alias.room.fill(&found)?, alias.collection.fill(&found)?);
    let id = alias.id.fill(&found)?;
    let condition = request::condition(&headers);
    let (write, term) = match action {
        AliasAction::Read => {
            let document = find(&rest, &caller, &room, &collection, &id).await?;
            return answer(&headers, document.seq, document.fields);
        }
        AliasAction::Replace => (Write::Create(alias.inner(fields)?), write::replace(condition?)),
        AliasAction::Patch => {
            let patch = read_patch(alias.inner(fields)?, alias.numbers)?;
            (Write::Update(patch), write::patch(alias.upsert, condition?))
        }
        AliasAction::Delete => (Write::Delete, write::patch(false, condition?)),
    };
    let item = Item::new(&collection, &id, write, term)?;
    let asked = Asked { subject: format!("{method}\n{}", uri.path()), headers: &headers, body: &body };
    write_one(&rest, &caller, request::room(&room)?, item, &asked).await
}

impl Alias {
    /// The part of the body that holds the fields.
    fn inner(&self, mut body: Fields) -> Result<Fields, RestError> {
        match &self.member {
            None => Ok(body),
            Some(member) => match body.remove(member.as_str()) {
                Some(Value::Object(fields)) => Ok(fields),
                _ => Err(RestError::senseless(format!("the body has no object at {member}"))),
            },
        }
    }
}

/// A part of a path without its percent signs.
fn decoded(part: &str) -> Result<String, RestError> {
    let wrong = || RestError::malformed("the path is not UTF-8");
    percent_encoding::percent_decode_str(part)
        .decode_utf8()
        .map(|text| text.into_owned())
        .map_err(|_| wrong())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn alias(path: &str, id: &str) -> AliasConfig {
        AliasConfig {
            path: path.to_owned(),
            room: "user:{userId}".to_owned(),
            collection: "stats".to_owned(),
            id: id.to_owned(),
            methods: BTreeMap::from([("GET".to_owned(), AliasAction::Read)]),
            numbers: AliasNumbers::Increment,
            member: None,
            upsert: true,
        }
    }

    #[test]
    fn what_cannot_be_served_is_refused_at_the_start() {
        assert!(Aliases::new(&[alias("/api/users/{userId}/stats", "{userId}-{sub}-{body.a}")]).is_ok());
        for (path, id) in [
            ("api/{userId}", "{userId}"),
            ("/api/{userId", "{userId}"),
            ("/api/{userId}", "{other}"),
            ("/api/{userId}", "{userId"),
            ("/api/{userId}", "userId}"),
            ("/api/{userId}", "{}"),
        ] {
            assert!(Aliases::new(&[alias(path, id)]).is_err(), "{path} {id}");
        }
        let twice = [alias("/api/{userId}", "a"), alias("/api/{userId}", "b")];
        assert!(matches!(Aliases::new(&twice), Err(AliasError::Path { .. })));
        let mut method = alias("/api/{userId}", "a");
        method.methods = BTreeMap::from([("GE T".to_owned(), AliasAction::Read)]);
        assert!(matches!(Aliases::new(&[method]), Err(AliasError::Method { .. })));
    }
}
