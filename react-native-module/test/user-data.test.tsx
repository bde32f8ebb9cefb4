import { renderHook, waitFor } from '@testing-library/react-native';
import { type ReactNode } from 'react';

import { SynclineProvider, UserDataProvider, useUserData, useUserDataSync } from '../src/index.ts';
import { settled, unique } from './support/devices.ts';
import { strictlyWithin } from './support/render.tsx';
import { worldFor } from './support/world.ts';

const world = worldFor('file');

it('adds deltas and sets absolute values, on every device of the user', async () => {
  const user = unique('ada');
  const phone = await world.client(user, []);
  const tablet = await world.client(user, []);
  const onPhone = await renderHook(() => useUserDataSync(user), { wrapper: strictlyWithin(phone) });
  const onTablet = await renderHook(() => useUserDataSync(user), { wrapper: strictlyWithin(tablet) });
  expect(onPhone.result.current).toMatchObject({ loading: true, userData: null, error: null });

  await waitFor(() => {
    expect(onTablet.result.current.loading).toBe(false);
  });
  await onPhone.result.current.updateUserStats({ xp: 10, hearts: -1, __set: { level: 2, name: 'Ada' } });
  await onPhone.result.current.updateUserStats({ xp: 5, __set: { level: 3 } });
  await onPhone.result.current.flushQueue();
  await onTablet.result.current.forcePull();
  await waitFor(() => {
    expect(onTablet.result.current.stats).toMatchObject({ xp: 15, hearts: -1, level: 3, name: 'Ada' });
  });
});

it('adds to what the server has, also on a device that has never been connected', async () => {
  const user = unique('bob');
  const first = await world.client(user, []);
  const known = await renderHook(() => useUserDataSync(user), { wrapper: strictlyWithin(first) });
  await known.result.current.updateUserStats({ xp: 100 });
  await settled(first);

  const second = await world.client(user, [], { autoConnect: false });
  const { result } = await renderHook(() => useUserDataSync(user), { wrapper: strictlyWithin(second) });
  await result.current.updateUserStats({ xp: 10 });
  await waitFor(() => {
    expect(result.current.userData).toMatchObject({ xp: 10 });
  });
  await second.connect();
  await settled(second);
  await waitFor(() => {
    expect(result.current.userData).toMatchObject({ xp: 110 });
    expect(known.result.current.userData).toMatchObject({ xp: 110 });
  });
});

it('says in words what went wrong, until something succeeds', async () => {
  const client = await world.client(unique('eve'), [], { autoConnect: false });
  const { result } = await renderHook(() => useUserDataSync('eve'), { wrapper: strictlyWithin(client) });
  await expect(result.current.forcePull()).rejects.toThrow();
  await waitFor(() => {
    expect(result.current.error).toEqual(expect.stringMatching(/./));
  });
  await result.current.updateUserStats({ xp: 1 });
  await waitFor(() => {
    expect(result.current.error).toBeNull();
  });
});

it('gives one set of data to all components below its provider', async () => {
  const user = unique('cleo');
  const client = await world.client(user, []);
  const wrapper = ({ children }: { children: ReactNode }) => (
    <SynclineProvider client={client}>
      <UserDataProvider userId={user}>{children}</UserDataProvider>
    </SynclineProvider>
  );
  const { result } = await renderHook(useUserData, { wrapper });
  await result.current.updateUserStats({ xp: 1 });
  await waitFor(() => {
    expect(result.current.stats).toMatchObject({ id: user, xp: 1 });
  });
  expect(client.watchCount).toBe(1);
});
