import { createSyncClient, type ErrorBody, type PresentMember } from '../../src/index.ts';
import { deferred, ScriptedHost, turn } from '../support/scripted-host.ts';

const FORBIDDEN: ErrorBody = { code: 'forbidden', message: 'not for you', retryable: false, retry: 'never' };
const ME: PresentMember = { clientId: 'c', userId: 'ada', state: {}, status: 'active', me: true };

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['setImmediate', 'queueMicrotask'] });
});

afterEach(() => {
  jest.useRealTimers();
});

function setUp(answer?: ConstructorParameters<typeof ScriptedHost>[0]) {
  const host = new ScriptedHost(answer);
  const client = createSyncClient({ url: 'http://127.0.0.1:1', store: 'memory' }, host);
  const told = () => host.told('presenceJoin', 'presenceUpdate', 'presenceLeave').map(({ type }) => type);
  return { host, client, told, holder: Symbol('holder') };
}

/** Lets a presence outlive its holder as long as it does. */
async function linger(): Promise<void> {
  await jest.advanceTimersByTimeAsync(1_000);
  await turn();
}

it('shows why the server does not let it in, until it does', async () => {
  const { host, client, holder } = setUp();
  const room = client.presence('r');
  const listener = jest.fn();
  room.subscribe(listener);
  client.announce('r', holder, {});
  await turn();
  host.emit(1, { type: 'presence', room: 'r', members: [], users: [], error: FORBIDDEN });
  expect(room.get()).toMatchObject({ members: [], me: null, error: { code: 'forbidden' } });
  client.announce('r', holder, { cursor: 1 });
  await turn();
  expect(room.get().error).toMatchObject({ code: 'forbidden' });

  const before = listener.mock.calls.length;
  host.emit(1, { type: 'presence', room: 'r', members: [], users: [], error: FORBIDDEN });
  expect(listener).toHaveBeenCalledTimes(before);
  host.emit(1, { type: 'presence', room: 'r', members: [ME], users: [], error: null });
  expect(room.get()).toEqual({ members: [ME], users: [], me: ME, error: null });
});

it('empties a room for its observers when it is left, and fills it when it is entered again', async () => {
  const { host, client, holder } = setUp();
  const room = client.presence('r');
  const listener = jest.fn();
  room.subscribe(listener);
  client.announce('r', holder, {});
  await turn();
  host.emit(1, { type: 'presence', room: 'r', members: [ME], users: [], error: null });
  client.withdraw('r', holder);
  await linger();
  expect(room.get()).toEqual({ members: [], users: [], me: null, error: null });
  // Sent before the core heard of the leaving.
  host.emit(1, { type: 'presence', room: 'r', members: [ME], users: [], error: null });
  expect(room.get().members).toEqual([]);

  client.announce('r', holder, {});
  await turn();
  listener.mockClear();
  host.emit(1, { type: 'presence', room: 'r', members: [ME], users: [], error: null });
  expect(listener).toHaveBeenCalledTimes(1);
  expect(room.get().members).toEqual([ME]);
});

it('enters a room again only when it has left', async () => {
  const left = deferred<object>();
  const { client, told, holder } = setUp(({ type }) => (type === 'presenceLeave' ? left.promise : undefined));
  client.announce('r', holder, {});
  await turn();
  client.withdraw('r', holder);
  await linger();
  client.announce('r', holder, {});
  await turn();
  expect(told()).toEqual(['presenceJoin', 'presenceLeave']);

  left.resolve({});
  await turn();
  expect(told()).toEqual(['presenceJoin', 'presenceLeave', 'presenceJoin']);
});

it('is in its rooms after it was closed in the middle of entering, and opened again', async () => {
  const first = deferred<object>();
  const { host, client, told, holder } = setUp(({ type }, number) =>
    type === 'presenceJoin' && number === 1 ? first.promise : undefined,
  );
  const room = client.presence('r');
  client.announce('r', holder, {});
  await turn();
  await client.close();
  await client.open();
  first.resolve({});
  await turn();
  expect(told()).toEqual(['presenceJoin', 'presenceJoin']);
  host.emit(2, { type: 'presence', room: 'r', members: [ME], users: [], error: null });
  expect(room.get().members).toEqual([ME]);
});
