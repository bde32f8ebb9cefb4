import { useCallback } from 'react';

import type { RejectedWrite } from '../contract.ts';
import { useSyncClient } from './context.ts';
import { all, useObservable } from './use-observable.ts';

const NONE: readonly RejectedWrite[] = [];

export interface UseOutcomes {
  /** Writes that the server has rejected and the app has not acknowledged. They outlive the app. */
  readonly outcomes: readonly RejectedWrite[];
  /** The user has seen it: it is forgotten. */
  acknowledge(clientSeq: number): Promise<void>;
}

/** The rejected writes, to be shown to the user. */
export function useOutcomes(): UseOutcomes {
  const client = useSyncClient();
  const outcomes = useObservable(client.outcomes, NONE, all);
  const acknowledge = useCallback((clientSeq: number) => client.acknowledge(clientSeq), [client]);
  return { outcomes, acknowledge };
}
