import type { JsonValue } from '../contract.ts';
import { Failure } from './errors.ts';

export type Fields = Record<string, JsonValue>;

/** The names that lead to a value, outermost first. */
export type Names = readonly string[];

const NAMES_MAX = 32;

/** A copy that shares nothing. */
export function copy<T>(value: T): T {
  return value === undefined ? value : (JSON.parse(JSON.stringify(value)) as T);
}

export function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Reads a dotted path; a dot or a backslash within a name is escaped by a backslash. */
export function parsePath(text: string): Names {
  const names = [''];
  for (let at = 0; at < text.length; at += 1) {
    let char = text.charAt(at);
    if (char === '.') {
      names.push('');
      continue;
    }
    if (char === '\\') {
      at += 1;
      char = text.charAt(at);
      if (char !== '.' && char !== '\\') throw new Failure('invalid', `a path has a bad escape: ${text}`);
    }
    names.push(`${names.pop() ?? ''}${char}`);
  }
  if (names.length > NAMES_MAX) throw new Failure('invalid', `a path has more than ${NAMES_MAX} names`);
  return names;
}

/** The dotted spelling of a path. */
export function pathText(names: Names): string {
  return names.map((name) => name.replaceAll(/[.\\]/g, '\\$&')).join('.');
}

export function isWithin(inner: Names, outer: Names): boolean {
  return inner.length > outer.length && outer.every((name, place) => inner[place] === name);
}

/** A member; undefined where there is none, also for names such as `constructor`. */
export function member<T>(members: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(members, name) ? members[name] : undefined;
}

/** Sets a member, also one of a name such as `__proto__`. */
export function setMember<T>(members: Record<string, T>, name: string, value: NoInfer<T>): void {
  Object.defineProperty(members, name, { value, configurable: true, enumerable: true, writable: true });
}

/** The value at a path; undefined where there is none. */
export function valueAt(fields: Fields, names: Names): JsonValue | undefined {
  let value: JsonValue | undefined = fields;
  for (const name of names) {
    if (!isObject(value)) return undefined;
    value = member(value, name);
  }
  return value;
}

function kind(value: JsonValue): number {
  if (value === null) return 0;
  if (typeof value === 'boolean') return 1;
  if (typeof value === 'number') return 2;
  if (typeof value === 'string') return 3;
  return Array.isArray(value) ? 4 : 5;
}

/** By code points: UTF-16 would put an emoji before some letters. */
export function compareText(left: string, right: string): number {
  const [ours, theirs] = [Array.from(left), Array.from(right)];
  for (let at = 0; at < ours.length && at < theirs.length; at += 1) {
    const difference = (ours[at]?.codePointAt(0) ?? 0) - (theirs[at]?.codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
  return ours.length - theirs.length;
}

/** null < false < true < numbers < strings < arrays < objects, each by its contents. */
export function compare(left: JsonValue, right: JsonValue): number {
  const [ours, theirs] = [kind(left), kind(right)];
  if (ours !== theirs) return ours - theirs;
  if (typeof left === 'string' && typeof right === 'string') return compareText(left, right);
  if (Array.isArray(left) && Array.isArray(right)) return compareAll(left, right);
  if (isObject(left) && isObject(right)) return compareAll(sortedEntries(left), sortedEntries(right));
  return Number(left) - Number(right);
}

function compareAll(left: JsonValue[], right: JsonValue[]): number {
  for (let at = 0; at < left.length && at < right.length; at += 1) {
    const difference = compare(left[at] ?? null, right[at] ?? null);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

function sortedEntries(fields: Fields): JsonValue[] {
  return Object.keys(fields)
    .sort(compareText)
    .map((name) => [name, member(fields, name) ?? null]);
}

export function equal(left: JsonValue, right: JsonValue): boolean {
  return compare(left, right) === 0;
}

/** About what it takes in the journal, in bytes. */
export function byteLength(value: unknown): number {
  return (JSON.stringify(value) as string | undefined)?.length ?? 0;
}
