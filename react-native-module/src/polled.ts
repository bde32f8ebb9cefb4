import { type Observable, Store, type Unsubscribe } from './observable.ts';

/** A value that is read again and again while somebody looks. A failed reading leaves the last value. */
export function polled<T>(initial: T, read: () => Promise<T>, intervalMs: number): Observable<T> {
  const store = new Store(initial);
  let watchers = 0;
  let timer: ReturnType<typeof setTimeout> | null = null;
  const poll = async (): Promise<void> => {
    const value = await read().catch(() => store.get());
    if (watchers === 0) return;
    store.set(value);
    timer = setTimeout(() => void poll(), intervalMs);
  };
  return {
    get: store.get,
    subscribe(listener): Unsubscribe {
      const unsubscribe = store.subscribe(listener);
      watchers += 1;
      if (watchers === 1) void poll();
      let subscribed = true;
      return () => {
        if (!subscribed) return;
        subscribed = false;
        unsubscribe();
        watchers -= 1;
        if (watchers === 0 && timer) clearTimeout(timer);
      };
    },
  };
}
