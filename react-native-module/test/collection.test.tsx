import { render, renderHook, screen, waitFor } from '@testing-library/react-native';
import { memo } from 'react';
import { Text } from 'react-native';

import { type Document, remove, serverTime, union, unset, useCollection, useDocument } from '../src/index.ts';
import { settled, until } from './support/devices.ts';
import { within } from './support/render.tsx';
import { worldFor } from './support/world.ts';

interface Task {
  title: string;
  done: boolean;
  votes?: number;
}

const world = worldFor('file');

it('lists what another device has written', async () => {
  const { ref, ada, bob } = await world.pair();
  await bob.insert<Task>({ ...ref, id: 'b' }, { title: 'second', done: false });
  await bob.insert<Task>({ ...ref, id: 'a' }, { title: 'first', done: true });
  await settled(bob);

  const { result } = await renderHook(() => useCollection<Task>(ref), { wrapper: within(ada) });
  await waitFor(() => {
    expect(result.current.status).toBe('complete');
  });

  expect(result.current.data).toEqual([
    { id: 'a', title: 'first', done: true },
    { id: 'b', title: 'second', done: false },
  ]);
  expect(result.current.error).toBeNull();
  expect(result.current.pendingIds.size).toBe(0);
});

it('tells an empty collection from one that was never loaded', async () => {
  const { ref } = await world.pair();
  const client = await world.client('ada', [ref.room], { autoConnect: false });
  const { result } = await renderHook(() => useCollection<Task>(ref), { wrapper: within(client) });
  await waitFor(() => {
    expect(client.watchCount).toBe(1);
  });
  expect(result.current).toMatchObject({ status: 'loading', data: [] });

  await client.insert<Task>({ ...ref, id: 'mine' }, { title: 'mine', done: false });
  await waitFor(() => {
    expect(result.current).toMatchObject({ status: 'partial', data: [{ id: 'mine' }] });
  });

  await client.remove({ ...ref, id: 'mine' });
  await client.connect();
  await waitFor(() => {
    expect(result.current).toMatchObject({ status: 'complete', data: [] });
  });
});

it('shows an insert before the server has it, and settles when it does', async () => {
  const { ref, bob } = await world.pair();
  const ada = await world.client('ada', [ref.room], { autoConnect: false });
  const { result } = await renderHook(() => useCollection<Task>(ref), { wrapper: within(ada) });

  let id = '';
  id = await result.current.insert({ title: 'offline', done: false });
  await waitFor(() => {
    expect(result.current.data).toEqual([{ id, title: 'offline', done: false }]);
  });
  expect(result.current.pendingIds).toEqual(new Set([id]));
  expect(ada.connection.get().state).toBe('idle');

  const optimistic = result.current.data[0];
  await ada.connect();
  await waitFor(() => {
    expect(result.current.pendingIds.size).toBe(0);
  });
  expect(result.current.data[0]).toBe(optimistic);
  const seen = await until(bob.watch<Task>(ref), ({ data }) => data.length === 1);
  expect(seen.data).toEqual([{ id, title: 'offline', done: false }]);
});

it('renders only the row that changed', async () => {
  const { ref, ada } = await world.pair();
  for (const id of ['a', 'b', 'c']) await ada.insert<Task>({ ...ref, id }, { title: id, done: false });

  const renders: Record<string, number> = {};
  const TaskRow = memo(function TaskRow({ task }: { task: Document<Task> }) {
    renders[task.id] = (renders[task.id] ?? 0) + 1;
    return <Text>{`${task.title} ${String(task.done)}`}</Text>;
  });
  function List() {
    const { data } = useCollection<Task>(ref);
    return data.map((task) => <TaskRow key={task.id} task={task} />);
  }
  await render(<List />, { wrapper: within(ada) });
  await screen.findByText('c false');
  await settled(ada);
  const before = { ...renders };

  await ada.update<Task>({ ...ref, id: 'b' }, { done: true });
  await screen.findByText('b true');
  await settled(ada);

  expect(renders).toEqual({ a: before['a'], b: (before['b'] ?? 0) + 1, c: before['c'] });
});

it('updates dotted paths, unsets fields and changes arrays', async () => {
  const { ref, ada } = await world.pair();
  const { result } = await renderHook(() => useCollection<Profile>(ref), { wrapper: within(ada) });
  await result.current.insert({ name: { first: 'Ada', last: 'L' }, tags: ['x', 'y'], nick: 'a' }, 'p');
  await result.current.update('p', {
    'name.last': 'Lovelace',
    nick: unset(),
    tags: remove('x'),
    seenAt: serverTime(),
  });
  await result.current.update('p', { tags: union('y', 'z') });
  await settled(ada);

  await waitFor(() => {
    expect(result.current.data).toEqual([
      {
        id: 'p',
        name: { first: 'Ada', last: 'Lovelace' },
        tags: ['y', 'z'],
        seenAt: expect.any(Number) as number,
      },
    ]);
  });
});

interface Profile {
  name: { first: string; last: string };
  tags: string[];
  nick?: string;
  seenAt?: number;
}

it('follows one document, and removes it', async () => {
  const { ref, ada, bob } = await world.pair();
  const { result } = await renderHook(() => useDocument<Task>({ ...ref, id: 't' }), { wrapper: within(ada) });
  await waitFor(() => {
    expect(result.current).toMatchObject({ status: 'complete', data: null });
  });

  await bob.insert<Task>({ ...ref, id: 't' }, { title: 'from bob', done: false });
  await bob.insert<Task>({ ...ref, id: 'other' }, { title: 'not watched', done: false });
  await waitFor(() => {
    expect(result.current.data).toEqual({ id: 't', title: 'from bob', done: false });
  });

  await result.current.update({ done: true });
  await until(bob.watch<Task>({ ...ref, id: 't' }), ({ data }) => data[0]?.done === true);
  await result.current.remove();
  await until(bob.watch<Task>(ref), ({ data }) => data.length === 1 && data[0]?.id === 'other');
  await waitFor(() => {
    expect(result.current).toMatchObject({ data: null, isPending: false });
  });
});

it('adds up the increments of two devices', async () => {
  const { ref, ada, bob } = await world.pair();
  await ada.insert<Task>({ ...ref, id: 't' }, { title: 'vote', done: false, votes: 1 });
  await settled(ada);
  await until(bob.watch<Task>({ ...ref, id: 't' }), ({ data }) => data.length === 1);

  const { result } = await renderHook(() => useDocument<Task>({ ...ref, id: 't' }), { wrapper: within(ada) });
  await Promise.all([
    result.current.increment('votes', 10),
    bob.increment<Task>({ ...ref, id: 't' }, 'votes', 100),
    bob.increment<Task>({ ...ref, id: 't' }, 'votes', -1),
  ]);

  await waitFor(() => {
    expect(result.current).toMatchObject({ data: { votes: 110 }, isPending: false });
  });
  await until(bob.watch<Task>({ ...ref, id: 't' }), ({ data }) => data[0]?.votes === 110);
});

it('keeps writes that were not waited for in their order', async () => {
  const { ref, ada, bob } = await world.pair();
  const written = [ada.insert<Task>({ ...ref, id: 't' }, { title: '0', done: false })];
  const updates = Array.from({ length: 200 }, (_, n) =>
    ada.update<Task>({ ...ref, id: 't' }, { title: `${n + 1}` }),
  );
  await Promise.all([...written, ...updates]);
  await settled(ada);

  const { data } = await until(bob.watch<Task>(ref), ({ data: tasks }) => tasks[0]?.title === '200');
  expect(data).toEqual([{ id: 't', title: '200', done: false }]);
});

it('makes two devices that edit the same document agree', async () => {
  const { ref, ada, bob } = await world.pair();
  const here = await renderHook(() => useCollection<Task>(ref), { wrapper: within(ada) });
  const there = await renderHook(() => useCollection<Task>(ref), { wrapper: within(bob) });
  await here.result.current.insert({ title: 'x', done: false }, 't');
  await waitFor(() => {
    expect(there.result.current.data).toHaveLength(1);
  });

  await Promise.all([
    here.result.current.update('t', { title: 'by ada' }),
    there.result.current.update('t', { done: true }),
  ]);
  await waitFor(() => {
    expect(here.result.current.data).toEqual([{ id: 't', title: 'by ada', done: true }]);
    expect(there.result.current.data).toEqual(here.result.current.data);
  });
});
