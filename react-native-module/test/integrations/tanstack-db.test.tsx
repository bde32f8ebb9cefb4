import { createCollection, eq, useLiveQuery } from '@tanstack/react-db';
import { renderHook, waitFor } from '@testing-library/react-native';

import { synclineCollectionOptions } from '../../src/tanstack-db.ts';
import { settled, until } from '../support/devices.ts';
import { worldFor } from '../support/world.ts';

interface Task {
  title: string;
  done: boolean;
  note?: string;
}

const world = worldFor('file');

async function pair() {
  const { ref, ada, bob } = await world.pair();
  await bob.insert<Task>({ ...ref, id: 'a' }, { title: 'one', done: false });
  await bob.insert<Task>({ ...ref, id: 'b' }, { title: 'two', done: true });
  await settled(bob);
  return { ref, ada, bob };
}

it('answers live queries with what other devices write', async () => {
  const { ref, ada, bob } = await pair();
  const tasks = createCollection(synclineCollectionOptions<Task>(ada, ref));
  const { result } = await renderHook(() =>
    useLiveQuery((query) => query.from({ task: tasks }).where(({ task }) => eq(task.done, false))),
  );
  await waitFor(() => {
    expect(result.current.data.map(({ title }) => title)).toEqual(['one']);
  });
  await bob.update<Task>({ ...ref, id: 'b' }, { done: false });
  await waitFor(() => {
    expect(result.current.data.map(({ title }) => title).sort()).toEqual(['one', 'two']);
  });
  await bob.remove({ ...ref, id: 'a' });
  await waitFor(() => {
    expect(result.current.data.map(({ title }) => title)).toEqual(['two']);
  });
});

it('shows writes at once, keeps them on disk, and sends them', async () => {
  const { ref, ada, bob } = await pair();
  const tasks = createCollection(synclineCollectionOptions<Task>(ada, ref));
  await tasks.preload();
  const changes: string[] = [];
  tasks.subscribeChanges((messages) => changes.push(...messages.map(({ type, key }) => `${type} ${key}`)), {
    includeInitialState: true,
  });

  const inserted = tasks.insert({ id: 'c', title: 'three', done: false, note: 'x' });
  expect(tasks.get('c')).toMatchObject({ title: 'three' });
  await inserted.when('settled');
  await tasks
    .update('c', (task) => {
      (task as { done: boolean }).done = true;
      delete (task as { note?: string }).note;
    })
    .when('settled');
  await tasks.delete('a').when('settled');
  expect([...tasks.keys()].sort()).toEqual(['b', 'c']);
  expect(tasks.get('c')).toMatchObject({ id: 'c', title: 'three', done: true });
  expect(tasks.get('c')).not.toHaveProperty('note');

  await settled(ada);
  const seen = await until(bob.watch<Task>(ref), ({ data }) => data.length === 2 && data[1]?.id === 'c');
  expect(seen.data[1]).toEqual({ id: 'c', title: 'three', done: true });
  // Neither came nor went a second time when the core told of what was shown already.
  expect(changes.filter((change) => change === 'insert c')).toHaveLength(1);
  expect(changes.filter((change) => change === 'delete a')).toHaveLength(1);
  await tasks.cleanup();
  await waitFor(() => {
    expect(ada.watchCount).toBe(0);
  });
});

it('takes back what the core refuses', async () => {
  const { ref, ada } = await pair();
  const tasks = createCollection(synclineCollectionOptions<Task>(ada, ref));
  await tasks.preload();
  const refused = tasks.insert({ id: 'big', title: 'x'.repeat(2 << 20), done: false });
  expect(tasks.has('big')).toBe(true);
  await expect(refused.when('settled')).rejects.toMatchObject({ code: 'too_large' });
  expect(tasks.has('big')).toBe(false);
  await tasks.cleanup();
});
