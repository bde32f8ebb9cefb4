import { type InfiniteData, onlineManager, type QueryClient, type QueryKey } from '@tanstack/react-query';

import type { SyncClient } from '../client.ts';
import type { ConnectionStatus } from '../contract.ts';
import { type EntityHandlers, onEntity } from '../entities.ts';
import type { Unsubscribe } from '../observable.ts';
import type { ListenEvents } from '../register.ts';
import type { EventsMap, ListenerOf, Socket, TopicOf } from '../socket.ts';

/** By event: the keys that it makes stale, of its arguments. */
export type Invalidations<In extends EventsMap = ListenEvents> = {
  readonly [Topic in TopicOf<In>]?:
    readonly QueryKey[] | ((...args: Parameters<ListenerOf<In, Topic>>) => readonly QueryKey[]);
};

interface AnySocket {
  on(event: string, listener: (...args: unknown[]) => void): Unsubscribe;
}

/** Makes queries stale as events of the server come, and no others, until the returned function is called. */
export function invalidateOn<In extends EventsMap = ListenEvents>(
  socket: Socket<In, never>,
  queryClient: QueryClient,
  invalidations: Invalidations<In>,
): Unsubscribe {
  const entries = Object.entries(invalidations) as [
    string,
    QueryKey[] | ((...args: unknown[]) => QueryKey[]),
  ][];
  const ends = entries.map(([event, keys]) =>
    (socket as unknown as AnySocket).on(event, (...args) => {
      for (const queryKey of typeof keys === 'function' ? keys(...args) : keys) {
        void queryClient.invalidateQueries({ queryKey });
      }
    }),
  );
  return () => {
    for (const end of ends) end();
  };
}

/** Which queries hold entities of one kind. */
export interface EntityQueries<T> {
  /** Queries of lists, also infinite ones. What is created is put at their end. */
  readonly lists?: readonly QueryKey[];
  /** The query of one entity. */
  readonly detail?: (id: string) => QueryKey;
  /** Its field `id` when absent. What is deleted may also be told by its id alone, or in a field such as `activityId`. */
  readonly idOf?: (entity: T) => string;
}

/** Writes what the server tells of entities into the queries that hold them, until the returned function is called. */
export function updateOn<T extends object>(
  socket: Pick<Socket, 'on'>,
  queryClient: QueryClient,
  entity: string,
  { lists = [], detail, idOf = idField }: EntityQueries<T>,
): Unsubscribe {
  const inLists = (change: (list: readonly T[]) => readonly T[]) => {
    for (const queryKey of lists)
      queryClient.setQueryData(queryKey, (data: unknown) => inPages(data, change));
  };
  const handlers: EntityHandlers<T> = {
    created: (made) => {
      const id = idOf(made);
      const isKnown = (data: unknown) => itemsOf<T>(data).some((item) => idOf(item) === id);
      for (const queryKey of lists) {
        queryClient.setQueryData(queryKey, (data: unknown) =>
          data === undefined || isKnown(data) ? data : atEnd(data, made),
        );
      }
      if (detail) queryClient.setQueryData<T>(detail(id), made);
    },
    updated: (changed) => {
      const id = idOf(changed);
      inLists((list) => list.map((item) => (idOf(item) === id ? { ...item, ...changed } : item)));
      if (detail) queryClient.setQueryData<T>(detail(id), (known) => known && { ...known, ...changed });
    },
    deleted: (gone) => {
      const id = idOfGone(gone, entity, idOf);
      inLists((list) => list.filter((item) => idOf(item) !== id));
      if (detail) queryClient.removeQueries({ queryKey: detail(id), exact: true });
    },
  };
  return onEntity<T>(socket, entity, () => handlers);
}

function idField(entity: object): string {
  return String((entity as { id?: unknown }).id);
}

/** What is gone may be told as a whole, or by its id: that itself, or in a field such as `activityId`. */
function idOfGone<T extends object>(gone: T, entity: string, idOf: (entity: T) => string): string {
  const told: unknown = gone;
  if (typeof told === 'string' || typeof told === 'number') return String(told);
  const field = `${entity}Id`;
  if ('id' in gone || !(field in gone)) return idOf(gone);
  return String((gone as Record<string, unknown>)[field]);
}

function pagesOf<T>(data: unknown): InfiniteData<readonly T[]> | null {
  const isPaged = typeof data === 'object' && data !== null && 'pages' in data && 'pageParams' in data;
  return isPaged ? (data as InfiniteData<readonly T[]>) : null;
}

function itemsOf<T>(data: unknown): readonly T[] {
  if (Array.isArray(data)) return data as readonly T[];
  return pagesOf<T>(data)?.pages.flat() ?? [];
}

function inPages<T>(data: unknown, change: (list: readonly T[]) => readonly T[]): unknown {
  if (Array.isArray(data)) return change(data as readonly T[]);
  const paged = pagesOf<T>(data);
  return paged ? { ...paged, pages: paged.pages.map(change) } : data;
}

function atEnd<T>(data: unknown, item: T): unknown {
  if (Array.isArray(data)) return [...(data as readonly T[]), item];
  const paged = pagesOf<T>(data);
  if (!paged) return data;
  const { pages } = paged;
  return { ...paged, pages: [...pages.slice(0, -1), [...(pages.at(-1) ?? []), item]] };
}

/** Why a connection is not open, where the network is to blame. */
const NETWORK_CODES: readonly string[] = ['offline', 'unreachable', 'timeout'];

function isOnline({ state, reason }: ConnectionStatus): boolean {
  if (state === 'offline') return false;
  // An attempt is no proof: while there is no network, one is made every now and then.
  const isTrying = state === 'backoff' || state === 'connecting';
  return !isTrying || !reason || !NETWORK_CODES.includes(reason.code);
}

/** Tells TanStack Query when there is a network, as the core knows it, until the returned function is called. */
export function followOnline(client: SyncClient, manager = onlineManager): Unsubscribe {
  const tell = () => {
    manager.setOnline(isOnline(client.connection.get()));
  };
  let end: Unsubscribe = () => undefined;
  manager.setEventListener(() => {
    end = client.connection.subscribe(tell);
    return () => {
      end();
    };
  });
  tell();
  return () => {
    end();
    manager.setOnline(true);
  };
}

/**
 * Makes queries stale after a connection was lost, because events of the server may have been missed; not where the server
 * says that it has sent them all.
 */
export function invalidateOnReconnect(
  client: SyncClient,
  queryClient: QueryClient,
  keys: readonly QueryKey[],
): Unsubscribe {
  let wasOpen = client.connection.get().state === 'open';
  let wasLost = false;
  return client.connection.subscribe(() => {
    const { state, recovered } = client.connection.get();
    const isOpen = state === 'open';
    if (wasOpen && !isOpen) wasLost = true;
    if (isOpen && wasLost) {
      wasLost = false;
      if (!recovered) for (const queryKey of keys) void queryClient.invalidateQueries({ queryKey });
    }
    wasOpen = isOpen;
  });
}
