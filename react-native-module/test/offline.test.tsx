import { act, renderHook, waitFor } from '@testing-library/react-native';

import {
  useCollection,
  useOfflineQueueStatus,
  useOutcomes,
  useSocketConnection,
  useSyncProgress,
} from '../src/index.ts';
import { EMPTY_QUEUE } from '../src/idle.ts';
import { settled, unique, until } from './support/devices.ts';
import { within } from './support/render.tsx';
import { TestServer } from './support/server.ts';
import { worldFor } from './support/world.ts';

interface Task {
  title: string;
}

const world = worldFor('test');

it('keeps what is written without a server, and sends it when the server is back', async () => {
  const ref = { room: unique('list'), collection: 'tasks' };
  const ada = await world.client('ada', [ref.room]);
  const { result } = await renderHook(
    () => ({
      tasks: useCollection<Task>(ref),
      queue: useOfflineQueueStatus(),
      connection: useSocketConnection(),
      progress: useSyncProgress(),
    }),
    { wrapper: within(ada) },
  );
  await waitFor(() => {
    expect(result.current).toMatchObject({
      tasks: { status: 'complete' },
      connection: { isConnected: true, state: 'open', reconnectAttempts: 0, reason: null, userId: 'ada' },
    });
  });

  await world.server.stop();
  await result.current.tasks.insert({ title: 'one' }, 'a');
  await result.current.tasks.insert({ title: 'two' }, 'b');
  await waitFor(() => {
    expect(result.current.tasks).toMatchObject({
      status: 'complete',
      data: [
        { id: 'a', title: 'one' },
        { id: 'b', title: 'two' },
      ],
      pendingIds: new Set(['a', 'b']),
    });
    expect(result.current.queue).toMatchObject({ count: 2, processing: false });
    expect(result.current.connection).toMatchObject({ isConnected: false, reason: { code: 'unreachable' } });
    expect(result.current.connection.reconnectAttempts).toBeGreaterThan(0);
  });

  await world.server.start();
  await waitFor(() => {
    expect(result.current).toMatchObject({
      tasks: { status: 'complete', pendingIds: new Set() },
      queue: EMPTY_QUEUE,
      connection: { isConnected: true, reconnectAttempts: 0, nextRetryMs: null },
      progress: { phase: 'complete', toUpload: 0 },
    });
  });

  const bob = await world.client('bob', [ref.room]);
  const { data } = await until(bob.watch<Task>(ref), ({ status }) => status === 'complete');
  expect(data).toEqual([
    { id: 'a', title: 'one' },
    { id: 'b', title: 'two' },
  ]);
});

it('finds its data and its unsent writes again after it was closed', async () => {
  const ref = { room: unique('list'), collection: 'tasks' };
  const options = await world.options('ada', [ref.room]);
  const first = await world.client('ada', [ref.room], options);
  await first.insert<Task>({ ...ref, id: 'a' }, { title: 'sent' });
  await settled(first);
  await world.server.stop();
  await first.update<Task>({ ...ref, id: 'a' }, { title: 'unsent' });
  await first.close();

  const second = await world.devices.client(await restarted(world.server), 'ada', [ref.room], {
    ...options,
    autoConnect: false,
  });
  const { result } = await renderHook(() => useCollection<Task>(ref), { wrapper: within(second) });
  await waitFor(() => {
    expect(result.current).toMatchObject({ data: [{ title: 'unsent' }], pendingIds: new Set(['a']) });
  });
  await second.connect();
  await settled(second);

  const bob = await world.client('bob', [ref.room]);
  await until(bob.watch<Task>(ref), ({ data }) => data[0]?.title === 'unsent');
});

async function restarted(stopped: TestServer): Promise<TestServer> {
  await stopped.start();
  return stopped;
}

it('rolls back a write that the server rejects, and keeps its outcome until it is acknowledged', async () => {
  const ref = { room: unique('list'), collection: 'tasks' };
  // Only the server knows that this is too much.
  const settings = { documentBytesMax: 4 << 20, pushBytesMax: 4 << 20 };
  const ada = await world.client('ada', [ref.room], { settings, autoConnect: false });
  const { result } = await renderHook(
    () => ({ tasks: useCollection<Task>(ref), outcomes: useOutcomes(), queue: useOfflineQueueStatus() }),
    { wrapper: within(ada) },
  );
  const title = 'x'.repeat(2 << 20);
  await result.current.tasks.insert({ title: 'before' }, 'a');
  await result.current.tasks.insert({ title }, 'b');
  await result.current.tasks.insert({ title: 'after' }, 'c');
  await ada.connect();

  await waitFor(() => {
    expect(result.current.outcomes.outcomes).toMatchObject([
      { ...ref, id: 'b', write: { create: { title } }, error: { code: 'too_large', retryable: false } },
    ]);
    expect(result.current.tasks.data).toEqual([
      { id: 'a', title: 'before' },
      { id: 'c', title: 'after' },
    ]);
    expect(result.current.tasks.pendingIds.size).toBe(0);
    expect(result.current.queue.count).toBe(0);
  });

  const [outcome] = result.current.outcomes.outcomes;
  await result.current.outcomes.acknowledge(outcome?.clientSeq ?? -1);
  await waitFor(() => {
    expect(result.current.outcomes.outcomes).toEqual([]);
  });
});

it('keeps writes to a room that it may not write to until it may', async () => {
  const ref = { room: unique('list'), collection: 'tasks' };
  const ada = await world.client('ada', []);
  const { result } = await renderHook(
    () => ({ tasks: useCollection<Task>(ref), queue: useOfflineQueueStatus() }),
    {
      wrapper: within(ada),
    },
  );
  await result.current.tasks.insert({ title: 'early' }, 'a');
  await waitFor(() => {
    expect(result.current.tasks).toMatchObject({
      status: 'error',
      error: { code: 'forbidden' },
      pendingIds: new Set(['a']),
    });
    expect(result.current.queue).toMatchObject({ count: 1, processing: false });
  });

  await ada.setToken(await world.server.token('ada', [ref.room]));
  await waitFor(() => {
    expect(result.current).toMatchObject({
      tasks: { status: 'complete', error: null, data: [{ id: 'a', title: 'early' }], pendingIds: new Set() },
      queue: { count: 0 },
    });
  });
});

it('renders a selected part of the connection only when that part changes', async () => {
  const ada = await world.client('ada', []);
  let renders = 0;
  const { result } = await renderHook(
    () => {
      renders += 1;
      return useSocketConnection(({ userId }) => ({ userId }));
    },
    { wrapper: within(ada) },
  );
  await ada.connect();
  await waitFor(() => {
    expect(result.current).toEqual({ userId: 'ada' });
  });
  await until(ada.connection, ({ state }) => state === 'open');
  // React has finished what the events of the opening began.
  await act(() => Promise.resolve());
  const before = renders;

  await ada.disconnect();
  await until(ada.connection, ({ state }) => state === 'idle');
  await ada.connect();
  await until(ada.connection, ({ state }) => state === 'open');
  expect(renders).toBe(before);
});
