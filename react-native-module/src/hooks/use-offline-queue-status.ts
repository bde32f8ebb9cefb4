import type { QueueStatus } from '../contract.ts';
import { EMPTY_QUEUE } from '../idle.ts';
import { useCoreClient } from './context.ts';
import { all, useObservable } from './use-observable.ts';

/** What waits to be sent. With `select`, renders again only when the selected part changes. */
export function useOfflineQueueStatus<S>(select: (status: QueueStatus) => S): S;
export function useOfflineQueueStatus(): QueueStatus;
export function useOfflineQueueStatus<S>(
  select: (status: QueueStatus) => S | QueueStatus = all,
): S | QueueStatus {
  return useObservable(useCoreClient().queueStatus, EMPTY_QUEUE, select);
}
