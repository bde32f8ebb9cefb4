import { useCallback } from 'react';

import { IDLE_CONNECTION } from '../idle.ts';
import type { ConnectionState, ConnectionStatus, DisconnectCause, ErrorBody } from '../contract.ts';
import { useCoreClient } from './context.ts';
import { all, useObservable } from './use-observable.ts';

export interface SocketConnection {
  readonly isConnected: boolean;
  /** Failed attempts since the last connection. */
  readonly reconnectAttempts: number;
  readonly state: ConnectionState;
  /** Why the connection is not open; null while nothing is wrong. */
  readonly reason: ErrorBody | null;
  /** What ended the last connection or attempt, while none is open. */
  readonly cause: DisconnectCause | null;
  /** What the server sent with its refusal of the last attempt. */
  readonly data: unknown;
  /** Whether the server continued the session before, with the events missed since. */
  readonly recovered: boolean;
  /** The wait before the next attempt, in milliseconds from when the state changed. */
  readonly nextRetryMs: number | null;
  /** Whom the server takes this client for. */
  readonly userId: string | null;
}

/** The state of the connection. With `select`, renders again only when the selected part changes. */
export function useSocketConnection<S>(select: (connection: SocketConnection) => S): S;
export function useSocketConnection(): SocketConnection;
export function useSocketConnection<S>(
  select: (connection: SocketConnection) => S | SocketConnection = all,
): S | SocketConnection {
  const selectStatus = useCallback((status: ConnectionStatus) => select(toConnection(status)), [select]);
  return useObservable(useCoreClient().connection, IDLE_CONNECTION, selectStatus);
}

function toConnection({ state, attempts, retryInMs, ...status }: ConnectionStatus): SocketConnection {
  return {
    isConnected: state === 'open',
    reconnectAttempts: attempts,
    state,
    reason: status.reason,
    cause: status.cause,
    data: status.data,
    recovered: status.recovered,
    nextRetryMs: retryInMs,
    userId: status.userId,
  };
}
