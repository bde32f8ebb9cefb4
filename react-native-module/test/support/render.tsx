import { type ReactNode, StrictMode } from 'react';

import { type SyncClient, SynclineProvider } from '../../src/index.ts';

/** Puts components below a provider of this client, in StrictMode. */
export function within(client: SyncClient) {
  return function Wrapper({ children }: { children: ReactNode }) {
    return (
      <StrictMode>
        <SynclineProvider client={client}>{children}</SynclineProvider>
      </StrictMode>
    );
  };
}
