import { useCallback, useEffect, useRef, useState } from 'react';

import { asSynclineError, type SynclineError } from '../error.ts';
import { Store } from '../observable.ts';
import type { EmitEvents } from '../register.ts';
import type { AnswerOf, ArgsOf, EmitResult, EventsMap, SentArgs, Socket } from '../socket.ts';
import { useSyncClient } from './context.ts';
import { all, useObservable } from './use-observable.ts';

export interface SocketEmitOptions<Out extends EventsMap = EmitEvents> {
  /** A typed socket, as `createSocket` makes them; that of the provider's client when absent. */
  readonly socket?: Socket<never, Out>;
  /** How long an answer is awaited; `emitTimeoutMs` of the settings when absent. */
  readonly timeoutMs?: number;
  /** Whether an event is dropped while there is no connection. */
  readonly volatile?: boolean;
}

export interface SocketEmit<Args extends unknown[], Answer> {
  /** Sends the event, or keeps it in memory until there is a connection. */
  readonly emit: (...args: Args) => Promise<EmitResult>;
  /** Sends the event and resolves to the server's answer; rejects with `timeout` when none comes. */
  readonly emitWithAck: (...args: Args) => Promise<Answer>;
  /** Whether an answer is awaited. */
  readonly isPending: boolean;
  /** Why the last one that ended has failed. */
  readonly error: SynclineError | null;
}

interface Outstanding {
  readonly count: number;
  readonly error: SynclineError | null;
}

/** What is left when the types have been checked. */
interface AnySocket {
  readonly volatile: AnySocket;
  timeout(ms: number): AnySocket;
  emit(event: string, ...args: unknown[]): Promise<EmitResult>;
  emitWithAck(event: string, ...args: unknown[]): Promise<unknown>;
}

const NOTHING: Outstanding = { count: 0, error: null };

/** Sends one kind of event, by functions that stay the same, and tells what became of it. */
export function useSocketEmit<
  Out extends EventsMap = EmitEvents,
  Event extends keyof Out & string = keyof Out & string,
>(
  event: Event,
  options: SocketEmitOptions<Out> = {},
): SocketEmit<SentArgs<ArgsOf<Out, Event>>, AnswerOf<ArgsOf<Out, Event>>> {
  type Args = SentArgs<ArgsOf<Out, Event>>;
  const client = useSyncClient();
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });
  const [store] = useState(() => new Store(NOTHING));
  const { count, error } = useObservable(store, NOTHING, all);

  const track = useCallback(
    async <T>(send: (socket: AnySocket) => Promise<T>): Promise<T> => {
      const { socket = client.socket, timeoutMs, volatile = false } = latest.current;
      const plain = socket as unknown as AnySocket;
      const patient = timeoutMs === undefined ? plain : plain.timeout(timeoutMs);
      store.set({ ...store.get(), count: store.get().count + 1 });
      let failure: SynclineError | null = null;
      try {
        return await send(volatile ? patient.volatile : patient);
      } catch (thrown) {
        failure = asSynclineError(thrown);
        throw failure;
      } finally {
        store.set({ count: store.get().count - 1, error: failure });
      }
    },
    [client, store],
  );
  const emit = useCallback(
    (...args: Args) => track((socket) => socket.emit(event, ...(args as unknown[]))),
    [track, event],
  );
  const emitWithAck = useCallback(
    (...args: Args) =>
      track((socket) => socket.emitWithAck(event, ...(args as unknown[]))) as Promise<
        AnswerOf<ArgsOf<Out, Event>>
      >,
    [track, event],
  );
  return { emit, emitWithAck, isPending: count > 0, error };
}
