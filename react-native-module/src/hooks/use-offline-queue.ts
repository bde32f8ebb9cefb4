import { useMemo } from 'react';

import type { Enqueued, ProcessReport, QueueStatus } from '../contract.ts';
import { EMPTY_QUEUE } from '../idle.ts';
import { type JobOptions, type QueuedRequest } from '../jobs.ts';
import { useSyncClient } from './context.ts';
import { all, useObservable } from './use-observable.ts';

export interface UseOfflineQueue {
  readonly status: QueueStatus;
  /** Queues an HTTP request. Resolves when it is on disk, connected or not. */
  readonly addToQueue: (request: QueuedRequest, options?: JobOptions) => Promise<Enqueued>;
  /** Tries each queued job at most once. */
  readonly processQueue: () => Promise<ProcessReport>;
  readonly startAutoProcessing: () => Promise<void>;
  readonly stopAutoProcessing: () => Promise<void>;
  /** Forgets the jobs that are not under way; resolves to how many. */
  readonly clearQueue: () => Promise<number>;
}

/** The offline queue. Everything else about it is at `client.queue`. */
export function useOfflineQueue(): UseOfflineQueue {
  const { queue } = useSyncClient();
  const status = useObservable(queue, EMPTY_QUEUE, all);
  const actions = useMemo(
    () => ({
      addToQueue: (request: QueuedRequest, options?: JobOptions) => queue.add(request, options),
      processQueue: () => queue.process(),
      startAutoProcessing: () => queue.start(),
      stopAutoProcessing: () => queue.stop(),
      clearQueue: () => queue.clear(),
    }),
    [queue],
  );
  return { status, ...actions };
}
