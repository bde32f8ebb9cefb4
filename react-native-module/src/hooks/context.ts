import { createContext, useContext } from 'react';

import type { SyncClient } from '../client.ts';
import { invalid } from '../error.ts';

export const SynclineContext = createContext<SyncClient | null>(null);

/** The client of the nearest `SynclineProvider`. */
export function useSyncClient(): SyncClient {
  const client = useContext(SynclineContext);
  if (!client) throw invalid('Syncline hooks work within a <SynclineProvider> only');
  return client;
}
