import { useEffect } from 'react';

import type { SyncClient } from './client.ts';

// As bundlers spell it, which replace it.
declare const process: { readonly env: { readonly NODE_ENV?: string } };

/**
 * Shows the client in the dev tools panel of Expo's command line (Shift+M, "expo-syncline"). It does
 * something in development only: not in tests, and nothing else of it is in a production bundle.
 */
export function useSynclineDevTools(client: SyncClient): void {
  useEffect(() => {
    // No early return: only the branch that cannot be reached is left out of the bundle.
    if (process.env.NODE_ENV === 'development') {
      let isOver = false;
      const session = import('./devtools/connect.ts').then(({ connect }) =>
        isOver ? null : connect(client),
      );
      // Without a dev server there is no panel; Expo's own hook would throw while the app renders.
      session.catch((error: unknown) => {
        console.warn('The Syncline dev tools are not available:', error);
      });
      return () => {
        isOver = true;
        session.then(
          (started) => started?.end(),
          () => undefined,
        );
      };
    }
    return undefined;
  }, [client]);
}
