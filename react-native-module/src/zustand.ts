// Stores of Zustand over what Syncline knows.
import { createStore, type StoreApi } from 'zustand/vanilla';

import type { SyncClient } from './client.ts';
import type { ConnectionStatus, QueueStatus } from './contract.ts';
import { type CollectionActions, collectionActions } from './hooks/use-collection.ts';
import {
  type DocumentActions,
  documentActions,
  type DocumentSnapshot,
  toDocument,
} from './hooks/use-document.ts';
import { Audience, combine, type Observable } from './observable.ts';
import type { Fields } from './ops.ts';
import type { Selection } from './queries.ts';
import type { CollectionRef, DocumentRef } from './refs.ts';
import type { CollectionSnapshot } from './watches.ts';

/** A store that follows an observable while it has a subscriber. What was set in it otherwise stays. */
function following<T extends object, State extends T>(
  source: Observable<T>,
  initial: State,
): StoreApi<State> {
  const store = createStore<State>()(() => initial);
  const { subscribe } = store;
  const follow = () => {
    store.setState(source.get() as Partial<State>);
  };
  const audience = new Audience(() => {
    const end = source.subscribe(follow);
    follow();
    return end;
  });
  store.subscribe = (listener) => {
    const unsubscribe = subscribe(listener);
    const leave = audience.join();
    return () => {
      unsubscribe();
      leave();
    };
  };
  return store;
}

export type CollectionStore<T extends object> = StoreApi<CollectionSnapshot<T> & CollectionActions<T>>;
export type DocumentStore<T extends object> = StoreApi<DocumentSnapshot<T> & DocumentActions<T>>;

/** The documents of a collection, or those selected, and the ways to change them; live while somebody subscribes. */
export function createCollectionStore<T extends object = Fields>(
  client: SyncClient,
  query: CollectionRef & Selection<NoInfer<T>>,
): CollectionStore<T> {
  const source = client.watch<T>(query);
  return following(source, { ...source.get(), ...collectionActions<T>(client, query) });
}

/** One document, and the ways to change it; live while somebody subscribes. */
export function createDocumentStore<T extends object = Fields>(
  client: SyncClient,
  ref: DocumentRef,
): DocumentStore<T> {
  const source = combine([client.watch<T>(ref)], toDocument<T>);
  return following(source, { ...source.get(), ...documentActions<T>(client, ref) });
}

/** The state of the connection and of the queue. */
export interface SyncState {
  readonly connection: ConnectionStatus;
  readonly queue: QueueStatus;
}

export function createSyncStore(client: SyncClient): StoreApi<SyncState> {
  const source = combine(
    [client.connection, client.queue],
    (connection: ConnectionStatus, queue: QueueStatus) => ({
      connection,
      queue,
    }),
  );
  return following(source, source.get());
}
