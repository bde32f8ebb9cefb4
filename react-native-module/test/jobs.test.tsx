import { renderHook, waitFor } from '@testing-library/react-native';

import {
  type SyncClient,
  type SyncOptions,
  useDeadLetters,
  useOfflineMutation,
  useOfflineQueue,
} from '../src/index.ts';
import { Backend } from './support/backend.ts';
import { until } from './support/devices.ts';
import { strictlyWithin } from './support/render.tsx';
import { worldFor } from './support/world.ts';

const world = worldFor('file');
let backend: Backend;

beforeEach(async () => {
  backend = await Backend.start(({ body }) =>
    (body as { item?: unknown } | null)?.item === 'bad'
      ? { status: 422, body: { message: 'no such item' } }
      : { status: 201, body: { order: 7 } },
  );
});

afterEach(async () => {
  await backend.stop();
});

function device(more: Partial<SyncOptions> = {}): Promise<SyncClient> {
  return world.client('ada', [], { apiUrl: backend.url, ...more });
}

/** Callbacks of a mutation that note what they are told. */
function noting() {
  const told: unknown[][] = [];
  const note =
    (name: string) =>
    (...args: unknown[]) => {
      told.push([name, ...args]);
    };
  return {
    told,
    callbacks: {
      onSuccess: note('success'),
      onError: note('error'),
      onSettled: note('settled'),
    },
  };
}

it('sends a mutation to its endpoint, and tells of the response', async () => {
  const { told, callbacks } = noting();
  const { result } = await renderHook(
    () =>
      useOfflineMutation<{ item: string }, string>({
        endpoint: '/orders',
        headers: { 'x-shop': 'a' },
        onMutate: ({ item }) => `before ${item}`,
        ...callbacks,
      }),
    { wrapper: strictlyWithin(await device()) },
  );
  expect(result.current.pending).toBe(0);

  const { duplicate } = await result.current.mutateAsync({ item: 'tea' });
  expect(duplicate).toBe(false);
  await waitFor(() => {
    expect(told).toMatchObject([
      ['success', { status: 201, body: { order: 7 } }, { item: 'tea' }, 'before tea'],
      ['settled', { item: 'tea' }, 'before tea'],
    ]);
    expect(result.current.pending).toBe(0);
  });
  expect(backend.asked).toMatchObject([
    {
      method: 'POST',
      path: '/orders',
      headers: { 'x-shop': 'a', 'idempotency-key': expect.any(String) as string },
      body: { item: 'tea' },
    },
  ]);
});

it('runs a mutation by a function of the app', async () => {
  const { told, callbacks } = noting();
  const keys: string[] = [];
  const { result } = await renderHook(
    () =>
      useOfflineMutation<{ file: string }>({
        mutationKey: 'upload',
        mutationFn: ({ file }, { idempotencyKey }) => {
          keys.push(idempotencyKey);
          return Promise.resolve({ uploaded: file });
        },
        ...callbacks,
      }),
    { wrapper: strictlyWithin(await device()) },
  );

  result.current.mutate({ file: 'a' });
  await waitFor(() => {
    expect(told).toEqual([
      ['success', { uploaded: 'a' }, { file: 'a' }, undefined],
      ['settled', { file: 'a' }, undefined],
    ]);
  });
  expect(keys).toEqual([expect.stringMatching(/.+/)]);
});

it('carries bytes, and objects that look like their notation', async () => {
  interface Photo {
    name: { $bytes: string };
    bytes: Uint8Array;
  }
  const photo: Photo = { name: { $bytes: 'not bytes' }, bytes: new Uint8Array([0, 255]) };
  const given: unknown[] = [];
  const { told, callbacks } = noting();
  const ada = await device();
  const { result } = await renderHook(
    () =>
      useOfflineMutation<Photo>({
        mutationKey: 'photo',
        mutationFn: (variables) => Promise.resolve(given.push(variables)).then(() => variables.bytes),
        ...callbacks,
      }),
    { wrapper: strictlyWithin(ada) },
  );
  await result.current.mutateAsync(photo);
  await waitFor(() => {
    expect(told).toEqual([
      ['success', photo.bytes, photo, undefined],
      ['settled', photo, undefined],
    ]);
  });
  expect(given).toEqual([photo]);

  await ada.queue.add({ endpoint: '/photos', method: 'PUT', data: photo.bytes });
  await waitFor(() => {
    expect(backend.asked).toMatchObject([
      { headers: { 'content-type': 'application/octet-stream' }, body: [0, 255] },
    ]);
  });
});

it('refuses what cannot be queued as it is', async () => {
  const { told, callbacks } = noting();
  const { result } = await renderHook(
    () => useOfflineMutation<{ at: Date }>({ endpoint: '/orders', ...callbacks }),
    { wrapper: strictlyWithin(await device()) },
  );
  await expect(result.current.mutateAsync({ at: new Date(0) })).rejects.toMatchObject({ code: 'invalid' });
  expect(told.map(([name]) => name)).toEqual(['error', 'settled']);
  expect(result.current.pending).toBe(0);
  expect(backend.asked).toEqual([]);
});

it('keeps a mutation of a function until a component with that function is mounted', async () => {
  const ada = await device();
  await ada.queue.enqueue({ work: { handler: { key: 'later', payload: 1 } } });
  await until(ada.queue, ({ handlers }) => handlers === 1);
  const ran: unknown[] = [];
  await renderHook(
    () =>
      useOfflineMutation<number>({
        mutationKey: 'later',
        mutationFn: (variables) => Promise.resolve(ran.push(variables)),
      }),
    { wrapper: strictlyWithin(ada) },
  );
  await until(ada.queue, ({ handlers }) => handlers === 0);
  expect(ran).toEqual([1]);
});

it('shows what was refused for good, and sends it again as the user corrects it', async () => {
  const { told, callbacks } = noting();
  const { result } = await renderHook(
    () => ({
      mutation: useOfflineMutation<{ item: string }>({ endpoint: '/orders', ...callbacks }),
      letters: useDeadLetters(),
    }),
    { wrapper: strictlyWithin(await device()) },
  );
  const { job } = await result.current.mutation.mutateAsync({ item: 'bad' });
  await waitFor(() => {
    expect(result.current.letters.deadLetters).toMatchObject([
      { job, reason: 'refused', error: { category: 'VALIDATION', status: 422 }, attempts: 1 },
    ]);
  });
  expect(told).toMatchObject([
    ['error', { category: 'VALIDATION' }, { item: 'bad' }],
    ['settled', { item: 'bad' }],
  ]);

  await result.current.letters.retry(job, {
    request: { method: 'POST', url: '/orders', body: { item: 'good' } },
  });
  await waitFor(() => {
    expect(result.current.letters.deadLetters).toEqual([]);
    expect(backend.asked.map(({ body }) => body)).toEqual([{ item: 'bad' }, { item: 'good' }]);
  });
});

it('forgets a dead letter that is dropped, and has the others after a restart', async () => {
  const ada = await device();
  const { result } = await renderHook(useDeadLetters, { wrapper: strictlyWithin(ada) });
  const first = await ada.queue.add({ endpoint: '/orders', data: { item: 'bad' } });
  const second = await ada.queue.add({ endpoint: '/others', data: { item: 'bad' } });
  await waitFor(() => {
    expect(result.current.deadLetters).toHaveLength(2);
  });
  await result.current.drop(first.job);
  await waitFor(() => {
    expect(result.current.deadLetters.map(({ job }) => job)).toEqual([second.job]);
  });

  await ada.close();
  await ada.open();
  const status = await until(ada.queue, ({ deadLetters }) => deadLetters === 1);
  expect(status.count).toBe(0);
  expect(result.current.deadLetters.map(({ job }) => job)).toEqual([second.job]);
});

it('does queued requests only when asked, after it was stopped', async () => {
  const { result } = await renderHook(useOfflineQueue, { wrapper: strictlyWithin(await device()) });
  await result.current.stopAutoProcessing();
  await result.current.addToQueue({ endpoint: '/orders', data: { item: 'tea' } });
  await result.current.addToQueue({ endpoint: '/others', method: 'PUT', data: { item: 'bad' } });
  await waitFor(() => {
    expect(result.current.status).toMatchObject({ requests: 2, paused: true });
  });
  expect(backend.asked).toEqual([]);

  expect(await result.current.processQueue()).toEqual({ processed: 1, failed: 1, skipped: 0 });
  await waitFor(() => {
    expect(result.current.status).toMatchObject({ count: 0, requests: 0, deadLetters: 1 });
  });
  expect(backend.asked.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([
    'POST /orders',
    'PUT /others',
  ]);

  await result.current.addToQueue({ endpoint: '/orders', data: { item: 'milk' } });
  await result.current.startAutoProcessing();
  await waitFor(() => {
    expect(backend.asked).toHaveLength(3);
    expect(result.current.status).toMatchObject({ count: 0, paused: false });
  });
});

it('counts a mutation no more that the user cleared', async () => {
  const { told, callbacks } = noting();
  const { result } = await renderHook(
    () => ({
      mutation: useOfflineMutation<{ item: string }>({ endpoint: '/orders', ...callbacks }),
      queue: useOfflineQueue(),
    }),
    { wrapper: strictlyWithin(await device({ settings: { jobAuto: false } })) },
  );
  await result.current.mutation.mutateAsync({ item: 'tea' });
  await waitFor(() => {
    expect(result.current.mutation.pending).toBe(1);
  });
  expect(await result.current.queue.clearQueue()).toBe(1);
  await waitFor(() => {
    expect(result.current.mutation.pending).toBe(0);
    expect(result.current.queue.status.count).toBe(0);
  });
  expect(told).toMatchObject([
    ['error', { code: 'dropped' }, { item: 'tea' }],
    ['settled', { item: 'tea' }],
  ]);
  expect(backend.asked).toEqual([]);
});
