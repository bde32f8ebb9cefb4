import type { Observable, Unsubscribe } from '../observable.ts';
import { shallowEqual } from '../share.ts';

interface Held<T> {
  readonly source: Observable<T>;
  readonly end: Unsubscribe;
}

/**
 * What several keys stand for, live: sources begin and end as keys come and go. For one listener; shown only when
 * somebody reads it.
 */
export function each<K, T, S>(
  keys: Observable<readonly K[]>,
  sourceOf: (key: K) => Observable<T>,
  show: (key: K, value: T) => S,
): Observable<readonly S[]> {
  const held = new Map<K, Held<T>>();
  let values: readonly (readonly [K, T])[] = [];
  let result: readonly S[] = [];
  const follow = (listener: () => void) => {
    const wanted = new Set(keys.get());
    for (const [key, { end }] of held) {
      if (wanted.has(key)) continue;
      held.delete(key);
      end();
    }
    for (const key of wanted) {
      if (held.has(key)) continue;
      const source = sourceOf(key);
      held.set(key, { source, end: source.subscribe(listener) });
    }
  };
  return {
    get() {
      const next = [...held].map(([key, { source }]) => [key, source.get()] as const);
      const same =
        next.length === values.length && next.every((pair, nth) => shallowEqual(pair, values[nth]));
      if (!same) {
        values = next;
        result = next.map(([key, value]) => show(key, value));
      }
      return result;
    },
    subscribe(listener) {
      const unsubscribe = keys.subscribe(() => {
        follow(listener);
        listener();
      });
      follow(listener);
      return () => {
        unsubscribe();
        for (const { end } of held.values()) end();
        held.clear();
      };
    },
  };
}

/** The last entries of something that goes on. Each is taken once, and all can be read by whoever comes later. */
export class History<T> {
  readonly #max: number;
  readonly #entries: T[] = [];
  #untaken = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get all(): readonly T[] {
    return this.#entries.slice(-this.#max);
  }

  add(...entries: readonly T[]): void {
    this.#entries.push(...entries);
    this.#untaken = Math.min(this.#untaken + entries.length, this.#max);
    // Not with every entry: what is cut off is copied.
    if (this.#entries.length > 2 * this.#max) this.#entries.splice(0, this.#entries.length - this.#max);
  }

  /** What came since the last call. */
  take(): readonly T[] {
    const news = this.#untaken === 0 ? [] : this.#entries.slice(-this.#untaken);
    this.#untaken = 0;
    return news;
  }
}
