//! Rules as data: which rooms a rule is about, what the token must say, and what is allowed then.
//!
//! A pattern is a room's name in which stand for themselves all but: `{name}`, some text without a colon, which conditions
//! can ask for; `{claims.path}`, what the token says there; and `*` at the end, any rest. What one rule allows, no
//! other takes back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use syncline_protocol::Room;

use super::{Authorize, Identity, Right, Rights, Ruling};
use crate::current::Current;

/// One rule as it is written in the configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// A pattern of room names, such as `org:{org}:*` or `user:{claims.sub}`.
    pub room: Option<String>,
    /// Instead of `room`: a claim that lists rooms, each a whole name or `prefix:*`, such as `claims.rooms`.
    pub rooms_in: Option<String>,
    /// What the token must say: a claim, such as `claims.org`, and its value, several of which one must hold, or `{name}`
    /// of the pattern. A claim that is a list needs only to hold it.
    pub when: BTreeMap<String, Value>,
    /// What is allowed: any of `join`, `read`, `write`, `presence`.
    pub allow: Vec<Right>,
}

/// Why a rule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("rule {index}: exactly one of `room` and `rooms_in` is needed")]
    NotOneOfRooms { index: usize },
    #[error("rule {index}: `{text}` is no claim; it looks like `claims.org`")]
    NotAClaim { index: usize, text: String },
    #[error("rule {index}: the pattern `{pattern}` {reason}")]
    Pattern { index: usize, pattern: String, reason: &'static str },
    #[error("rule {index}: the pattern captures no `{{{name}}}`")]
    NoSuchCapture { index: usize, name: String },
    #[error("rule {index}: a value of `when` is text, a number, a boolean or a list of those")]
    NotAValue { index: usize },
    #[error("rule {index}: it allows nothing")]
    AllowsNothing { index: usize },
}

/// Rules, ready to be asked.
#[derive(Debug, Clone)]
pub struct Rules {
    rules: Vec<Ready>,
}

#[derive(Debug, Clone)]
struct Ready {
    rooms: Rooms,
    when: Vec<(ClaimPath, Vec<Term>)>,
    allow: Rights,
}

#[derive(Debug, Clone)]
enum Rooms {
    Pattern(Vec<Piece>),
    Listed(ClaimPath),
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    Capture(String),
    Claim(ClaimPath),
    Rest,
}

#[derive(Debug, Clone)]
enum Term {
    Literal(Value),
    Captured(String),
}

#[derive(Debug, Clone, PartialEq)]
struct ClaimPath(Vec<String>);

type Captures<'a> = BTreeMap<&'a str, &'a str>;

impl Rules {
    /// Reads rules; none means [`Rule::defaults`].
    pub fn new(rules: &[Rule]) -> Result<Self, RuleError> {
        let defaults = Rule::defaults();
        let rules = if rules.is_empty() { defaults.as_slice() } else { rules };
        let rules = rules.iter().enumerate().map(|(index, rule)| Ready::new(index, rule));
        Ok(Self { rules: rules.collect::<Result<_, _>>()? })
    }

    /// What the rules allow together.
    pub fn rights_in(&self, who: &Identity, room: &Room) -> Rights {
        let allowing = self.rules.iter().filter(|rule| rule.applies(&who.claims, room.as_str()));
        allowing.fold(Rights::NONE, |rights, rule| rights.union(rule.allow))
    }
}

impl Authorize for Rules {
    fn rights<'a>(&'a self, who: &'a Identity, room: &'a Room) -> Ruling<'a> {
        Box::pin(std::future::ready(Ok(self.rights_in(who, room))))
    }
}

impl Authorize for Current<Rules> {
    fn rights<'a>(&'a self, who: &'a Identity, room: &'a Room) -> Ruling<'a> {
        Box::pin(std::future::ready(Ok(self.get().rights_in(who, room))))
    }
}

impl Rule {
    /// The rules of a server that is given none: everything in the personal room and in those that the claim `rooms`
    /// names.
    pub fn defaults() -> [Self; 2] {
        let allow = Right::ALL.to_vec();
        [
            Self { room: Some("user:{claims.sub}".to_owned()), allow: allow.clone(), ..Self::default() },
            Self { rooms_in: Some("claims.rooms".to_owned()), allow, ..Self::default() },
        ]
    }
}

impl Ready {
    fn new(index: usize, rule: &Rule) -> Result<Self, RuleError> {
        let rooms = match (&rule.room, &rule.rooms_in) {
            (Some(pattern), None) => Rooms::Pattern(parse_pattern(index, pattern)?),
            (None, Some(claim)) => Rooms::Listed(ClaimPath::parse(index, claim)?),
            _ => return Err(RuleError::NotOneOfRooms { index }),
        };
        if rule.allow.is_empty() {
            return Err(RuleError::AllowsNothing { index });
        }
        let when = rule.when.iter().map(|(claim, value)| {
            let terms = match value {
                Value::Array(values) => values.as_slice(),
                one => std::slice::from_ref(one),
            };
            let terms = terms.iter().map(|term| rooms.term(index, term)).collect::<Result<_, _>>()?;
            Ok((ClaimPath::parse(index, claim)?, terms))
        });
        Ok(Self { when: when.collect::<Result<_, _>>()?, rooms, allow: rule.allow.iter().copied().collect() })
    }

    fn applies(&self, claims: &Map<String, Value>, room: &str) -> bool {
        let captures = match &self.rooms {
            Rooms::Pattern(pieces) => match match_pattern(pieces, claims, room) {
                Some(captures) => captures,
                None => return false,
            },
            Rooms::Listed(claim) => {
                let named =
                    claim.values(claims).any(|listed| listed.as_str().is_some_and(|it| names(it, room)));
                if !named {
                    return false;
                }
                Captures::new()
            }
        };
        let holds = |claim: &ClaimPath, terms: &[Term]| {
            claim.values(claims).any(|value| terms.iter().any(|term| term.equals(value, &captures)))
        };
        self.when.iter().all(|(claim, terms)| holds(claim, terms))
    }
}

impl Rooms {
    fn term(&self, index: usize, value: &Value) -> Result<Term, RuleError> {
        let name = value.as_str().and_then(|text| text.strip_prefix('{')?.strip_suffix('}'));
        match (name, value) {
            (Some(name), _) => match self {
                Self::Pattern(pieces) if pieces.contains(&Piece::Capture(name.to_owned())) => {
                    Ok(Term::Captured(name.to_owned()))
                }
                _ => Err(RuleError::NoSuchCapture { index, name: name.to_owned() }),
            },
            (None, Value::String(_) | Value::Number(_) | Value::Bool(_)) => Ok(Term::Literal(value.clone())),
            (None, _) => Err(RuleError::NotAValue { index }),
        }
    }
}

impl Term {
    fn equals(&self, value: &Value, captures: &Captures<'_>) -> bool {
        match self {
            Self::Captured(name) => {
                let captured = captures.get(name.as_str());
                text_of(value).is_some_and(|text| captured == Some(&text.as_ref()))
            }
            Self::Literal(literal) => literal == value,
        }
    }
}

impl ClaimPath {
    fn parse(index: usize, text: &str) -> Result<Self, RuleError> {
        let names = text.strip_prefix("claims.").filter(|path| path.split('.').all(|name| !name.is_empty()));
        match names {
            Some(path) => Ok(Self(path.split('.').map(str::to_owned).collect())),
            None => Err(RuleError::NotAClaim { index, text: text.to_owned() }),
        }
    }

    fn value<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter().try_fold(claims.get(first)?, |value, name| value.get(name))
    }

    /// The claim, or what it lists.
    fn values<'a>(&self, claims: &'a Map<String, Value>) -> impl Iterator<Item = &'a Value> {
        match self.value(claims) {
            Some(Value::Array(values)) => values.as_slice(),
            Some(one) => std::slice::from_ref(one),
            None => &[],
        }
        .iter()
    }
}

/// What a claim is as a part of a room's name.
fn text_of(value: &Value) -> Option<std::borrow::Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string().into()),
        _ => None,
    }
}

/// `list:*` names every room that starts with `list:`; anything else is one room's name.
fn names(listed: &str, room: &str) -> bool {
    match listed.strip_suffix('*') {
        Some(prefix) if prefix.len() > 1 && prefix.ends_with(':') => room.starts_with(prefix),
        _ => room == listed,
    }
}

fn parse_pattern(index: usize, pattern: &str) -> Result<Vec<Piece>, RuleError> {
    let wrong = |reason| RuleError::Pattern { index, pattern: pattern.to_owned(), reason };
    let mut pieces = Vec::new();
    let mut rest = pattern;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('{') {
            let (name, after) =
                inner.split_once('}').ok_or_else(|| wrong("has a brace that nothing closes"))?;
            if !after.is_empty() && !after.starts_with(':') {
                return Err(wrong("goes on without a colon after a brace"));
            }
            if matches!(pieces.last(), Some(Piece::Text(before)) if !before.ends_with(':')) {
                return Err(wrong("has no colon before a brace"));
            }
            pieces.push(match name {
                "" => return Err(wrong("has a name that is empty")),
                claim if claim.starts_with("claims.") => Piece::Claim(ClaimPath::parse(index, claim)?),
                _ if pieces.contains(&Piece::Capture(name.to_owned())) => {
                    return Err(wrong("has a name twice"));
                }
                _ => Piece::Capture(name.to_owned()),
            });
            rest = after;
        } else if rest == "*" {
            if matches!(pieces.last(), Some(Piece::Text(before)) if !before.ends_with(':')) {
                return Err(wrong("has no colon before its asterisk"));
            }
            pieces.push(Piece::Rest);
            rest = "";
        } else {
            let end = rest.find(['{', '*', '}']).unwrap_or(rest.len());
            if end == 0 {
                return Err(wrong("has an asterisk before its end, or a brace that nothing opens"));
            }
            pieces.push(Piece::Text(rest[..end].to_owned()));
            rest = &rest[end..];
        }
    }
    if pieces.is_empty() { Err(wrong("is empty")) } else { Ok(pieces) }
}

fn match_pattern<'a>(
    pieces: &'a [Piece],
    claims: &Map<String, Value>,
    room: &'a str,
) -> Option<Captures<'a>> {
    let mut captures = Captures::new();
    let mut rest = room;
    for (index, piece) in pieces.iter().enumerate() {
        let is_last = index + 1 == pieces.len();
        match piece {
            Piece::Text(text) => rest = rest.strip_prefix(text.as_str())?,
            Piece::Rest => rest = "",
            Piece::Capture(name) => {
                let end = rest.find(':').unwrap_or(rest.len());
                let (captured, after) = rest.split_at(end);
                if captured.is_empty() {
                    return None;
                }
                captures.insert(name, captured);
                rest = after;
            }
            Piece::Claim(claim) => {
                let text = text_of(claim.value(claims)?)?;
                // With a colon in it, `a:b` would be a room of `a`.
                if text.is_empty() || (!is_last && text.contains(':')) {
                    return None;
                }
                rest = rest.strip_prefix(text.as_ref())?;
            }
        }
    }
    rest.is_empty().then_some(captures)
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
