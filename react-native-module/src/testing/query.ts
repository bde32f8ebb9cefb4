// Which documents a watch shows, in which order; and what a change of them does to it.
import type { Cursor, Event, Filter, JsonValue, OrderBy, Row } from '../contract.ts';
import { Failure } from './errors.ts';
import { compare, compareText, equal, type Fields, parsePath, valueAt } from './values.ts';

const FILTER_COST_MAX = 1_000;
const ORDER_KEYS_MAX = 8;

export interface Query {
  readonly room: string;
  readonly collection: string;
  readonly id?: string;
  readonly filter?: Filter;
  readonly orderBy?: readonly OrderBy[];
  readonly limit?: number;
  readonly after?: Cursor;
}

export function matches(filter: Filter, fields: Fields): boolean {
  const at = (path: string) => valueAt(fields, parsePath(path));
  const is = ([path, value]: [string, JsonValue], accepts: (order: number) => boolean) => {
    const found = at(path);
    return found !== undefined && accepts(compare(found, value));
  };
  if ('and' in filter) return filter.and.every((inner) => matches(inner, fields));
  if ('or' in filter) return filter.or.some((inner) => matches(inner, fields));
  if ('not' in filter) return !matches(filter.not, fields);
  if ('eq' in filter) return is(filter.eq, (order) => order === 0);
  if ('ne' in filter) return !is(filter.ne, (order) => order === 0);
  if ('lt' in filter) return is(filter.lt, (order) => order < 0);
  if ('lte' in filter) return is(filter.lte, (order) => order <= 0);
  if ('gt' in filter) return is(filter.gt, (order) => order > 0);
  if ('gte' in filter) return is(filter.gte, (order) => order >= 0);
  if ('exists' in filter) return at(filter.exists) !== undefined;
  if ('in' in filter) {
    const found = at(filter.in[0]);
    return found !== undefined && filter.in[1].some((value) => equal(found, value));
  }
  const [path, value] = filter.contains;
  const found = at(path);
  if (Array.isArray(found)) return found.some((item) => equal(item, value));
  return typeof found === 'string' && typeof value === 'string' && found.includes(value);
}

function cost(filter: Filter): number {
  if ('and' in filter) return filter.and.reduce((sum, inner) => sum + cost(inner), 1);
  if ('or' in filter) return filter.or.reduce((sum, inner) => sum + cost(inner), 1);
  if ('not' in filter) return 1 + cost(filter.not);
  return 'in' in filter ? 1 + filter.in[1].length : 1;
}

function check({ filter, orderBy = [], after }: Query): void {
  if (filter && cost(filter) > FILTER_COST_MAX) {
    throw new Failure('invalid', `the filter compares more than ${FILTER_COST_MAX} values`);
  }
  if (orderBy.length > ORDER_KEYS_MAX)
    throw new Failure('invalid', `more than ${ORDER_KEYS_MAX} keys of an order`);
  if (after && after.values.length !== orderBy.length) {
    throw new Failure('invalid', `the cursor has ${after.values.length} values for ${orderBy.length} keys`);
  }
}

type Place = Pick<Cursor, 'values' | 'id'>;

function placeOf(row: Row, orderBy: readonly OrderBy[]): Place {
  return { values: orderBy.map(({ path }) => valueAt(row.fields, parsePath(path)) ?? null), id: row.id };
}

function comparePlaces(left: Place, right: Place, orderBy: readonly OrderBy[]): number {
  for (const [at, { direction }] of orderBy.entries()) {
    const order = compare(left.values[at] ?? null, right.values[at] ?? null);
    if (order !== 0) return direction === 'desc' ? -order : order;
  }
  return compareText(left.id, right.id);
}

/** The rows in the window, and how many match. */
export function select(query: Query, rows: readonly Row[]): { rows: Row[]; count: number } {
  const { filter, orderBy = [], limit, after } = query;
  const all = filter ? rows.filter((row) => matches(filter, row.fields)) : rows;
  const placed = all.map((row) => ({ row, place: placeOf(row, orderBy) }));
  placed.sort((left, right) => comparePlaces(left.place, right.place, orderBy));
  const behind = after ? placed.filter(({ place }) => comparePlaces(place, after, orderBy) > 0) : placed;
  return { rows: behind.slice(0, limit).map(({ row }) => row), count: placed.length };
}

/** A query that the app watches, with what the app was told. */
export class Watch {
  readonly number: number;
  readonly query: Query;
  #shown: readonly Row[];
  #count: number;
  isDirty = false;

  constructor(number: number, query: Query, rows: readonly Row[]) {
    check(query);
    this.number = number;
    this.query = query;
    const selected = select(query, rows);
    this.#shown = selected.rows;
    this.#count = selected.count;
  }

  get rows(): readonly Row[] {
    return this.#shown;
  }

  get count(): number {
    return this.#count;
  }

  /** What to tell the app of these rows; null when nothing is new. */
  update(all: readonly Row[]): Event | null {
    this.isDirty = false;
    const { rows, count } = select(this.query, all);
    const before = new Map(this.#shown.map((row) => [row.id, JSON.stringify(row)]));
    const after = new Set(rows.map(({ id }) => id));
    const placed = [...rows.entries()].filter(([, row]) => before.get(row.id) !== JSON.stringify(row));
    const removed = this.#shown.map(({ id }) => id).filter((id) => !after.has(id));
    const isNewCount = count !== this.#count;
    this.#shown = rows;
    this.#count = count;
    if (placed.length === 0 && removed.length === 0 && !isNewCount) return null;
    return {
      type: 'rows',
      watch: this.number,
      reset: false,
      upserted: placed.map(([, row]) => row),
      removed,
      ...(this.#selects && { indexes: placed.map(([index]) => index) }),
      ...(isNewCount && { count }),
    };
  }

  get #selects(): boolean {
    const { filter, orderBy = [], limit, after } = this.query;
    return Boolean(filter ?? after) || orderBy.length > 0 || limit !== undefined;
  }
}
