import { asSynclineError } from './error.ts';
import { complain, guarded, type Report } from './guard.ts';

export type Unsubscribe = () => void;

/** An end that comes once, however often it is called. */
export function once(end: () => void): Unsubscribe {
  let isOver = false;
  return () => {
    if (isOver) return;
    isOver = true;
    end();
  };
}

/** Those who look: something begins with the first of them, and what that returned ends it after the last. */
export class Audience {
  readonly #begin: () => Unsubscribe;
  #size = 0;
  #end: Unsubscribe = () => undefined;

  constructor(begin: () => Unsubscribe) {
    this.#begin = begin;
  }

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  /** Returns how to leave. */
  join(): Unsubscribe {
    this.#size += 1;
    if (this.#size === 1) this.#end = this.#begin();
    return once(() => {
      this.#size -= 1;
      if (this.#size === 0) this.#end();
    });
  }
}

/** A value that changes. `get` returns the same object until it does. */
export interface Observable<T> {
  readonly get: () => T;
  readonly subscribe: (listener: () => void) => Unsubscribe;
}

/** The source side of an observable. */
export class Store<T> implements Observable<T> {
  #value: T;
  #version = 0;
  readonly #listeners = new Set<() => void>();
  readonly #report: Report;

  /** `report` hears of listeners that fail. */
  constructor(value: T, report: Report = complain) {
    this.#value = value;
    this.#report = report;
  }

  /** Grows with every `set`, also with one that changes nothing: tells whether news came while waiting. */
  get version(): number {
    return this.#version;
  }

  readonly get = (): T => this.#value;

  readonly subscribe = (listener: () => void): Unsubscribe => {
    // Wrapped, so that one function subscribed twice counts twice.
    const entry = () => {
      listener();
    };
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  };

  set(value: T): void {
    this.#version += 1;
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) guarded(listener, this.#report);
  }
}

/** What is made of several observables: made anew only when one of them changes. */
export function combine<Parts extends readonly unknown[], T>(
  sources: { readonly [Index in keyof Parts]: Observable<Parts[Index]> },
  make: (...parts: Parts) => T,
): Observable<T> {
  let last: { readonly parts: readonly unknown[]; readonly value: T } | null = null;
  return {
    get() {
      const parts = sources.map((source: Observable<unknown>) => source.get());
      if (!last?.parts.every((part, index) => Object.is(part, parts[index]))) {
        last = { parts, value: make(...(parts as unknown as Parts)) };
      }
      return last.value;
    },
    subscribe(listener) {
      const ends = sources.map((source: Observable<unknown>) => source.subscribe(listener));
      return () => {
        for (const end of ends) end();
      };
    },
  };
}

/** Reads a first value, unless an event brings a newer one meanwhile. */
export async function readInto<T>(store: Store<T>, read: () => Promise<T>, report: Report): Promise<void> {
  const { version } = store;
  try {
    const value = await read();
    if (store.version === version) store.set(value);
  } catch (error) {
    report(asSynclineError(error));
  }
}
