import { createContext, useContext } from 'react';

import type { SyncClient } from '../client.ts';
import { invalid } from '../error.ts';

export type QueryKey = readonly unknown[];

/** The part of TanStack's `QueryClient` that is used. */
export interface QueryInvalidator {
  invalidateQueries(filters: { queryKey: QueryKey }): unknown;
}

export const SynclineContext = createContext<SyncClient | null>(null);

/** Whose queries the events of the server make stale. */
export const QueryInvalidatorContext = createContext<QueryInvalidator | null>(null);

/** The client of the nearest `SynclineProvider`. */
export function useSyncClient(): SyncClient {
  const client = useContext(SynclineContext);
  if (!client) throw invalid('Syncline hooks work within a <SynclineProvider> only');
  return client;
}
