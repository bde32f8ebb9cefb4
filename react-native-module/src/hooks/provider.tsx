import type { ReactNode } from 'react';

import { SyncClient } from '../client.ts';
import { ClientProvider, type ClientProviderProps } from './client-provider.tsx';

export type SynclineProviderProps = ClientProviderProps<SyncClient>;

/**
 * Gives the hooks below it a client: the given one, or one made from options. A client made here is kept by name, so
 * that it survives Fast Refresh, and is closed after its last provider.
 */
export function SynclineProvider(props: SynclineProviderProps): ReactNode {
  return <ClientProvider of={SyncClient} {...props} />;
}
