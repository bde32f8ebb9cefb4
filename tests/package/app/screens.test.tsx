import { configure, fireEvent, render, screen, waitFor } from '@testing-library/react-native';
import { createSyncClient, type Host, SynclineProvider } from 'expo-syncline';
import { createNodeHost } from 'expo-syncline/node';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { CoreScreen } from './CoreScreen';
import { setUpBackground, type Task, TasksScreen } from './TasksScreen';

// Real files, on a machine that may be busy.
configure({ asyncUtilTimeout: 20_000 });

const REF = { room: 'list:9', collection: 'tasks' };

async function use(host?: Host) {
  const client = createSyncClient({ url: 'http://127.0.0.1:1', autoConnect: false }, host);
  await render(
    <SynclineProvider client={client}>
      <TasksScreen room={REF.room} />
    </SynclineProvider>,
  );
  await fireEvent.press(screen.getByText('Add'));
  await waitFor(() => {
    screen.getByText('Buy milk: 0');
  });
  await fireEvent.press(screen.getByText('Buy milk: 0'));
  await waitFor(() => {
    screen.getByText('Buy milk: 1');
  });
  screen.getByText(/^offline, [1-9] waiting$/);
  return client;
}

it('renders with what jest-expo puts in place of the native module, and no set-up', async () => {
  const client = await use();
  expect(await setUpBackground(client)).toBe(1);
  await client.close();
});

it('renders the small entry', async () => {
  await render(<CoreScreen />);
  await fireEvent.press(screen.getByText('Add'));
  await waitFor(() => {
    screen.getByText('Milk');
  });
});

it('renders with the real core, which keeps what was written', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'syncline-app-'));
  const host = createNodeHost({ directory });
  const client = await use(host);
  await client.close();
  const again = createSyncClient({ url: 'http://127.0.0.1:1', autoConnect: false }, host);
  const shown = again.watch<Task>(REF);
  const stop = shown.subscribe(() => undefined);
  await waitFor(() => {
    expect(shown.get().data).toMatchObject([{ title: 'Buy milk', votes: 1 }]);
  });
  stop();
  await again.close();
  rmSync(directory, { recursive: true, force: true });
});
