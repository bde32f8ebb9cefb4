import { useMemo } from 'react';

import type { CoreClient } from '../core-client.ts';
import type { Observable } from '../observable.ts';
import type { Changes, Fields, NumberPath } from '../ops.ts';
import { type Selection, toCoreSelection } from '../queries.ts';
import type { CollectionRef } from '../refs.ts';
import type { CollectionName, DeclaredRef, DocumentOf, Known, UndeclaredFields } from '../register.ts';
import { type CollectionSnapshot, LOADING } from '../watches.ts';
import { useCoreClient } from './context.ts';
import { all, useObservable } from './use-observable.ts';

/** Writes to one collection. Each resolves when the change is on disk, and rejects with a `SynclineError`. */
export interface CollectionActions<T extends object> {
  /** Creates a document, with a fresh id unless one is given. Resolves to its id. */
  readonly insert: (fields: T, id?: string) => Promise<string>;
  readonly update: (id: string, changes: Changes<T>) => Promise<void>;
  readonly increment: (id: string, path: NumberPath<T>, by?: number) => Promise<void>;
  readonly remove: (id: string) => Promise<void>;
}

export interface UseCollection<T extends object> extends CollectionSnapshot<T>, CollectionActions<T> {}

/** A collection, and what is selected of it. */
export interface CollectionQuery<T = Fields, Name extends CollectionName = CollectionName>
  extends DeclaredRef<Name>, Selection<T> {}

/**
 * The documents of a collection, or those selected of it by `filter`, `orderBy`, `limit` and `after`, live, and the
 * ways to change them. The component renders again when the list changes; a document that did not change is the same
 * object as before, so memoized rows do not. With `select`, it renders only when the selected part of the snapshot
 * changes, and that part is the result.
 */
export function useCollection<Name extends CollectionName>(
  query: CollectionQuery<DocumentOf<NoInfer<Name>>, Name>,
): UseCollection<DocumentOf<Name>>;
export function useCollection<T extends object = UndeclaredFields>(
  query: Known<T, CollectionQuery<NoInfer<T>>>,
): UseCollection<T>;
export function useCollection<Name extends CollectionName, S>(
  query: CollectionQuery<DocumentOf<NoInfer<Name>>, Name>,
  select: (snapshot: CollectionSnapshot<DocumentOf<NoInfer<Name>>>) => S,
): S;
export function useCollection<T extends object, S>(
  query: CollectionQuery<NoInfer<T>>,
  select: (snapshot: CollectionSnapshot<T>) => S,
): S;
export function useCollection(
  query: CollectionQuery,
  select?: (snapshot: CollectionSnapshot<object>) => unknown,
): unknown {
  const { selected, whole } = useSelected(query, select ?? all);
  return select ? selected : whole;
}

/** What is selected of a collection, and the same with the ways to change it, for a selection of everything. */
export function useSelected(
  query: CollectionQuery,
  select: (snapshot: CollectionSnapshot<object>) => unknown,
): { readonly selected: unknown; readonly whole: UseCollection<Fields> } {
  const { room, collection } = query;
  const client = useCoreClient();
  const source = useWatch(client, query);
  const selected: unknown = useObservable(source, LOADING, select);
  const actions = useMemo(
    () => collectionActions<Fields>(client, { room, collection }),
    [client, room, collection],
  );
  return useMemo(
    () => ({ selected, whole: { ...(selected as CollectionSnapshot<Fields>), ...actions } }),
    [selected, actions],
  );
}

/** The same observable for equal queries: one that is written down in the component is another object each time. */
export function useWatch(
  client: CoreClient,
  { room, collection, ...selected }: CollectionQuery,
): Observable<CollectionSnapshot<Fields>> {
  const selection = JSON.stringify(toCoreSelection(selected));
  return useMemo(
    () => client.watch({ room, collection, ...(JSON.parse(selection) as Selection) }),
    [client, room, collection, selection],
  );
}

export function collectionActions<T extends object>(
  client: CoreClient,
  ref: CollectionRef,
): CollectionActions<T> {
  return {
    insert: (fields, id) => client.insert<T>(id === undefined ? ref : { ...ref, id }, fields),
    update: (id, changes) => client.update<T>({ ...ref, id }, changes),
    increment: (id, path, by) => client.increment<T>({ ...ref, id }, path, by),
    remove: (id) => client.remove({ ...ref, id }),
  };
}
