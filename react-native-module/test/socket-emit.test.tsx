import { act, renderHook } from '@testing-library/react-native';

import { createSyncClient, SynclineProvider, useSocketEmit, useSocketEvent } from '../src/index.ts';
import { strictlyWithin } from './support/render.tsx';
import { deferred, Refusal, ScriptedHost, turn } from './support/scripted-host.ts';

function client(host: ScriptedHost) {
  return createSyncClient({ url: 'http://127.0.0.1:1', store: 'memory' }, host);
}

it('sends events by functions that stay the same, and tells while an answer is awaited', async () => {
  const answer = deferred<object>();
  const host = new ScriptedHost(({ type }) => (type === 'emitWithAck' ? answer.promise : undefined));
  const sender = client(host);
  const { result } = await renderHook(() => useSocketEmit('greet', { timeoutMs: 500 }), {
    wrapper: strictlyWithin(sender),
  });
  const { emit, emitWithAck } = result.current;
  expect(await act(() => emit('hello'))).toBe('sent');

  let answered: Promise<unknown> = Promise.resolve();
  await act(async () => {
    answered = emitWithAck('hello', new Uint8Array([1]));
    await turn();
  });
  expect(result.current.isPending).toBe(true);
  await act(async () => {
    answer.resolve({ args: [{ id: 7 }] });
    await answered;
  });
  expect(await answered).toEqual({ id: 7 });
  expect(result.current).toMatchObject({ isPending: false, error: null, emit, emitWithAck });
  expect(host.told('emit', 'emitWithAck')).toEqual([
    { type: 'emit', event: 'greet', args: ['hello'] },
    { type: 'emitWithAck', event: 'greet', args: ['hello', { $attachment: 0 }], timeoutMs: 500 },
  ]);
  await sender.close();
});

it('shows why the last event failed, until one succeeds', async () => {
  let refuse = true;
  const host = new ScriptedHost(({ type }) => {
    if (type === 'emit' && refuse) {
      throw new Refusal({ code: 'queue_full', message: 'too many wait', retryable: true, retry: 'later' });
    }
    return undefined;
  });
  const sender = client(host);
  const { result } = await renderHook(() => useSocketEmit('cursor', { volatile: true }), {
    wrapper: strictlyWithin(sender),
  });
  await act(async () => {
    await expect(result.current.emit(1)).rejects.toMatchObject({ code: 'queue_full' });
  });
  expect(result.current.error?.code).toBe('queue_full');
  refuse = false;
  await act(() => result.current.emit(2));
  expect(result.current.error).toBeNull();
  expect(host.told('emit').at(-1)).toMatchObject({ volatile: true });
  await sender.close();
});

it('takes an event and its handler as one object, and makes queries of the provider stale', async () => {
  const host = new ScriptedHost();
  const listener = client(host);
  const stale: unknown[] = [];
  const queryClient = { invalidateQueries: (filters: object) => stale.push(filters) };
  const heard: unknown[] = [];
  await renderHook(
    () => {
      useSocketEvent({
        event: 'activity:updated',
        onEvent: (activity) => heard.push(activity),
        invalidateQueries: [['activities', 'a']],
      });
    },
    {
      wrapper: ({ children }) => (
        <SynclineProvider client={listener} queryClient={queryClient}>
          {children}
        </SynclineProvider>
      ),
    },
  );
  await act(turn);
  await act(async () => {
    host.emit(1, { type: 'message', namespace: '/', event: 'activity:updated', args: [{ id: 'a' }] });
    await turn();
  });
  expect(heard).toEqual([{ id: 'a' }]);
  expect(stale).toEqual([{ queryKey: ['activities', 'a'] }]);
  await listener.close();
});
