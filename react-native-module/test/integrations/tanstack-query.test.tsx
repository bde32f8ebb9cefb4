import {
  type InfiniteData,
  onlineManager,
  QueryClient,
  QueryClientProvider,
  useInfiniteQuery,
  useIsMutating,
  useMutation,
  useQuery,
} from '@tanstack/react-query';
import { persistQueryClientRestore, persistQueryClientSave } from '@tanstack/react-query-persist-client';
import { renderHook, waitFor } from '@testing-library/react-native';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ReactNode } from 'react';

import { createSyncClient, type Document, type SyncClient } from '../../src/index.ts';
import {
  collectionPages,
  collectionQuery,
  createSynclinePersister,
  followOnline,
  followQueries,
  invalidateOn,
  invalidateOnReconnect,
  MutationFailure,
  offlineMutation,
  type OfflineMutationDefinition,
  resumeOfflineMutations,
  updateOn,
} from '../../src/tanstack-query.ts';
import { Backend } from '../support/backend.ts';
import { settled, unique, until } from '../support/devices.ts';
import { ScriptedHost, turn } from '../support/scripted-host.ts';
import { TestServer } from '../support/server.ts';
import { itOfCore, worldFor } from '../support/world.ts';

interface Task {
  title: string;
  rank: number;
}

const world = worldFor('file');
let queryClient: QueryClient;
let ends: (() => void)[] = [];

beforeEach(() => {
  queryClient = new QueryClient({ defaultOptions: { queries: { retry: false } } });
});

afterEach(() => {
  for (const end of ends) end();
  ends = [];
  queryClient.clear();
});

function wrapper({ children }: { children: ReactNode }) {
  return <QueryClientProvider client={queryClient}>{children}</QueryClientProvider>;
}

async function pair(count: number) {
  const { ref, ada, bob } = await world.pair();
  for (let rank = 1; rank <= count; rank += 1) {
    await bob.insert<Task>({ ...ref, id: `t${rank}` }, { title: `task ${rank}`, rank: rank * 10 });
  }
  await settled(bob);
  return { ref, ada, bob };
}

it('keeps a query up to date while it is observed, and watches nothing afterwards', async () => {
  const { ref, ada, bob } = await pair(2);
  ends.push(followQueries(ada, queryClient));
  const query = collectionQuery<Task>(ada, { ...ref, orderBy: [{ path: 'rank' }] });
  const view = await renderHook(() => useQuery(query), { wrapper });
  await waitFor(() => {
    expect(view.result.current.data?.map(({ rank }) => rank)).toEqual([10, 20]);
  });
  const [first] = view.result.current.data ?? [];
  await bob.update<Task>({ ...ref, id: 't2' }, { rank: 25 });
  await waitFor(() => {
    expect(view.result.current.data?.map(({ rank }) => rank)).toEqual([10, 25]);
  });
  expect(view.result.current.data?.[0]).toBe(first);
  await view.unmount();
  await waitFor(() => {
    expect(ada.watchCount).toBe(0);
  });
});

it('answers a query offline, from the device', async () => {
  const room = unique('list');
  const ref = { room, collection: 'tasks' };
  const ada = await world.client('ada', [room], { autoConnect: false });
  ends.push(followQueries(ada, queryClient), followOnline(ada));
  await ada.insert<Task>({ ...ref, id: 'a' }, { title: 'offline', rank: 1 });
  const { result } = await renderHook(() => useQuery(collectionQuery<Task>(ada, ref)), { wrapper });
  await waitFor(() => {
    expect(result.current.data).toEqual([{ id: 'a', title: 'offline', rank: 1 }]);
  });
});

it('shows pages of a window as one live list', async () => {
  const { ref, ada, bob } = await pair(5);
  ends.push(followQueries(ada, queryClient));
  const query = collectionPages<Task>(ada, { ...ref, orderBy: [{ path: 'rank' }], pageSize: 2 });
  const { result } = await renderHook(() => useInfiniteQuery(query), { wrapper });
  const ranks = () => result.current.data?.pages.map((page) => page.map(({ rank }) => rank));
  await waitFor(() => {
    expect(ranks()).toEqual([[10, 20]]);
  });
  expect(result.current.hasNextPage).toBe(true);
  await result.current.fetchNextPage();
  await waitFor(() => {
    expect(ranks()).toEqual([
      [10, 20],
      [30, 40],
    ]);
  });
  await bob.update<Task>({ ...ref, id: 't5' }, { rank: 1 });
  await waitFor(() => {
    expect(ranks()).toEqual([
      [1, 10],
      [20, 30],
    ]);
  });
  await result.current.fetchNextPage();
  await waitFor(() => {
    expect(ranks()).toEqual([[1, 10], [20, 30], [40]]);
  });
  expect(result.current.hasNextPage).toBe(false);
});

describe('with events of a backend', () => {
  let host: ScriptedHost;
  let client: SyncClient;

  beforeEach(() => {
    host = new ScriptedHost();
    client = createSyncClient({ url: 'http://127.0.0.1:1', store: 'memory' }, host);
  });

  afterEach(async () => {
    await client.close();
  });

  async function say(event: string, ...args: unknown[]) {
    await turn();
    host.emit(1, { type: 'message', namespace: '/', event, args });
  }

  it('makes only those queries stale that an event is about', async () => {
    for (const id of ['a', 'b']) queryClient.setQueryData(['activities', id], { id });
    ends.push(
      invalidateOn(client.socket, queryClient, {
        'activity:updated': (activity: unknown) => [['activities', (activity as { id: string }).id]],
      }),
    );
    await say('activity:updated', { id: 'a' });
    const isStale = (id: string) => queryClient.getQueryState(['activities', id])?.isInvalidated;
    expect([isStale('a'), isStale('b')]).toEqual([true, false]);
  });

  it('writes what becomes of entities into the queries that hold them', async () => {
    interface Activity {
      id: string;
      likes: number;
    }
    const pages: InfiniteData<Activity[]> = { pages: [[{ id: 'a', likes: 1 }]], pageParams: [null] };
    queryClient.setQueryData(['list'], pages.pages[0]);
    queryClient.setQueryData(['pages'], pages);
    ends.push(
      updateOn<Activity>(client.socket, queryClient, 'activity', {
        lists: [['list'], ['pages'], ['never asked for']],
        detail: (id) => ['activity', id],
      }),
    );
    await say('activity:created', { id: 'b', likes: 0 });
    await say('activity:created', { id: 'b', likes: 0 });
    await say('activity:updated', { id: 'b', likes: 7 });
    await say('activity:deleted', { id: 'a' });
    expect(queryClient.getQueryData(['list'])).toEqual([{ id: 'b', likes: 7 }]);
    expect(queryClient.getQueryData(['pages'])).toEqual({
      pages: [[{ id: 'b', likes: 7 }]],
      pageParams: [null],
    });
    expect(queryClient.getQueryData(['activity', 'b'])).toEqual({ id: 'b', likes: 7 });
    expect(queryClient.getQueryData(['never asked for'])).toBeUndefined();
    for (const gone of ['c', { activityId: 'c' }]) {
      queryClient.setQueryData(['list'], [{ id: 'c', likes: 1 }, ...(pages.pages[0] ?? [])]);
      await say('activity:deleted', gone);
      expect(queryClient.getQueryData(['list'])).toEqual(pages.pages[0]);
    }
  });
});

itOfCore(
  'knows from the core whether there is a network, and what may have been missed without',
  async () => {
    const own = await TestServer.start();
    const ada = await world.devices.client(own, 'ada', []);
    queryClient.setQueryData(['activities'], []);
    ends.push(followOnline(ada), invalidateOnReconnect(ada, queryClient, [['activities']]));
    await ada.connect();
    expect(onlineManager.isOnline()).toBe(true);
    const isStale = () => queryClient.getQueryState(['activities'])?.isInvalidated;

    await own.stop();
    await until(ada.connection, ({ state, reason }) => state === 'backoff' && reason?.code === 'unreachable');
    expect(onlineManager.isOnline()).toBe(false);
    expect(isStale()).toBe(false);
    await own.start();
    await until(ada.connection, ({ state }) => state === 'open');
    expect(onlineManager.isOnline()).toBe(true);
    expect(isStale()).toBe(true);
    await ada.close();
    await own.dispose();
  },
);

it('goes on with an optimistic mutation after a restart, and takes it back when it is refused', async () => {
  const backend = await Backend.start(({ body }) => ({ status: body === 'bad' ? 422 : 200 }));
  const settings = { jobAuto: false };
  const ada = await world.client('ada', [], { apiUrl: backend.url, settings });
  const definitionFor = (queries: QueryClient): OfflineMutationDefinition<string, string[]> => ({
    mutationKey: 'add',
    endpoint: '/items',
    onMutate: (item) => {
      const previous = queries.getQueryData<string[]>(['items']) ?? [];
      queries.setQueryData(['items'], [...previous, item]);
      return previous;
    },
    onError: (_, item) => {
      queries.setQueryData<string[]>(['items'], (items = []) => items.filter((one) => one !== item));
    },
  });

  const before = await renderHook(() => useMutation(offlineMutation(ada, definitionFor(queryClient))), {
    wrapper,
  });
  before.result.current.mutate('good');
  before.result.current.mutate('bad');
  await until(ada.queue, ({ requests }) => requests === 2);
  expect(queryClient.getQueryData(['items'])).toEqual(['good', 'bad']);
  await before.unmount();
  await ada.close();

  // The app is started anew: a new cache, a new client over the same files.
  queryClient = new QueryClient();
  const again = await world.client('ada', [], { name: ada.name, apiUrl: backend.url, settings });
  const definition = definitionFor(queryClient);
  ends.push(resumeOfflineMutations(again, queryClient, [definition]));
  const after = await renderHook(() => useIsMutating({ mutationKey: ['syncline', 'add'] }), { wrapper });
  await waitFor(() => {
    expect(after.result.current).toBe(2);
    expect(queryClient.getQueryData(['items'])).toEqual(['good', 'bad']);
  });
  await again.queue.process();
  await again.queue.process();
  await waitFor(() => {
    expect(after.result.current).toBe(0);
    expect(queryClient.getQueryData(['items'])).toEqual(['good']);
  });
  expect(backend.asked.map(({ body }) => body)).toEqual(['good', 'bad']);
  const failed = queryClient.getMutationCache().find({ status: 'error' });
  expect(failed?.state.error).toBeInstanceOf(MutationFailure);
  expect((failed?.state.error as MutationFailure).reason.status).toBe(422);
  await backend.stop();
});

it('persists the cache without the documents, which the device has anyway', async () => {
  const { ref, ada, bob } = await pair(1);
  const folder = mkdtempSync(join(tmpdir(), 'syncline-queries-'));
  const file = (key: string) => join(folder, encodeURIComponent(key));
  const storage = {
    getItem: (key: string) => readFileSync(file(key), 'utf8'),
    setItem: (key: string, value: string) => {
      writeFileSync(file(key), value);
    },
    removeItem: (key: string) => {
      rmSync(file(key), { force: true });
    },
  };
  const persister = createSynclinePersister(ada, { storage });
  const query = collectionQuery<Task>(ada, ref);
  await queryClient.query(query);
  queryClient.setQueryData(['profile'], { name: 'Ada' });
  await persistQueryClientSave({ queryClient, persister });
  await persister.flush();
  const kept = readFileSync(file(`syncline:${ada.name}`), 'utf8');
  expect(kept).toContain('Ada');
  expect(kept).not.toContain('task 1');

  // Meanwhile a document changes: the restored cache has it as it is by then.
  const watching = ada.watch<Task>(ref);
  const isNew = ({ data }: { data: readonly Document<Task>[] }) => data[0]?.title === 'new title';
  await bob.update<Task>({ ...ref, id: 't1' }, { title: 'new title' });
  await until(watching, isNew);
  const restored = new QueryClient();
  await persistQueryClientRestore({ queryClient: restored, persister });
  expect(restored.getQueryData(['profile'])).toEqual({ name: 'Ada' });
  expect(restored.getQueryData(query.queryKey)).toEqual([{ id: 't1', title: 'new title', rank: 10 }]);
  await persister.removeClient();
  restored.clear();
  rmSync(folder, { recursive: true, force: true });
});
