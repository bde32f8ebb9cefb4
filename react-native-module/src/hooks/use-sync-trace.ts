import { useMemo, useSyncExternalStore } from 'react';

import type { Stats, TraceEvent } from '../contract.ts';
import { polled } from '../polled.ts';
import { useCoreClient } from './context.ts';

const INTERVAL_MS = 1_000;
const NO_EVENTS: readonly TraceEvent[] = [];
const noEvents = () => NO_EVENTS;
const noStats = () => null;

/** The last events of the synchronization, oldest first, read every `intervalMs`: for a debugging screen. */
export function useSyncTrace(intervalMs = INTERVAL_MS): readonly TraceEvent[] {
  const client = useCoreClient();
  const trace = useMemo(
    () => polled<readonly TraceEvent[]>(NO_EVENTS, () => client.trace(), intervalMs),
    [client, intervalMs],
  );
  return useSyncExternalStore(trace.subscribe, trace.get, noEvents);
}

/** The client's figures, read every `intervalMs`; null until they are known. */
export function useSyncStats(intervalMs = INTERVAL_MS): Stats | null {
  const client = useCoreClient();
  const stats = useMemo(
    () => polled<Stats | null>(null, () => client.stats(), intervalMs),
    [client, intervalMs],
  );
  return useSyncExternalStore(stats.subscribe, stats.get, noStats);
}
