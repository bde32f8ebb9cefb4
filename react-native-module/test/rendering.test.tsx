import { act, render, screen, waitFor } from '@testing-library/react-native';
import { startTransition, useState } from 'react';
import { Text } from 'react-native';

import type { Event, RoomStatus, Row } from '../src/contract.ts';
import {
  type CollectionRef,
  createSyncClient,
  useCollection,
  useConflicts,
  useDeadLetters,
  useDocument,
  useOfflineQueueStatus,
  useOutcomes,
  usePresence,
  useSocketConnection,
  useSyncHealth,
  useSyncProgress,
} from '../src/index.ts';
import { EMPTY_QUEUE, IDLE_CONNECTION, IDLE_PROGRESS } from '../src/idle.ts';
import { settled, unique } from './support/devices.ts';
import { within } from './support/render.tsx';
import { ScriptedHost, turn } from './support/scripted-host.ts';
import { worldFor } from './support/world.ts';

const world = worldFor('file');

it('renders the one component whose document has changed, of many that show one each', async () => {
  const room = unique('list');
  const ref: CollectionRef = { room, collection: 'tasks' };
  const ids = ['a', 'b', 'c', 'd'];
  const ada = await world.client('ada', [room]);
  const bob = await world.client('bob', [room]);
  for (const id of ids) await bob.insert({ ...ref, id }, { title: id, votes: 0 });
  await settled(bob);

  const renders: Record<string, number> = {};
  function Title({ id }: { id: string }) {
    const title = useDocument({ ...ref, id }, ({ data }) => data?.['title'] as string | undefined);
    renders[id] = (renders[id] ?? 0) + 1;
    return <Text>{`${id} is ${title ?? 'unknown'}`}</Text>;
  }
  await render(
    <>
      {ids.map((id) => (
        <Title key={id} id={id} />
      ))}
    </>,
    { wrapper: within(ada) },
  );
  for (const id of ids) await screen.findByText(`${id} is ${id}`);

  const before = { ...renders };
  await bob.update({ ...ref, id: 'c' }, { title: 'changed' });
  await screen.findByText('c is changed');
  expect(renders).toEqual({ ...before, c: (before['c'] ?? 0) + 1 });

  // Nothing that is shown of it has changed.
  const shown = { ...renders };
  await bob.update({ ...ref, id: 'a' }, { votes: 1 });
  await waitFor(async () => {
    expect(await ada.document({ ...ref, id: 'a' })).toMatchObject({ votes: 1 });
  });
  expect(renders).toEqual(shown);
});

const STATUS = { ...IDLE_CONNECTION, state: 'open' } as const;
const ROOM: RoomStatus = { room: 'r', status: 'live', complete: true, error: null } as never;
const row = (id: string, votes: number): Row => ({ id, fields: { votes }, pending: false }) as never;
const rows = (...upserted: Row[]): Event =>
  ({ type: 'rows', watch: 1, reset: false, upserted, removed: [], count: 1 }) as never;

const connection = (more: object): Event => ({ type: 'connection', status: { ...STATUS, ...more } });
const queue = (more: object): Event => ({ type: 'queue', status: { ...EMPTY_QUEUE, ...more } });
const progress = (more: object): Event => ({
  type: 'progress',
  progress: { ...IDLE_PROGRESS, phase: 'uploading', ...more },
});
const rejected = (clientSeq: number, message: string): Event =>
  ({
    type: 'outcome',
    outcome: { clientSeq, error: { code: 'too_large', message, retryable: false } },
  }) as never;
const parked = (clientSeq: number, id: string): Event =>
  ({ type: 'conflict', conflict: { clientSeq, id, fields: [] } }) as never;
const letter = (job: number, lane: string): Event =>
  ({
    type: 'job',
    event: { type: 'dead', letter: { job, lane, work: { event: { name: 'e', args: [] } } } },
  }) as never;
const present = (userId: string, mood: string): Event =>
  ({
    type: 'presence',
    room: 'r',
    members: [{ clientId: 'c', userId, state: { mood }, status: 'active', me: false }],
    users: [],
    error: null,
  }) as never;

interface Case {
  readonly use: () => unknown;
  readonly first: Event;
  /** Changes something that is not selected. */
  readonly other: Event;
  /** Changes what is selected. */
  readonly news: Event;
}

const REF = { room: 'r', collection: 'tasks' };
// Each selects by an inline function, and some select a new object each time.
const CASES: Record<string, Case> = {
  useSocketConnection: {
    use: () => useSocketConnection(({ isConnected }) => ({ isConnected })),
    first: connection({ state: 'backoff', attempts: 1 }),
    other: connection({ state: 'backoff', attempts: 2 }),
    news: connection({}),
  },
  useOfflineQueueStatus: {
    use: () => useOfflineQueueStatus(({ count }) => count),
    first: queue({ count: 1, bytes: 1 }),
    other: queue({ count: 1, bytes: 2 }),
    news: queue({ count: 2 }),
  },
  useSyncProgress: {
    use: () => useSyncProgress(({ phase }) => [phase]),
    first: progress({ uploaded: 1 }),
    other: progress({ uploaded: 2 }),
    news: progress({ phase: 'complete' }),
  },
  useSyncHealth: {
    use: () => useSyncHealth(({ level }) => level),
    first: connection({ state: 'backoff', attempts: 1 }),
    other: connection({ state: 'backoff', attempts: 2 }),
    news: connection({ state: 'unauthorized' }),
  },
  useOutcomes: {
    use: () => useOutcomes((outcomes) => outcomes.map(({ clientSeq }) => clientSeq)),
    first: rejected(1, 'a'),
    other: rejected(1, 'b'),
    news: rejected(2, 'c'),
  },
  useConflicts: {
    use: () => useConflicts((conflicts) => conflicts.length),
    first: parked(1, 'a'),
    other: parked(1, 'b'),
    news: parked(2, 'c'),
  },
  useDeadLetters: {
    use: () => useDeadLetters((letters) => letters.map(({ job }) => job)),
    first: letter(1, 'a'),
    other: letter(1, 'b'),
    news: letter(2, 'a'),
  },
  usePresence: {
    use: () => usePresence('r', {}, ({ members }) => members.map(({ userId }) => userId)),
    first: present('ada', 'good'),
    other: present('ada', 'better'),
    news: present('bob', 'good'),
  },
  useCollection: {
    use: () => useCollection(REF, ({ data }) => data.map(({ id }) => id)),
    first: rows(row('a', 1)),
    other: rows(row('a', 2)),
    news: rows(row('b', 1)),
  },
  useDocument: {
    use: () => useDocument({ ...REF, id: 'a' }, ({ data }) => data?.id),
    first: rows(row('a', 1)),
    other: rows(row('a', 2)),
    news: { ...rows(), removed: ['a'] } as Event,
  },
};

it.each(Object.entries(CASES))('renders %s for what it selects, and for nothing else', async (_, each) => {
  const host = new ScriptedHost(({ type }) =>
    type === 'watch' ? { watch: 1, rows: [], count: 0, room: ROOM } : undefined,
  );
  const client = createSyncClient({ url: 'http://127.0.0.1:1', store: 'memory' }, host);
  let renders = 0;
  const useSelected = each.use;
  function Shown() {
    renders += 1;
    return <Text>{JSON.stringify(useSelected())}</Text>;
  }
  await client.open();
  await render(<Shown />, { wrapper: within(client) });
  const tell = (event: Event) =>
    act(async () => {
      await turn();
      host.emit(1, event);
      await turn();
    });
  await tell(each.first);
  const before = renders;
  await tell(each.other);
  expect(renders).toBe(before);
  await tell(each.news);
  expect(renders).toBe(before + 1);
  await client.close();
});

it('never shows two states of one client at once, while React renders concurrently', async () => {
  const host = new ScriptedHost();
  const client = createSyncClient({ url: 'http://127.0.0.1:1', store: 'memory' }, host);
  await client.open();
  const told = (count: number) => {
    host.emit(1, queue({ count }));
  };
  let show: (shown: boolean) => void = () => undefined;
  function Count({ at }: { at: number }) {
    const count = useOfflineQueueStatus((status) => status.count);
    // The queue changes in the middle of a render that React may interrupt.
    if (at === 10 && client.queue.get().count === 1) told(2);
    return <Text>{`count ${count}`}</Text>;
  }
  function Counts() {
    const [shown, setShown] = useState(false);
    show = setShown;
    return shown && Array.from({ length: 20 }, (_, at) => <Count key={at} at={at} />);
  }
  told(1);
  await render(<Counts />, { wrapper: within(client) });
  startTransition(() => {
    show(true);
  });
  await waitFor(() => {
    expect(screen.getAllByText('count 2')).toHaveLength(20);
  });
  expect(screen.queryByText('count 1')).toBeNull();
  await client.close();
});
