import { useMemo } from 'react';

import type { CoreClient } from '../core-client.ts';
import type { ConnectionStatus, ErrorBody, Progress, QueueStatus } from '../contract.ts';
import { EMPTY_QUEUE, IDLE_CONNECTION, IDLE_PROGRESS } from '../idle.ts';
import { combine, type Observable } from '../observable.ts';
import { useCoreClient } from './context.ts';
import { all, useObservable } from './use-observable.ts';

/**
 * `attention`: something waits for a decision, of the app or its user, or for a token. `offline`: no connection, and nothing
 * is lost by it. `syncing`: something travels. `healthy`: connected, and all is in sync.
 */
export type HealthLevel = 'healthy' | 'syncing' | 'offline' | 'attention';

export interface SyncHealth {
  readonly level: HealthLevel;
  readonly isConnected: boolean;
  /** Writes and jobs that have not ended. */
  readonly waiting: number;
  /** Jobs that were given up. */
  readonly deadLetters: number;
  /** Writes that the server refused. */
  readonly rejected: number;
  /** Writes in conflict. */
  readonly conflicts: number;
  /** Why the connection is not open. */
  readonly reason: ErrorBody | null;
}

/** How the synchronization is, in one word and a few figures. With `select`, renders only for the selected part. */
export function useSyncHealth<S>(select: (health: SyncHealth) => S): S;
export function useSyncHealth(): SyncHealth;
export function useSyncHealth<S>(select: (health: SyncHealth) => S | SyncHealth = all): S | SyncHealth {
  const client = useCoreClient();
  const source = useMemo(() => healthOf(client), [client]);
  return useObservable(source, UNKNOWN, select);
}

function healthOf({
  connection,
  queueStatus,
  progress,
  outcomes,
  conflicts,
}: CoreClient): Observable<SyncHealth> {
  return combine(
    [connection, queueStatus, progress, outcomes, conflicts],
    (link, waiting, round, refused, parked) => health(link, waiting, round, refused.length, parked.length),
  );
}

function health(
  { state, reason }: ConnectionStatus,
  { count, deadLetters, processing }: QueueStatus,
  { phase }: Progress,
  rejected: number,
  conflicts: number,
): SyncHealth {
  const isConnected = state === 'open';
  const isBusy = processing || phase === 'uploading' || phase === 'downloading' || phase === 'preparing';
  const needsSomebody = deadLetters + rejected + conflicts > 0 || state === 'unauthorized';
  const level = needsSomebody ? 'attention' : !isConnected ? 'offline' : isBusy ? 'syncing' : 'healthy';
  return { level, isConnected, waiting: count, deadLetters, rejected, conflicts, reason };
}

const UNKNOWN = health(IDLE_CONNECTION, EMPTY_QUEUE, IDLE_PROGRESS, 0, 0);
