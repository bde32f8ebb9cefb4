//! The one rule by which a mutation changes a document. The server applies it to confirm, the client to show
//! pending writes at once; both must come to the same fields, so both call this.

use std::ops::Bound;

use crate::document::{Document, Stamps};
use crate::message::{Mutation, Write};
use crate::name::ClientId;
use crate::patch::{Op, Patch, PatchError, Path};
use crate::sabotage::{Sabotage, is_active};
use crate::stamp::Stamp;
use crate::value::{Fields, Value};
use crate::version::VersionVector;

/// The mutation changes a document that does not exist, and does not create it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the document does not exist")]
pub struct NotFound;

/// Applies a mutation of `writer` to a document, in place; leaves `seq` to the caller.
///
/// - A field set or unset by two writers keeps the newer stamp's value; increments and array operations always
///   apply.
/// - A deletion holds against older writes; a newer write brings the document back, a newer creation with its
///   own fields only. Increments and array operations leave no stamp, so they do not keep a document from a
///   deletion that arrives after them.
/// - Whatever the effect, the version records the mutation.
///
/// `now_ms` is the applying end's wall clock, for [`Op::ServerTime`].
pub fn apply(
    document: &mut Option<Document>,
    mutation: &Mutation,
    writer: ClientId,
    now_ms: u64,
) -> Result<(), NotFound> {
    let stamp = Stamp { time: mutation.time, writer };
    let Some(existing) = document else {
        let Write::Create(fields) = &mutation.write else { return Err(NotFound) };
        *document = Some(created(mutation, fields.clone(), stamp));
        return Ok(());
    };
    existing.version.record(writer, mutation.client_seq);
    match &mutation.write {
        Write::Delete => delete(existing, stamp),
        Write::Create(fields) if existing.deleted => {
            if stamp > existing.stamps.base {
                let fresh = created(mutation, fields.clone(), stamp);
                *existing = Document { seq: existing.seq, version: existing.version.clone(), ..fresh };
            }
        }
        Write::Create(fields) => {
            for (name, value) in fields {
                write_field(existing, &Path::field(name), Some(value.clone()), stamp);
            }
        }
        Write::Update(patch) => update(existing, patch, stamp, now_ms),
    }
    Ok(())
}

/// As [`apply`], of a mutation that is not needed any more: what it creates is not copied.
pub fn apply_owned(
    document: &mut Option<Document>,
    mut mutation: Mutation,
    writer: ClientId,
    now_ms: u64,
) -> Result<(), NotFound> {
    if document.is_none()
        && let Write::Create(fields) = &mut mutation.write
    {
        let fields = std::mem::take(fields);
        let stamp = Stamp { time: mutation.time, writer };
        *document = Some(created(&mutation, fields, stamp));
        return Ok(());
    }
    apply(document, &mutation, writer, now_ms)
}

/// Whether every operation of a patch fits the values it would find in `fields`.
pub fn check(fields: &Fields, patch: &Patch) -> Result<(), PatchError> {
    patch.validate()?;
    for (path, op) in patch.ops() {
        if let Some(found) = obstacle(fields, path) {
            let (path, op, found) = (path.clone(), op.name(), type_name(found));
            return Err(PatchError::TypeMismatch { path, op, found });
        }
        let fits: fn(&Value) -> bool = match op {
            Op::Increment(_) => |value| value.as_f64().is_some(),
            Op::Union(_) | Op::Remove(_) | Op::Append(_) => |value| matches!(value, Value::Array(_)),
            Op::Set(_) | Op::Unset | Op::ServerTime => continue,
        };
        if let Some(found) = path.value_in(fields)
            && *found != Value::Null
            && !fits(found)
        {
            return Err(PatchError::TypeMismatch {
                path: path.clone(),
                op: op.name(),
                found: type_name(found),
            });
        }
    }
    Ok(())
}

fn created(mutation: &Mutation, fields: Fields, stamp: Stamp) -> Document {
    Document {
        collection: mutation.collection.clone(),
        id: mutation.id.clone(),
        fields,
        seq: 0,
        version: VersionVector::from_iter([(stamp.writer, mutation.client_seq)]),
        stamps: Stamps::new(stamp),
        deleted: false,
    }
}

fn delete(document: &mut Document, stamp: Stamp) {
    if stamp > document.newest_stamp() {
        document.deleted = true;
        document.stamps = Stamps::new(stamp);
    }
}

fn update(document: &mut Document, patch: &Patch, stamp: Stamp, now_ms: u64) {
    if document.deleted {
        if stamp < document.stamps.base {
            return;
        }
        document.deleted = false;
    }
    for (path, op) in patch.ops() {
        match op {
            Op::Set(value) => write_field(document, path, Some(value.clone()), stamp),
            Op::Unset => write_field(document, path, None, stamp),
            Op::ServerTime => {
                let time = Value::Int(i64::try_from(now_ms).unwrap_or(i64::MAX));
                write_field(document, path, Some(time), stamp);
            }
            Op::Increment(_) | Op::Union(_) | Op::Remove(_) | Op::Append(_) => {
                adjust(&mut document.fields, path, op);
            }
        }
    }
}

/// Sets or unsets a field if `stamp` is newer than what governs it. Values within it that carry a newer stamp
/// stay.
fn write_field(document: &mut Document, path: &Path, value: Option<Value>, stamp: Stamp) {
    let outer = document.stamps.enclosing(path);
    let mut newer = document.stamps.fields.range_mut((Bound::Included(path), Bound::Unbounded));
    let (own, next) = match newer.next() {
        Some((found, own)) if found == path => (Some(own), newer.next()),
        next => (None, next),
    };
    let is_older = stamp <= own.as_deref().copied().map_or(outer, |own| own.max(outer));
    if is_older != is_active(Sabotage::OlderStampWins) {
        return;
    }
    if next.is_none_or(|(inner, _)| !inner.is_within(path)) {
        match own {
            Some(own) => *own = stamp,
            None => drop(document.stamps.fields.insert(path.clone(), stamp)),
        }
        return put(&mut document.fields, path, value);
    }
    let within: Vec<(Path, Stamp)> = document
        .stamps
        .fields
        .range(path.clone()..)
        .skip_while(|(inner, _)| *inner == path)
        .take_while(|(inner, _)| inner.is_within(path))
        .map(|(inner, inner_stamp)| (inner.clone(), *inner_stamp))
        .collect();
    let mut kept = Vec::new();
    for (inner, inner_stamp) in within {
        if inner_stamp > stamp {
            kept.push((inner.value_in(&document.fields).cloned(), inner));
        } else {
            document.stamps.fields.remove(&inner);
        }
    }
    put(&mut document.fields, path, value);
    for (inner_value, inner) in kept {
        put(&mut document.fields, &inner, inner_value);
    }
    document.stamps.fields.insert(path.clone(), stamp);
}

/// An increment or array operation; nothing happens when it does not fit.
fn adjust(fields: &mut Fields, path: &Path, op: &Op) {
    let Some(slot) = slot(fields, path) else { return };
    match (op, &mut *slot) {
        (Op::Increment(amount), Value::Null) => *slot = amount.clone(),
        (Op::Increment(amount), number) => {
            let twice = is_active(Sabotage::IncrementTwice).then(|| number.checked_add(amount)).flatten();
            if let Some(sum) = twice.as_ref().unwrap_or(number).checked_add(amount) {
                *number = sum;
            }
        }
        (Op::Append(items) | Op::Union(items) | Op::Remove(items), Value::Null) => {
            let mut array = Vec::new();
            adjust_array(&mut array, op, items);
            *slot = Value::Array(array);
        }
        (Op::Append(items) | Op::Union(items) | Op::Remove(items), Value::Array(array)) => {
            adjust_array(array, op, items);
        }
        _ => {}
    }
}

fn adjust_array(array: &mut Vec<Value>, op: &Op, items: &[Value]) {
    match op {
        Op::Append(_) => array.extend_from_slice(items),
        Op::Remove(_) => array.retain(|item| !items.contains(item)),
        _ => {
            for item in items {
                if !array.contains(item) {
                    array.push(item.clone());
                }
            }
        }
    }
}

/// What a path would have to lead through, but cannot: a value that is neither an object nor null.
fn obstacle<'a>(fields: &'a Fields, path: &Path) -> Option<&'a Value> {
    let (_, outer) = path.segments().split_last()?;
    let mut fields = fields;
    for segment in outer {
        match fields.get(segment)? {
            Value::Object(inner) => fields = inner,
            Value::Null => return None,
            other => return Some(other),
        }
    }
    None
}

/// The value at a path, null where it was missing; `None` when the path leads through something that is neither
/// an object nor null.
fn slot<'a>(fields: &'a mut Fields, path: &Path) -> Option<&'a mut Value> {
    let (last, outer) = path.segments().split_last()?;
    let mut fields = fields;
    for segment in outer {
        let value = fields.entry(segment.clone()).or_insert(Value::Null);
        if *value == Value::Null {
            *value = Value::Object(Fields::new());
        }
        fields = value.as_object_mut()?;
    }
    Some(fields.entry(last.clone()).or_insert(Value::Null))
}

/// Writes or removes the value at a path. Whatever stands in the way of a written value is replaced: the stamp
/// was already found newer than it.
fn put(fields: &mut Fields, path: &Path, value: Option<Value>) {
    let Some((last, outer)) = path.segments().split_last() else { return };
    let mut fields = fields;
    for segment in outer {
        if value.is_none() && !matches!(fields.get(segment), Some(Value::Object(_))) {
            return;
        }
        let inner = fields.entry(segment.clone()).or_insert(Value::Null);
        if !matches!(inner, Value::Object(_)) {
            *inner = Value::Object(Fields::new());
        }
        let Some(next) = inner.as_object_mut() else { return };
        fields = next;
    }
    match (value, fields.get_mut(last)) {
        (Some(value), Some(slot)) => *slot = value,
        (Some(value), None) => drop(fields.insert(last.clone(), value)),
        (None, _) => drop(fields.remove(last)),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Int(_) | Value::Float(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
