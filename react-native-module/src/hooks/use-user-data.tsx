import { createContext, type ReactNode, useCallback, useContext, useMemo, useState } from 'react';

import { invalid } from '../error.ts';
import type { Document, Fields } from '../ops.ts';
import { addStats, messageOf, type StatsDelta, userDataRef } from '../user-data.ts';
import { LOADING } from '../watches.ts';
import { useSyncClient } from './context.ts';
import { toDocument } from './use-document.ts';
import { useObservable } from './use-observable.ts';

const COLLECTION = 'userData';

export interface UserDataOptions {
  /** The collection that holds one document per user; `userData` when absent. */
  readonly collection?: string;
}

export interface UserData {
  /** Null while loading, and until there are any. */
  readonly userData: Document<Fields> | null;
  /** The same. */
  readonly stats: Document<Fields> | null;
  /** Adds numbers, and sets what is in `__set`: `{ xp: 10, __set: { hearts: 5 } }`. Resolves when it is on disk. */
  readonly updateUserStats: (delta: StatsDelta) => Promise<void>;
  /** Asks the server what is new. */
  readonly forcePull: () => Promise<void>;
  /** Sends what waits; resolves when the server has answered. */
  readonly flushQueue: () => Promise<void>;
  readonly loading: boolean;
  /** What went wrong last. */
  readonly error: string | null;
}

/** The data of one user, live on all of their devices. */
export function useUserDataSync(userId: string, { collection = COLLECTION }: UserDataOptions = {}): UserData {
  const client = useSyncClient();
  const [failure, setFailure] = useState<string | null>(null);
  const ref = useMemo(() => userDataRef(userId, collection), [userId, collection]);
  const source = useMemo(() => client.watch(ref), [client, ref]);
  const { data, status, error } = useObservable(source, LOADING, toDocument);

  const noting = useCallback(async (work: () => Promise<void>) => {
    try {
      await work();
      setFailure(null);
    } catch (thrown) {
      setFailure(messageOf(thrown));
      throw thrown;
    }
  }, []);
  const actions = useMemo(
    () => ({
      updateUserStats: (delta: StatsDelta) => noting(() => addStats(client, ref, delta)),
      forcePull: () => noting(() => client.pull(ref.room)),
      flushQueue: () => noting(() => client.flush()),
    }),
    [client, ref, noting],
  );
  return useMemo(() => {
    const userData = data as Document<Fields> | null;
    const message = error?.message ?? failure;
    return { userData, stats: userData, loading: status === 'loading', error: message, ...actions };
  }, [data, status, error, failure, actions]);
}

const UserDataContext = createContext<UserData | null>(null);

export interface UserDataProviderProps extends UserDataOptions {
  readonly userId: string;
  readonly children?: ReactNode;
}

/** Gives the data of one user to `useUserData` below it. */
export function UserDataProvider({ userId, children, ...options }: UserDataProviderProps): ReactNode {
  return <UserDataContext value={useUserDataSync(userId, options)}>{children}</UserDataContext>;
}

/** The data of the user of the nearest `UserDataProvider`. */
export function useUserData(): UserData {
  const data = useContext(UserDataContext);
  if (!data) throw invalid('useUserData works within a <UserDataProvider> only');
  return data;
}
