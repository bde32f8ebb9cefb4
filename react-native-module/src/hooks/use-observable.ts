import { useMemo, useSyncExternalStore } from 'react';

import type { Observable } from '../observable.ts';
import { shallowEqual } from '../share.ts';

/**
 * The selected part of an observable. Renders again only when that part changes, by shallow comparison. On a server,
 * and while hydrating, it is the part of `initial`.
 */
export function useObservable<T, S>(source: Observable<T>, initial: T, select: (value: T) => S): S {
  const [snapshot, serverSnapshot] = useMemo(() => {
    const read = memoize(select);
    return [() => read(source.get()), () => read(initial)];
  }, [source, initial, select]);
  return useSyncExternalStore(source.subscribe, snapshot, serverSnapshot);
}

/** Selects once per input, and keeps the last selection while a new one equals it. */
function memoize<T, S>(select: (value: T) => S): (input: T) => S {
  let last: { readonly input: T; readonly output: S } | null = null;
  return (input) => {
    if (last && Object.is(last.input, input)) return last.output;
    const selected = select(input);
    const output = last && shallowEqual(last.output, selected) ? last.output : selected;
    last = { input, output };
    return output;
  };
}

/** Selects everything. */
export function all<T>(value: T): T {
  return value;
}
