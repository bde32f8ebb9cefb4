import type { DehydratedState } from '@tanstack/react-query';

import type { SyncClient } from '../client.ts';
import { firstRows } from '../integrations/shown.ts';
import { keptQuery } from './queries.ts';

/** How long changes of the cache wait for others to be written with. */
const THROTTLE_MS = 1_000;
/** How long rows are awaited that the device may not have. */
const ROWS_MS = 1_000;

/** Where text is kept: AsyncStorage, MMKV, a file. */
export interface TextStorage {
  getItem(key: string): Promise<string | null | undefined> | string | null | undefined;
  setItem(key: string, value: string): unknown;
  removeItem(key: string): unknown;
}

/** What TanStack's persisters hand over and take back. */
export interface PersistedQueries {
  readonly timestamp: number;
  readonly buster: string;
  readonly clientState: DehydratedState;
}

export interface PersisterOptions {
  readonly storage: TextStorage;
  /** `syncline:<name of the client>` when absent. */
  readonly key?: string;
  /** 1 s when absent. */
  readonly throttleMs?: number;
  /** Hears of a storage that failed. */
  readonly onError?: (error: unknown) => void;
}

export interface SynclinePersister {
  persistClient(persisted: PersistedQueries): void;
  restoreClient(): Promise<PersistedQueries | undefined>;
  removeClient(): Promise<void>;
  /** Writes what waits, as before the app goes to the background. */
  flush(): Promise<void>;
}

/**
 * A persister for `PersistQueryClientProvider`. Of the queries of Syncline it keeps which there were: their documents are on the
 * device already, and are read from there when the cache is restored, as they are then.
 */
export function createSynclinePersister(
  client: SyncClient,
  { storage, key = `syncline:${client.name}`, throttleMs = THROTTLE_MS, onError }: PersisterOptions,
): SynclinePersister {
  let waiting: PersistedQueries | null = null;
  let timer: ReturnType<typeof setTimeout> | null = null;
  /** Keeps what is done to the storage in order. */
  let lane: Promise<unknown> = Promise.resolve();

  const inLane = <T>(work: () => Promise<T> | T): Promise<T> => {
    const done = lane.then(work);
    lane = done.catch(() => undefined);
    return done;
  };
  const stop = () => {
    if (timer) clearTimeout(timer);
    timer = null;
  };
  const flush = async (): Promise<void> => {
    stop();
    const persisted = waiting;
    waiting = null;
    if (persisted) await inLane(() => storage.setItem(key, JSON.stringify(withoutRows(client, persisted))));
  };
  return {
    flush,
    persistClient(persisted) {
      waiting = persisted;
      timer ??= setTimeout(() => {
        flush().catch((error: unknown) => onError?.(error));
      }, throttleMs);
    },
    async restoreClient() {
      const text = await inLane(() => storage.getItem(key));
      return text ? withRows(client, JSON.parse(text) as PersistedQueries) : undefined;
    },
    async removeClient() {
      stop();
      waiting = null;
      await inLane(() => storage.removeItem(key));
    },
  };
}

type Dehydrated = DehydratedState['queries'][number];

function withoutRows(client: SyncClient, persisted: PersistedQueries): PersistedQueries {
  const { queries, ...others } = persisted.clientState;
  const kept = queries.flatMap((query): Dehydrated[] => {
    const own = keptQuery(client, query.queryKey);
    if (!own) return [query];
    // Pages are read anew: how many there were matters no more.
    return own.pageSize === undefined ? [{ ...query, state: { ...query.state, data: null } }] : [];
  });
  return { ...persisted, clientState: { ...others, queries: kept } };
}

async function withRows(client: SyncClient, persisted: PersistedQueries): Promise<PersistedQueries> {
  const { queries, ...others } = persisted.clientState;
  const restored = await Promise.all(
    queries.map(async (query): Promise<Dehydrated[]> => {
      const own = keptQuery(client, query.queryKey);
      if (!own) return [query];
      try {
        const { data } = await firstRows(client.watch(own), timeout(ROWS_MS));
        return [{ ...query, state: { ...query.state, data } }];
      } catch {
        // Not here any more: the query is made anew.
        return [];
      }
    }),
  );
  return { ...persisted, clientState: { ...others, queries: restored.flat() } };
}

/** `AbortSignal.timeout`, which not every phone has. */
function timeout(ms: number): AbortSignal {
  const controller = new AbortController();
  setTimeout(() => {
    controller.abort();
  }, ms);
  return controller.signal;
}
