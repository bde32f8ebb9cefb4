import type { Channel } from './channel.ts';
import type { Event, RoomStatus, Row } from './contract.ts';
import { asSynclineError, SynclineError } from './error.ts';
import { complain, type Report } from './guard.ts';
import { type Observable, once, Store, type Unsubscribe } from './observable.ts';
import type { Document } from './ops.ts';
import type { CoreSelection } from './queries.ts';
import type { CollectionRef } from './refs.ts';
import { share } from './share.ts';
import type { Admission } from './validation.ts';

/** How long a watch outlives its last subscriber: a remount within this time costs nothing. */
const LINGER_MS = 50;

/**
 * `loading`: nothing to show yet, which is not the same as empty. `partial`: some rows, there may be more.
 * `complete`: every row that the server had when it was last reached. `error`: see the error.
 */
export type DataStatus = 'loading' | 'partial' | 'complete' | 'error';

/** The rows of a watch, in its order. Whatever did not change keeps its identity from snapshot to snapshot. */
export interface CollectionSnapshot<T> {
  readonly data: readonly Document<T>[];
  /** How many documents match, also beyond the limit. */
  readonly count: number;
  readonly status: DataStatus;
  readonly error: SynclineError | null;
  /** The documents with changes that the server has not confirmed. */
  readonly pendingIds: ReadonlySet<string>;
}

/** What a watch covers, as the core reads it. */
export interface CoreQuery extends CollectionRef, CoreSelection {
  readonly id?: string;
}

type Snapshot = CollectionSnapshot<object>;
type RowsEvent = Extract<Event, { type: 'rows' }>;

export const LOADING: Snapshot = {
  data: [],
  count: 0,
  status: 'loading',
  error: null,
  pendingIds: new Set(),
};

/**
 * The ids of a watch's rows after an event, in their order: those removed and those upserted are taken out, then each
 * one upserted is put in at its index, in ascending order. Rows that others pushed aside are in no event.
 */
export function reorder(
  ids: readonly string[],
  { reset, upserted, removed, indexes = [] }: Omit<RowsEvent, 'type' | 'watch' | 'count'>,
): string[] {
  const placed = upserted.map(({ id }) => id);
  if (reset) return placed;
  const taken = new Set([...removed, ...placed]);
  const rest = ids.filter((id) => !taken.has(id));
  const next: string[] = [];
  placed.forEach((id, nth) => {
    next.push(...rest.splice(0, (indexes[nth] ?? 0) - next.length), id);
  });
  return [...next, ...rest];
}

/** The rows of one watch, shared by all of its subscribers. */
class Source {
  readonly ref: CoreQuery;
  readonly store: Store<Snapshot>;
  subscribers = 0;
  linger: ReturnType<typeof setTimeout> | null = null;
  /** The core's number for this watch, while there is one. */
  watch: number | null = null;
  /** The last attempt to start: an earlier one that answers late is void. */
  attempt = 0;
  isStarting = false;
  /** Counts room events, to tell whether one overtook the reply to `watch`. */
  roomEvents = 0;
  readonly #admit: Admission | null;
  /** The fields of what was admitted or not, as they came. */
  readonly #raw = new Map<string, object>();
  #documents = new Map<string, Document<object>>();
  /** The ids in the order of the query; null for a query that selects nothing, whose rows are ordered by id. */
  #order: string[] | null;
  #count = 0;
  #pending = new Set<string>();
  #room: RoomStatus | null = null;
  #failure: SynclineError | null = null;

  constructor(ref: CoreQuery, admit: Admission | null, report: Report) {
    this.store = new Store(LOADING, report);
    this.ref = ref;
    this.#admit = admit;
    const { filter, orderBy, limit, after } = ref;
    const selects = [filter, orderBy, limit, after].some((part) => part !== undefined);
    this.#order = selects ? [] : null;
  }

  reset(rows: Row[], count: number): void {
    const previous = this.#documents;
    const ids = new Set(rows.map(({ id }) => id));
    for (const id of this.#raw.keys()) if (!ids.has(id)) this.#raw.delete(id);
    this.#documents = new Map();
    this.#pending = new Set();
    this.#failure = null;
    this.#count = count;
    if (this.#order) this.#order = rows.map(({ id }) => id);
    this.#upsert(rows, previous);
  }

  apply(event: RowsEvent): void {
    const { count = this.#count } = event;
    if (event.reset) {
      this.reset(event.upserted, count);
      return;
    }
    this.#count = count;
    if (this.#order) this.#order = reorder(this.#order, event);
    this.#upsert(event.upserted, this.#documents);
    for (const id of event.removed) {
      this.#raw.delete(id);
      this.#documents.delete(id);
      this.#pending.delete(id);
    }
  }

  setRoom(status: RoomStatus): void {
    this.#room = status;
  }

  fail(error: SynclineError): void {
    this.#failure = error;
  }

  publish(): void {
    const previous = this.store.get();
    const error = this.#failure ?? this.#roomError(previous.error);
    const next: Snapshot = {
      data: this.#sorted(previous.data),
      count: this.#count,
      status: this.#status(error),
      error,
      pendingIds: sameSet(previous.pendingIds, this.#pending) ? previous.pendingIds : new Set(this.#pending),
    };
    const changed = (Object.keys(next) as (keyof Snapshot)[]).some((key) => next[key] !== previous[key]);
    if (changed) this.store.set(next);
  }

  #upsert(rows: Row[], previous: ReadonlyMap<string, Document<object>>): void {
    for (const row of rows) {
      const document = this.#admitted(row, previous.get(row.id));
      if (!document) {
        this.#documents.delete(row.id);
        this.#pending.delete(row.id);
        continue;
      }
      this.#documents.set(row.id, document);
      if (row.pending) this.#pending.add(row.id);
      else this.#pending.delete(row.id);
    }
  }

  #admitted({ id, fields }: Row, previous: Document<object> | undefined): Document<object> | null {
    if (!this.#admit) return share(previous, { ...fields, id });
    const raw = this.#raw.get(id);
    // What a validator makes of the fields may be more than JSON, which `share` cannot compare.
    if (raw && share(raw, fields) === raw) return previous ?? null;
    this.#raw.set(id, fields);
    const admitted = this.#admit(id, fields);
    return admitted && { ...admitted, id };
  }

  #roomError(previous: SynclineError | null): SynclineError | null {
    const body = this.#room?.error ?? null;
    if (!body) return null;
    return previous?.code === body.code && previous.message === body.message
      ? previous
      : new SynclineError(body);
  }

  #status(error: SynclineError | null): DataStatus {
    if (error) return 'error';
    if (this.#room?.complete) return 'complete';
    return this.#documents.size === 0 ? 'loading' : 'partial';
  }

  #sorted(previous: readonly Document<object>[]): readonly Document<object>[] {
    const documents = this.#order
      ? this.#order.flatMap((id) => this.#documents.get(id) ?? [])
      : [...this.#documents.values()].sort(byId);
    const same =
      documents.length === previous.length &&
      documents.every((document, index) => document === previous[index]);
    return same ? previous : documents;
  }
}

/** Ids are UUIDv7 by default, so this is the order of creation. */
function byId(left: Document<object>, right: Document<object>): number {
  return left.id < right.id ? -1 : left.id > right.id ? 1 : 0;
}

function sameSet(left: ReadonlySet<string>, right: ReadonlySet<string>): boolean {
  return left.size === right.size && [...left].every((item) => right.has(item));
}

/** One watch in the core per distinct query, however many components show it. */
export class Watches {
  /** Opens the client when it is not open. */
  readonly #channel: () => Promise<Channel>;
  readonly #admission: (collection: string) => Admission | null;
  readonly #sources = new Map<string, Source>();
  readonly #queries: Store<readonly CoreQuery[]>;
  readonly #report: Report;
  readonly #byWatch = new Map<number, Source>();
  readonly #dirty = new Set<Source>();
  /** Events for watches whose reply is still on its way. */
  readonly #early = new Map<number, RowsEvent[]>();
  #starting = 0;

  constructor(
    channel: () => Promise<Channel>,
    admission: (collection: string) => Admission | null = () => null,
    report: Report = complain,
  ) {
    this.#report = report;
    this.#queries = new Store<readonly CoreQuery[]>([], report);
    this.#channel = channel;
    this.#admission = admission;
  }

  /** How many watches are held in the core. */
  get size(): number {
    return this.#byWatch.size;
  }

  /** What is watched now, each query once. */
  get queries(): Observable<readonly CoreQuery[]> {
    return this.#queries;
  }

  /** The rows of a query: watched in the core while there is a subscriber. */
  observe(ref: CoreQuery): Observable<Snapshot> {
    const { room, collection, id, filter, orderBy, limit, after } = ref;
    const key = JSON.stringify([room, collection, id, filter, orderBy, limit, after]);
    return {
      get: () => this.#sources.get(key)?.store.get() ?? LOADING,
      subscribe: (listener) => this.#subscribe(key, ref, listener),
    };
  }

  /** The client was opened: every query that is not watched yet is watched. */
  attach(): void {
    for (const source of this.#sources.values()) {
      if (source.watch === null && !source.isStarting) void this.#start(source);
    }
  }

  /** The client is closing: its watches end with it. The rows stay visible. */
  detach(): void {
    this.#byWatch.clear();
    for (const source of this.#sources.values()) {
      source.watch = null;
      source.attempt += 1;
      source.isStarting = false;
    }
  }

  handleRows(event: RowsEvent): void {
    const source = this.#byWatch.get(event.watch);
    if (source) {
      source.apply(event);
      this.#dirty.add(source);
    } else if (this.#starting > 0) {
      const waiting = this.#early.get(event.watch);
      if (waiting) waiting.push(event);
      else this.#early.set(event.watch, [event]);
    }
  }

  handleRoom(status: RoomStatus): void {
    for (const source of this.#sources.values()) {
      if (source.ref.room !== status.room) continue;
      source.setRoom(status);
      source.roomEvents += 1;
      // A room is never shown as complete before the rows that make it so: they come with the reply.
      if (!source.isStarting) this.#dirty.add(source);
    }
  }

  /** Shows what the events handled so far have changed: once per batch, not once per event. */
  publish(): void {
    for (const source of this.#dirty) source.publish();
    this.#dirty.clear();
  }

  #subscribe(key: string, ref: CoreQuery, listener: () => void): Unsubscribe {
    let source = this.#sources.get(key);
    if (!source) {
      source = new Source(ref, this.#admission(ref.collection), this.#report);
      this.#sources.set(key, source);
      this.#tellQueries();
      void this.#start(source);
    }
    const held = source;
    held.subscribers += 1;
    if (held.linger) clearTimeout(held.linger);
    held.linger = null;
    const unsubscribe = held.store.subscribe(listener);
    return once(() => {
      unsubscribe();
      held.subscribers -= 1;
      if (held.subscribers === 0) {
        held.linger = setTimeout(() => {
          this.#stop(key, held);
        }, LINGER_MS);
      }
    });
  }

  #tellQueries(): void {
    this.#queries.set([...this.#sources.values()].map(({ ref }) => ref));
  }

  async #start(source: Source): Promise<void> {
    const attempt = ++source.attempt;
    const roomEvents = source.roomEvents;
    source.isStarting = true;
    this.#starting += 1;
    try {
      const channel = await this.#channel();
      if (attempt !== source.attempt) return;
      const { watch, rows, count, room } = await channel.call({ type: 'watch', ...source.ref });
      if (attempt !== source.attempt) {
        await channel.call({ type: 'unwatch', watch });
        return;
      }
      source.watch = watch;
      this.#byWatch.set(watch, source);
      source.reset(rows, count);
      // An event that overtook the reply is at least as new as the reply.
      if (roomEvents === source.roomEvents) source.setRoom(room);
      for (const event of this.#early.get(watch) ?? []) source.apply(event);
    } catch (error) {
      if (attempt === source.attempt) source.fail(asSynclineError(error));
    } finally {
      if (attempt === source.attempt) source.isStarting = false;
      this.#starting -= 1;
      if (this.#starting === 0) this.#early.clear();
      source.publish();
    }
  }

  #stop(key: string, source: Source): void {
    this.#sources.delete(key);
    this.#tellQueries();
    source.attempt += 1;
    const { watch } = source;
    if (watch === null) return;
    source.watch = null;
    this.#byWatch.delete(watch);
    // A client that has been closed meanwhile has no watches to end.
    void this.#channel()
      .then((channel) => channel.call({ type: 'unwatch', watch }))
      .catch(() => undefined);
  }
}
