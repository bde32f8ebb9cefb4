import { useCallback, useEffect, useMemo, useRef, useState } from 'react';

import type { PresentUser } from '../contract.ts';
import { NOBODY, type PresenceSnapshot } from '../presence.ts';
import type { RoomName } from '../register.ts';
import { useSyncClient } from './context.ts';
import { useObservable } from './use-observable.ts';

/** How long somebody is shown as typing after the last keystroke. */
const TYPING_MS = 4_000;

/** The field of the presence that says so. */
const FIELD = 'typing';

export interface Typing {
  /** The other users in the room who are typing, on whatever device. */
  readonly users: readonly PresentUser[];
  /** For every keystroke: shows this user as typing, for a while. Does nothing while the room is not entered. */
  readonly type: () => void;
  /** The text was sent, or given up. */
  readonly stop: () => void;
}

export interface TypingOptions {
  /** How long somebody is shown as typing after the last keystroke, in milliseconds; 4 s when absent. */
  readonly forMs?: number;
}

/** Who is typing in a room, which is entered while mounted, beside what `usePresence` shows of this client there. */
export function useTyping(room: RoomName, { forMs = TYPING_MS }: TypingOptions = {}): Typing {
  const client = useSyncClient();
  const [holder] = useState(() => Symbol('typing'));
  const toldAt = useRef<number | null>(null);

  useEffect(() => {
    client.announce(room, holder, null);
    return () => {
      // The room may stay entered for another holder.
      if (toldAt.current !== null) client.presences.update(room, { [FIELD]: null }).catch(() => undefined);
      toldAt.current = null;
      client.withdraw(room, holder);
    };
  }, [client, room, holder]);

  const type = useCallback(() => {
    const now = Date.now();
    // Told again before it vanishes, and no more often.
    if (toldAt.current !== null && Math.abs(now - toldAt.current) < forMs / 2) return;
    toldAt.current = now;
    client.presences.update(room, { [FIELD]: true }, forMs).catch(() => {
      toldAt.current = null;
    });
  }, [client, room, forMs]);
  const stop = useCallback(() => {
    if (toldAt.current === null) return;
    toldAt.current = null;
    client.presences.update(room, { [FIELD]: null }).catch(() => undefined);
  }, [client, room]);

  const source = useMemo(() => client.presence(room), [client, room]);
  const users = useObservable(source, NOBODY, typingOthers);
  return useMemo(() => ({ users, type, stop }), [users, type, stop]);
}

function typingOthers({ users, members }: PresenceSnapshot): readonly PresentUser[] {
  const typing = new Set(members.filter(({ state }) => state[FIELD] === true).map(({ userId }) => userId));
  return users.filter(({ me, userId }) => !me && typing.has(userId));
}
