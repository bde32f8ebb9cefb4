import { act, render, renderHook, screen, waitFor } from '@testing-library/react-native';
import { Text } from 'react-native';

import { ConnectionBanner, SyncProgress } from '../src/components.ts';
import { createSyncClient, usePresence, useSyncHealth, useTyping } from '../src/index.ts';
import { settled, unique } from './support/devices.ts';
import { strictlyWithin } from './support/render.tsx';
import { ScriptedHost, turn } from './support/scripted-host.ts';
import { worldFor } from './support/world.ts';

const world = worldFor('file');

it('tells in one word how the synchronization is', async () => {
  const room = unique('list');
  // Only the server knows what is too much.
  const settings = { documentBytesMax: 4 << 20, pushBytesMax: 4 << 20 };
  const ada = await world.client('ada', [room], { settings, autoConnect: false });
  const { result } = await renderHook(() => useSyncHealth(), { wrapper: strictlyWithin(ada) });
  expect(result.current.level).toBe('offline');
  await ada.insert({ room, collection: 'tasks', id: 'a' }, { title: 'one' });
  await ada.insert({ room, collection: 'tasks', id: 'b' }, { title: 'x'.repeat(2 << 20) });
  await waitFor(() => {
    expect(result.current).toMatchObject({ level: 'offline', waiting: 2, isConnected: false });
  });

  await ada.connect();
  // One was refused: somebody has to look at it.
  await waitFor(() => {
    expect(result.current).toMatchObject({ level: 'attention', rejected: 1 });
  });
  await ada.acknowledge(ada.outcomes.get()[0]?.clientSeq ?? 0);
  await waitFor(() => {
    expect(result.current).toMatchObject({ level: 'healthy', waiting: 0, isConnected: true, reason: null });
  });
});

it('shows who types, until they stop, beside what they show otherwise', async () => {
  const room = unique('chat');
  const ada = await world.client('ada', [room]);
  const bob = await world.client('bob', [room]);
  const onAda = await renderHook(
    () => ({ typing: useTyping(room), presence: usePresence(room, { state: { mood: 'good' } }) }),
    { wrapper: strictlyWithin(ada) },
  );
  const onBob = await renderHook(() => useTyping(room), { wrapper: strictlyWithin(bob) });
  await settled(ada);
  await settled(bob);
  await waitFor(() => {
    expect(onAda.result.current.presence.users).toHaveLength(2);
  });

  onAda.result.current.typing.type();
  onAda.result.current.typing.type();
  await waitFor(() => {
    expect(onBob.result.current.users).toMatchObject([{ userId: 'ada', state: { mood: 'good' } }]);
  });
  expect(onAda.result.current.typing.users).toEqual([]);
  onAda.result.current.typing.stop();
  await waitFor(() => {
    expect(onBob.result.current.users).toEqual([]);
  });
  expect(onAda.result.current.presence.me?.state).toEqual({ mood: 'good' });
});

it('says in a banner that there is no connection, and tries again at a touch', async () => {
  const host = new ScriptedHost();
  const client = createSyncClient({ url: 'http://127.0.0.1:1', store: 'memory' }, host);
  await client.open();
  await render(<ConnectionBanner />, { wrapper: strictlyWithin(client) });
  const status = { reason: null, cause: null, data: null, recovered: false, retryInMs: null, userId: null };
  const tell = (state: 'backoff' | 'open' | 'connecting' | 'offline', attempts: number) =>
    act(async () => {
      host.emit(1, { type: 'connection', status: { ...status, state, attempts } });
      await turn();
    });
  await tell('connecting', 0);
  screen.getByText('Connecting...');
  await tell('backoff', 3);
  screen.getByText('Reconnecting... (3)');
  await tell('offline', 3);
  const banner = screen.getByText('Offline');
  (banner.parent?.props as { onClick: () => void }).onClick();
  await waitFor(() => {
    expect(host.told('syncNow')).toHaveLength(1);
  });
  await tell('open', 0);
  expect(screen.queryByText(/./)).toBeNull();
  await client.close();
});

it('shows how far the synchronization has come, with details or without', async () => {
  const host = new ScriptedHost();
  const client = createSyncClient({ url: 'http://127.0.0.1:1', store: 'memory' }, host);
  await client.open();
  const view = await render(
    <>
      <SyncProgress />
      <SyncProgress showDetails={false} describe={({ phase }) => `phase ${phase}`} />
      <Text>end</Text>
    </>,
    { wrapper: strictlyWithin(client) },
  );
  await act(async () => {
    const round = { uploaded: 1, toUpload: 3, downloaded: 0, roomsLive: 0, roomsToLoad: 0 };
    host.emit(1, { type: 'progress', progress: { phase: 'uploading', ...round } });
    await turn();
  });
  screen.getByText('Sending 3');
  screen.getByText('phase uploading');
  const bars = view.root?.queryAll(
    ({ props }) => (props as { style?: { height?: number } }).style?.height === 4,
  );
  expect(bars).toHaveLength(1);
  await client.close();
});
