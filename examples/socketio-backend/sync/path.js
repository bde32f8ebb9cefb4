// Paths: one field name per level, joined by dots; a dot or a backslash in a name has a backslash before it.

import { isMap, own, put } from './objects.js';
import { invalid } from './refusal.js';

const SEGMENTS_MAX = 32;

/** The field names that a spelling stands for. */
export function parsePath(text) {
  const segments = [''];
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '.') {
      segments.push('');
      continue;
    }
    if (text[at] === '\\') {
      at += 1;
      if (text[at] !== '.' && text[at] !== '\\') throw invalid(`a path has a stray backslash: ${text}`);
    }
    segments[segments.length - 1] += text[at];
  }
  if (segments.length > SEGMENTS_MAX) throw invalid(`a path has more than ${SEGMENTS_MAX} segments`);
  return segments;
}

export function spellPath(segments) {
  return segments.map((name) => name.replace(/[.\\]/g, '\\$&')).join('.');
}

/** Whether a path lies strictly within another. */
export function isWithin(inner, outer) {
  return inner.length > outer.length && outer.every((name, index) => name === inner[index]);
}

/** Orders paths level by level, by the bytes of their names; a path comes before those within it. */
export function comparePaths(one, other) {
  for (let index = 0; index < Math.min(one.length, other.length); index += 1) {
    const order = Buffer.compare(Buffer.from(one[index]), Buffer.from(other[index]));
    if (order !== 0) return order;
  }
  return one.length - other.length;
}

/** The value at a path, undefined where there is none. */
export function valueAt(fields, path) {
  let value = fields;
  for (const name of path) {
    if (!isMap(value)) return undefined;
    value = own(value, name);
  }
  return value;
}

/** Writes the value at a path, or removes it if undefined. What stands in the way of a written value is replaced. */
export function putAt(fields, path, value) {
  let object = fields;
  for (const name of path.slice(0, -1)) {
    if (!isMap(own(object, name))) {
      if (value === undefined) return;
      put(object, name, {});
    }
    object = object[name];
  }
  if (value === undefined) delete object[path.at(-1)];
  else put(object, path.at(-1), value);
}
