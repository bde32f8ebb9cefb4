//! A patch as a request spells it: what is named by itself is set, and `__` names the operations.

use syncline_protocol::{Fields, Op, Patch, PatchError, Path, Value};

/// What a number that stands for itself does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    Set,
    Increment,
}

/// Why a patch does not read.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum SpellingError {
    #[error("{0} is no operation")]
    UnknownOperation(String),
    #[error("{operation} takes {takes}")]
    Operand { operation: &'static str, takes: &'static str },
    #[error("{path} is changed twice")]
    Twice { path: Path },
    #[error(transparent)]
    Patch(#[from] PatchError),
}

const OBJECT: &str = "an object of paths and values";
const PATHS: &str = "an array of paths";
const ARRAYS: &str = "an object of paths and arrays";

/// Reads a patch. Paths are spelled with dots.
pub(crate) fn read(body: Fields, numbers: Numbers) -> Result<Patch, SpellingError> {
    let mut ops: Vec<(Path, Op)> = Vec::new();
    for (name, value) in body {
        match name.as_str() {
            "__set" => each(&mut ops, "__set", value, |value| Ok(Op::Set(value)))?,
            "__increment" => each(&mut ops, "__increment", value, |value| Ok(Op::Increment(value)))?,
            "__union" => each(&mut ops, "__union", value, |value| array("__union", value).map(Op::Union))?,
            "__remove" => {
                each(&mut ops, "__remove", value, |value| array("__remove", value).map(Op::Remove))?;
            }
            "__append" => {
                each(&mut ops, "__append", value, |value| array("__append", value).map(Op::Append))?;
            }
            "__unset" => paths(&mut ops, "__unset", value, &Op::Unset)?,
            "__server_time" => paths(&mut ops, "__server_time", value, &Op::ServerTime)?,
            name if name.starts_with("__") => return Err(SpellingError::UnknownOperation(name.to_owned())),
            name => {
                let adds = numbers == Numbers::Increment && value.as_f64().is_some();
                ops.push((Path::parse(name)?, if adds { Op::Increment(value) } else { Op::Set(value) }));
            }
        }
    }
    ops.sort_by(|one, other| one.0.cmp(&other.0));
    if let Some(pair) = ops.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(SpellingError::Twice { path: pair[0].0.clone() });
    }
    let patch: Patch = ops.into_iter().collect();
    patch.validate()?;
    Ok(patch)
}

fn each(
    ops: &mut Vec<(Path, Op)>,
    operation: &'static str,
    operands: Value,
    op: impl Fn(Value) -> Result<Op, SpellingError>,
) -> Result<(), SpellingError> {
    let Value::Object(operands) = operands else {
        return Err(SpellingError::Operand { operation, takes: OBJECT });
    };
    for (path, value) in operands {
        ops.push((Path::parse(&path)?, op(value)?));
    }
    Ok(())
}

fn array(operation: &'static str, value: Value) -> Result<Vec<Value>, SpellingError> {
    match value {
        Value::Array(items) => Ok(items),
        _ => Err(SpellingError::Operand { operation, takes: ARRAYS }),
    }
}

fn paths(
    ops: &mut Vec<(Path, Op)>,
    operation: &'static str,
    operands: Value,
    op: &Op,
) -> Result<(), SpellingError> {
    let wrong = || SpellingError::Operand { operation, takes: PATHS };
    let Value::Array(operands) = operands else { return Err(wrong()) };
    for operand in operands {
        let Value::String(path) = operand else { return Err(wrong()) };
        ops.push((Path::parse(&path)?, op.clone()));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn spelled(text: &str, numbers: Numbers) -> Result<Patch, SpellingError> {
        read(serde_json::from_str(text).unwrap(), numbers)
    }

    fn wire(text: &str) -> Patch {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn every_operation_of_the_protocol_can_be_spelled() {
        let text = r#"{
            "title": "a", "address.city": null, "__set": {"n": 1}, "__unset": ["old"], "__increment": {"xp": 10},
            "__union": {"tags": ["x"]}, "__remove": {"seen": [1]}, "__append": {"log": [true]}, "__server_time": ["at"]
        }"#;
        let patch = wire(
            r#"{"title":{"set":"a"},"address.city":{"set":null},"n":{"set":1},"old":"unset","xp":{"increment":10},
            "tags":{"union":["x"]},"seen":{"remove":[1]},"log":{"append":[true]},"at":"server_time"}"#,
        );
        assert_eq!(spelled(text, Numbers::Set).unwrap(), patch);
    }

    #[test]
    fn a_number_may_stand_for_an_increment() {
        let text = r#"{"xp": 10, "hearts": -1, "name": "ann", "__set": {"level": 2}}"#;
        let patch = wire(
            r#"{"xp":{"increment":10},"hearts":{"increment":-1},"name":{"set":"ann"},"level":{"set":2}}"#,
        );
        assert_eq!(spelled(text, Numbers::Increment).unwrap(), patch);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "{}",
            r#"{"__sett": {}}"#,
            r#"{"__set": 1}"#,
            r#"{"__unset": {"a": 1}}"#,
            r#"{"__unset": [1]}"#,
            r#"{"__union": {"a": 1}}"#,
            r#"{"__increment": {"a": "1"}}"#,
            r#"{"a": 1, "__set": {"a": 2}}"#,
            r#"{"a": 1, "a.b": 2}"#,
            r#"{"a\\": 1}"#,
        ] {
            assert!(spelled(text, Numbers::Set).is_err(), "{text}");
        }
    }
}
