import { use, useSyncExternalStore } from 'react';

import type { CoreClient } from '../core-client.ts';
import { SynclineError } from '../error.ts';
import type { Observable } from '../observable.ts';
import type { Fields } from '../ops.ts';
import { toCoreSelection } from '../queries.ts';
import type { CollectionName, DocumentOf, Known, UndeclaredFields } from '../register.ts';
import { wake } from '../registry.ts';
import type { CollectionSnapshot, DataStatus } from '../watches.ts';
import { useCoreClient } from './context.ts';
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

interface Wait {
  readonly promise: Promise<void>;
  isOver: boolean;
}

/** A component that is suspended before it was ever shown keeps nothing: what it waits for is kept here. */
const waits = new WeakMap<CoreClient, Map<string, Wait>>();

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
  const client = useCoreClient();
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
  const client = useCoreClient();
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
  client: CoreClient,
  { status, error }: Shown,
  hasNothing: boolean,
  key: string,
  watch: () => Observable<CollectionSnapshot<Fields>>,
): void {
  const isServer = useSyncExternalStore(never, onDevice, onServer);
  if (isServer) {
    const message = 'what suspends until the device knows it is not rendered on a server';
    throw new SynclineError({ code: 'unavailable', message, retry: 'never' });
  }
  if (status === 'error' && error && hasNothing) throw error;
  if (status === 'loading') wake(client, WAIT_MS + HOLD_MS);
  // Called in any case, and with the same promise: a render that is repeated must be like the one that was suspended.
  const waiting = waits.get(client) ?? new Map<string, Wait>();
  waits.set(client, waiting);
  const known = waiting.get(key);
  const isKnown = status !== 'loading' || (known && !known.isOver);
  use(isKnown ? (known?.promise ?? KNOWN) : begin(waiting, key, watch()).promise);
}

/** Begins to wait: the rows are watched until there is something to show, and a little longer. */
function begin(
  waiting: Map<string, Wait>,
  key: string,
  source: Observable<CollectionSnapshot<Fields>>,
): Wait {
  let resolve: () => void = () => undefined;
  const wait: Wait = { promise: new Promise<void>((settle) => (resolve = settle)), isOver: false };
  const end = (holdMs: number) => {
    if (wait.isOver) return;
    wait.isOver = true;
    clearTimeout(timer);
    setTimeout(() => {
      unsubscribe();
      if (waiting.get(key) === wait) waiting.delete(key);
    }, holdMs);
    resolve();
  };
  const timer = setTimeout(() => {
    end(0);
  }, WAIT_MS);
  const unsubscribe = source.subscribe(() => {
    if (source.get().status !== 'loading') end(HOLD_MS);
  });
  waiting.set(key, wait);
  return wait;
}

const never = () => () => undefined;
const onDevice = () => false;
const onServer = () => true;
