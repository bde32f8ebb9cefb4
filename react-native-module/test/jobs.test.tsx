import { renderHook, waitFor } from '@testing-library/react-native';
import { type ReactNode, StrictMode } from 'react';

import {
  type JsonValue,
  type SyncClient,
  SynclineProvider,
  type SyncOptions,
  useDeadLetters,
  useOfflineMutation,
  useOfflineQueue,
} from '../src/index.ts';
import { Backend } from './support/backend.ts';
import { Devices, until } from './support/devices.ts';
import { TestServer } from './support/server.ts';

let server: TestServer;
let devices: Devices;
let backend: Backend;

beforeAll(async () => {
  server = await TestServer.start();
  devices = new Devices();
});

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

afterAll(async () => {
  await devices.dispose();
  await server.dispose();
});

function within(client: SyncClient) {
  return function Wrapper({ children }: { children: ReactNode }) {
    return (
      <StrictMode>
        <SynclineProvider client={client}>{children}</SynclineProvider>
      </StrictMode>
    );
  };
}

function device(more: Partial<SyncOptions> = {}): Promise<SyncClient> {
  return devices.client(server, 'ada', [], { apiUrl: backend.url, ...more });
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
    { wrapper: within(await device()) },
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
    { wrapper: within(await device()) },
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

it('keeps a mutation of a function until a component with that function is mounted', async () => {
  const ada = await device();
  await ada.queue.enqueue({ work: { handler: { key: 'later', payload: 1 } } });
  await until(ada.queue, ({ handlers }) => handlers === 1);
  const ran: JsonValue[] = [];
  await renderHook(
    () =>
      useOfflineMutation<number>({
        mutationKey: 'later',
        mutationFn: (variables) => Promise.resolve(ran.push(variables)),
      }),
    { wrapper: within(ada) },
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
    { wrapper: within(await device()) },
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
  const { result } = await renderHook(useDeadLetters, { wrapper: within(ada) });
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
  const { result } = await renderHook(useOfflineQueue, { wrapper: within(await device()) });
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
    { wrapper: within(await device({ settings: { jobAuto: false } })) },
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
