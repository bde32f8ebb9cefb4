import { Audience, type Observable, Store, type Unsubscribe } from './observable.ts';

/** A value that is read again and again while somebody looks. A failed reading leaves the last value. */
export function polled<T>(initial: T, read: () => Promise<T>, intervalMs: number): Observable<T> {
  const store = new Store(initial);
  const audience = new Audience(() => {
    let isOver = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const poll = async (): Promise<void> => {
      const value = await read().catch(() => store.get());
      if (isOver) return;
      store.set(value);
      timer = setTimeout(() => void poll(), intervalMs);
    };
    void poll();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  });
  return {
    get: store.get,
    subscribe(listener): Unsubscribe {
      const unsubscribe = store.subscribe(listener);
      const leave = audience.join();
      return () => {
        unsubscribe();
        leave();
      };
    },
  };
}
