import { renderHook, waitFor } from '@testing-library/react-native';
import type { ReactNode } from 'react';

import {
  createSyncClient,
  type DocumentRef,
  type ErrorCode,
  type RetryClass,
  type SyncClient,
  SynclineError,
  SynclineProvider,
  type SyncOptions,
  useCollection,
  useSocketConnection,
  useSyncClient,
} from '../src/index.ts';
import { createNodeHost } from '../src/node.ts';
import { unique, until } from './support/devices.ts';
import { TestServer } from './support/server.ts';
import { itOfCore, worldFor } from './support/world.ts';

// An app that was not built with the module; jest-expo would find the module's stand-in, where that is built.
jest.mock('expo', () => ({
  ...jest.requireActual<object>('expo'),
  requireNativeModule: (name: string) => {
    throw new Error(`there is no native module ${name}`);
  },
}));

const world = worldFor('file');

/** What the promise rejects with, as plain data. */
async function failure(promise: Promise<unknown>): Promise<{ code: ErrorCode; retry: RetryClass }> {
  try {
    await promise;
  } catch (error) {
    if (!(error instanceof SynclineError)) throw error;
    expect(error.message).not.toBe('');
    return { code: error.code, retry: error.retry };
  }
  throw new Error('nothing was rejected');
}

function create(options: Partial<SyncOptions>): SyncClient {
  return createSyncClient({ url: world.server.url, store: 'memory', ...options }, world.devices.host);
}

it('rejects a wrong token with `unauthorized`, and waits for another', async () => {
  const client = create({ auth: { token: 'not a token' } });
  expect(await failure(client.connect())).toEqual({ code: 'unauthorized', retry: 'after_auth' });
  const status = await until(client.connection, ({ state }) => state === 'unauthorized');
  expect(status.reason).toMatchObject({ code: 'unauthorized', retryable: true, retry: 'after_auth' });

  await client.setToken(await world.server.token('ada', []));
  await until(client.connection, ({ state }) => state === 'open');
});

it('rejects a missing token with `no_auth_token`', async () => {
  expect(await failure(create({}).connect())).toEqual({ code: 'no_auth_token', retry: 'after_auth' });
});

it('fetches tokens when the core needs them, again after a bad one', async () => {
  const tokens = ['stale', await world.server.token('ada', [])];
  const getToken = jest.fn(() => Promise.resolve(tokens.shift() ?? null));
  const client = create({ auth: { getToken } });
  await client.open();
  await until(client.connection, ({ state }) => state === 'open');
  expect(getToken).toHaveBeenCalledTimes(2);
});

it('rejects with `no_auth_token` when no token can be fetched', async () => {
  const offline = create({
    auth: { getToken: () => Promise.reject(new Error('no network')) },
    autoConnect: false,
  });
  expect(await failure(offline.connect())).toEqual({ code: 'no_auth_token', retry: 'after_auth' });
  await offline.close();
  const signedOut = create({ auth: { getToken: () => null }, autoConnect: false });
  expect(await failure(signedOut.connect())).toEqual({ code: 'no_auth_token', retry: 'never' });
});

it.each(['nonsense', 'ftp://127.0.0.1', 'http://'])('rejects the URL %s with `invalid_url`', async (url) => {
  const client = create({ url });
  expect(await failure(client.connect())).toEqual({ code: 'invalid_url', retry: 'never' });
  expect(client.connection.get()).toMatchObject({ state: 'closed', reason: { code: 'invalid_url' } });
});

itOfCore('rejects with `unreachable` when no server is there, and goes on trying', async () => {
  const gone = await TestServer.start();
  const auth = { token: await gone.token('ada', []) };
  await gone.stop();
  const client = create({ url: gone.url, auth });
  expect(await failure(client.connect())).toEqual({ code: 'unreachable', retry: 'later' });

  await gone.start();
  await until(client.connection, ({ state }) => state === 'open');
  await client.close();
  await gone.dispose();
});

it('refuses a document over the limit with `too_large`, and nothing of the write', async () => {
  const ref = { room: unique('list'), collection: 'tasks' };
  const client = create({ settings: { documentBytesMax: 1_000 }, autoConnect: false });
  const write = client.write([
    { ...ref, id: 'small', write: { create: { text: 'x' } } },
    { ...ref, id: 'large', write: { create: { text: 'x'.repeat(2_000) } } },
  ]);
  expect(await failure(write)).toEqual({ code: 'too_large', retry: 'never' });
  expect(await client.document({ ...ref, id: 'small' })).toBeNull();
  expect(client.queue.get().count).toBe(0);
});

it('lets no write spoil another that was made at the same time', async () => {
  const ref = { room: unique('list'), collection: 'tasks' };
  const client = create({ settings: { documentBytesMax: 1_000 }, autoConnect: false });
  const results = await Promise.allSettled([
    client.insert({ ...ref, id: 'a' }, { text: 'x' }),
    client.insert({ ...ref, id: 'b' }, { text: 'x'.repeat(2_000) }),
    client.insert({ ...ref, id: 'c' }, { text: 'x' }),
  ]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(await client.document({ ...ref, id: 'c' })).toEqual({ id: 'c', text: 'x' });
});

it.each<[string, unknown]>([
  ['empty', ''],
  ['too long', 'x'.repeat(129)],
  ['with a control character', 'a\nb'],
  ['a number', 42],
  ['null', null],
])('refuses an id that is %s with `invalid`', async (_, id) => {
  const client = create({ autoConnect: false });
  const ref = { room: 'list:1', collection: 'tasks', id } as DocumentRef;
  expect(await failure(client.insert(ref, {}))).toEqual({ code: 'invalid', retry: 'never' });
  expect(await failure(client.update(ref, { x: 1 }))).toEqual({ code: 'invalid', retry: 'never' });
  expect(await failure(client.document(ref))).toEqual({ code: 'invalid', retry: 'never' });
});

it.each<[string, object]>([
  ['NaN', { x: NaN }],
  ['a date', { x: new Date(0) }],
  ['a function', { x: () => 1 }],
  ['undefined', { x: undefined }],
])('refuses to update a field to %s', async (_, changes) => {
  const client = create({ autoConnect: false });
  const update = client.update(
    { room: 'list:1', collection: 'tasks', id: 'a' },
    changes as Record<string, never>,
  );
  expect(await failure(update)).toEqual({ code: 'invalid', retry: 'never' });
});

it('shows a room that the token does not open as an error of the collection', async () => {
  const client = create({ auth: { token: await world.server.token('ada', []) } });
  const ref = { room: unique('unknown'), collection: 'tasks' };
  const { result } = await renderHook(
    () => ({ tasks: useCollection(ref), connection: useSocketConnection() }),
    {
      wrapper: ({ children }: { children: ReactNode }) => (
        <SynclineProvider client={client}>{children}</SynclineProvider>
      ),
    },
  );
  await waitFor(() => {
    expect(result.current.tasks).toMatchObject({
      status: 'error',
      error: { code: 'forbidden', retryable: false, retry: 'never' },
    });
  });
  expect(result.current.tasks.error).toBeInstanceOf(SynclineError);
  expect(result.current.connection.isConnected).toBe(true);
});

it('rejects every call after close with `closed`, until it is opened again', async () => {
  const client = create({ auth: { token: await world.server.token('ada', []) } });
  await client.connect();
  await client.close();
  expect(await failure(client.stats())).toEqual({ code: 'closed', retry: 'never' });
  expect(client.connection.get().state).toBe('closed');

  await client.open();
  await client.connect();
  expect((await client.stats()).clientId).not.toBe('');
});

it.each<[string, unknown]>([
  ['nothing', undefined],
  ['no url', {}],
  ['an empty url', { url: '' }],
  ['an unknown option', { url: 'http://x', tokn: 'a' }],
  ['a token outside of auth', { url: 'http://x', token: 'a' }],
  ['auth without either', { url: 'http://x', auth: {} }],
  ['auth with both', { url: 'http://x', auth: { token: 'a', getToken: () => 'a' } }],
  ['a name that is no folder', { url: 'http://x', name: '../x' }],
  ['a parser that is none', { url: 'http://x', parser: 'xml' }],
])('refuses options with %s at once', (_, options) => {
  expect(() => createSyncClient(options as SyncOptions, world.devices.host)).toThrow(SynclineError);
});

it('refuses settings that the core does not know', async () => {
  const client = create({ settings: { documentBytsMax: 1 } as SyncOptions['settings'] & object });
  expect(await failure(client.open())).toEqual({ code: 'invalid', retry: 'never' });
});

it('says that the native module is missing, or the addon', async () => {
  expect(await failure(createSyncClient({ url: world.server.url }).open())).toEqual({
    code: 'unavailable',
    retry: 'never',
  });
  expect(() => createNodeHost({ addon: '/nowhere/syncline.node' })).toThrow('/nowhere/syncline.node');
});

it('says that a hook is used outside of a provider', async () => {
  jest.spyOn(console, 'error').mockImplementation(() => undefined);
  await expect(renderHook(() => useSyncClient())).rejects.toThrow('<SynclineProvider>');
  jest.restoreAllMocks();
});
