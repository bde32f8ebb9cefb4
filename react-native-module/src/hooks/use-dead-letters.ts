import { useMemo } from 'react';

import type { DeadLetter, JobWork } from '../contract.ts';
import { useSyncClient } from './context.ts';
import { all, useObservable } from './use-observable.ts';

const NONE: readonly DeadLetter[] = [];

export interface UseDeadLetters {
  /** Jobs that were given up. They outlive the app. */
  readonly deadLetters: readonly DeadLetter[];
  /** Queues one again, as it was or doing `work` instead. */
  retry(job: number, work?: JobWork): Promise<void>;
  drop(job: number): Promise<void>;
}

/** The jobs that the app, or its user, decides about. */
export function useDeadLetters(): UseDeadLetters {
  const { queue } = useSyncClient();
  const deadLetters = useObservable(queue.deadLetters, NONE, all);
  const actions = useMemo(
    () => ({
      retry: (job: number, work?: JobWork) => queue.retry(job, work),
      drop: (job: number) => queue.drop(job),
    }),
    [queue],
  );
  return { deadLetters, ...actions };
}
