import type { Event, Row, RoomStatus } from '../contract.ts';
import { Failure } from './errors.ts';
import { type Query, Watch } from './query.ts';
import type { Replica } from './replica.ts';

/** What an app watches, and what it is told of it. */
export class Watches {
  readonly #replica: Replica;
  readonly #watches = new Map<number, Watch>();
  #last = 0;

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  #rows({ room, collection, id }: Query): Row[] {
    return this.#replica.rows(room, collection, id);
  }

  begin(query: Query): { watch: number; rows: readonly Row[]; count: number; room: RoomStatus } {
    this.#last += 1;
    const watch = new Watch(this.#last, query, this.#rows(query));
    this.#replica.subscribe(query.room);
    this.#watches.set(watch.number, watch);
    const room = this.#replica.status(query.room);
    return { watch: watch.number, rows: watch.rows, count: watch.count, room };
  }

  end(number: number): void {
    const watch = this.#watches.get(number);
    if (!watch) throw new Failure('not_found', `no watch ${number}`);
    this.#watches.delete(number);
    this.#replica.unsubscribe(watch.query.room);
  }

  /** A document, or its pending writes, changed. */
  touch(room: string, collection: string, id: string): void {
    for (const watch of this.#watches.values()) {
      const { query } = watch;
      const isOf = query.room === room && query.collection === collection;
      if (isOf && (query.id === undefined || query.id === id)) watch.isDirty = true;
    }
  }

  takeEvents(): Event[] {
    const dirty = [...this.#watches.values()].filter(({ isDirty }) => isDirty);
    return dirty.map((watch) => watch.update(this.#rows(watch.query))).filter((event) => event !== null);
  }
}
