import { render, screen } from '@testing-library/react-native';
import { Text } from 'react-native';

import {
  createSyncClient,
  type SyncClient,
  SynclineProvider,
  type SyncOptions,
  useSocketConnection,
  useSyncClient,
} from '../src/index.ts';
import { until } from './support/devices.ts';
import { ScriptedHost, turn } from './support/scripted-host.ts';
import { worldFor } from './support/world.ts';

const world = worldFor('file');

function Account({ onClient }: { onClient: (client: SyncClient) => void }) {
  onClient(useSyncClient());
  const { state, userId } = useSocketConnection();
  return <Text>{`${state} ${userId ?? 'nobody'}`}</Text>;
}

async function setUp() {
  const { url, name = '' } = await world.options('ada', []);
  const seen: SyncClient[] = [];
  const app = (auth: SyncOptions['auth']) => (
    <SynclineProvider options={auth ? { url, name, auth } : { url, name }} host={world.devices.host}>
      <Account onClient={(client) => seen.push(client)} />
    </SynclineProvider>
  );
  const last = () => {
    const client = seen.at(-1);
    if (!client) throw new Error('no client was made');
    return client;
  };
  return { app, last };
}

const tokenOf = (user: string) => world.server.token(user, []);

it('asks for a token anew when somebody else logs in after the client was closed', async () => {
  const { app, last } = await setUp();
  const view = await render(app({ getToken: () => tokenOf('ada') }));
  await screen.findByText('open ada');
  await view.unmount();
  await until(last().connection, ({ state }) => state === 'closed');

  await render(app({ getToken: () => tokenOf('bob') }));
  await screen.findByText('open bob');
});

it('does not open again with the token of options that are gone', async () => {
  const { app, last } = await setUp();
  const view = await render(app({ token: await tokenOf('ada') }));
  await screen.findByText('open ada');
  await view.unmount();
  await until(last().connection, ({ state }) => state === 'closed');

  await render(app({ getToken: () => tokenOf('bob') }));
  await screen.findByText('open bob');
});

it('signs out when auth is taken out of the options, and in when it is back', async () => {
  const { app } = await setUp();
  const view = await render(app({ token: await tokenOf('ada') }));
  await screen.findByText('open ada');

  await view.rerender(app(undefined));
  await screen.findByText(/^unauthorized/);

  await view.rerender(app({ getToken: () => tokenOf('bob') }));
  await screen.findByText('open bob');
});

it('keeps a token that was set by hand while auth was never given', async () => {
  const { app, last } = await setUp();
  const view = await render(app(undefined));
  await screen.findByText('unauthorized nobody');
  await last().setToken(await tokenOf('ada'));
  await screen.findByText('open ada');

  await view.rerender(app(undefined));
  expect(last().connection.get().state).toBe('open');
});

it('opens again with a fixed token, and without a fetched one', async () => {
  const host = new ScriptedHost();
  const options = { url: 'http://127.0.0.1:1', store: 'memory' } as const;
  const fixed = createSyncClient({ ...options, auth: { token: 'mine' } }, host);
  const fetching = createSyncClient({ ...options, auth: { getToken: () => 'fetched' } }, host);
  for (const client of [fixed, fetching]) {
    await client.connect();
    await client.close();
    await client.open();
  }
  await turn();
  expect(host.configs.map(({ token }) => token)).toEqual(['mine', 'mine', 'fetched', undefined]);
});
