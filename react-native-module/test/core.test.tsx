import { act, renderHook, waitFor } from '@testing-library/react-native';
import type { ReactNode } from 'react';

import {
  createSyncClient,
  SynclineProvider,
  useCollection,
  useSyncClient,
  useSyncHealth,
} from '../src/core.tsx';
import { SynclineProvider as WholeProvider, useOfflineQueue } from '../src/index.ts';
import { settled, unique } from './support/devices.ts';
import { worldFor } from './support/world.ts';

const world = worldFor('file');

it('keeps documents in sync through hooks, with a client that is for nothing else', async () => {
  const room = unique('list');
  const ref = { room, collection: 'tasks' };
  const bob = await world.client('bob', [room]);
  const options = await world.options('ada', [room]);
  const { host } = world.devices;
  const wrapper = ({ children }: { children: ReactNode }) => (
    <SynclineProvider options={options} host={host}>
      {children}
    </SynclineProvider>
  );
  const { result, unmount } = await renderHook(
    () => ({
      client: useSyncClient(),
      tasks: useCollection<{ title: string }>(ref),
      health: useSyncHealth(),
    }),
    { wrapper },
  );
  await act(async () => {
    await result.current.tasks.insert({ title: 'x' }, 'a');
  });
  await bob.insert({ ...ref, id: 'b' }, { title: 'y' });
  await waitFor(() => {
    expect(result.current.tasks.data.map(({ title }) => title)).toEqual(['x', 'y']);
    expect(result.current.health.level).toBe('healthy');
  });
  expect(result.current.client).not.toHaveProperty('queue');
  await settled(bob);
  await unmount();
});

it('takes a whole client as well, and a hook that needs one says so', async () => {
  const whole = await world.client('ada', [unique('list')]);
  const small = createSyncClient(await world.options('ada', [unique('list')]), world.devices.host);
  const under =
    (provider: (children: ReactNode) => ReactNode) =>
    ({ children }: { children: ReactNode }) =>
      provider(children);

  const shown = await renderHook(() => useSyncHealth(({ waiting }) => waiting), {
    wrapper: under((children) => <SynclineProvider client={whole}>{children}</SynclineProvider>),
  });
  expect(shown.result.current).toBe(0);

  // Untyped, as in JavaScript.
  const client = small as never;
  const wrapper = under((children) => <WholeProvider client={client}>{children}</WholeProvider>);
  await expect(renderHook(() => useOfflineQueue(), { wrapper })).rejects.toThrow('expo-syncline/core');
});
