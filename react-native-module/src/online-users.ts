import { complain, type Report } from './guard.ts';
import { type Observable, Store } from './observable.ts';

/** Users remembered; of more, those told of longest ago are forgotten. */
const USERS_MAX = 10_000;

/** Who the server said is online. What it said on an earlier connection is forgotten. */
export class OnlineUsers {
  readonly #known: Store<ReadonlyMap<string, boolean>>;

  constructor(report: Report = complain) {
    this.#known = new Store<ReadonlyMap<string, boolean>>(new Map(), report);
  }

  observe(userId: string): Observable<boolean | null> {
    return {
      get: () => this.#known.get().get(userId) ?? null,
      subscribe: (listener) => this.#known.subscribe(listener),
    };
  }

  handleUser(userId: string, online: boolean): void {
    const known = new Map(this.#known.get());
    known.delete(userId);
    known.set(userId, online);
    const oldest = known.keys().next();
    if (known.size > USERS_MAX && !oldest.done) known.delete(oldest.value);
    this.#known.set(known);
  }

  reset(): void {
    if (this.#known.get().size > 0) this.#known.set(new Map());
  }
}
