import { useMemo } from 'react';

import type { CoreClient } from '../core-client.ts';
import type { SynclineError } from '../error.ts';
import type { Changes, Document, Fields, NumberPath } from '../ops.ts';
import type { DocumentRef } from '../refs.ts';
import type { CollectionName, DeclaredRef, DocumentOf, Known, UndeclaredFields } from '../register.ts';
import { type CollectionSnapshot, type DataStatus, LOADING } from '../watches.ts';
import { useCoreClient } from './context.ts';
import { all, useObservable } from './use-observable.ts';

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
  readonly update: (changes: Changes<T>) => Promise<void>;
  readonly increment: (path: NumberPath<T>, by?: number) => Promise<void>;
  readonly remove: () => Promise<void>;
}

export interface UseDocument<T extends object> extends DocumentSnapshot<T>, DocumentActions<T> {}

/** A document, by the names that the app has declared. */
export interface DeclaredDocument<Name extends CollectionName = CollectionName> extends DeclaredRef<Name> {
  readonly id: string;
}

/**
 * One document, live, and the ways to change it. With `select`, the component renders only when the selected part of the
 * snapshot changes, and that part is the result.
 */
export function useDocument<Name extends CollectionName>(
  ref: DeclaredDocument<Name>,
): UseDocument<DocumentOf<Name>>;
export function useDocument<T extends object = UndeclaredFields>(
  ref: Known<T, DeclaredDocument>,
): UseDocument<T>;
export function useDocument<Name extends CollectionName, S>(
  ref: DeclaredDocument<Name>,
  select: (snapshot: DocumentSnapshot<DocumentOf<NoInfer<Name>>>) => S,
): S;
export function useDocument<T extends object, S>(
  ref: DeclaredDocument,
  select: (snapshot: DocumentSnapshot<T>) => S,
): S;
export function useDocument(
  { room, collection, id }: DeclaredDocument,
  select?: (snapshot: DocumentSnapshot<object>) => unknown,
): unknown {
  const client = useCoreClient();
  const source = useMemo(() => client.watch({ room, collection, id }), [client, room, collection, id]);
  const selectDocument = useMemo(
    () => (snapshot: CollectionSnapshot<object>) => (select ?? all)(toDocument(snapshot)),
    [select],
  );
  const snapshot: unknown = useObservable(source, LOADING, selectDocument);
  const actions = useMemo(
    () => documentActions<Fields>(client, { room, collection, id }),
    [client, room, collection, id],
  );
  const result = useMemo(
    () => ({ ...(snapshot as DocumentSnapshot<object>), ...actions }),
    [snapshot, actions],
  );
  return select ? snapshot : result;
}

export function toDocument<T>({
  data,
  status,
  error,
  pendingIds,
}: CollectionSnapshot<T>): DocumentSnapshot<T> {
  return { data: data[0] ?? null, status, error, isPending: pendingIds.size > 0 };
}

export function documentActions<T extends object>(client: CoreClient, ref: DocumentRef): DocumentActions<T> {
  return {
    update: (changes) => client.update<T>(ref, changes),
    increment: (path, by) => client.increment<T>(ref, path, by),
    remove: () => client.remove(ref),
  };
}
