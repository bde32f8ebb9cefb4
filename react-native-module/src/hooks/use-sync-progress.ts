import { IDLE_PROGRESS } from '../idle.ts';
import type { Progress } from '../contract.ts';
import { useCoreClient } from './context.ts';
import { all, useObservable } from './use-observable.ts';

/** How far the sync under way has come. With `select`, renders again only when the selected part changes. */
export function useSyncProgress<S>(select: (progress: Progress) => S): S;
export function useSyncProgress(): Progress;
export function useSyncProgress<S>(select: (progress: Progress) => S | Progress = all): S | Progress {
  return useObservable(useCoreClient().progress, IDLE_PROGRESS, select);
}
