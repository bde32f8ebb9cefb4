import { useContext, useEffect, useMemo, useRef } from 'react';

import { type EntityHandlers, onEntity } from '../entities.ts';
import type { Unsubscribe } from '../observable.ts';
import type { ListenEvents } from '../register.ts';
import type { EventsMap, ListenerOf, Socket, TopicOf } from '../socket.ts';
import { type QueryInvalidator, QueryInvalidatorContext, type QueryKey, useSyncClient } from './context.ts';

type HeardArgs<In extends EventsMap, Topic> =
  ListenerOf<In, Topic> extends (...args: infer Args) => void ? Args : never;

export interface SocketEventOptions<
  In extends EventsMap = ListenEvents,
  Topic extends TopicOf<In> = TopicOf<In>,
> {
  /** A typed socket, as `createSocket` makes them; that of the provider's client when absent. */
  readonly socket?: Socket<In, never>;
  /** Whose queries are invalidated; the provider's when absent. */
  readonly queryClient?: QueryInvalidator;
  /** The keys that an event makes stale, or a function of its arguments that tells them. */
  readonly invalidateQueries?: readonly QueryKey[] | ((...args: HeardArgs<In, Topic>) => readonly QueryKey[]);
  /** Whether to listen; true when absent. */
  readonly enabled?: boolean;
}

/** All that `useSocketEvent` is told, as one object. */
export interface SocketEventSpec<
  In extends EventsMap = ListenEvents,
  Topic extends TopicOf<In> = TopicOf<In>,
> extends SocketEventOptions<In, Topic> {
  readonly event: Topic;
  readonly onEvent?: ListenerOf<In, Topic> | null;
}

/** What is left when the types have been checked. */
interface AnySocket {
  on(event: string, listener: AnyListener): Unsubscribe;
}

type AnyListener = (...args: unknown[]) => void;

interface AnySpec {
  readonly event: string;
  readonly onEvent?: AnyListener | null;
  readonly socket?: AnySocket;
  readonly queryClient?: QueryInvalidator;
  readonly invalidateQueries?: readonly QueryKey[] | ((...args: unknown[]) => readonly QueryKey[]);
  readonly enabled?: boolean;
}

/** Calls the handler of the last render for each such event of the server while mounted. */
export function useSocketEvent<In extends EventsMap = ListenEvents, Topic extends TopicOf<In> = TopicOf<In>>(
  event: Topic,
  handler: ListenerOf<In, Topic> | null,
  options?: SocketEventOptions<In, Topic>,
): void;
export function useSocketEvent<In extends EventsMap = ListenEvents, Topic extends TopicOf<In> = TopicOf<In>>(
  spec: SocketEventSpec<In, Topic>,
): void;
export function useSocketEvent(first: string | object, handler: unknown = null, options: object = {}): void {
  const spec = (
    typeof first === 'string' ? { ...options, event: first, onEvent: handler } : first
  ) as AnySpec;
  const client = useSyncClient();
  const provided = useContext(QueryInvalidatorContext);
  const socket = useMemo(() => spec.socket ?? (client.socket as unknown as AnySocket), [client, spec.socket]);
  const latest = useRef({ spec, provided });
  useEffect(() => {
    latest.current = { spec, provided };
  });
  const { event, enabled = true } = spec;

  useEffect(() => {
    if (!enabled) return undefined;
    return socket.on(event, (...args) => {
      const { onEvent, invalidateQueries: keys, queryClient = latest.current.provided } = latest.current.spec;
      try {
        onEvent?.(...args);
      } finally {
        // The server's news make them stale whether or not the handler fails.
        for (const queryKey of (typeof keys === 'function' ? keys(...args) : keys) ?? []) {
          void queryClient?.invalidateQueries({ queryKey });
        }
      }
    });
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
