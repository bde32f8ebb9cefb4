import { type ReactNode, StrictMode } from 'react';

import { type SyncClient, SynclineProvider } from '../../src/index.ts';

/** Puts components below a provider of this client. */
export function within(client: SyncClient) {
  return function Wrapper({ children }: { children: ReactNode }) {
    return <SynclineProvider client={client}>{children}</SynclineProvider>;
  };
}

/** The same, in StrictMode. */
export function strictlyWithin(client: SyncClient) {
  const Provided = within(client);
  return function Wrapper({ children }: { children: ReactNode }) {
    return (
      <StrictMode>
        <Provided>{children}</Provided>
      </StrictMode>
    );
  };
}
