// What Syncline knows, as observables of MobX.
import { createAtom, type IAtom, type ObservableMap, observable, runInAction } from 'mobx';

import type { SyncClient } from './client.ts';
import type { SynclineError } from './error.ts';
import { type CollectionActions, collectionActions } from './hooks/use-collection.ts';
import type { Observable, Unsubscribe } from './observable.ts';
import type { Document, Fields } from './ops.ts';
import type { Selection } from './queries.ts';
import type { CollectionRef } from './refs.ts';
import type { CollectionSnapshot, DataStatus } from './watches.ts';

/** Follows an observable while a reaction reads it. */
export class Followed<T> {
  readonly #source: Observable<T>;
  readonly #atom: IAtom;
  #end: Unsubscribe = () => undefined;

  constructor(source: Observable<T>, name = 'Syncline') {
    this.#source = source;
    this.#atom = createAtom(
      name,
      () => {
        this.#end = source.subscribe(() => {
          this.#atom.reportChanged();
        });
      },
      () => {
        this.#end();
      },
    );
  }

  get current(): T {
    this.#atom.reportObserved();
    return this.#source.get();
  }
}

/** The state of the connection, of the queue, or of anything else that the client offers to observe. */
export function follow<T>(source: Observable<T>): Followed<T> {
  return new Followed(source);
}

/**
 * The documents of a collection, or those selected, and the ways to change them. Live while a reaction reads them; one that
 * reads a single document by `get` runs again only when that document changes.
 */
export class ObservableCollection<T extends object = Fields> {
  readonly actions: CollectionActions<T>;
  readonly #source: Observable<CollectionSnapshot<T>>;
  readonly #atom: IAtom;
  readonly #rows: ObservableMap<string, Document<T>> = observable.map({}, { deep: false });
  readonly #snapshot;
  #end: Unsubscribe = () => undefined;
  #isFollowing = false;

  constructor(client: SyncClient, query: CollectionRef & Selection<NoInfer<T>>) {
    this.#source = client.watch<T>(query);
    this.#snapshot = observable.box<CollectionSnapshot<T>>(this.#source.get(), { deep: false });
    this.actions = collectionActions<T>(client, query);
    this.#atom = createAtom(
      'ObservableCollection',
      () => {
        this.#isFollowing = true;
        this.#end = this.#source.subscribe(this.#refresh);
        // Not within the reaction that has just begun to read.
        queueMicrotask(this.#refresh);
      },
      () => {
        this.#isFollowing = false;
        this.#end();
      },
    );
  }

  get data(): readonly Document<T>[] {
    return this.#current().data;
  }

  get count(): number {
    return this.#current().count;
  }

  get status(): DataStatus {
    return this.#current().status;
  }

  get error(): SynclineError | null {
    return this.#current().error;
  }

  get pendingIds(): ReadonlySet<string> {
    return this.#current().pendingIds;
  }

  /** One document of those that are selected. */
  get(id: string): Document<T> | undefined {
    if (this.#observe()) return this.#rows.get(id);
    return this.#source.get().data.find((document) => document.id === id);
  }

  #current(): CollectionSnapshot<T> {
    return this.#observe() ? this.#snapshot.get() : this.#source.get();
  }

  /** False outside of any reaction: nothing is followed then. */
  #observe(): boolean {
    return this.#atom.reportObserved();
  }

  readonly #refresh = (): void => {
    if (!this.#isFollowing) return;
    const snapshot = this.#source.get();
    runInAction(() => {
      const ids = new Set(snapshot.data.map(({ id }) => id));
      for (const id of [...this.#rows.keys()]) if (!ids.has(id)) this.#rows.delete(id);
      for (const document of snapshot.data) this.#rows.set(document.id, document);
      this.#snapshot.set(snapshot);
    });
  };
}
