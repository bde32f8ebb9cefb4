// The merge rule of the protocol, held to the golden histories of tests/contract/merges.json.
import type { ConflictKind, JsonValue, Op, Patch, Write } from '../contract.ts';
import { Failure } from './errors.ts';
import {
  compareText,
  copy,
  equal,
  type Fields,
  isObject,
  isWithin,
  member,
  type Names,
  parsePath,
  pathText,
  setMember,
  valueAt,
} from './values.ts';

/** A reading of the hybrid clock: milliseconds, and a counter within them. */
export type HybridTime = readonly [wallMs: number, counter: number];

/** When, and by whom. */
export type Stamp = readonly [wallMs: number, counter: number, writer: string];

/** Which of each client's writes a document holds. */
export type Version = Record<string, number>;

/** A document as the server confirmed it. */
export interface StoredDocument {
  readonly collection: string;
  readonly id: string;
  fields: Fields;
  seq: number;
  version: Version;
  stamps: { base: Stamp; fields: Record<string, Stamp> };
  deleted: boolean;
}

export interface Mutation {
  readonly clientSeq: number;
  readonly collection: string;
  readonly id: string;
  readonly write: Write;
  readonly time: HybridTime;
  /** The version that it is made upon; null where the server merges. */
  readonly base: Version | null;
}

export function compareStamps(left: Stamp, right: Stamp): number {
  const byTime = left[0] - right[0] || left[1] - right[1];
  if (byTime !== 0) return byTime;
  return left[2] === right[2] ? 0 : left[2] < right[2] ? -1 : 1;
}

const newer = (left: Stamp, right: Stamp) => (compareStamps(left, right) >= 0 ? left : right);

export function newestStamp({ stamps }: StoredDocument): Stamp {
  return Object.values(stamps.fields).reduce(newer, stamps.base);
}

/** What the document becomes; null where a change finds none. The one given stays as it is. */
export function applyMutation(
  document: StoredDocument | null,
  mutation: Mutation,
  writer: string,
  nowMs: number,
): StoredDocument | null {
  const stamp: Stamp = [...mutation.time, writer];
  const { write } = mutation;
  const creates = write !== 'delete' && 'create' in write ? write.create : null;
  if (!document) return creates && created(mutation, creates, stamp);
  const changed = copy(document);
  changed.version[writer] = Math.max(changed.version[writer] ?? 0, mutation.clientSeq);
  if (write === 'delete') {
    if (compareStamps(stamp, newestStamp(changed)) > 0) {
      changed.deleted = true;
      changed.stamps = { base: stamp, fields: {} };
    }
  } else if ('update' in write) {
    update(changed, write.update, stamp, nowMs);
  } else if (!changed.deleted) {
    for (const [name, value] of sorted(write.create)) writeField(changed, [name], copy(value), stamp);
  } else if (compareStamps(stamp, changed.stamps.base) > 0) {
    const { seq, version } = changed;
    return { ...created(mutation, write.create, stamp), seq, version };
  }
  return changed;
}

function created(mutation: Mutation, fields: Fields, stamp: Stamp): StoredDocument {
  const { collection, id, clientSeq } = mutation;
  return {
    collection,
    id,
    fields: copy(fields),
    seq: 0,
    version: { [stamp[2]]: clientSeq },
    stamps: { base: stamp, fields: {} },
    deleted: false,
  };
}

function sorted<T>(members: Record<string, T>): [string, T][] {
  return Object.entries(members).sort(([left], [right]) => compareText(left, right));
}

/** The operations in the order of their paths. */
function operations(patch: Patch): [Names, Op][] {
  const ops = Object.entries(patch).map(([path, op]): [Names, Op] => [parsePath(path), op]);
  return ops.sort(([left], [right]) => compareNames(left, right));
}

function compareNames(left: Names, right: Names): number {
  for (let at = 0; at < left.length && at < right.length; at += 1) {
    const difference = compareText(left[at] ?? '', right[at] ?? '');
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

function update(document: StoredDocument, patch: Patch, stamp: Stamp, nowMs: number): void {
  if (document.deleted) {
    if (compareStamps(stamp, document.stamps.base) < 0) return;
    document.deleted = false;
  }
  for (const [names, op] of operations(patch)) {
    if (op === 'unset') writeField(document, names, undefined, stamp);
    else if (op === 'server_time') writeField(document, names, nowMs, stamp);
    else if ('set' in op) writeField(document, names, copy(op.set), stamp);
    else adjust(document.fields, names, op);
  }
}

/** The newest stamp of what encloses a path. */
function enclosing({ stamps }: StoredDocument, names: Names): Stamp {
  const outer = names
    .slice(0, -1)
    .map((_, length) => member(stamps.fields, pathText(names.slice(0, length + 1))));
  return outer.reduce<Stamp>((newest, stamp) => (stamp ? newer(newest, stamp) : newest), stamps.base);
}

function governing(document: StoredDocument, names: Names): Stamp {
  const own = member(document.stamps.fields, pathText(names));
  return own ? newer(own, enclosing(document, names)) : enclosing(document, names);
}

/** Sets or unsets a field if the stamp is newer than what governs it; what is newer within it stays. */
function writeField(
  document: StoredDocument,
  names: Names,
  value: JsonValue | undefined,
  stamp: Stamp,
): void {
  if (compareStamps(stamp, governing(document, names)) <= 0) return;
  const { fields, stamps } = document;
  const kept: [Names, JsonValue | undefined][] = [];
  for (const [text, inner] of Object.entries(stamps.fields)) {
    const path = parsePath(text);
    if (!isWithin(path, names)) continue;
    if (compareStamps(inner, stamp) > 0) kept.push([path, copy(valueAt(fields, path))]);
    else Reflect.deleteProperty(stamps.fields, text);
  }
  put(fields, names, value);
  for (const [path, inner] of kept.sort(([left], [right]) => compareNames(left, right)))
    put(fields, path, inner);
  setMember(stamps.fields, pathText(names), stamp);
}

/** Writes or removes a value; whatever stands in its way makes room. */
function put(fields: Fields, names: Names, value: JsonValue | undefined): void {
  const last = names.at(-1) ?? '';
  let place = fields;
  for (const name of names.slice(0, -1)) {
    const inner = member(place, name);
    if (!isObject(inner) && value === undefined) return;
    const next: Fields = isObject(inner) ? inner : {};
    setMember(place, name, next);
    place = next;
  }
  if (value === undefined) Reflect.deleteProperty(place, last);
  else setMember(place, last, value);
}

type Adjustment = Exclude<Op, string | { set: JsonValue }>;

/** An increment or array operation; nothing happens where it does not fit. */
function adjust(fields: Fields, names: Names, op: Adjustment): void {
  const last = names.at(-1) ?? '';
  let place = fields;
  for (const name of names.slice(0, -1)) {
    const inner = member(place, name) ?? {};
    if (!isObject(inner)) return;
    setMember(place, name, inner);
    place = inner;
  }
  const found = member(place, last) ?? null;
  const adjusted = 'increment' in op ? sum(found, op.increment) : adjustArray(found, op);
  setMember(place, last, adjusted ?? found);
}

function sum(found: JsonValue, amount: JsonValue): JsonValue | undefined {
  if (found === null) return amount;
  if (typeof found !== 'number' || typeof amount !== 'number') return undefined;
  return Number.isFinite(found + amount) ? found + amount : undefined;
}

function adjustArray(
  found: JsonValue,
  op: Exclude<Adjustment, { increment: JsonValue }>,
): JsonValue | undefined {
  if (found !== null && !Array.isArray(found)) return undefined;
  const items = found ?? [];
  if ('append' in op) return [...items, ...copy(op.append)];
  const has = (list: JsonValue[], item: JsonValue) => list.some((other) => equal(other, item));
  if ('remove' in op) return items.filter((item) => !has(op.remove, item));
  const all = [...items];
  for (const item of op.union) if (!has(all, item)) all.push(copy(item));
  return all;
}

/** Refuses a patch that no document could take. */
export function checkPatch(patch: Patch): void {
  const ops = operations(patch);
  if (ops.length === 0) throw new Failure('invalid', 'the patch is empty');
  for (const [place, [names, op]] of ops.entries()) {
    const next = ops[place + 1];
    if (next && isWithin(next[0], names)) {
      const [outer, inner] = [pathText(names), pathText(next[0])];
      throw new Failure('invalid', `${inner} lies within ${outer}, and both are changed by the patch`);
    }
    if (typeof op === 'object' && 'increment' in op && typeof op.increment !== 'number') {
      throw new Failure('invalid', `${pathText(names)} is incremented by something that is not a number`);
    }
  }
}

/** Refuses a patch whose operations do not fit the values that they would find. */
export function checkFits(fields: Fields, patch: Patch): void {
  checkPatch(patch);
  for (const [names, op] of operations(patch)) {
    const outer = names.slice(0, -1).map((_, length) => valueAt(fields, names.slice(0, length + 1)));
    const found = valueAt(fields, names) ?? null;
    const leads = outer.every((value) => value === undefined || value === null || isObject(value));
    const adjusts = typeof op === 'object' && !('set' in op);
    const fits =
      !adjusts || found === null || ('increment' in op ? typeof found === 'number' : Array.isArray(found));
    if (!leads || !fits)
      throw new Failure('invalid', `${pathText(names)} holds what the operation cannot change`);
  }
}

export function isVersionWithin(inner: Version, outer: Version): boolean {
  return Object.entries(inner).every(([client, seq]) => seq <= (outer[client] ?? 0));
}

/** The paths written by the mutation and by what its base lacks; null when they are not in conflict. */
export function fieldsInConflict(
  document: StoredDocument,
  mutation: Mutation,
  writer: string,
): string[] | null {
  if (!mutation.base) return null;
  const own = Math.max(mutation.base[writer] ?? 0, mutation.clientSeq);
  const seen: Version = { ...mutation.base, [writer]: own };
  if (isVersionWithin(document.version, seen)) return null;
  const unseen = (stamp: Stamp) => (document.version[stamp[2]] ?? 0) > (seen[stamp[2]] ?? 0);
  const touched = (names: Names) =>
    unseen(governing(document, names)) ||
    Object.entries(document.stamps.fields).some(
      ([text, stamp]) => isWithin(parsePath(text), names) && unseen(stamp),
    );
  return written(mutation.write, document)
    .filter(touched)
    .map((names) => pathText(names));
}

function written(write: Write, document: StoredDocument): Names[] {
  if (write === 'delete') return sorted(document.fields).map(([name]) => [name]);
  if ('create' in write) return sorted(write.create).map(([name]) => [name]);
  return operations(write.update).map(([names]) => names);
}

export function conflictKind(write: Write, document: StoredDocument | null): ConflictKind {
  if (write === 'delete') return 'delete_update';
  return document && !document.deleted ? 'update_update' : 'update_delete';
}
