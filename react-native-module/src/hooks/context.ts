import { createContext, useContext } from 'react';

import type { SyncClient } from '../client.ts';
import type { CoreClient } from '../core-client.ts';
import { invalid } from '../error.ts';

export type QueryKey = readonly unknown[];

/** The part of TanStack's `QueryClient` that is used. */
export interface QueryInvalidator {
  invalidateQueries(filters: { queryKey: QueryKey }): unknown;
}

export const SynclineContext = createContext<CoreClient | null>(null);

/** Whose queries the events of the server make stale. */
export const QueryInvalidatorContext = createContext<QueryInvalidator | null>(null);

/** The client of the nearest `SynclineProvider`, whichever entry of the package that is from. */
export function useCoreClient(): CoreClient {
  const client = useContext(SynclineContext);
  if (!client) throw invalid('Syncline hooks work within a <SynclineProvider> only');
  return client;
}

/** The client of the nearest `SynclineProvider`. */
export function useSyncClient(): SyncClient {
  const client = useCoreClient();
  if (isWhole(client)) return client;
  throw invalid(
    'this hook needs the <SynclineProvider> of expo-syncline: that of expo-syncline/core is for documents',
  );
}

function isWhole(client: CoreClient): client is SyncClient {
  return 'queue' in client;
}
