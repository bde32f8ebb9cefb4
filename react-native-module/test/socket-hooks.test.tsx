import { act, render } from '@testing-library/react-native';
import { StrictMode } from 'react';

import { SynclineProvider, useEntityEvents, useSocketConnection, useSocketEvent } from '../src/index.ts';
import { ScriptedHost, turn } from './support/scripted-host.ts';

const OPTIONS = { url: 'http://127.0.0.1:1', store: 'memory' as const };

let names = 0;

async function show(host: ScriptedHost, body: React.ReactElement) {
  names += 1;
  const tree = (content: React.ReactElement | null) => (
    <StrictMode>
      <SynclineProvider options={{ ...OPTIONS, name: `socket-hooks-${names}` }} host={host}>
        {content}
      </SynclineProvider>
    </StrictMode>
  );
  const { rerender, unmount } = await render(tree(body));
  await act(turn);
  return { show: (content: React.ReactElement | null) => rerender(tree(content)), unmount };
}

async function say(host: ScriptedHost, event: string, ...args: unknown[]) {
  await act(async () => {
    host.emit(host.configs.length, { type: 'message', namespace: '/', event, args });
    await turn();
  });
}

it('calls the handler of the last render while mounted, and makes queries stale', async () => {
  const host = new ScriptedHost();
  const heard: unknown[] = [];
  const stale: unknown[] = [];
  const queryClient = { invalidateQueries: (filters: object) => stale.push(filters) };
  const Listener = ({ n }: { n: number }) => {
    useSocketEvent('news', (...args: unknown[]) => heard.push([n, ...args]), {
      queryClient,
      invalidateQueries: (id) => [['news', id]],
    });
    return null;
  };
  const screen = await show(host, <Listener n={1} />);
  await say(host, 'news', 7);
  await screen.show(<Listener n={2} />);
  await say(host, 'news', 8);
  expect(heard).toEqual([
    [1, 7],
    [2, 8],
  ]);
  expect(stale).toEqual([{ queryKey: ['news', 7] }, { queryKey: ['news', 8] }]);
  expect(host.told('on', 'off')).toEqual([{ type: 'on', event: 'news' }]);

  await screen.show(null);
  await act(turn);
  expect(host.told('off')).toEqual([{ type: 'off', event: 'news' }]);
  await say(host, 'news', 9);
  expect(heard).toHaveLength(2);
  await screen.unmount();
});

it('makes queries stale also when the handler fails', async () => {
  const host = new ScriptedHost();
  const stale: unknown[] = [];
  const queryClient = { invalidateQueries: (filters: object) => stale.push(filters) };
  const Listener = () => {
    const fail = () => {
      throw new Error('mine');
    };
    useSocketEvent('news', fail, { queryClient, invalidateQueries: [['news']] });
    return null;
  };
  const screen = await show(host, <Listener />);
  await say(host, 'news', 7);
  expect(stale).toEqual([{ queryKey: ['news'] }]);
  await screen.unmount();
});

it('tells what becomes of entities while mounted', async () => {
  const host = new ScriptedHost();
  const heard: unknown[] = [];
  const Listener = () => {
    useEntityEvents<number>('activity', { created: (entity) => heard.push(entity) });
    return null;
  };
  const screen = await show(host, <Listener />);
  await say(host, 'activity:created', 1);
  await say(host, 'activity:deleted', 1);
  expect(heard).toEqual([1]);
  await screen.unmount();
});

it('shows why the connection ended, and whether it goes on', async () => {
  const host = new ScriptedHost();
  const seen: unknown[] = [];
  const Status = () => {
    const { cause, data, recovered, isConnected, reconnectAttempts } = useSocketConnection();
    seen.push({ cause, data, recovered, isConnected, reconnectAttempts });
    return null;
  };
  const screen = await show(host, <Status />);
  const status = { reason: null, retryInMs: null, userId: null };
  const tell = (more: object) =>
    act(async () => {
      host.emit(host.configs.length, { type: 'connection', status: { ...status, ...more } } as never);
      await turn();
    });
  await tell({ state: 'backoff', cause: 'refused', data: { plan: 'free' }, recovered: false, attempts: 2 });
  const refused = { cause: 'refused', data: { plan: 'free' }, recovered: false };
  expect(seen.at(-1)).toEqual({ ...refused, isConnected: false, reconnectAttempts: 2 });
  await tell({ state: 'open', cause: null, data: null, recovered: true, attempts: 0 });
  const open = { cause: null, data: null, recovered: true };
  expect(seen.at(-1)).toEqual({ ...open, isConnected: true, reconnectAttempts: 0 });
  await screen.unmount();
});
