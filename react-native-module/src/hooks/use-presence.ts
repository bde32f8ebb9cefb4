import { useCallback, useEffect, useMemo, useState } from 'react';

import type { PresenceStatus } from '../contract.ts';
import type { Fields } from '../ops.ts';
import { toFields } from '../json.ts';
import { NOBODY, type PresenceSnapshot } from '../presence.ts';
import type { RoomName } from '../register.ts';
import { useSyncClient } from './context.ts';
import { all, useObservable } from './use-observable.ts';

export interface PresenceOptions {
  /** What the others see of this client; the whole of it, unlike in `update`. */
  state?: object;
}

export interface Presence extends PresenceSnapshot {
  /** How the others see this client, once the server has let it in. */
  readonly status: PresenceStatus | null;
  /** Sets some fields beside those of `state`, and removes those that are null. Names of their own are best. */
  readonly update: (fields: object) => Promise<void>;
  /** Sets fields that vanish by themselves after `ms`, for everybody, unless set again: `setFor({ typing: true }, 4000)`. */
  readonly setFor: (fields: object, ms: number) => Promise<void>;
}

const NO_OPTIONS: PresenceOptions = {};
const NO_STATE = {};

/**
 * Enters a room while mounted, with a small state for the others to see, and tells who is there. Entering is
 * repeated by itself after every reconnect. With `select`, renders only when the selected part changes.
 */
export function usePresence(room: RoomName, options?: PresenceOptions): Presence;
export function usePresence<S>(
  room: RoomName,
  options: PresenceOptions,
  select: (presence: PresenceSnapshot) => S,
): S;
export function usePresence<S>(
  room: RoomName,
  { state = NO_STATE }: PresenceOptions = NO_OPTIONS,
  select?: (presence: PresenceSnapshot) => S,
): Presence | S {
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

  const update = useCallback((fields: object) => client.presences.update(room, fields), [client, room]);
  const setFor = useCallback(
    (fields: object, ms: number) => client.presences.update(room, fields, ms),
    [client, room],
  );
  const source = useMemo(() => client.presence(room), [client, room]);
  const selected = useObservable<PresenceSnapshot, unknown>(source, NOBODY, select ?? all);
  const result = useMemo(() => {
    const snapshot = select ? NOBODY : (selected as PresenceSnapshot);
    return { ...snapshot, status: snapshot.me?.status ?? null, update, setFor };
  }, [select, selected, update, setFor]);
  return select ? (selected as S) : result;
}
