// What app developers do: hooks over the fake, with React's `act` and without a warning of it.
import { act, renderHook } from '@testing-library/react-native';
import { useState } from 'react';

import {
  increment,
  useCollection,
  useConflicts,
  useDeadLetters,
  useDocument,
  useOfflineMutation,
  useOfflineQueueStatus,
  useOutcomes,
  usePresence,
  useSocketConnection,
  useSocketEmit,
  useSocketEvent,
  useTyping,
  useUserOnline,
} from '../../src/index.ts';
import { createFakeClient, type FakeClient, FakeServer, Failure } from '../../src/testing.ts';
import { within } from '../support/render.tsx';

interface Task {
  title: string;
  likes?: number;
}

const TASKS = { room: 'list:1', collection: 'tasks' };

let warned: jest.SpyInstance;

beforeAll(() => {
  (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
});

beforeEach(() => {
  warned = jest.spyOn(console, 'error');
});

afterEach(() => {
  const warnings = [...(warned.mock.calls as unknown[][])];
  warned.mockRestore();
  expect(warnings).toEqual([]);
});

/** Does it, and lets everything happen that comes of it: what is told may come after the answer. */
function done({ server }: FakeClient, work: () => Promise<unknown>): PromiseLike<void> {
  return act(async () => {
    await work();
    await server.settle();
  });
}

it('shows a list, and what others change of it', async () => {
  const fake = createFakeClient({ act });
  fake.server.insert('list:1', 'tasks', 't', { title: 'water the plants', likes: 1 });
  const { result } = await renderHook(() => useCollection<Task>(TASKS), { wrapper: within(fake.client) });
  await fake.settle();
  expect(result.current).toMatchObject({ status: 'complete', data: [{ id: 't', likes: 1 }] });

  fake.server.update('list:1', 'tasks', 't', { likes: increment(2) });
  await fake.settle();
  expect(result.current.data).toMatchObject([{ id: 't', title: 'water the plants', likes: 3 }]);
});

it('keeps writes while the device is offline, and sends them when it is not', async () => {
  const fake = createFakeClient({ act });
  const { result } = await renderHook(
    () => ({
      tasks: useCollection<Task>(TASKS),
      queue: useOfflineQueueStatus(),
      connection: useSocketConnection(),
    }),
    { wrapper: within(fake.client) },
  );
  await fake.settle();
  fake.device.goOffline();
  await fake.settle();
  expect(result.current.connection).toMatchObject({ state: 'offline', isConnected: false });

  await act(async () => {
    await result.current.tasks.insert({ title: 'buy soil' }, 'a');
  });
  await fake.settle();
  expect(result.current.tasks).toMatchObject({ data: [{ title: 'buy soil' }], pendingIds: new Set(['a']) });
  expect(result.current.queue).toMatchObject({ count: 1, writes: 1 });
  // The system may be wrong, and is asked again; here it is right.
  await fake.advance(10 * 60_000);
  expect(fake.server.documents('list:1', 'tasks')).toEqual({});

  fake.device.goOnline();
  await fake.settle();
  expect(fake.server.documents('list:1', 'tasks')).toEqual({ a: { title: 'buy soil' } });
  expect(result.current.tasks.pendingIds).toEqual(new Set());
  expect(result.current.queue.count).toBe(0);
});

it('shows how long until the next attempt while the server is away', async () => {
  const fake = createFakeClient({ act });
  const { result } = await renderHook(() => useSocketConnection(), { wrapper: within(fake.client) });
  await done(fake, () => fake.client.open());
  await fake.settle();
  fake.server.stop();
  await fake.settle();
  expect(result.current).toMatchObject({
    state: 'backoff',
    reconnectAttempts: 1,
    reason: { code: 'unreachable' },
  });

  await fake.advance(500);
  expect(result.current).toMatchObject({ state: 'backoff', reconnectAttempts: 2 });
  fake.server.start();
  await fake.advance(999);
  expect(result.current.state).toBe('backoff');
  await fake.advance(1);
  expect(result.current).toMatchObject({ state: 'open', isConnected: true, userId: 'ada' });
});

it('asks for another token when the server refuses the one there is', async () => {
  const server = new FakeServer();
  const getToken = jest.fn(() => Promise.resolve(server.token('ada')));
  const fake = createFakeClient({ act, server, auth: { getToken } });
  const { result } = await renderHook(() => useSocketConnection(), { wrapper: within(fake.client) });
  await done(fake, () => fake.client.connect());
  expect(result.current).toMatchObject({ state: 'open', userId: 'ada' });

  server.refuseTokens(new Failure('unauthorized', 'signed out elsewhere'));
  await fake.settle();
  expect(result.current).toMatchObject({
    state: 'unauthorized',
    reason: { message: 'signed out elsewhere' },
  });
  expect(getToken).toHaveBeenCalledTimes(2);
  server.refuseTokens(null);
  await done(fake, () => fake.client.connect());
  expect(result.current.state).toBe('open');
});

it('hears events, answers them, and is answered', async () => {
  const fake = createFakeClient({ act });
  const emit = await renderHook(
    () => {
      const [news, setNews] = useState<unknown[]>([]);
      useSocketEvent('news', (item: unknown) => {
        setNews((before) => [...before, item]);
      });
      return { news, order: useSocketEmit('order') };
    },
    { wrapper: within(fake.client) },
  );
  await fake.settle();
  fake.server.emit('news', { subject: 'early' });
  fake.server.to({ userId: 'bob' }).emit('news', { subject: 'not for ada' });
  await fake.settle();
  expect(emit.result.current.news).toEqual([{ subject: 'early' }]);

  fake.server.on('order', ({ args: [item], userId }) => ({ accepted: item, by: userId }));
  const answered = fake.client.socket.emitWithAck('order', 7);
  await fake.settle();
  await expect(answered).resolves.toEqual({ accepted: 7, by: 'ada' });
  const unanswered = fake.client.socket.timeout(2_000).emitWithAck('nobody');
  void unanswered.catch(() => undefined);
  await fake.advance(2_000);
  await expect(unanswered).rejects.toMatchObject({ code: 'timeout' });
});

it('leaves a conflict to the app, and takes its decision', async () => {
  const fake = createFakeClient({ act, collections: { tasks: { conflict: 'manual' } } });
  fake.server.insert('list:1', 'tasks', 't', { title: 'first' });
  const { result } = await renderHook(
    () => ({ task: useDocument<Task>({ ...TASKS, id: 't' }), conflicts: useConflicts() }),
    { wrapper: within(fake.client) },
  );
  await fake.settle();
  fake.device.goOffline();
  await done(fake, () => result.current.task.update({ title: 'mine' }));
  fake.server.update('list:1', 'tasks', 't', { title: 'theirs' });
  fake.device.goOnline();
  await fake.settle();
  expect(result.current.task.data).toMatchObject({ title: 'theirs' });
  const [conflict] = result.current.conflicts.conflicts;
  expect(conflict).toMatchObject({ kind: 'update_update', fields: ['title'], server: { title: 'theirs' } });

  await done(fake, () => fake.client.resolveConflict(conflict?.clientSeq ?? 0, 'local'));
  await fake.settle();
  expect(fake.server.documents('list:1', 'tasks')).toEqual({ t: { title: 'mine' } });
  expect(result.current.conflicts.conflicts).toEqual([]);
});

it('takes back a write that the server refuses, and keeps why', async () => {
  const fake = createFakeClient({ act });
  fake.server.refuseWrites(({ write }) =>
    write !== 'delete' && 'create' in write && write.create['title'] === ''
      ? new Failure('invalid', 'a task needs a title')
      : null,
  );
  const { result } = await renderHook(
    () => ({ tasks: useCollection<Task>(TASKS), outcomes: useOutcomes() }),
    { wrapper: within(fake.client) },
  );
  await fake.settle();
  await act(async () => {
    await result.current.tasks.insert({ title: '' }, 'a');
    await result.current.tasks.insert({ title: 'good' }, 'b');
  });
  await fake.settle();
  expect(result.current.tasks.data).toMatchObject([{ id: 'b', title: 'good' }]);
  expect(result.current.outcomes.outcomes).toMatchObject([
    { id: 'a', error: { message: 'a task needs a title' } },
  ]);
});

it('keeps a request that was given up as a dead letter, until it is retried', async () => {
  const fake = createFakeClient({ act });
  let status = 503;
  fake.server.onRequest(() => ({ status, body: { order: 7 } }));
  const { result } = await renderHook(
    () => ({
      order: useOfflineMutation<{ item: number }>({ endpoint: '/api/orders' }),
      letters: useDeadLetters(),
    }),
    { wrapper: within(fake.client) },
  );
  await fake.settle();
  await act(async () => {
    await result.current.order.mutateAsync({ item: 7 });
  });
  // Three attempts, with pauses of one and two seconds.
  await fake.advance(3_000);
  expect(fake.server.requests).toHaveLength(3);
  expect(new Set(fake.server.requests.map(({ headers }) => headers['idempotency-key'])).size).toBe(1);
  expect(result.current.letters.deadLetters).toMatchObject([
    { reason: 'attempts_spent', error: { status: 503 } },
  ]);
  expect(result.current.order.status).toBe('error');

  status = 200;
  await done(fake, () => result.current.order.retry());
  await fake.settle();
  expect(result.current.letters.deadLetters).toEqual([]);
  expect(result.current.order.status).toBe('success');
});

it('gives up what waited for too long', async () => {
  const fake = createFakeClient({ act, autoConnect: false });
  const { result } = await renderHook(() => useDeadLetters(), { wrapper: within(fake.client) });
  await act(async () => {
    await fake.client.queue.emit('visit', [], { ttlMs: 60_000 });
  });
  await fake.advance(59_999);
  expect(result.current.deadLetters).toEqual([]);
  await fake.advance(1);
  expect(result.current.deadLetters).toMatchObject([{ reason: 'expired' }]);
});

it('shows who is there, who types for a while, and who has left', async () => {
  const fake = createFakeClient({ act });
  const { result } = await renderHook(
    () => ({
      presence: usePresence('list:1'),
      typing: useTyping('list:1'),
      online: useUserOnline('bob'),
    }),
    { wrapper: within(fake.client) },
  );
  await fake.settle();
  expect(result.current.presence.members).toMatchObject([{ userId: 'ada', me: true }]);
  const bob = fake.server.join('list:1', 'bob', { cursor: 3 });
  bob.update({ typing: true }, { expiresInMs: 4_000 });
  await fake.settle();
  expect(result.current.online).toBe(true);
  expect(result.current.presence.users).toMatchObject([
    { userId: 'ada', me: true },
    { userId: 'bob', state: { cursor: 3, typing: true } },
  ]);
  await fake.advance(4_000);
  expect(result.current.presence.users).toMatchObject([
    { userId: 'ada' },
    { userId: 'bob', state: { cursor: 3 } },
  ]);
  bob.leave();
  await fake.settle();
  expect(result.current.presence.users).toHaveLength(1);
});

it('lets two devices see each other, and one that is lost stay for its grace', async () => {
  const ada = createFakeClient({ act });
  const bob = createFakeClient({ act, server: ada.server, userId: 'bob' });
  const here = await renderHook(() => usePresence('list:1'), { wrapper: within(ada.client) });
  await renderHook(() => usePresence('list:1', { state: { cursor: 2 } }), { wrapper: within(bob.client) });
  await ada.settle();
  expect(here.result.current.users).toMatchObject([{ userId: 'ada' }, { userId: 'bob', status: 'active' }]);
  bob.device.goOffline();
  await ada.settle();
  expect(here.result.current.users).toMatchObject([{ userId: 'ada' }, { userId: 'bob', status: 'away' }]);
  await ada.advance(15_000);
  expect(here.result.current.users).toHaveLength(1);
});

it('finds its data and its queue again after a restart of the app', async () => {
  const fake = createFakeClient({ act, autoConnect: false });
  await act(async () => {
    await fake.client.insert({ ...TASKS, id: 'a' }, { title: 'unsent' });
    await fake.client.close();
  });
  const again = createFakeClient({ act, server: fake.server, device: fake.device });
  const { result } = await renderHook(() => useCollection<Task>(TASKS), { wrapper: within(again.client) });
  await again.settle();
  expect(result.current.data).toMatchObject([{ title: 'unsent' }]);
  expect(fake.server.documents('list:1', 'tasks')).toEqual({ a: { title: 'unsent' } });
});

it('takes as long as messages take', async () => {
  const fake = createFakeClient({ act });
  fake.server.latencyMs = 100;
  const { result } = await renderHook(() => useSocketConnection(), { wrapper: within(fake.client) });
  await done(fake, () => fake.client.open());
  await fake.advance(199);
  expect(result.current.state).toBe('connecting');
  await fake.advance(1);
  expect(result.current.state).toBe('open');
});
