//! What a step does to a document, and to a write of one. Pure.
//!
//! A write changes the way its effect does: to write and then migrate the document gives what migrating both and
//! then writing gives, as far as a patch can say it.

use std::collections::BTreeMap;

use syncline_protocol::{Collection, Document, Fields, Op, Patch, Path, Stamp, Value, Write};

use super::MigrationStep;

/// One change of the field at a path.
#[derive(Debug, Clone, Copy)]
struct FieldStep<'a> {
    path: &'a Path,
    change: Change<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Change<'a> {
    Rename(&'a Path),
    Remove,
    Default(&'a Value),
}

impl MigrationStep {
    /// What the name of a collection becomes; `None` for one that is removed.
    pub(super) fn collection(&self, collection: Collection) -> Option<Collection> {
        match self {
            Self::RenameCollection { from, to } if *from == collection => Some(to.clone()),
            Self::RemoveCollection { collection: removed } if *removed == collection => None,
            _ => Some(collection),
        }
    }

    /// The document afterwards; `None` when its collection is removed.
    pub(super) fn document(&self, mut document: Document) -> Option<Document> {
        if let Some(step) = self.field_step(&document.collection) {
            if !document.deleted {
                step.apply(&mut document.fields, 0);
            }
            document.stamps.fields = step.stamps(std::mem::take(&mut document.stamps.fields));
        }
        document.collection = self.collection(document.collection)?;
        Some(document)
    }

    /// The write afterwards; `None` when nothing is left of it. The collection itself is the caller's.
    pub(super) fn write(&self, collection: &Collection, write: Write) -> Option<Write> {
        let Some(step) = self.field_step(collection) else { return Some(write) };
        match write {
            Write::Create(mut fields) => {
                step.apply(&mut fields, 0);
                Some(Write::Create(fields))
            }
            Write::Update(patch) => {
                let left = step.patch(&patch);
                let is_empty = left.ops().next().is_none();
                (!is_empty).then_some(Write::Update(left))
            }
            Write::Delete => Some(Write::Delete),
        }
    }

    /// The path of a field afterwards; `None` when the field is removed.
    pub(super) fn path(&self, collection: &Collection, path: Path) -> Option<Path> {
        match self.field_step(collection) {
            Some(step) => step.moved(&path),
            None => Some(path),
        }
    }

    fn field_step(&self, of: &Collection) -> Option<FieldStep<'_>> {
        let (collection, path, change) = match self {
            Self::RenameField { collection, from, to } => (collection, from, Change::Rename(to)),
            Self::RemoveField { collection, path } => (collection, path, Change::Remove),
            Self::SetDefault { collection, path, value } => (collection, path, Change::Default(value)),
            Self::RenameCollection { .. } | Self::RemoveCollection { .. } => return None,
        };
        (collection == of).then_some(FieldStep { path, change })
    }
}

impl FieldStep<'_> {
    /// Changes fields that stand `level` levels deep on the way to the path.
    fn apply(self, fields: &mut Fields, level: usize) {
        let Some((name, enclosing)) = self.path.segments()[level..].split_last() else { return };
        let holder = enclosing
            .iter()
            .try_fold(fields, |fields, name| fields.get_mut(name).and_then(Value::as_object_mut));
        let Some(fields) = holder else { return };
        match self.change {
            Change::Rename(to) => {
                let new = to.segments().last();
                if let Some((value, new)) = fields.remove(name).zip(new) {
                    fields.entry(new.clone()).or_insert(value);
                }
            }
            Change::Remove => drop(fields.remove(name)),
            Change::Default(value) => {
                fields.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }

    fn patch(self, patch: &Patch) -> Patch {
        let mut kept: BTreeMap<Path, Op> = BTreeMap::new();
        let mut moved = Vec::new();
        for (path, op) in patch.ops() {
            match self.moved(path) {
                Some(new) if new == *path => drop(kept.insert(new, self.op(path, op))),
                Some(new) => moved.push((new, op.clone())),
                None => {}
            }
        }
        for (path, op) in moved {
            let overlaps = |other: &Path| *other == path || other.is_within(&path) || path.is_within(other);
            if !kept.keys().any(overlaps) {
                kept.insert(path, op);
            }
        }
        kept.into_iter().collect()
    }

    /// An operation that keeps its path.
    fn op(self, path: &Path, op: &Op) -> Op {
        match (op, self.change) {
            (Op::Set(Value::Object(fields)), _) if self.path.is_within(path) => {
                let mut fields = fields.clone();
                self.apply(&mut fields, path.segments().len());
                Op::Set(Value::Object(fields))
            }
            // The field would be missing.
            (Op::Unset, Change::Default(value)) if path == self.path => Op::Set(value.clone()),
            _ => op.clone(),
        }
    }

    /// Where a path leads afterwards; `None` into what is removed.
    fn moved(self, path: &Path) -> Option<Path> {
        if path != self.path && !path.is_within(self.path) {
            return Some(path.clone());
        }
        match self.change {
            Change::Rename(to) => {
                let level = to.segments().len() - 1;
                Some(path.renamed(level, &to.segments()[level]))
            }
            Change::Remove => None,
            Change::Default(_) => Some(path.clone()),
        }
    }

    fn stamps(self, stamps: BTreeMap<Path, Stamp>) -> BTreeMap<Path, Stamp> {
        let mut after: BTreeMap<Path, Stamp> = BTreeMap::new();
        for (path, stamp) in stamps {
            if let Some(path) = self.moved(&path) {
                after.entry(path).and_modify(|other| *other = stamp.max(*other)).or_insert(stamp);
            }
        }
        after
    }
}

#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;
