import { useMemo } from 'react';

import type { SyncClient } from '../client.ts';
import type { Fields } from '../ops.ts';
import type { Changes, NumberPath } from '../ops.ts';
import { type Selection, toCoreSelection } from '../queries.ts';
import type { CollectionRef } from '../refs.ts';
import { type CollectionSnapshot, LOADING } from '../watches.ts';
import { useSyncClient } from './context.ts';
import { all, useObservable } from './use-observable.ts';

/** Writes to one collection. Each resolves when the change is on disk, and rejects with a `SynclineError`. */
export interface CollectionActions<T extends object> {
  /** Creates a document, with a fresh id unless one is given. Resolves to its id. */
  insert(fields: T, id?: string): Promise<string>;
  update(id: string, changes: Changes<T>): Promise<void>;
  increment(id: string, path: NumberPath<T>, by?: number): Promise<void>;
  remove(id: string): Promise<void>;
}

export interface UseCollection<T extends object> extends CollectionSnapshot<T>, CollectionActions<T> {}

/** A collection, and what is selected of it. */
export interface CollectionQuery<T = Fields> extends CollectionRef, Selection<T> {}

/**
 * The documents of a collection, or those selected of it by `filter`, `orderBy`, `limit` and `after`, live, and the
 * ways to change them. The component renders again when the list changes; a document that did not change is the same object as before, so memoized rows do not.
 */
export function useCollection<T extends object = Fields>({
  room,
  collection,
  ...selected
}: CollectionQuery<NoInfer<T>>): UseCollection<T> {
  const client = useSyncClient();
  // A query that is written down in the component is another object with each render.
  const selection = JSON.stringify(toCoreSelection(selected));
  const source = useMemo(
    () => client.watch<T>({ room, collection, ...(JSON.parse(selection) as Selection<T>) }),
    [client, room, collection, selection],
  );
  const snapshot = useObservable(source, LOADING as CollectionSnapshot<T>, all);
  const actions = useMemo(
    () => collectionActions<T>(client, { room, collection }),
    [client, room, collection],
  );
  return useMemo(() => ({ ...snapshot, ...actions }), [snapshot, actions]);
}

function collectionActions<T extends object>(client: SyncClient, ref: CollectionRef): CollectionActions<T> {
  return {
    insert: (fields, id) => client.insert<T>(id === undefined ? ref : { ...ref, id }, fields),
    update: (id, changes) => client.update<T>({ ...ref, id }, changes),
    increment: (id, path, by) => client.increment<T>({ ...ref, id }, path, by),
    remove: (id) => client.remove({ ...ref, id }),
  };
}
