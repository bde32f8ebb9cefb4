import { render, renderHook, screen, waitFor } from '@testing-library/react-native';
import { Suspense } from 'react';
import { Text } from 'react-native';
import { renderToString } from 'react-dom/server';

import {
  type CollectionRef,
  type Host,
  type SyncClient,
  SynclineProvider,
  useInfiniteCollection,
  useSuspenseCollection,
  useSuspenseDocument,
} from '../src/index.ts';
import { settled, unique } from './support/devices.ts';
import { strictlyWithin } from './support/render.tsx';
import { worldFor } from './support/world.ts';

interface Note {
  rank: number;
}

const world = worldFor('file');

async function notes(count: number): Promise<{ ref: CollectionRef; ada: SyncClient; bob: SyncClient }> {
  const room = unique('list');
  const ref = { room, collection: 'notes' };
  const bob = await world.client('bob', [room]);
  for (let rank = 1; rank <= count; rank += 1) {
    await bob.insert<Note>({ ...ref, id: `n${rank}` }, { rank: rank * 10 });
  }
  await settled(bob);
  return { ref, bob, ada: await world.client('ada', [room]) };
}

it('shows page after page as one live list', async () => {
  const { ref, ada, bob } = await notes(5);
  const shown: number[] = [];
  const { result } = await renderHook(
    () => {
      const pages = useInfiniteCollection<Note>({ ...ref, orderBy: [{ path: 'rank' }], pageSize: 2 });
      shown.push(pages.data.length);
      return pages;
    },
    { wrapper: strictlyWithin(ada) },
  );
  const ranks = () => result.current.data.map(({ rank }) => rank);
  await waitFor(() => {
    expect(result.current).toMatchObject({ status: 'complete', hasMore: true, isLoadingMore: false });
    expect(ranks()).toEqual([10, 20]);
  });
  const [first] = result.current.data;

  result.current.loadMore();
  await waitFor(() => {
    expect(ranks()).toEqual([10, 20, 30, 40]);
  });
  expect(result.current.data[0]).toBe(first);
  // The first page stayed while the second was on its way.
  expect(shown.slice(shown.indexOf(2))).not.toContain(0);

  // One that moves from the last page to the first is there once.
  await bob.update<Note>({ ...ref, id: 'n5' }, { rank: 1 });
  await waitFor(() => {
    expect(ranks()).toEqual([1, 10, 20, 30]);
  });
  result.current.loadMore();
  await waitFor(() => {
    expect(ranks()).toEqual([1, 10, 20, 30, 40]);
  });
  expect(result.current).toMatchObject({ hasMore: false, count: 5 });
  result.current.loadMore();
  expect(ada.watchCount).toBe(1);
});

function Notes({ of }: { of: CollectionRef }) {
  const { data } = useSuspenseCollection<Note>({ ...of, orderBy: [{ path: 'rank' }] });
  const { data: first } = useSuspenseDocument<Note>({ ...of, id: 'n1' });
  return <Text>{`${data.map(({ rank }) => rank).join(',')} first ${first?.rank ?? 'none'}`}</Text>;
}

it('suspends until there is something to show, and is live from then on', async () => {
  const { ref, ada, bob } = await notes(2);
  await render(
    <Suspense fallback={<Text>waiting</Text>}>
      <Notes of={ref} />
    </Suspense>,
    { wrapper: strictlyWithin(ada) },
  );
  await screen.findByText('10,20 first 10');
  await bob.update<Note>({ ...ref, id: 'n1' }, { rank: 15 });
  await screen.findByText('15,20 first 15');
});

it('suspends before it was ever connected, and wakes by a write of its own', async () => {
  const room = unique('list');
  const ref = { room, collection: 'notes' };
  const ada = await world.client('ada', [room], { autoConnect: false });
  await render(
    <Suspense fallback={<Text>waiting</Text>}>
      <Notes of={ref} />
    </Suspense>,
    { wrapper: strictlyWithin(ada) },
  );
  screen.getByText('waiting');
  await ada.insert<Note>({ ...ref, id: 'n1' }, { rank: 1 });
  await screen.findByText('1 first 1');
});

it('leaves it to the device where a server renders', () => {
  const host = new Proxy({} as Host, {
    get(_, member) {
      throw new Error(`${String(member)} was used while rendering on a server`);
    },
  });
  const html = renderToString(
    <SynclineProvider options={{ url: 'https://sync.example.com' }} host={host}>
      <Suspense fallback="waiting">
        <Notes of={{ room: 'list:1', collection: 'notes' }} />
      </Suspense>
    </SynclineProvider>,
  );
  expect(html).toContain('waiting');
});
