// Atoms of Jotai over what Syncline knows.
import { type Atom, atom, type WritableAtom } from 'jotai';

import type { SyncClient } from './client.ts';
import { collectionActions, type CollectionActions } from './hooks/use-collection.ts';
import {
  documentActions,
  type DocumentActions,
  type DocumentSnapshot,
  toDocument,
} from './hooks/use-document.ts';
import { combine, type Observable } from './observable.ts';
import type { Document, Fields } from './ops.ts';
import type { Selection } from './queries.ts';
import type { CollectionRef, DocumentRef, WatchRef } from './refs.ts';
import type { CollectionSnapshot } from './watches.ts';

/** Does something with the documents that an atom shows. */
export type Work<Actions> = (actions: Actions) => Promise<unknown>;

export type CollectionAtom<T extends object> = WritableAtom<
  CollectionSnapshot<T>,
  [Work<CollectionActions<T>>],
  Promise<unknown>
>;

export type DocumentAtom<T extends object> = WritableAtom<
  DocumentSnapshot<T>,
  [Work<DocumentActions<T>>],
  Promise<unknown>
>;

/** The state of the connection, of the queue, or of anything else that the client offers to observe. */
export function observableAtom<T>(source: Observable<T>): Atom<T> {
  const current = atom({ value: source.get() });
  current.onMount = (set) => {
    const follow = () => {
      set({ value: source.get() });
    };
    const unsubscribe = source.subscribe(follow);
    follow();
    return unsubscribe;
  };
  return atom((get) => get(current).value);
}

/**
 * The documents of a collection, or those selected; live while mounted. Setting it takes what is to be done:
 * `set(tasks, ({ insert }) => insert(fields))`.
 */
export function collectionAtom<T extends object = Fields>(
  client: SyncClient,
  query: CollectionRef & Selection<NoInfer<T>>,
): CollectionAtom<T> {
  const rows = observableAtom(client.watch<T>(query as WatchRef<NoInfer<T>>));
  const actions = collectionActions<T>(client, query);
  return atom(
    (get) => get(rows),
    (_get, _set, work: Work<CollectionActions<T>>) => work(actions),
  );
}

/** One document; live while mounted. Setting it takes what is to be done: `set(task, ({ update }) => update(changes))`. */
export function documentAtom<T extends object = Fields>(
  client: SyncClient,
  ref: DocumentRef,
): DocumentAtom<T> {
  const row = observableAtom(combine([client.watch<T>(ref)], toDocument<T>));
  const actions = documentActions<T>(client, ref);
  return atom(
    (get) => get(row),
    (_get, _set, work: Work<DocumentActions<T>>) => work(actions),
  );
}

/** One document of those that an atom shows: whoever reads it renders only when that document changes. */
export function rowAtom<T extends object>(
  collection: Atom<CollectionSnapshot<T>>,
  id: string,
): Atom<Document<T> | undefined> {
  return atom((get) => get(collection).data.find((document) => document.id === id));
}
