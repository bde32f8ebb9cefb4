// What the pages tell, run as it stands there, over the real core.
import { fireEvent, render, renderHook, screen, waitFor } from '@testing-library/react-native';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import type { ComponentType, ReactNode } from 'react';

import { increment, type SyncClient, SynclineProvider, type SyncOptions } from '../../src/index.ts';
import { Backend } from '../support/backend.ts';
import { settled, unique, until } from '../support/devices.ts';
import { within } from '../support/render.tsx';
import { worldFor } from '../support/world.ts';
import { blocksOf, modulesOf } from './blocks.ts';
import { REPOSITORY } from './others.ts';
import { exported } from './run.ts';

const world = worldFor('file');
let backends: Backend[] = [];

async function backendThat(answer: (path: string) => number): Promise<Backend> {
  const backend = await Backend.start(({ path }) => ({ status: answer(path) }));
  backends.push(backend);
  return backend;
}

afterEach(async () => {
  jest.restoreAllMocks();
  await Promise.all(backends.map((backend) => backend.stop()));
  backends = [];
});

function page(file: string): string {
  return readFileSync(join(REPOSITORY, 'docs', file), 'utf8');
}

function fromPage(file: string, name: string): unknown {
  return exported(modulesOf(blocksOf(page(file))), name);
}

/** Jest has no network for the `fetch` of phones: the same request, by Node. */
const fetchOfNode: typeof fetch = async (url, { method, headers, body } = {}) => {
  const sent = request(url as string, { method, headers: { ...(headers as Record<string, string>) } });
  sent.end(body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  const text = Buffer.concat(await response.toArray()).toString();
  const { statusCode: status } = response;
  return { ok: status === 200, status, json: () => JSON.parse(text) as unknown } as unknown as Response;
};

/** The provider, with the core in this process. */
function OnNode({ options, children }: { options: SyncOptions; children: ReactNode }) {
  return (
    <SynclineProvider options={options} host={world.devices.host}>
      {children}
    </SynclineProvider>
  );
}

/** Renders a component of a page on a device. */
async function show<Props extends object>(client: SyncClient, file: string, name: string, props: Props) {
  const Component = fromPage(file, name) as ComponentType<Props>;
  await render(<Component {...props} />, { wrapper: within(client) });
}

it('getting started: the first screen works against a server for development, as it is told', async () => {
  const text = page('getting-started.md').replaceAll('http://127.0.0.1:4800', world.server.url);
  const App = exported(modulesOf(blocksOf(text)), 'App', { SynclineProvider: OnNode }) as ComponentType;
  const bob = await world.client('bob', ['list:groceries']);
  const items = bob.watch<{ title: string; done: boolean }>({ room: 'list:groceries', collection: 'items' });
  jest.spyOn(globalThis, 'fetch').mockImplementation(fetchOfNode);
  const view = await render(<App />);
  await fireEvent.press(await screen.findByText('Add milk'));
  await until(items, ({ data }) => data.length === 1);
  await fireEvent.press(await screen.findByText(/○ Milk/));
  await screen.findByText(/✓ Milk/);
  await until(items, ({ data }) => data[0]?.done === true);
  await view.unmount();
});

it('chat: a message shows at once, is confirmed, and reaches the others with the time of the server', async () => {
  const room = unique('chat');
  const ada = await world.client('ada', [room]);
  const bob = await world.client('bob', [room]);
  const messages = bob.watch<{ text: string; acceptedAt?: number }>({ room, collection: 'messages' });
  await show(ada, 'recipes/chat.md', 'Chat', { room, me: 'Ada' });
  const input = await screen.findByDisplayValue('');
  await fireEvent.changeText(input, 'Hello');
  await fireEvent(input, 'submitEditing');
  await screen.findByText('Ada: Hello ✓');
  await screen.findByText('1 here');
  const { data } = await until(messages, ({ data: shown }) => shown.length === 1);
  expect(data[0]).toMatchObject({ text: 'Hello', acceptedAt: expect.any(Number) as number });
});

it('chat: what is unread is counted, and read once it was shown', async () => {
  const room = unique('chat');
  const ada = await world.client('ada', [room]);
  await ada.insert({ room, collection: 'messages' }, { text: 'one', sentAt: 10 });
  await ada.insert({ room, collection: 'messages' }, { text: 'two', sentAt: 20 });
  const useUnread = fromPage('recipes/chat.md', 'useUnread') as (...args: [string, string, number]) => number;
  const { result, rerender } = await renderHook(
    ({ newest }: { newest: number }) => useUnread(room, 'ada', newest),
    {
      wrapper: within(ada),
      initialProps: { newest: 0 },
    },
  );
  await waitFor(() => {
    expect(result.current).toBe(2);
  });
  for (const [newest, unread] of [
    [10, 1],
    [20, 0],
  ] as const) {
    await rerender({ newest });
    await waitFor(() => {
      expect(result.current).toBe(unread);
    });
  }
});

it('counters: what two devices add while they are offline adds up', async () => {
  const ref = { room: 'user:ada', collection: 'stats', id: 'ada' };
  const phone = await world.client('ada', []);
  const tablet = await world.client('ada', []);
  await phone.insert(ref, { xp: 100, hearts: 5, streak: 0 });
  await settled(phone);
  await until(tablet.watch(ref), ({ data }) => data.length === 1);
  await tablet.disconnect();
  await tablet.update(ref, { xp: increment(10) });
  await phone.disconnect();
  await show(phone, 'recipes/counters.md', 'Game', { userId: 'ada' });
  await screen.findByText('100 XP');
  await fireEvent.press(screen.getByText('Right'));
  await screen.findByText('110 XP');
  await tablet.connect();
  await phone.connect();
  await screen.findByText('120 XP');
});

it('offline mutations: a like is shown, sent, and taken back when it is refused', async () => {
  const backend = await backendThat((path) => (path.includes('bad') ? 422 : 200));
  const ada = await world.client('ada', [], { apiUrl: backend.url });
  await show(ada, 'recipes/offline-mutations.md', 'LikeButton', { id: 'good' });
  await fireEvent.press(screen.getByText('Like'));
  await screen.findByText('Liked');
  await waitFor(() => {
    expect(backend.asked).toMatchObject([{ path: '/api/activities/good/like', body: 'good' }]);
  });

  await show(ada, 'recipes/offline-mutations.md', 'LikeButton', { id: 'bad' });
  await fireEvent.press(screen.getByText('Like'));
  await screen.findByText('Not sent. Try again?');
  await screen.findByText('Like');
});

it('the queue: a dead letter is tried again, or forgotten', async () => {
  let status = 422;
  const backend = await backendThat(() => status);
  const ada = await world.client('ada', [], { apiUrl: backend.url });
  await ada.queue.add({ endpoint: '/orders', data: 1 }, { lane: 'orders' });
  await ada.queue.add({ endpoint: '/mails', data: 2 }, { lane: 'mails' });
  await show(ada, 'queue.md', 'NotSent', {});
  await waitFor(() => {
    expect(screen.getAllByText('Try again')).toHaveLength(2);
  });
  status = 200;
  const [again] = screen.getAllByText('Try again');
  if (again) await fireEvent.press(again);
  await waitFor(() => {
    expect(screen.getAllByText('Forget it')).toHaveLength(1);
  });
  await fireEvent.press(screen.getByText('Forget it'));
  await waitFor(() => {
    expect(screen.queryByText('Forget it')).toBeNull();
  });
  await until(ada.queue, ({ count, deadLetters }) => count + deadLetters === 0);
  expect(backend.asked).toHaveLength(3);
});

it('conflicts: the user keeps their own', async () => {
  const ref = { room: unique('list'), collection: 'drafts', id: 'a' };
  const collections = { drafts: { conflict: 'manual' } } as const;
  const ada = await world.client('ada', [ref.room]);
  const bob = await world.client('bob', [ref.room], { collections });
  await ada.insert(ref, { title: 'first' });
  await until(bob.watch(ref), ({ data }) => data.length === 1);
  await bob.disconnect();
  await ada.update(ref, { title: "Ada's" });
  await ada.flush();
  await bob.update(ref, { title: "Bob's" });
  await show(bob, 'conflicts.md', 'Conflicts', {});
  await bob.connect();
  await screen.findByText('Somebody else changed title');
  await fireEvent.press(screen.getByText('Keep mine'));
  await until(ada.watch<{ title: string }>(ref), ({ data }) => data[0]?.title === "Bob's");
  // The answer to one and the news to another come in any order.
  expect(await until(bob.conflicts, (parked) => parked.length === 0)).toEqual([]);
});

it('migration: an old queue is carried over once, in order', async () => {
  const ada = await world.client('ada', [], { settings: { jobAuto: false } });
  const entries = ['a', 'b'].map((id) => ({ id, endpoint: `/${id}`, method: 'POST', data: { id } }));
  let kept: string | null = JSON.stringify(entries);
  const storage = {
    getItem: () => Promise.resolve(kept),
    removeItem: () => {
      kept = null;
      return Promise.resolve();
    },
  };
  const carryOver = fromPage('migration.md', 'carryOver') as (...args: [SyncClient, object]) => Promise<void>;
  await carryOver(ada, storage);
  expect(kept).toBeNull();
  // As after a crash before the old queue was deleted.
  kept = JSON.stringify(entries);
  await carryOver(ada, storage);
  const jobs = await ada.queue.list();
  expect(jobs.map(({ work }) => work)).toMatchObject([
    { request: { url: '/a' } },
    { request: { url: '/b' } },
  ]);
});
