// What the migrations of a schema make of what a device holds: documents, and writes on their way.
import type { JsonValue, MigrationStep, Op, Patch, Schema, Write } from '../contract.ts';
import type { Disk, Pending } from './context.ts';
import { Failure } from './errors.ts';
import { RoomLog } from './room-log.ts';
import { compareStamps, type Stamp, type StoredDocument } from './merge.ts';
import {
  copy,
  type Fields,
  isObject,
  isWithin,
  member,
  type Names,
  parsePath,
  pathText,
  setMember,
} from './values.ts';

const VERSION_FIRST = 1;

/** Gives what is on the disk the shape of this version of the app; refuses what a newer one wrote. */
export function bringUpToDate(disk: Disk, schema: Schema = { version: VERSION_FIRST }): void {
  const { version, migrations = [] } = schema;
  if (disk.schemaVersion > version) {
    const both = `the data has schema version ${disk.schemaVersion}, this app's is ${version}`;
    throw new Failure('schema_too_new', both);
  }
  const needed = version - disk.schemaVersion;
  if (needed > migrations.length && !isEmpty(disk)) {
    throw new Failure(
      'invalid',
      `the data has schema version ${disk.schemaVersion}, and no migration leads on`,
    );
  }
  if (needed > 0)
    for (const { to, steps } of migrations.slice(-needed)) for (const step of steps) carryOut(step, to, disk);
  disk.schemaVersion = version;
}

function isEmpty({ pending, rooms, parked }: Disk): boolean {
  return pending.length === 0 && rooms.size === 0 && parked.size === 0;
}

function carryOut(step: MigrationStep, to: number, disk: Disk): void {
  for (const stored of disk.rooms.values()) {
    const before = [...stored.documents.values()];
    stored.documents.clear();
    // What already stands in a collection stays.
    const isMoved = ({ collection }: StoredDocument) => collectionAfter(step, collection) !== collection;
    for (const document of [...before.filter((one) => !isMoved(one)), ...before.filter(isMoved)]) {
      const after = migrated(step, document);
      const key = after && RoomLog.key(after.collection, after.id);
      if (after && key !== null && !stored.documents.has(key)) stored.documents.set(key, after);
    }
  }
  disk.pending = disk.pending.flatMap((write) => migratedWrite(step, write) ?? refused(disk, write, to));
  for (const [seq, parked] of disk.parked) {
    const write = migratedWrite(step, parked.write);
    const document = parked.document && migrated(step, parked.document);
    if (write) disk.parked.set(seq, { ...parked, write, document });
    else {
      disk.parked.delete(seq);
      refused(disk, parked.write, to);
    }
  }
}

/** Nothing is left of a write: it is told as if the server had refused it. */
function refused(disk: Disk, { acceptedSeq, room, collection, id, write }: Pending, to: number): [] {
  const { body: error } = new Failure(
    'invalid',
    `the migration to schema version ${to} left nothing of this write`,
  );
  disk.outcomes.set(acceptedSeq, { clientSeq: acceptedSeq, error, room, collection, id, write });
  return [];
}

function migrated(step: MigrationStep, document: StoredDocument): StoredDocument | null {
  const collection = collectionAfter(step, document.collection);
  if (collection === null) return null;
  const change = fieldChange(step, document.collection);
  if (!change) return { ...document, collection };
  const fields = copy(document.fields);
  if (!document.deleted) change.apply(fields, 0);
  const stamps: Record<string, Stamp> = {};
  for (const [path, stamp] of Object.entries(document.stamps.fields)) {
    const moved = change.moved(parsePath(path));
    if (!moved) continue;
    const other = member(stamps, pathText(moved));
    setMember(stamps, pathText(moved), other && compareStamps(other, stamp) > 0 ? other : stamp);
  }
  return { ...document, collection, fields, stamps: { ...document.stamps, fields: stamps } };
}

function migratedWrite(step: MigrationStep, pending: Pending): Pending | null {
  const collection = collectionAfter(step, pending.collection);
  const change = fieldChange(step, pending.collection);
  const write = change ? writeAfter(change, pending.write) : pending.write;
  return collection === null || write === null ? null : { ...pending, collection, write };
}

function collectionAfter(step: MigrationStep, collection: string): string | null {
  if ('renameCollection' in step && step.renameCollection.from === collection)
    return step.renameCollection.to;
  return 'removeCollection' in step && step.removeCollection.collection === collection ? null : collection;
}

function writeAfter(change: FieldChange, write: Write): Write | null {
  if (write === 'delete') return write;
  if ('create' in write) {
    const fields = copy(write.create);
    change.apply(fields, 0);
    return { create: fields };
  }
  const update = change.patch(write.update);
  return Object.keys(update).length > 0 ? { update } : null;
}

function fieldChange(step: MigrationStep, collection: string): FieldChange | null {
  if ('renameField' in step && step.renameField.collection === collection) {
    const { from, to } = step.renameField;
    return new FieldChange(parsePath(from), { name: parsePath(to).at(-1) ?? '' });
  }
  if ('removeField' in step && step.removeField.collection === collection) {
    return new FieldChange(parsePath(step.removeField.path), null);
  }
  if ('setDefault' in step && step.setDefault.collection === collection) {
    return new FieldChange(parsePath(step.setDefault.path), { value: step.setDefault.value });
  }
  return null;
}

type FieldTarget = { readonly name: string } | { readonly value: JsonValue } | null;

/** One change of the field at a path: another name, a value where there is none, or nothing left of it. */
class FieldChange {
  readonly #path: Names;
  readonly #to: FieldTarget;

  constructor(path: Names, to: FieldTarget) {
    this.#path = path;
    this.#to = to;
  }

  /** Changes fields that stand `level` levels deep on the way to the path. */
  apply(fields: Fields, level: number): void {
    let holder = fields;
    for (const name of this.#path.slice(level, -1)) {
      const inner = member(holder, name);
      if (!isObject(inner)) return;
      holder = inner;
    }
    const name = this.#path.at(-1) ?? '';
    const value = member(holder, name);
    if (this.#to && 'value' in this.#to) {
      if (value === undefined) setMember(holder, name, copy(this.#to.value));
      return;
    }
    Reflect.deleteProperty(holder, name);
    if (this.#to && value !== undefined && member(holder, this.#to.name) === undefined) {
      setMember(holder, this.#to.name, value);
    }
  }

  patch(patch: Patch): Patch {
    const kept: Patch = {};
    const moved: [Names, Op][] = [];
    for (const [text, op] of Object.entries(patch)) {
      const path = parsePath(text);
      const after = this.moved(path);
      if (after && pathText(after) === text) setMember(kept, text, this.#op(path, op));
      else if (after) moved.push([after, op]);
    }
    for (const [path, op] of moved) {
      const overlaps = (other: Names) =>
        pathText(other) === pathText(path) || isWithin(other, path) || isWithin(path, other);
      if (!Object.keys(kept).map(parsePath).some(overlaps)) setMember(kept, pathText(path), op);
    }
    return kept;
  }

  /** An operation that keeps its path. */
  #op(path: Names, op: Op): Op {
    if (typeof op === 'object' && 'set' in op && isObject(op.set) && isWithin(this.#path, path)) {
      const fields = copy(op.set);
      this.apply(fields, path.length);
      return { set: fields };
    }
    const isHere = pathText(path) === pathText(this.#path);
    return op === 'unset' && isHere && this.#to && 'value' in this.#to ? { set: this.#to.value } : op;
  }

  /** Where a path leads afterwards; null into what is removed. */
  moved(path: Names): Names | null {
    const isConcerned = pathText(path) === pathText(this.#path) || isWithin(path, this.#path);
    if (!isConcerned || (this.#to && 'value' in this.#to)) return path;
    const { name } = this.#to ?? {};
    return name === undefined
      ? null
      : path.map((old, level) => (level === this.#path.length - 1 ? name : old));
  }
}
