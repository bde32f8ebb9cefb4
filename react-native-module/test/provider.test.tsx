import { render, renderHook, screen, waitFor } from '@testing-library/react-native';
import { type ReactNode, StrictMode } from 'react';
import { Text } from 'react-native';

import {
  type SyncClient,
  SynclineProvider,
  type SyncOptions,
  useCollection,
  usePresence,
  useSocketConnection,
  useSyncClient,
} from '../src/index.ts';
import { unique, until } from './support/devices.ts';
import { itOfCore, worldFor } from './support/world.ts';

const world = worldFor('file');

/** Shows the collection, and hands out the client it uses. */
function Tasks({ room, onClient }: { room: string; onClient: (client: SyncClient) => void }) {
  const client = useSyncClient();
  onClient(client);
  const { data, status } = useCollection<{ title: string }>({ room, collection: 'tasks' });
  const { isConnected } = useSocketConnection();
  return (
    <Text>{`${isConnected ? 'online' : 'offline'} ${status} ${data.map(({ title }) => title).join(',')}`}</Text>
  );
}

async function setUp() {
  const room = unique('list');
  const writer = await world.client('bob', [room]);
  await writer.insert({ room, collection: 'tasks' }, { title: 'one' });
  const clients = new Set<SyncClient>();
  const app = (options: SyncOptions) => (
    <SynclineProvider options={options} host={world.devices.host}>
      <Tasks room={room} onClient={(client) => clients.add(client)} />
    </SynclineProvider>
  );
  return { room, app, clients, options: await world.options('ada', [room]) };
}

function only(clients: Set<SyncClient>): SyncClient {
  const [client, ...others] = clients;
  expect(others).toEqual([]);
  if (!client) throw new Error('no client was made');
  return client;
}

itOfCore('makes a client from options, opens it, and closes it after its last provider', async () => {
  const { app, clients, options } = await setUp();
  const name = options.name ?? '';
  const view = await render(app(options));
  await screen.findByText('online complete one');
  expect(await world.devices.openElsewhere(name)).toMatchObject({ error: { code: 'in_use' } });

  await view.unmount();
  await until(only(clients).connection, ({ state }) => state === 'closed');
  // The closing is under way: this waits for its end.
  await only(clients).close();
  expect(await world.devices.openElsewhere(name)).toMatchObject({ ok: {} });
});

it('shows no error when it is mounted again after the client was closed', async () => {
  const room = unique('list');
  const options = await world.options('ada', [room]);
  const clients = new Set<SyncClient>();
  const seen: { status: string; error: unknown }[] = [];
  function Screen() {
    clients.add(useSyncClient());
    const { status, error } = useCollection({ room, collection: 'tasks' });
    const presence = usePresence(room);
    seen.push({ status, error: error ?? presence.error });
    return <Text>{`${status} ${presence.members.length}`}</Text>;
  }
  const app = (
    <SynclineProvider options={options} host={world.devices.host}>
      <Screen />
    </SynclineProvider>
  );
  const view = await render(app);
  await screen.findByText('complete 1');
  await view.unmount();
  await until(only(clients).connection, ({ state }) => state === 'closed');
  // Not until its files are closed, too: by then nothing of the first screen lingers.
  await only(clients).close();

  await render(app);
  await screen.findByText('complete 1');
  only(clients);
  expect(seen.filter(({ status, error }) => status === 'error' || error !== null)).toEqual([]);
});

it('makes one client and one watch under StrictMode', async () => {
  const { app, clients, options } = await setUp();
  const open = jest.spyOn(world.devices.host, 'open');
  await render(<StrictMode>{app(options)}</StrictMode>);
  await screen.findByText('online complete one');

  const client = only(clients);
  expect(open).toHaveBeenCalledTimes(1);
  expect(client.watchCount).toBe(1);
  open.mockRestore();
});

it('keeps the client when the tree is made anew, as by Fast Refresh', async () => {
  const { app, clients, options } = await setUp();
  const open = jest.spyOn(world.devices.host, 'open');
  const view = await render(<Tree key="before">{app(options)}</Tree>);
  await screen.findByText('online complete one');

  // Options written in place are new objects each time.
  await view.rerender(<Tree key="after">{app({ ...options })}</Tree>);
  await screen.findByText('online complete one');
  expect(only(clients).connection.get().state).toBe('open');
  expect(open).toHaveBeenCalledTimes(1);
  open.mockRestore();
});

function Tree({ children }: { children: ReactNode }) {
  return children;
}

it('opens a client anew, with its data, when options change', async () => {
  const { app, clients, options } = await setUp();
  const view = await render(app(options));
  await screen.findByText('online complete one');

  await view.rerender(app({ ...options, autoConnect: false }));
  await screen.findByText('offline complete one');
  const [first, second] = [...clients];
  expect(clients.size).toBe(2);
  expect(first?.connection.get().state).toBe('closed');
  expect(second?.connection.get().state).toBe('idle');
});

it('takes a new token into the client that it has', async () => {
  const { app, clients, options, room } = await setUp();
  const view = await render(app({ ...options, auth: { token: 'stale' } }));
  await waitFor(() => {
    expect(only(clients).connection.get().state).toBe('unauthorized');
  });

  await view.rerender(app({ ...options, auth: { token: await world.server.token('ada', [room]) } }));
  await screen.findByText('online complete one');
  only(clients);
});

it('does not close a client that it was given', async () => {
  const room = unique('list');
  const client = await world.client('ada', [room]);
  const view = await render(
    <SynclineProvider client={client}>
      <Tasks room={room} onClient={() => undefined} />
    </SynclineProvider>,
  );
  await screen.findByText('online complete ');
  await view.unmount();

  await waitFor(() => {
    expect(client.watchCount).toBe(0);
  });
  expect(client.connection.get().state).toBe('open');
});

it('shares one watch among components, and leaves none behind', async () => {
  const ref = { room: unique('list'), collection: 'tasks' };
  const client = await world.client('ada', [ref.room]);
  const wrapper = ({ children }: { children: ReactNode }) => (
    <SynclineProvider client={client}>{children}</SynclineProvider>
  );
  const first = await renderHook(() => useCollection(ref), { wrapper });
  const second = await renderHook(() => [useCollection({ ...ref }), usePresence(ref.room)] as const, {
    wrapper,
  });
  await waitFor(() => {
    expect(second.result.current[0].status).toBe('complete');
  });
  expect(client.watchCount).toBe(1);
  expect(second.result.current[0].data).toBe(first.result.current.data);

  await first.unmount();
  expect(client.watchCount).toBe(1);
  await second.unmount();
  await waitFor(() => {
    expect(client.watchCount).toBe(0);
  });
});

it('follows a hook to another collection', async () => {
  const room = unique('list');
  const client = await world.client('ada', [room]);
  await client.insert({ room, collection: 'tasks', id: 't' }, { title: 'task' });
  await client.insert({ room, collection: 'notes', id: 'n' }, { title: 'note' });
  const { result, rerender } = await renderHook(
    ({ collection }: { collection: string }) => useCollection({ room, collection }),
    {
      initialProps: { collection: 'tasks' },
      wrapper: ({ children }: { children: ReactNode }) => (
        <SynclineProvider client={client}>{children}</SynclineProvider>
      ),
    },
  );
  await waitFor(() => {
    expect(result.current.data.map(({ id }) => id)).toEqual(['t']);
  });
  await rerender({ collection: 'notes' });
  await waitFor(() => {
    expect(result.current.data.map(({ id }) => id)).toEqual(['n']);
    expect(client.watchCount).toBe(1);
  });
});
