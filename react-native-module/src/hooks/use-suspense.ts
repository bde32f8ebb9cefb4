import { use, useSyncExternalStore } from 'react';

import type { SyncClient } from '../client.ts';
import { SynclineError } from '../error.ts';
import type { Observable } from '../observable.ts';
import type { Fields } from '../ops.ts';
import { toCoreSelection } from '../queries.ts';
import type { CollectionName, DocumentOf, Known, UndeclaredFields } from '../register.ts';
import type { CollectionSnapshot, DataStatus } from '../watches.ts';
import { useSyncClient } from './context.ts';
import { type CollectionQuery, type UseCollection, useSelected } from './use-collection.ts';
import { type DeclaredDocument, useDocument, type UseDocument } from './use-document.ts';
import { all } from './use-observable.ts';

/** How long the rows wait for the component that was suspended. */
const HOLD_MS = 5_000;
/** How long a component that may be gone is waited for at most; one that is still there begins to wait anew. */
const WAIT_MS = 60_000;

type Ready<Hook> = Omit<Hook, 'status'> & { readonly status: Exclude<DataStatus, 'loading'> };

export type UseSuspenseCollection<T extends object> = Ready<UseCollection<T>>;
export type UseSuspenseDocument<T extends object> = Ready<UseDocument<T>>;

/** A promise that React knows to be resolved, so that it suspends nothing. */
const KNOWN: Promise<void> = Object.assign(Promise.resolve(), { status: 'fulfilled', value: undefined });

/** A component that is suspended before it was ever shown keeps nothing: what it waits for is kept here. */
const waits = new WeakMap<SyncClient, Map<string, Promise<void>>>();

/**
 * As `useCollection`; suspends until there is something to show, and throws what hinders that. A server renders the
 * fallback of the nearest `Suspense`.
 */
export function useSuspenseCollection<Name extends CollectionName>(
  query: CollectionQuery<DocumentOf<NoInfer<Name>>, Name>,
): UseSuspenseCollection<DocumentOf<Name>>;
export function useSuspenseCollection<T extends object = UndeclaredFields>(
  query: Known<T, CollectionQuery<NoInfer<T>>>,
): UseSuspenseCollection<T>;
export function useSuspenseCollection(query: CollectionQuery): UseSuspenseCollection<Fields> {
  const { room, collection, ...selected } = query;
  const client = useSyncClient();
  const shown = useSelected(query, all).whole;
  const hasNothing = shown.data.length === 0;
  const ref = { room, collection, ...toCoreSelection(selected) };
  useWait(client, shown, hasNothing, JSON.stringify(ref), () => client.watch(query));
  return shown as UseSuspenseCollection<Fields>;
}

/** As `useDocument`; suspends until it is known whether the document exists. */
export function useSuspenseDocument<Name extends CollectionName>(
  ref: DeclaredDocument<Name>,
): UseSuspenseDocument<DocumentOf<Name>>;
export function useSuspenseDocument<T extends object = UndeclaredFields>(
  ref: Known<T, DeclaredDocument>,
): UseSuspenseDocument<T>;
export function useSuspenseDocument(ref: DeclaredDocument): UseSuspenseDocument<Fields> {
  const { room, collection, id } = ref;
  const client = useSyncClient();
  const shown = useDocument(ref);
  const key = JSON.stringify({ room, collection, id });
  useWait(client, shown, shown.data === null, key, () => client.watch({ room, collection, id }));
  return shown as UseSuspenseDocument<Fields>;
}

interface Shown {
  readonly status: DataStatus;
  readonly error: SynclineError | null;
}

function useWait(
  client: SyncClient,
  { status, error }: Shown,
  hasNothing: boolean,
  key: string,
  watch: () => Observable<CollectionSnapshot<Fields>>,
): void {
  const isServer = useSyncExternalStore(never, onDevice, onServer);
  if (isServer) {
    const message = 'what suspends until the device knows it is not rendered on a server';
    throw new SynclineError({ code: 'unavailable', message, retryable: false });
  }
  if (status === 'error' && error && hasNothing) throw error;
  // Called in any case: a render that is repeated must use as much as the one that was suspended.
  use(status === 'loading' ? wait(client, key, watch) : KNOWN);
}

/** Resolves when there is something to show; until then, and a little longer, the rows are watched. */
function wait(
  client: SyncClient,
  key: string,
  watch: () => Observable<CollectionSnapshot<Fields>>,
): Promise<void> {
  const waiting = waits.get(client) ?? new Map<string, Promise<void>>();
  waits.set(client, waiting);
  const known = waiting.get(key);
  if (known) return known;
  const source = watch();
  const promise = new Promise<void>((resolve) => {
    const end = (holdMs: number) => {
      clearTimeout(timer);
      if (waiting.get(key) === promise) waiting.delete(key);
      setTimeout(unsubscribe, holdMs);
      resolve();
    };
    const check = () => {
      if (source.get().status !== 'loading') end(HOLD_MS);
    };
    const timer = setTimeout(() => {
      end(0);
    }, WAIT_MS);
    const unsubscribe = source.subscribe(check);
  });
  waiting.set(key, promise);
  return promise;
}

const never = () => () => undefined;
const onDevice = () => false;
const onServer = () => true;
