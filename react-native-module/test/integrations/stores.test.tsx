import { act, renderHook, waitFor } from '@testing-library/react-native';
import { atom, createStore as createJotai, Provider as JotaiProvider, useAtomValue } from 'jotai';
import { autorun } from 'mobx';
import { useStore } from 'zustand';

import { collectionAtom, documentAtom, observableAtom, rowAtom } from '../../src/jotai.ts';
import { follow, ObservableCollection } from '../../src/mobx.ts';
import { createCollectionStore, createDocumentStore, createSyncStore } from '../../src/zustand.ts';
import { settled } from '../support/devices.ts';
import { worldFor } from '../support/world.ts';

interface Task {
  title: string;
  done: boolean;
}

const world = worldFor('file');

/** Two devices, and two tasks that one of them has written. */
async function pair() {
  const { ref, ada, bob } = await world.pair();
  await bob.insert<Task>({ ...ref, id: 'a' }, { title: 'one', done: false });
  await bob.insert<Task>({ ...ref, id: 'b' }, { title: 'two', done: false });
  await settled(bob);
  return { ref, ada, bob };
}

describe('Zustand', () => {
  it('has the documents in a store while somebody subscribes, and the ways to change them', async () => {
    const { ref, ada, bob } = await pair();
    const store = createCollectionStore<Task>(ada, { ...ref, orderBy: [{ path: 'title' }] });
    expect(ada.watchCount).toBe(0);
    let renders = 0;
    const view = await renderHook(() => {
      renders += 1;
      return useStore(store, ({ data }) => data.find(({ id }) => id === 'a'));
    });
    await waitFor(() => {
      expect(view.result.current).toEqual({ id: 'a', title: 'one', done: false });
    });
    const before = renders;
    await bob.update<Task>({ ...ref, id: 'b' }, { title: 'three' });
    await waitFor(() => {
      expect(store.getState().data.map(({ title }) => title)).toEqual(['one', 'three']);
    });
    expect(renders).toBe(before);

    await store.getState().update('a', { done: true });
    await waitFor(() => {
      expect(view.result.current?.done).toBe(true);
    });
    await view.unmount();
    await waitFor(() => {
      expect(ada.watchCount).toBe(0);
    });
  });

  it('has one document, the connection and the queue', async () => {
    const { ref, ada } = await pair();
    const document = createDocumentStore<Task>(ada, { ...ref, id: 'a' });
    const sync = createSyncStore(ada);
    const ends = [document.subscribe(() => undefined), sync.subscribe(() => undefined)];
    await waitFor(() => {
      expect(document.getState()).toMatchObject({ data: { title: 'one' }, isPending: false });
      expect(sync.getState()).toMatchObject({ connection: { state: 'open' }, queue: { count: 0 } });
    });
    await document.getState().remove();
    await waitFor(() => {
      expect(document.getState().data).toBeNull();
    });
    for (const end of ends) end();
  });
});

describe('MobX', () => {
  it('runs a reaction for one document only when that document changes', async () => {
    const { ref, ada, bob } = await pair();
    const tasks = new ObservableCollection<Task>(ada, { ...ref, orderBy: [{ path: 'title' }] });
    expect(tasks.data).toEqual([]);
    const rows: (string | undefined)[] = [];
    const lists: string[] = [];
    const endRow = autorun(() => rows.push(tasks.get('a')?.title));
    const endList = autorun(() => lists.push(tasks.data.map(({ title }) => title).join()));
    await waitFor(() => {
      expect(lists.at(-1)).toBe('one,two');
    });
    await bob.update<Task>({ ...ref, id: 'b' }, { title: 'three' });
    await waitFor(() => {
      expect(lists.at(-1)).toBe('one,three');
    });
    expect(rows).toEqual([undefined, 'one']);

    await tasks.actions.update('a', { title: 'zero' });
    await waitFor(() => {
      expect(rows).toEqual([undefined, 'one', 'zero']);
      expect(tasks).toMatchObject({ status: 'complete', count: 2, error: null });
    });
    endRow();
    endList();
    await waitFor(() => {
      expect(ada.watchCount).toBe(0);
    });
  });

  it('follows the connection while a reaction reads it', async () => {
    const { ada } = await pair();
    const connection = follow(ada.connection);
    const states: string[] = [];
    const end = autorun(() => states.push(connection.current.state));
    await ada.connect();
    await waitFor(() => {
      expect(states.at(-1)).toBe('open');
    });
    await ada.disconnect();
    await waitFor(() => {
      expect(states.at(-1)).toBe('idle');
    });
    end();
    const count = states.length;
    await ada.connect();
    expect(states).toHaveLength(count);
  });
});

describe('Jotai', () => {
  it('has the documents in an atom while it is mounted, and renders a row only when it changes', async () => {
    const { ref, ada, bob } = await pair();
    const store = createJotai();
    const tasks = collectionAtom<Task>(ada, { ...ref, orderBy: [{ path: 'title' }] });
    const titles = atom((get) =>
      get(tasks)
        .data.map(({ title }) => title)
        .join(),
    );
    const row = rowAtom(tasks, 'a');
    let rows = 0;
    const wrapper = ({ children }: { children: React.ReactNode }) => (
      <JotaiProvider store={store}>{children}</JotaiProvider>
    );
    const list = await renderHook(() => useAtomValue(titles), { wrapper });
    const one = await renderHook(
      () => {
        rows += 1;
        return useAtomValue(row);
      },
      { wrapper },
    );
    await waitFor(() => {
      expect(list.result.current).toBe('one,two');
      expect(one.result.current?.title).toBe('one');
    });
    const before = rows;
    await bob.update<Task>({ ...ref, id: 'b' }, { title: 'three' });
    await waitFor(() => {
      expect(list.result.current).toBe('one,three');
    });
    expect(rows).toBe(before);

    await act(() => store.set(tasks, ({ insert }) => insert({ title: 'four', done: false }, 'c')));
    await waitFor(() => {
      expect(list.result.current).toBe('four,one,three');
    });
    await list.unmount();
    await one.unmount();
    await waitFor(() => {
      expect(ada.watchCount).toBe(0);
    });
  });

  it('has one document, and whatever else the client offers to observe', async () => {
    const { ref, ada } = await pair();
    const store = createJotai();
    const task = documentAtom<Task>(ada, { ...ref, id: 'a' });
    const connection = observableAtom(ada.connection);
    const ends = [store.sub(task, () => undefined), store.sub(connection, () => undefined)];
    await waitFor(() => {
      expect(store.get(task).data?.title).toBe('one');
      expect(store.get(connection).state).toBe('open');
    });
    await store.set(task, ({ update }) => update({ title: 'other' }));
    await waitFor(() => {
      expect(store.get(task).data?.title).toBe('other');
    });
    for (const end of ends) end();
  });
});
