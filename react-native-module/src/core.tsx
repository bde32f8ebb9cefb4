// Documents and their hooks alone: for apps that need no jobs, presence or events of their own, and count bytes.
import type { ReactNode } from 'react';

import { CoreClient } from './core-client.ts';
import { ClientProvider, type ClientProviderProps } from './hooks/client-provider.tsx';
import type { Host } from './host.ts';
import { nativeHost } from './native.ts';
import type { SyncOptions } from './options.ts';

/** Makes a client for documents. It opens at its first use. */
export function createSyncClient(options: SyncOptions, host?: Host): CoreClient {
  return new CoreClient(options, () => host ?? nativeHost());
}

export type SynclineProviderProps = ClientProviderProps<CoreClient>;

/** As the one of `expo-syncline`, with a client for documents. A whole client is as good. */
export function SynclineProvider(props: SynclineProviderProps): ReactNode {
  return <ClientProvider of={CoreClient} {...props} />;
}

export type { CoreClient } from './core-client.ts';
export { useCoreClient as useSyncClient } from './hooks/context.ts';
export * from './hooks/core.ts';
export * from './shared-core.ts';
