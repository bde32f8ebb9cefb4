import { useMemo } from 'react';

import type { SyncClient } from '../client.ts';
import type { Fields } from '../ops.ts';
import type { SynclineError } from '../error.ts';
import type { Changes, Document, NumberPath } from '../ops.ts';
import type { DocumentRef } from '../refs.ts';
import { type CollectionSnapshot, type DataStatus, LOADING } from '../watches.ts';
import { useSyncClient } from './context.ts';
import { useObservable } from './use-observable.ts';

export interface DocumentSnapshot<T> {
  /** Null while loading, and when there is no such document: `status` tells which. */
  readonly data: Document<T> | null;
  readonly status: DataStatus;
  readonly error: SynclineError | null;
  /** Has changes that the server has not confirmed. */
  readonly isPending: boolean;
}

/** Writes to one document. Each resolves when the change is on disk, and rejects with a `SynclineError`. */
export interface DocumentActions<T extends object> {
  update(changes: Changes<T>): Promise<void>;
  increment(path: NumberPath<T>, by?: number): Promise<void>;
  remove(): Promise<void>;
}

export interface UseDocument<T extends object> extends DocumentSnapshot<T>, DocumentActions<T> {}

/** One document, live, and the ways to change it. */
export function useDocument<T extends object = Fields>({
  room,
  collection,
  id,
}: DocumentRef): UseDocument<T> {
  const client = useSyncClient();
  const source = useMemo(() => client.watch<T>({ room, collection, id }), [client, room, collection, id]);
  const snapshot = useObservable(source, LOADING as CollectionSnapshot<T>, toDocument<T>);
  const actions = useMemo(
    () => documentActions<T>(client, { room, collection, id }),
    [client, room, collection, id],
  );
  return useMemo(() => ({ ...snapshot, ...actions }), [snapshot, actions]);
}

function toDocument<T>({ data, status, error, pendingIds }: CollectionSnapshot<T>): DocumentSnapshot<T> {
  return { data: data[0] ?? null, status, error, isPending: pendingIds.size > 0 };
}

function documentActions<T extends object>(client: SyncClient, ref: DocumentRef): DocumentActions<T> {
  return {
    update: (changes) => client.update<T>(ref, changes),
    increment: (path, by) => client.increment<T>(ref, path, by),
    remove: () => client.remove(ref),
  };
}
