import { useMemo, useSyncExternalStore } from 'react';

import type { LogLevel, LogLine } from '../contract.ts';
import type { Host } from '../host.ts';
import { addHostLogger } from '../logger.ts';
import { nativeHost } from '../native.ts';
import { type Observable, Store } from '../observable.ts';

const LINES_MAX = 200;
const NO_LINES: readonly LogLine[] = [];
const noLines = () => NO_LINES;

/** The last lines of the core's log while the component is mounted, oldest first; beside the logger of `setLogger`. */
export function useDebugLog(
  level: LogLevel = 'debug',
  { linesMax = LINES_MAX, host }: { readonly linesMax?: number; readonly host?: Host } = {},
): readonly LogLine[] {
  const log = useMemo(() => watchLog(level, linesMax, () => host ?? nativeHost()), [level, linesMax, host]);
  return useSyncExternalStore(log.subscribe, log.get, noLines);
}

function watchLog(level: LogLevel, linesMax: number, host: () => Host): Observable<readonly LogLine[]> {
  const store = new Store<readonly LogLine[]>(NO_LINES);
  return {
    get: store.get,
    subscribe(listener) {
      const unsubscribe = store.subscribe(listener);
      const end = addHostLogger(host(), level, (line) => {
        store.set([...store.get(), line].slice(-linesMax));
      });
      return () => {
        unsubscribe();
        end();
      };
    },
  };
}
