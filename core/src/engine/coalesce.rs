//! When two consecutive writes of one document, neither of them sent yet, can travel as one. Pure.
//!
//! The one write carries the time of the second. So where another client wrote a field between the two, or deleted
//! the document, the first would have lost and now wins. That is allowed in two cases. Either both were made within
//! one debounce window: other clients cannot have known of the first any sooner. Or the second leaves no stamp of the
//! first ([`supersedes`]): then only its increments and array operations come back with a document that was deleted
//! between the two and that the second revives, and nothing is lost by that.
//!
//! Everything else must come out the same whatever the document has become elsewhere, so what depends on it is
//! refused: an increment behind a set would share the set's fate, and an increment always applies.

use std::collections::BTreeMap;

use syncline_protocol::gather::Gather as _;
use syncline_protocol::limits::VALUE_DEPTH_MAX;
use syncline_protocol::{Fields, Op, Patch, Path, Value, Write};

/// The write that does what `first` and then `second` do to any document that is older than the first or newer than
/// the second; `None` where there is none.
pub fn coalesce(first: &Write, second: &Write) -> Option<Write> {
    match (first, second) {
        (Write::Create(fields), Write::Update(patch)) => create_with(fields, patch).map(Write::Create),
        (Write::Update(first), Write::Update(second)) => join(first, second).map(Write::Update),
        // A deletion may lose against a newer write, which must then find what was written before it.
        _ => None,
    }
}

/// Whether every field that `first` stamps is stamped anew by `second`.
pub fn supersedes(first: &Write, second: &Write) -> bool {
    let (Write::Update(first), Write::Update(second)) = (first, second) else { return false };
    let second: BTreeMap<&Path, &Op> = second.ops().gather();
    let mut stamped = first.ops().filter(|(_, op)| leaves_stamp(op));
    stamped.all(|(path, _)| second.get(path).is_some_and(|op| leaves_stamp(op)))
}

fn leaves_stamp(op: &Op) -> bool {
    matches!(op, Op::Set(_) | Op::Unset | Op::ServerTime)
}

/// Only sets can be part of a creation: where the document exists, it sets its fields, too.
fn create_with(fields: &Fields, patch: &Patch) -> Option<Fields> {
    let mut fields = fields.clone();
    for (path, op) in patch.ops() {
        let Op::Set(value) = op else { return None };
        let (last, outer) = path.segments().split_last()?;
        let mut place = &mut fields;
        for name in outer {
            // A field that the creation leaves out would be replaced as a whole, and objects made on the way would stay
            // where somebody's newer write keeps the field itself away.
            place = place.get_mut(name)?.as_object_mut()?;
        }
        place.insert(last.clone(), value.clone());
    }
    // Deeper, nobody could read it again.
    fields.values().all(|value| value.nests_within(VALUE_DEPTH_MAX)).then_some(fields)
}

fn join(first: &Patch, second: &Patch) -> Option<Patch> {
    let first: BTreeMap<Path, &Op> = first.ops().map(|(path, op)| (path.clone(), op)).gather();
    let mut ops: BTreeMap<Path, Op> = first.iter().map(|(path, op)| (path.clone(), (*op).clone())).gather();
    for (path, op) in second.ops() {
        let outermost = Path::field(path.segments().first()?.clone());
        let neighbours = first.range(outermost..);
        let neighbours =
            neighbours.take_while(|(other, _)| other.segments().first() == path.segments().first());
        for (other, other_op) in neighbours.filter(|(other, _)| *other != path) {
            if path.is_within(other) || other.is_within(path) {
                return None;
            }
            // A set makes way for itself where an increment gives up, so their order matters below a common name.
            if leaves_stamp(op) != leaves_stamp(other_op) {
                return None;
            }
        }
        let op = match first.get(path) {
            Some(before) => in_turn(path, before, op)?,
            None => op.clone(),
        };
        ops.insert(path.clone(), op);
    }
    Some(ops.into_iter().collect())
}

/// What `first` and then `second` do at one path.
fn in_turn(path: &Path, first: &Op, second: &Op) -> Option<Op> {
    Some(match (first, second) {
        // The set would have made the objects that lead to the field, and they would stay.
        (Op::Set(_) | Op::ServerTime, Op::Unset) if path.segments().len() > 1 => return None,
        (first, second) if leaves_stamp(first) && leaves_stamp(second) => second.clone(),
        // A sum of floats depends on the order.
        (Op::Increment(Value::Int(a)), Op::Increment(Value::Int(b))) => {
            Op::Increment(Value::Int(a.checked_add(*b)?))
        }
        (Op::Append(a), Op::Append(b)) => Op::Append(a.iter().chain(b).cloned().collect()),
        (Op::Union(a), Op::Union(b)) => Op::Union(with_new(a, b)),
        (Op::Remove(a), Op::Remove(b)) => Op::Remove(with_new(a, b)),
        _ => return None,
    })
}

fn with_new(items: &[Value], more: &[Value]) -> Vec<Value> {
    let mut all = items.to_vec();
    for item in more {
        if !all.contains(item) {
            all.push(item.clone());
        }
    }
    all
}

#[cfg(test)]
#[path = "coalesce_tests.rs"]
mod tests;
