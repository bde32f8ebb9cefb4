import { useCallback, useMemo } from 'react';

import type { RejectedWrite } from '../contract.ts';
import { useCoreClient } from './context.ts';
import { all, useObservable } from './use-observable.ts';

const NONE: readonly RejectedWrite[] = [];

export interface UseOutcomes {
  /** Writes that the server has rejected and the app has not acknowledged. They outlive the app. */
  readonly outcomes: readonly RejectedWrite[];
  /** The user has seen it: it is forgotten. */
  readonly acknowledge: (clientSeq: number) => Promise<void>;
}

/** The rejected writes, to be shown to the user. With `select`, only what is selected of them. */
export function useOutcomes<S>(select: (outcomes: readonly RejectedWrite[]) => S): S;
export function useOutcomes(): UseOutcomes;
export function useOutcomes<S>(select?: (outcomes: readonly RejectedWrite[]) => S): UseOutcomes | S {
  const client = useCoreClient();
  const outcomes = useObservable<readonly RejectedWrite[], unknown>(client.outcomes, NONE, select ?? all);
  const acknowledge = useCallback((clientSeq: number) => client.acknowledge(clientSeq), [client]);
  const result = useMemo(
    () => ({ outcomes: outcomes as readonly RejectedWrite[], acknowledge }),
    [outcomes, acknowledge],
  );
  return select ? (outcomes as S) : result;
}
