// Redux Toolkit over Syncline: slices of documents whose writes show at once, and a listener that carries them out.
import {
  createAction,
  createSlice,
  isAnyOf,
  type ListenerMiddlewareInstance,
  nanoid,
  type PayloadAction,
  type UnknownAction,
} from '@reduxjs/toolkit';

import type { SyncClient } from './client.ts';
import type { ConnectionStatus, ErrorBody, QueueStatus, WriteRequest } from './contract.ts';
import { asSynclineError } from './error.ts';
import { EMPTY_QUEUE, IDLE_CONNECTION } from './idle.ts';
import { whenShown } from './integrations/shown.ts';
import { assignment, creation, deletion } from './integrations/writes.ts';
import type { Unsubscribe } from './observable.ts';
import type { Document, Fields } from './ops.ts';
import type { Selection } from './queries.ts';
import type { CollectionRef } from './refs.ts';
import type { CollectionSnapshot, DataStatus } from './watches.ts';

/** A write that is shown, and that the rows do not show yet. */
type Draft =
  | { readonly type: 'insert'; readonly id: string; readonly fields: object }
  | { readonly type: 'update'; readonly id: string; readonly fields: object }
  | { readonly type: 'remove'; readonly id: string };

type Requested = Draft & { readonly requestId: string };

/** The part of the state that holds a collection. */
export interface CollectionState<T extends object> {
  /** As the core shows them. */
  readonly rows: readonly Document<T>[];
  /** Writes that are on their way to the core, oldest first. */
  readonly drafts: readonly Requested[];
  readonly count: number;
  readonly status: DataStatus;
  readonly pendingIds: readonly string[];
  /** Why the last write was taken back, until the next one or `clearError`. */
  readonly writeError: ErrorBody | null;
  /** Why the rows cannot be had. */
  readonly rowsError: ErrorBody | null;
  /** The first of the two that there is. */
  readonly error: ErrorBody | null;
}

type Received<T extends object> = Pick<
  CollectionState<T>,
  'rows' | 'count' | 'status' | 'pendingIds' | 'rowsError'
>;

type AnyState = CollectionState<Fields>;

/**
 * A slice of the documents of a collection. `insert`, `update` and `remove` show at once; `listen` has them carried out, and they
 * are taken back alone if that fails. Fields are set as a whole.
 */
export function createCollectionSlice<T extends object = Fields, Name extends string = string>(
  name: Name,
  query: CollectionRef & Selection<NoInfer<T>>,
) {
  const initialState: AnyState = {
    rows: [],
    drafts: [],
    count: 0,
    status: 'loading',
    pendingIds: [],
    writeError: null,
    rowsError: null,
    error: null,
  };
  const setWriteError = (
    state: Record<'writeError' | 'rowsError' | 'error', ErrorBody | null>,
    error: ErrorBody | null,
  ) => {
    state.writeError = error;
    state.error = error ?? state.rowsError;
  };
  const slice = createSlice({
    name,
    initialState,
    reducers: {
      received: (state, { payload }: PayloadAction<Received<Fields>>) => ({
        ...(state as AnyState),
        ...payload,
        error: state.writeError ?? payload.rowsError,
      }),
      /** The rows show what the core made of the write. */
      applied: (state, { payload }: PayloadAction<{ requestId: string }>) => {
        state.drafts = state.drafts.filter(({ requestId }) => requestId !== payload.requestId);
      },
      refused: (state, { payload }: PayloadAction<{ requestId: string; error: ErrorBody }>) => {
        state.drafts = state.drafts.filter(({ requestId }) => requestId !== payload.requestId);
        setWriteError(state, payload.error);
      },
      drafted: (state, { payload }: PayloadAction<Requested>) => {
        (state.drafts as unknown[]).push(payload);
        setWriteError(state, null);
      },
      clearError: (state) => {
        setWriteError(state, null);
      },
    },
  });
  const { actions } = slice;
  const request = (draft: Draft) => actions.drafted({ ...draft, requestId: nanoid() });

  /** The documents with what is on its way; the same array until something changes. */
  let last: { readonly state: AnyState; readonly rows: readonly Document<T>[] } | null = null;
  const selectAll = (state: CollectionState<T>): readonly Document<T>[] => {
    const known = state as unknown as AnyState;
    if (last?.state.rows !== known.rows || last.state.drafts !== known.drafts) {
      last = { state: known, rows: known.drafts.reduce(withDraft, known.rows) as readonly Document<T>[] };
    }
    return last.rows;
  };

  /** Follows the rows and carries the writes out, until the returned function is called. */
  const listen = (
    client: SyncClient,
    middleware: ListenerMiddlewareInstance,
    dispatch: (action: UnknownAction) => unknown,
  ): Unsubscribe => {
    const source = client.watch<T>(query);
    const follow = () => {
      dispatch(actions.received(received(source.get())));
    };
    const end = middleware.startListening({
      matcher: isAnyOf(actions.drafted),
      effect: async (action) => {
        const { payload } = action as PayloadAction<Requested>;
        const { requestId, id } = payload;
        try {
          await client.write([writeOf(query, payload)]);
          await whenShown(client, source, query, [id]);
          dispatch(actions.applied({ requestId }));
        } catch (error) {
          dispatch(actions.refused({ requestId, error: asSynclineError(error).body }));
        }
      },
    });
    const unsubscribe = source.subscribe(follow);
    follow();
    return () => {
      unsubscribe();
      end();
    };
  };

  return {
    name,
    reducer: slice.reducer as unknown as (
      state: CollectionState<T> | undefined,
      action: UnknownAction,
    ) => CollectionState<T>,
    actions: {
      /** With a fresh id unless one is given. */
      insert: (fields: T, id: string = nanoid()) => request({ type: 'insert', id, fields }),
      update: (id: string, fields: Partial<T>) => request({ type: 'update', id, fields }),
      remove: (id: string) => request({ type: 'remove', id }),
      /** The refusal of the last write was seen. */
      clearError: () => actions.clearError(),
    },
    selectAll,
    listen,
  };
}

function received({ data, count, status, pendingIds, error }: CollectionSnapshot<Fields>): Received<Fields> {
  return { rows: data, count, status, pendingIds: [...pendingIds], rowsError: error?.body ?? null };
}

function withDraft(rows: readonly Document<Fields>[], draft: Requested): readonly Document<Fields>[] {
  switch (draft.type) {
    case 'insert': {
      const made = { ...draft.fields, id: draft.id } as Document<Fields>;
      return rows.some(({ id }) => id === draft.id) ? rows : [...rows, made];
    }
    case 'update':
      return rows.map((row) => (row.id === draft.id ? { ...row, ...draft.fields } : row));
    case 'remove':
      return rows.filter(({ id }) => id !== draft.id);
  }
}

function writeOf(ref: CollectionRef, draft: Requested): WriteRequest {
  switch (draft.type) {
    case 'insert':
      return creation(ref, { ...draft.fields, id: draft.id });
    case 'update':
      return assignment(ref, draft.id, draft.fields);
    case 'remove':
      return deletion(ref, draft.id);
  }
}

/** The part of the state that tells how the synchronization is. */
export interface SyncState {
  readonly connection: ConnectionStatus;
  readonly queue: QueueStatus;
}

const NOT_OPEN: SyncState = { connection: IDLE_CONNECTION, queue: EMPTY_QUEUE };

const told = createAction<SyncState>('syncline/told');

/** Reduces to the state of the connection and of the queue, which `listenToSync` tells. */
export function syncReducer(state = NOT_OPEN, action: UnknownAction): SyncState {
  return told.match(action) ? action.payload : state;
}

/** Tells the store of the connection and the queue, until the returned function is called. */
export function listenToSync(client: SyncClient, dispatch: (action: UnknownAction) => unknown): Unsubscribe {
  const tell = () => {
    dispatch(told({ connection: client.connection.get(), queue: client.queue.get() }));
  };
  const ends = [client.connection.subscribe(tell), client.queue.subscribe(tell)];
  tell();
  return () => {
    for (const end of ends) end();
  };
}

/** Dispatches what is made of each event of the server, until the returned function is called. */
export function listenToEvents(
  client: SyncClient,
  dispatch: (action: UnknownAction) => unknown,
  actions: Readonly<Record<string, (...args: unknown[]) => UnknownAction>>,
): Unsubscribe {
  const socket = client.socket as unknown as {
    on: (event: string, listener: (...args: unknown[]) => void) => Unsubscribe;
  };
  const ends = Object.entries(actions).map(([event, action]) =>
    socket.on(event, (...args) => {
      dispatch(action(...args));
    }),
  );
  return () => {
    for (const end of ends) end();
  };
}
