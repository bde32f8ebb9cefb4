import type { JsonValue, Op } from './contract.ts';
import { invalid } from './error.ts';
import { toJson } from './json.ts';
import type { PathOf, PathValues } from './paths.ts';

/** What a document holds when its type is not told. */
export type Fields = Record<string, JsonValue>;

/** A change of one field that is more than a new value. `T` is the type of the field it fits. */
export class FieldOp<out T> {
  /** Never there: it gives the type its parameter. */
  readonly fits?: T;
  readonly op: Op;

  constructor(op: Op) {
    this.op = op;
  }
}

/** Replaces the field. The same as giving the value itself. */
export function set<T>(value: T): FieldOp<T> {
  return new FieldOp({ set: toJson(value, 'the value of set') });
}

/** Takes the field away. */
export function unset(): FieldOp<undefined> {
  return new FieldOp('unset');
}

/** Adds `by`, which may be negative. Increments of several clients add up. */
export function increment(by = 1): FieldOp<number> {
  if (!Number.isFinite(by)) throw invalid(`increment takes a finite number, not ${by}`);
  return new FieldOp({ increment: by });
}

/** Adds the items that the array does not hold yet. */
export function union<T>(...items: T[]): FieldOp<T[]> {
  return new FieldOp({ union: items.map((item) => toJson(item, 'an item of union')) });
}

/** Takes every occurrence of the items out of the array. */
export function remove<T>(...items: T[]): FieldOp<T[]> {
  return new FieldOp({ remove: items.map((item) => toJson(item, 'an item of remove')) });
}

/** Adds the items at the end of the array. */
export function append<T>(...items: T[]): FieldOp<T[]> {
  return new FieldOp({ append: items.map((item) => toJson(item, 'an item of append')) });
}

/** The server's clock when it applies the change, in milliseconds since 1970. */
export function serverTime(): FieldOp<number> {
  return new FieldOp('server_time');
}

type Change<V> = V | FieldOp<V | undefined>;

/** What `update` takes: for each dotted path a value or an operation. */
export type Changes<T> = string extends keyof T
  ? Record<string, JsonValue | FieldOp<unknown>>
  : { readonly [Path in PathOf<T>]?: Change<PathValues<T>[Path]> };

/** The paths of numbers, which can be incremented. */
export type NumberPath<T> = string extends keyof T
  ? string
  : { [Path in PathOf<T>]: NonNullable<PathValues<T>[Path]> extends number ? Path : never }[PathOf<T>];

/** Spells changes as the core reads them. */
export function toOps(changes: object): Record<string, Op> {
  const entries = Object.entries(changes) as [string, unknown][];
  if (entries.length === 0) throw invalid('update was given no changes');
  return Object.fromEntries(entries.map(([path, change]) => [path, toOp(change, path)]));
}

function toOp(change: unknown, path: string): Op {
  if (change instanceof FieldOp) return change.op;
  if (change === undefined) throw invalid(`${path} is undefined: use unset() to take a field away`);
  return { set: toJson(change, path) };
}

/** A document as the app sees it: its fields, and its id. */
export type Document<T> = Readonly<T> & { readonly id: string };
