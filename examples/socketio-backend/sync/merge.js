// The one rule by which a mutation changes a document: the section "Merge" of docs/protocol.md.

import { equal, isMap, own, put } from './objects.js';
import { comparePaths, isWithin, parsePath, putAt, spellPath, valueAt } from './path.js';

/** Orders stamps `[wall_ms, counter, client]`. Client ids are lower case, so their text orders as their bytes do. */
export function compareStamps(one, other) {
  return one[0] - other[0] || one[1] - other[1] || (one[2] < other[2] ? -1 : one[2] > other[2] ? 1 : 0);
}

/**
 * The document after a mutation that was checked before, or null where there is none and it makes none. The document
 * given stays as it is.
 */
export function merge(current, mutation, writer, nowMs) {
  const { write } = mutation;
  const stamp = [...mutation.time, writer];
  if (current === null) {
    return write.create === undefined ? null : created(mutation, stamp);
  }
  const document = structuredClone(current);
  put(document.version, writer, Math.max(own(document.version, writer) ?? 0, mutation.client_seq));
  if (write === 'delete') remove(document, stamp);
  else if (write.update !== undefined) update(document, write.update, stamp, nowMs);
  else if (!document.deleted) {
    for (const [name, value] of Object.entries(write.create)) writeField(document, [name], value, stamp);
  } else if (compareStamps(stamp, document.stamps.base) > 0) {
    return { ...created(mutation, stamp), seq: document.seq, version: document.version };
  }
  return document;
}

function created({ collection, id, client_seq, write }, stamp) {
  return {
    collection,
    id,
    fields: structuredClone(write.create),
    seq: 0,
    version: { [stamp[2]]: client_seq },
    stamps: { base: stamp, fields: {} },
    deleted: false,
  };
}

function remove(document, stamp) {
  const { base, fields } = document.stamps;
  if ([base, ...Object.values(fields)].every((older) => compareStamps(stamp, older) > 0)) {
    document.deleted = true;
    document.stamps = { base: stamp, fields: {} };
  }
}

function update(document, patch, stamp, nowMs) {
  if (document.deleted) {
    if (compareStamps(stamp, document.stamps.base) < 0) return;
    document.deleted = false;
  }
  for (const [path, op] of operations(patch)) {
    if (op === 'unset') writeField(document, path, undefined, stamp);
    else if (op === 'server_time') writeField(document, path, nowMs, stamp);
    else if (Object.hasOwn(op, 'set')) writeField(document, path, op.set, stamp);
    else adjust(document.fields, path, op);
  }
}

/** A patch's operations in the order of their paths: an operation can stand in another's way. */
export function operations(patch) {
  return Object.entries(patch)
    .map(([text, op]) => [parsePath(text), op])
    .sort(([one], [other]) => comparePaths(one, other));
}

/** The newest stamp of a path, of those that enclose it, and of the document. */
export function governing({ base, fields }, path) {
  return path
    .map((_, index) => own(fields, spellPath(path.slice(0, index + 1))) ?? base)
    .reduce((newest, stamp) => (compareStamps(stamp, newest) > 0 ? stamp : newest), base);
}

/** Sets a field, or unsets it if undefined, where that is news. What is newer within it stays. */
function writeField(document, path, value, stamp) {
  const { fields, stamps } = document;
  if (compareStamps(stamp, governing(stamps, path)) <= 0) return;
  const kept = [];
  for (const text of Object.keys(stamps.fields)) {
    const inner = parsePath(text);
    if (!isWithin(inner, path)) continue;
    if (compareStamps(stamps.fields[text], stamp) > 0) kept.push([inner, valueAt(fields, inner)]);
    else delete stamps.fields[text];
  }
  putAt(fields, path, structuredClone(value));
  kept.sort(([one], [other]) => comparePaths(one, other));
  for (const [inner, newer] of kept) putAt(fields, inner, newer);
  put(stamps.fields, spellPath(path), stamp);
}

/** An increment or an array operation; nothing happens where it does not fit. */
function adjust(fields, path, op) {
  for (let length = 1; length < path.length; length += 1) {
    const outer = valueAt(fields, path.slice(0, length)) ?? null;
    if (outer !== null && !isMap(outer)) return;
  }
  const found = valueAt(fields, path) ?? null;
  const value = Object.hasOwn(op, 'increment') ? added(found, op.increment) : arranged(found, op);
  if (value !== undefined) putAt(fields, path, value);
}

function added(found, amount) {
  if (found !== null && typeof found !== 'number') return undefined;
  const sum = (found ?? 0) + amount;
  return Number.isFinite(sum) ? sum : undefined;
}

function arranged(found, { union, remove: removed, append }) {
  if (found !== null && !Array.isArray(found)) return undefined;
  const items = found ?? [];
  if (append !== undefined) return [...items, ...append];
  const has = (list, item) => list.some((other) => equal(item, other));
  if (removed !== undefined) return items.filter((item) => !has(removed, item));
  const result = [...items];
  for (const item of union) {
    if (!has(result, item)) result.push(item);
  }
  return result;
}
