import { useMemo } from 'react';

import { useSyncClient } from './context.ts';
import { all, useObservable } from './use-observable.ts';

/**
 * Whether a user shares a room with this client at present, as far as the server told since this client connected:
 * `null` where it told nothing. A user who reconnects soon is not seen to go.
 */
export function useUserOnline(userId: string): boolean | null {
  const client = useSyncClient();
  const source = useMemo(() => client.presences.userOnline(userId), [client, userId]);
  return useObservable<boolean | null, boolean | null>(source, null, all);
}
