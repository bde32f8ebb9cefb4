import type { Command, Cursor, Direction, JsonValue } from './contract.ts';
import { invalid } from './error.ts';
import { toJson } from './json.ts';
import type { Document, Fields } from './ops.ts';
import { type PathOf, type PathValues, segments } from './paths.ts';
import { checkText } from './refs.ts';

/** What `contains` looks for: an item of an array, or a part of a text. */
type Part<V> = V extends readonly (infer Item)[] ? Item : V extends string ? string : never;

type Comparison<Path extends string, V> =
  | { readonly eq: readonly [Path, V] }
  | { readonly ne: readonly [Path, V] }
  | { readonly lt: readonly [Path, V] }
  | { readonly lte: readonly [Path, V] }
  | { readonly gt: readonly [Path, V] }
  | { readonly gte: readonly [Path, V] }
  | { readonly in: readonly [Path, readonly V[]] }
  | { readonly contains: readonly [Path, Part<V>] }
  | { readonly exists: Path };

type Comparisons<T> = string extends keyof T
  ? Comparison<string, JsonValue>
  : { [Path in PathOf<T>]: Comparison<Path, Exclude<PathValues<T>[Path], undefined>> }[PathOf<T>];

/** A condition on the fields of a document, such as `{ and: [{ eq: ['done', false] }, { gt: ['votes', 3] }] }`. */
export type Filter<T = Fields> =
  | { readonly and: readonly Filter<T>[] }
  | { readonly or: readonly Filter<T>[] }
  | { readonly not: Filter<T> }
  | Comparisons<T>;

/** One key of an order, ascending unless told otherwise. */
export interface OrderBy<T = Fields> {
  readonly path: string extends keyof T ? string : PathOf<T>;
  readonly direction?: Direction;
}

/** Which documents are shown, in which order, how many. Without any of it, all of them, ordered by id. */
export interface Selection<T = Fields> {
  readonly filter?: Filter<T> | undefined;
  /** The most significant key first; ties are ordered by id. */
  readonly orderBy?: readonly OrderBy<T>[] | undefined;
  /** How many rows at most; with 0 only the `count` is told. */
  readonly limit?: number | undefined;
  /** Begins behind the last row of another window, see `cursorOf`. */
  readonly after?: Cursor | undefined;
}

/** A selection as the core reads it. */
export type CoreSelection = Pick<
  Extract<Command, { type: 'watch' }>,
  'filter' | 'orderBy' | 'limit' | 'after'
>;

interface AnySelection {
  readonly filter?: unknown;
  readonly orderBy?: readonly { readonly path: string; readonly direction?: Direction }[] | undefined;
  readonly limit?: number | undefined;
  readonly after?: Cursor | undefined;
}

/** Spells a selection as the core reads it; equal ones are spelled alike. */
export function toCoreSelection({ filter, orderBy = [], limit, after }: AnySelection): CoreSelection {
  if (limit !== undefined && (!Number.isInteger(limit) || limit < 0)) {
    throw invalid(`limit must be a whole number, 0 or more, not ${limit}`);
  }
  const keys = orderBy.map(({ path, direction }) => ({
    path: checkText(path, 'the path of an order'),
    ...(direction !== undefined && { direction }),
  }));
  return {
    ...(filter !== undefined && {
      filter: toJson(filter, 'the filter') as NonNullable<CoreSelection['filter']>,
    }),
    ...(keys.length > 0 && { orderBy: keys }),
    ...(limit !== undefined && { limit }),
    ...(after !== undefined && {
      after: {
        values: after.values.map((value) => toJson(value, 'a value of the cursor')),
        id: checkText(after.id, 'the id of the cursor'),
      },
    }),
  };
}

/** Where a document stands in an order: a window `after` it begins with the one behind it. */
export function cursorOf<T>(document: Document<T>, orderBy: readonly OrderBy<T>[] = []): Cursor {
  const values = orderBy.map(({ path }) => valueAt(document, path));
  return { values, id: document.id };
}

function valueAt(document: unknown, path: string): JsonValue {
  let value: unknown = document;
  for (const name of segments(path)) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, name)) {
      return null;
    }
    value = (value as Record<string, unknown>)[name];
  }
  return toJson(value ?? null, path);
}
