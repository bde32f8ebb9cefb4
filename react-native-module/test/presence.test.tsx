import { renderHook, waitFor } from '@testing-library/react-native';

import { usePresence, useUserOnline } from '../src/index.ts';
import { unique, until } from './support/devices.ts';
import { strictlyWithin } from './support/render.tsx';
import { worldFor } from './support/world.ts';

const world = worldFor('file');

async function pair() {
  const room = unique('doc');
  const ada = await world.client('ada', [room]);
  const bob = await world.client('bob', [room]);
  return { room, ada, bob };
}

it('shows two devices each other, and themselves', async () => {
  const { room, ada, bob } = await pair();
  const here = await renderHook(() => usePresence(room, { state: { cursor: 1 } }), {
    wrapper: strictlyWithin(ada),
  });
  const there = await renderHook(() => usePresence(room, { state: { cursor: 2 } }), {
    wrapper: strictlyWithin(bob),
  });

  await waitFor(() => {
    expect(here.result.current.members.map(({ userId }) => userId).sort()).toEqual(['ada', 'bob']);
    expect(there.result.current.members).toHaveLength(2);
  });
  expect(here.result.current.me).toMatchObject({
    userId: 'ada',
    state: { cursor: 1 },
    status: 'active',
    me: true,
  });
  expect(here.result.current.members.find(({ me }) => !me)).toMatchObject({
    userId: 'bob',
    state: { cursor: 2 },
  });
  expect(here.result.current.error).toBeNull();
});

it('tells the others about a new state, and about leaving', async () => {
  const { room, ada, bob } = await pair();
  const here = await renderHook(
    ({ cursor }: { cursor: number }) => usePresence(room, { state: { cursor } }),
    {
      wrapper: strictlyWithin(ada),
      initialProps: { cursor: 1 },
    },
  );
  const there = await renderHook(() => usePresence(room), { wrapper: strictlyWithin(bob) });
  const adaSeen = () => there.result.current.members.find(({ userId }) => userId === 'ada');
  await waitFor(() => {
    expect(adaSeen()?.state).toEqual({ cursor: 1 });
  });

  await here.rerender({ cursor: 2 });
  await waitFor(() => {
    expect(adaSeen()?.state).toEqual({ cursor: 2 });
  });

  await here.unmount();
  await waitFor(() => {
    expect(adaSeen()).toBeUndefined();
  });
  expect(there.result.current.me).not.toBeNull();
});

it('shows a user once, however many devices, and what is typed for a while', async () => {
  const { room, ada, bob } = await pair();
  const tablet = await world.client('bob', [room]);
  const here = await renderHook(() => usePresence(room), { wrapper: strictlyWithin(ada) });
  const there = await renderHook(() => usePresence(room), { wrapper: strictlyWithin(bob) });
  tablet.announce(room, Symbol('tablet'), {});
  const bobSeen = () => here.result.current.users.find(({ userId }) => userId === 'bob');
  await waitFor(() => {
    expect(bobSeen()).toMatchObject({ devices: 2, status: 'active' });
  });
  expect(here.result.current.status).toBe('active');

  await there.result.current.setFor({ typing: true }, 500);
  await waitFor(() => {
    expect(bobSeen()?.state).toEqual({ typing: true });
  });
  await waitFor(() => {
    expect(bobSeen()?.state).toEqual({});
  });
});

it('sets fields beside the announced state, and removes them', async () => {
  const { room, ada, bob } = await pair();
  const here = await renderHook(() => usePresence(room, { state: { cursor: 1 } }), {
    wrapper: strictlyWithin(ada),
  });
  const there = await renderHook(() => usePresence(room), { wrapper: strictlyWithin(bob) });
  const adaSeen = () => there.result.current.members.find(({ userId }) => userId === 'ada');
  await here.result.current.update({ mood: 'good' });
  await waitFor(() => {
    expect(adaSeen()?.state).toEqual({ cursor: 1, mood: 'good' });
  });

  await here.result.current.update({ mood: null });
  await waitFor(() => {
    expect(adaSeen()?.state).toEqual({ cursor: 1 });
  });
});

it('rejects a change of a presence that was never announced', async () => {
  const { room, ada } = await pair();
  await expect(ada.presences.update(room, { mood: 'good' })).rejects.toMatchObject({ code: 'not_found' });
});

it('tells whether a user is online', async () => {
  const room = unique('doc');
  // Nobody's name in another test: a user is online with any device.
  const name = unique('bob');
  const ada = await world.client('ada', [room]);
  const bob = await world.client(name, [room]);
  const here = await renderHook(() => ({ room: usePresence(room), bob: useUserOnline(name) }), {
    wrapper: strictlyWithin(ada),
  });
  await waitFor(() => {
    expect(here.result.current.room.me).not.toBeNull();
  });
  expect(here.result.current.bob).toBeNull();

  bob.announce(room, Symbol('bob'), {});
  await waitFor(() => {
    expect(here.result.current.bob).toBe(true);
  });
  await bob.close();
  await waitFor(() => {
    expect(here.result.current.bob).toBe(false);
  });
});

it('does not see a device again that was closed', async () => {
  const { room, ada, bob } = await pair();
  await renderHook(() => usePresence(room), { wrapper: strictlyWithin(ada) });
  bob.announce(room, Symbol('bob'), {});
  await until(ada.presence(room), ({ members }) => members.length === 2);

  await bob.close();
  await until(ada.presence(room), ({ members }) => members.length === 1);
});

it('reports a state that is too large, and enters with a smaller one', async () => {
  const { room, ada } = await pair();
  const { result, rerender } = await renderHook(
    ({ text }: { text: string }) => usePresence(room, { state: { text } }),
    {
      wrapper: strictlyWithin(ada),
      initialProps: { text: 'x'.repeat(10_000) },
    },
  );
  await waitFor(() => {
    expect(result.current).toMatchObject({ members: [], me: null, error: { code: 'too_large' } });
  });

  await rerender({ text: 'short' });
  await waitFor(() => {
    expect(result.current).toMatchObject({ me: { state: { text: 'short' } }, error: null });
  });
});

it('reports a room that the token does not open', async () => {
  const ada = await world.client('ada', []);
  const { result } = await renderHook(() => usePresence('secret:1'), { wrapper: strictlyWithin(ada) });
  await waitFor(() => {
    expect(result.current).toMatchObject({ members: [], me: null, error: { code: 'forbidden' } });
  });
});
