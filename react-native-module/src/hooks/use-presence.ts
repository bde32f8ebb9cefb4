import { useEffect, useMemo, useState } from 'react';

import type { Fields } from '../ops.ts';
import { toFields } from '../json.ts';
import { NOBODY, type PresenceSnapshot } from '../presence.ts';
import { useSyncClient } from './context.ts';
import { all, useObservable } from './use-observable.ts';

const NO_STATE = {};

/**
 * Enters a room while mounted, with a small state for the others to see, and tells who is there. Entering is
 * repeated by itself after every reconnect.
 */
export function usePresence(room: string, state: object = NO_STATE): PresenceSnapshot {
  const client = useSyncClient();
  const [holder] = useState(() => Symbol('presence'));
  // As text: an equal state in a new object is no change.
  const text = JSON.stringify(toFields(state, 'the presence state'));

  useEffect(() => {
    client.announce(room, holder, JSON.parse(text) as Fields);
  }, [client, room, holder, text]);

  useEffect(
    () => () => {
      client.withdraw(room, holder);
    },
    [client, room, holder],
  );

  const source = useMemo(() => client.presence(room), [client, room]);
  return useObservable(source, NOBODY, all);
}
