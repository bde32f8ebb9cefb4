import { useEffect, useMemo, useRef } from 'react';

import { type EntityHandlers, onEntity } from '../entities.ts';
import type { Unsubscribe } from '../observable.ts';
import type { AnyEvents, EventsMap, ListenerOf, Socket, TopicOf } from '../socket.ts';
import { useSyncClient } from './context.ts';

type QueryKey = readonly unknown[];

/** The part of TanStack's `QueryClient` that is used. */
export interface QueryInvalidator {
  invalidateQueries(filters: { queryKey: QueryKey }): unknown;
}

export interface SocketEventOptions<In extends EventsMap = AnyEvents> {
  /** A typed socket, as `createSocket` makes them; that of the provider's client when absent. */
  readonly socket?: Socket<In, never>;
  /** Whose queries are invalidated. */
  readonly queryClient?: QueryInvalidator;
  /** The keys that an event makes stale, or a function of its arguments that tells them. */
  readonly invalidateQueries?: readonly QueryKey[] | ((...args: unknown[]) => readonly QueryKey[]);
  /** Whether to listen; true when absent. */
  readonly enabled?: boolean;
}

/** A socket whose types have been checked already. */
interface AnySocket {
  on(event: string, listener: (...args: unknown[]) => void): Unsubscribe;
}

/** Calls the handler of the last render for each such event of the server while mounted. */
export function useSocketEvent<In extends EventsMap = AnyEvents, Topic extends TopicOf<In> = TopicOf<In>>(
  event: Topic,
  handler: ListenerOf<In, Topic> | null,
  options: SocketEventOptions<In> = {},
): void {
  const client = useSyncClient();
  const socket = useMemo(() => options.socket ?? client.socket, [client, options.socket]);
  const latest = useRef({ handler, options });
  useEffect(() => {
    latest.current = { handler, options };
  });
  const enabled = options.enabled ?? true;

  useEffect(() => {
    if (!enabled) return undefined;
    const listener = (...args: unknown[]) => {
      const { handler: call, options: now } = latest.current;
      (call as ((...args: unknown[]) => void) | null)?.(...args);
      const keys = now.invalidateQueries;
      for (const queryKey of (typeof keys === 'function' ? keys(...args) : keys) ?? []) {
        void now.queryClient?.invalidateQueries({ queryKey });
      }
    };
    return (socket as unknown as AnySocket).on(event, listener);
  }, [socket, event, enabled]);
}

/** Calls the handlers of the last render as entities are created, updated and deleted, while mounted. */
export function useEntityEvents<T>(entity: string, handlers: EntityHandlers<T>): void {
  const client = useSyncClient();
  const latest = useRef(handlers);
  useEffect(() => {
    latest.current = handlers;
  });
  useEffect(() => onEntity<T>(client.socket, entity, () => latest.current), [client, entity]);
}
