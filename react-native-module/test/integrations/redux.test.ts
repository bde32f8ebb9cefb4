import { configureStore, createAction, createListenerMiddleware } from '@reduxjs/toolkit';

import type { CollectionRef, Observable, SyncClient } from '../../src/index.ts';
import { createCollectionSlice, listenToEvents, listenToSync, syncReducer } from '../../src/redux.ts';
import { settled, unique, until } from '../support/devices.ts';
import { worldFor } from '../support/world.ts';

interface Task {
  title: string;
  done: boolean;
}

const world = worldFor('file');

function storeOf(client: SyncClient, ref: CollectionRef) {
  const tasks = createCollectionSlice<Task, 'tasks'>('tasks', { ...ref, orderBy: [{ path: 'title' }] });
  const listener = createListenerMiddleware();
  const noted = createAction<unknown[]>('noted');
  const store = configureStore({
    reducer: {
      tasks: tasks.reducer,
      sync: syncReducer,
      notes: (notes: unknown[] = [], action) => (noted.match(action) ? [...notes, action.payload] : notes),
    },
    middleware: (defaults) => defaults().prepend(listener.middleware),
  });
  const ends = [
    tasks.listen(client, listener, store.dispatch),
    listenToSync(client, store.dispatch),
    listenToEvents(client, store.dispatch, { 'presence:*': (...args) => noted(args) }),
  ];
  const titles: Observable<string> = {
    get: () =>
      tasks
        .selectAll(store.getState().tasks)
        .map(({ title }) => title)
        .join(),
    subscribe: (listen) => store.subscribe(listen),
  };
  const end = () => {
    for (const one of ends) one();
  };
  return { store, tasks, titles, end };
}

it('shows a write in the same turn, has it carried out, and takes what others write', async () => {
  const { ref, ada, bob } = await world.pair();
  await bob.insert<Task>({ ...ref, id: 'a' }, { title: 'one', done: false });
  const { store, tasks, titles, end } = storeOf(ada, ref);
  await until(titles, (text) => text === 'one');

  store.dispatch(tasks.actions.insert({ title: 'two', done: false }, 'b'));
  expect(titles.get()).toBe('one,two');
  store.dispatch(tasks.actions.update('a', { title: 'zero' }));
  expect(titles.get()).toBe('zero,two');
  await until(titles, () => store.getState().tasks.drafts.length === 0);
  // In the order of the query, now that the core shows it.
  expect(titles.get()).toBe('two,zero');
  await settled(ada);
  await until(bob.watch<Task>(ref), ({ data }) => data.map(({ title }) => title).join() === 'zero,two');

  store.dispatch(tasks.actions.remove('b'));
  expect(titles.get()).toBe('zero');
  await until(titles, () => store.getState().tasks.rows.length === 1);
  expect(store.getState().sync).toMatchObject({ connection: { state: 'open' } });
  end();
});

it('takes back a write alone that the core refuses, and says why', async () => {
  const room = unique('list');
  const ref = { room, collection: 'tasks' };
  const ada = await world.client('ada', [room], { autoConnect: false });
  const { store, tasks, titles, end } = storeOf(ada, ref);
  store.dispatch(tasks.actions.insert({ title: 'x'.repeat(2 << 20), done: false }, 'big'));
  store.dispatch(tasks.actions.insert({ title: 'small', done: false }, 'small'));
  expect(tasks.selectAll(store.getState().tasks)).toHaveLength(2);
  await until(titles, () => store.getState().tasks.drafts.length === 0);
  expect(titles.get()).toBe('small');
  expect(store.getState().tasks.rows.map(({ id }) => id)).toEqual(['small']);

  // Rows that change do not take the reason away.
  await ada.update({ ...ref, id: 'small' }, { title: 'smaller' });
  await until(titles, (text) => text === 'smaller');
  expect(store.getState().tasks).toMatchObject({ error: { code: 'too_large' }, rowsError: null });
  store.dispatch(tasks.actions.clearError());
  expect(store.getState().tasks).toMatchObject({ error: null, writeError: null });
  store.dispatch(tasks.actions.insert({ title: 'x'.repeat(2 << 20), done: false }, 'big'));
  await until(titles, () => store.getState().tasks.error !== null);
  store.dispatch(tasks.actions.update('small', { done: true }));
  expect(store.getState().tasks.error).toBeNull();
  end();
});
