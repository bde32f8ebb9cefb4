import { useCallback, useMemo } from 'react';

import type { ParkedWrite, Resolution } from '../contract.ts';
import { useCoreClient } from './context.ts';
import { all, useObservable } from './use-observable.ts';

const NONE: readonly ParkedWrite[] = [];

export interface UseConflicts {
  /** Writes in conflict that wait for a decision: those of collections with the strategy `manual`. They outlive the app. */
  readonly conflicts: readonly ParkedWrite[];
  /** Decides about one: `'local'`, `'server'`, or `{ merged: fields }`. Resolves when the decision is on disk. */
  readonly resolve: (clientSeq: number, resolution: Resolution) => Promise<void>;
}

/** The writes in conflict that the app, or its user, decides about. With `select`, only what is selected of them. */
export function useConflicts<S>(select: (conflicts: readonly ParkedWrite[]) => S): S;
export function useConflicts(): UseConflicts;
export function useConflicts<S>(select?: (conflicts: readonly ParkedWrite[]) => S): UseConflicts | S {
  const client = useCoreClient();
  const conflicts = useObservable<readonly ParkedWrite[], unknown>(client.conflicts, NONE, select ?? all);
  const resolve = useCallback(
    (clientSeq: number, resolution: Resolution) => client.resolveConflict(clientSeq, resolution),
    [client],
  );
  const result = useMemo(
    () => ({ conflicts: conflicts as readonly ParkedWrite[], resolve }),
    [conflicts, resolve],
  );
  return select ? (conflicts as S) : result;
}
