import { useMemo } from 'react';

import type { DeadLetter, JobWork } from '../contract.ts';
import { useSyncClient } from './context.ts';
import { all, useObservable } from './use-observable.ts';

const NONE: readonly DeadLetter[] = [];

export interface UseDeadLetters {
  /** Jobs that were given up. They outlive the app. */
  readonly deadLetters: readonly DeadLetter[];
  /** Queues one again, as it was or doing `work` instead. */
  readonly retry: (job: number, work?: JobWork) => Promise<void>;
  readonly drop: (job: number) => Promise<void>;
}

/** The jobs that the app, or its user, decides about. With `select`, only what is selected of them. */
export function useDeadLetters<S>(select: (deadLetters: readonly DeadLetter[]) => S): S;
export function useDeadLetters(): UseDeadLetters;
export function useDeadLetters<S>(select?: (deadLetters: readonly DeadLetter[]) => S): UseDeadLetters | S {
  const { queue } = useSyncClient();
  const deadLetters = useObservable<readonly DeadLetter[], unknown>(queue.deadLetters, NONE, select ?? all);
  const result = useMemo(
    () => ({
      deadLetters: deadLetters as readonly DeadLetter[],
      retry: (job: number, work?: JobWork) => queue.retry(job, work),
      drop: (job: number) => queue.drop(job),
    }),
    [queue, deadLetters],
  );
  return select ? (deadLetters as S) : result;
}
