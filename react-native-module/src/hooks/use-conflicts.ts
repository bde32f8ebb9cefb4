import { useCallback } from 'react';

import type { ParkedWrite, Resolution } from '../contract.ts';
import { useSyncClient } from './context.ts';
import { all, useObservable } from './use-observable.ts';

const NONE: readonly ParkedWrite[] = [];

export interface UseConflicts {
  /** Writes in conflict that wait for a decision: those of collections with the strategy `manual`. They outlive the app. */
  readonly conflicts: readonly ParkedWrite[];
  /** Decides about one: `'local'`, `'server'`, or `{ merged: fields }`. Resolves when the decision is on disk. */
  resolve(clientSeq: number, resolution: Resolution): Promise<void>;
}

/** The writes in conflict that the app, or its user, decides about. */
export function useConflicts(): UseConflicts {
  const client = useSyncClient();
  const conflicts = useObservable(client.conflicts, NONE, all);
  const resolve = useCallback(
    (clientSeq: number, resolution: Resolution) => client.resolveConflict(clientSeq, resolution),
    [client],
  );
  return { conflicts, resolve };
}
