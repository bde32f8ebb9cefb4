import { renderHook, waitFor } from '@testing-library/react-native';
import { useLayoutEffect } from 'react';

import type { Event, JobInfo } from '../src/contract.ts';
import { createSyncClient, type SyncClient, type SyncOptions, useOfflineMutation } from '../src/index.ts';
import { Backend } from './support/backend.ts';
import { until } from './support/devices.ts';
import { strictlyWithin } from './support/render.tsx';
import { deferred, ScriptedHost } from './support/scripted-host.ts';
import { worldFor } from './support/world.ts';

const world = worldFor('file');
let backend: Backend;
let answers: (path: string) => { status: number; body?: object };

beforeEach(async () => {
  answers = () => ({ status: 200, body: { ok: true } });
  backend = await Backend.start(({ path }) => answers(path));
});

afterEach(async () => {
  await backend.stop();
});

function device(more: Partial<SyncOptions> = {}): Promise<SyncClient> {
  return world.client('ada', [], { apiUrl: backend.url, ...more });
}

it('works as in the documents: an endpoint of the variables, beside a function without a name', async () => {
  const called: string[] = [];
  const cache = { likes: 1 };
  const { result } = await renderHook(
    () =>
      useOfflineMutation<string, { previous: number }>({
        mutationFn: (id) => Promise.resolve(called.push(id)),
        endpoint: (id) => `/api/activities/${id}/like`,
        method: 'POST',
        onMutate: () => {
          const previous = cache.likes;
          cache.likes += 1;
          return { previous };
        },
        onError: (_, __, context) => {
          cache.likes = context?.previous ?? 0;
        },
      }),
    { wrapper: strictlyWithin(await device()) },
  );
  expect(result.current).toMatchObject({ status: 'idle', isPending: false });
  result.current.mutate('42');
  await waitFor(() => {
    expect(result.current.status).toBe('success');
  });
  expect(backend.asked).toMatchObject([{ method: 'POST', path: '/api/activities/42/like', body: '42' }]);
  expect(cache.likes).toBe(2);

  answers = () => ({ status: 422 });
  result.current.mutate('43');
  await waitFor(() => {
    expect(result.current).toMatchObject({ status: 'error', isPending: false, error: { status: 422 } });
  });
  expect(cache.likes).toBe(2);
  // What is done without JavaScript is done that way with it, too.
  expect(called).toEqual([]);
});

it('is pending after a restart until the mutation is done, and then tells so', async () => {
  const ada = await device({ settings: { jobAuto: false } });
  const told: unknown[] = [];
  const useMutation = () =>
    useOfflineMutation<{ item: string }, string>({
      endpoint: '/orders',
      onRestore: ({ item }) => `again ${item}`,
      onSuccess: (result, variables, context) => told.push([result, variables, context]),
    });
  const before = await renderHook(useMutation, { wrapper: strictlyWithin(ada) });
  await before.result.current.mutateAsync({ item: 'tea' });
  await before.unmount();
  await ada.close();

  const after = await world.client('ada', [], {
    name: ada.name,
    apiUrl: backend.url,
    settings: { jobAuto: false },
  });
  const { result } = await renderHook(useMutation, { wrapper: strictlyWithin(after) });
  await waitFor(() => {
    expect(result.current).toMatchObject({
      status: 'pending',
      pending: 1,
      jobs: [{ variables: { item: 'tea' }, state: 'waiting', attempts: 0, error: null }],
    });
  });
  await after.queue.process();
  await waitFor(() => {
    expect(result.current).toMatchObject({ status: 'success', pending: 0, jobs: [] });
  });
  expect(told).toMatchObject([[{ status: 200, body: { ok: true } }, { item: 'tea' }, 'again tea']]);
  expect(backend.asked).toHaveLength(1);
});

it('lists what was given up, after a restart too, for the user to retry or to discard', async () => {
  answers = () => ({ status: 422 });
  const ada = await device();
  const useMutation = () => useOfflineMutation<number>({ endpoint: (n) => `/things/${n}`, scope: 'things' });
  const before = await renderHook(useMutation, { wrapper: strictlyWithin(ada) });
  await before.result.current.mutateAsync(1);
  await before.result.current.mutateAsync(2);
  await waitFor(() => {
    expect(before.result.current.jobs.map(({ state }) => state)).toEqual(['dead', 'dead']);
  });
  await before.unmount();
  await ada.close();

  const after = await world.client('ada', [], { name: ada.name, apiUrl: backend.url });
  const { result } = await renderHook(useMutation, { wrapper: strictlyWithin(after) });
  await waitFor(() => {
    expect(result.current).toMatchObject({
      status: 'error',
      jobs: [
        { variables: 1, state: 'dead', error: { status: 422 } },
        { variables: 2, state: 'dead' },
      ],
    });
  });
  await result.current.discard(result.current.jobs[0]?.job);
  answers = () => ({ status: 200 });
  await result.current.retry();
  await waitFor(() => {
    expect(result.current).toMatchObject({ status: 'success', jobs: [] });
  });
  expect(backend.asked.map(({ path }) => path)).toEqual(['/things/1', '/things/2', '/things/2']);
});

it('does mutations of one scope in their order, whatever their endpoints', async () => {
  const ada = await device();
  const { result } = await renderHook(
    () => useOfflineMutation<number>({ endpoint: (n) => `/steps/${n}`, scope: 'steps' }),
    { wrapper: strictlyWithin(ada) },
  );
  for (const n of [1, 2, 3]) result.current.mutate(n);
  await waitFor(() => {
    expect(backend.asked.map(({ path }) => path)).toEqual(['/steps/1', '/steps/2', '/steps/3']);
  });
  await until(ada.queue, ({ count }) => count === 0);
});

it('is settled once, and goes on, when its callbacks fail', async () => {
  const ada = await device();
  const errors: string[] = [];
  ada.on('error', ({ error }) => errors.push(error.message));
  const fail = (name: string) => () => {
    throw new Error(name);
  };
  const { result } = await renderHook(
    () =>
      useOfflineMutation<unknown>({
        endpoint: '/orders',
        onSuccess: fail('success'),
        onError: fail('error'),
        onSettled: fail('settled'),
      }),
    { wrapper: strictlyWithin(ada) },
  );
  await expect(result.current.mutateAsync(new Date(0))).rejects.toMatchObject({ code: 'invalid' });
  await result.current.mutateAsync({ item: 'tea' });
  await waitFor(() => {
    expect(result.current).toMatchObject({ status: 'success', pending: 0 });
  });
  expect(errors).toEqual(['error', 'settled', 'success', 'settled']);
});

it('goes on in a component that is mounted again, and otherwise tells the callbacks of the one that is gone', async () => {
  const ada = await device({ settings: { jobAuto: false } });
  const told: unknown[] = [];
  const useMutation = ({ name }: { name: string }) =>
    useOfflineMutation<{ item: string }, string>({
      endpoint: '/orders',
      onMutate: () => 'queued',
      onRestore: () => 'restored',
      onSuccess: (_, { item }, context) => told.push([name, item, context]),
    });
  const wrapper = strictlyWithin(ada);
  const first = await renderHook(useMutation, { wrapper, initialProps: { name: 'first' } });
  await first.result.current.mutateAsync({ item: 'tea' });
  await first.unmount();

  const second = await renderHook(useMutation, { wrapper, initialProps: { name: 'second' } });
  await waitFor(() => {
    expect(second.result.current).toMatchObject({ status: 'pending', pending: 1 });
  });
  await ada.queue.process();
  await waitFor(() => {
    expect(second.result.current).toMatchObject({ status: 'success', pending: 0 });
  });
  expect(told).toEqual([['second', 'tea', 'restored']]);

  await second.result.current.mutateAsync({ item: 'milk' });
  await second.unmount();
  await ada.queue.process();
  await until(ada.queue, ({ count }) => count === 0);
  expect(told.slice(1)).toEqual([['second', 'milk', 'queued']]);
});

it('goes on with what was queued before a restart also when another job was on its way into the queue', async () => {
  const queued: JobInfo = {
    job: 1,
    work: { request: { method: 'POST', url: '/orders', body: { item: 'tea' } } },
    lane: 'request:/orders',
    state: 'waiting',
    priority: 0,
    after: [],
    attempts: 0,
    attemptsMax: 3,
    queuedAtMs: 0,
    expiresAtMs: null,
    idempotencyKey: 'k',
    error: null,
  };
  const accepted = deferred<object>();
  const host = new ScriptedHost((command) => {
    if (command.type !== 'jobs') return undefined;
    if (command.command.type === 'list') return { jobs: [queued], more: false };
    return command.command.type === 'enqueue' ? accepted.promise : undefined;
  });
  const client = createSyncClient({ url: 'http://127.0.0.1:1', store: 'memory' }, host);
  const other = client.queue.emit('seen');
  const { result } = await renderHook(() => useOfflineMutation<{ item: string }>({ endpoint: '/orders' }), {
    wrapper: strictlyWithin(client),
  });
  await waitFor(() => {
    expect(result.current.jobs).toMatchObject([{ job: 1 }]);
  });
  accepted.resolve({ enqueued: [{ job: 2, duplicate: false }] });
  await other;
  await waitFor(() => {
    expect(result.current).toMatchObject({ status: 'pending', pending: 1 });
  });
  await client.close();
});

it('does not count a mutation as done whose function was just taken away', async () => {
  const event = { type: 'leased', job: 1, lease: 1, leaseMs: 60_000, key: 'upload', payload: 1 } as const;
  const leased: Event = { type: 'job', event: { ...event, idempotencyKey: 'k', attempts: 0 } };
  const host = new ScriptedHost();
  const client = createSyncClient({ url: 'http://127.0.0.1:1', store: 'memory' }, host);
  await client.open();
  const { rerender } = await renderHook(
    ({ isThere }: { isThere: boolean }) => {
      const mutationFn = isThere ? () => Promise.resolve('done') : undefined;
      useOfflineMutation<number>({ mutationKey: 'upload', mutationFn });
      useLayoutEffect(() => {
        if (!isThere) host.emit(1, leased);
      });
    },
    { initialProps: { isThere: true }, wrapper: strictlyWithin(client) },
  );
  await rerender({ isThere: false });
  const told = () => host.told('jobs').map((command) => (command.type === 'jobs' ? command.command : null));
  await waitFor(() => {
    expect(told()).toContainEqual(expect.objectContaining({ type: 'fail', category: 'NETWORK' }));
  });
  expect(told().filter((command) => command?.type === 'complete')).toEqual([]);
  await client.close();
});
