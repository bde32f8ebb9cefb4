import { complain, type Report } from './guard.ts';
import { type Observable, Store } from './observable.ts';

interface KeptWrite {
  readonly clientSeq: number;
}

/**
 * Writes that the core keeps until the app has dealt with them. The core lists them when asked, and tells of each new
 * one once: either may come first, or both tell of the same.
 */
export class KeptWrites<T extends KeptWrite> {
  readonly #store: Store<readonly T[]>;
  /** While a list is awaited: what it may not know yet. */
  #news: { told: readonly T[]; done: Set<number> } | null = null;

  constructor(report: Report = complain) {
    this.#store = new Store<readonly T[]>([], report);
  }

  get observable(): Observable<readonly T[]> {
    return this.#store;
  }

  /** The client is about to open, and will be asked for its list. */
  awaitList(): void {
    this.#news = { told: [], done: new Set() };
  }

  /** The list knows all from before the client was opened; null when it cannot be had. */
  handleList(listed: readonly T[] | null): void {
    const { told = [], done = new Set<number>() } = this.#news ?? {};
    this.#news = null;
    if (!listed) return;
    this.#store.set(
      merge(
        listed.filter(({ clientSeq }) => !done.has(clientSeq)),
        told,
      ),
    );
  }

  handleKept(write: T): void {
    if (this.#news) this.#news.told = merge(this.#news.told, [write]);
    this.#store.set(merge(this.#store.get(), [write]));
  }

  /** The app has dealt with the write. */
  handleDone(clientSeq: number): void {
    const others = (writes: readonly T[]) => writes.filter((write) => write.clientSeq !== clientSeq);
    if (this.#news) {
      this.#news.told = others(this.#news.told);
      this.#news.done.add(clientSeq);
    }
    this.#store.set(others(this.#store.get()));
  }
}

/** Each write once, those of `first` first, as the last one told. */
function merge<T extends KeptWrite>(first: readonly T[], then: readonly T[]): T[] {
  return [...new Map([...first, ...then].map((write) => [write.clientSeq, write])).values()];
}
