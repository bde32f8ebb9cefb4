import {
  type AppMessage,
  type DevToolsChannel,
  FROM_APP,
  FROM_PANEL,
  type PanelMessage,
  PROTOCOL_VERSION,
  PUBLISH_INTERVAL_MS,
  SILENCE_MS,
  STATS_INTERVAL_MS,
} from '../../../src/devtools/protocol.ts';
import { Session } from '../../../src/devtools/session.ts';
import { createSyncClient, type SyncClient } from '../../../src/index.ts';
import { ScriptedHost } from '../../support/scripted-host.ts';

const STATS = { clientId: 'c', rttMs: { p50: 1, p95: 2 }, pushMs: { p50: 1, p95: 2 }, queue: [] };

/** The channel of one app, with the test in the place of the panel. */
class TestChannel implements DevToolsChannel {
  readonly told: AppMessage[] = [];
  readonly #listeners = new Set<(message: unknown) => void>();

  sendMessage(method: string, message: unknown): void {
    expect(method).toBe(FROM_APP);
    this.told.push(message as AppMessage);
  }

  addMessageListener(method: string, listener: (message: unknown) => void): { remove(): void } {
    expect(method).toBe(FROM_PANEL);
    this.#listeners.add(listener);
    return { remove: () => this.#listeners.delete(listener) };
  }

  say(message: object, version = PROTOCOL_VERSION): void {
    const whole = { version, panel: 'panel', ...message } as PanelMessage;
    for (const listener of this.#listeners) listener(whole);
  }

  take(): AppMessage[] {
    return this.told.splice(0);
  }
}

let host: ScriptedHost;
let client: SyncClient;
let channel: TestChannel;
let session: Session;

beforeEach(() => {
  jest.useFakeTimers();
  host = new ScriptedHost(({ type, ...command }) => {
    if (type === 'stats') return STATS;
    if (type === 'trace') return { events: [] };
    const isList = type === 'jobs' && (command as { command: { type: string } }).command.type === 'list';
    return isList ? { jobs: [], more: false } : type === 'jobs' ? { deadLetters: [] } : undefined;
  });
  client = createSyncClient({ url: 'http://127.0.0.1:1', store: 'memory', name: 'told' }, host);
  channel = new TestChannel();
  session = new Session(client, channel);
});

afterEach(async () => {
  session.end();
  await client.close();
  jest.useRealTimers();
});

function reads(): number {
  return host.told('stats').length;
}

it('asks nothing of the core and tells nothing while no panel is open', async () => {
  await jest.advanceTimersByTimeAsync(10 * SILENCE_MS);
  expect([host.calls.length, channel.told.length]).toEqual([0, 0]);
});

it('tells everything to a panel that opens, and then what is new', async () => {
  channel.say({ type: 'beat' });
  const [first] = channel.take();
  expect(first).toMatchObject({ type: 'state', parts: { name: 'told', stats: null, isHeldOffline: false } });
  await jest.advanceTimersByTimeAsync(PUBLISH_INTERVAL_MS);
  const [news] = channel.take();
  expect(news).toMatchObject({ type: 'update', sequence: 2, parts: { stats: STATS } });
  expect(news).not.toHaveProperty('parts.name');
});

it('tells at most one update in each interval', async () => {
  channel.say({ type: 'beat' });
  await jest.advanceTimersByTimeAsync(PUBLISH_INTERVAL_MS);
  channel.take();
  for (let nth = 0; nth < 100; nth++) {
    client.announce(`room ${nth}`, Symbol('holder'), {});
    await jest.advanceTimersByTimeAsync(PUBLISH_INTERVAL_MS / 50);
  }
  const updates = channel.take().filter(({ type }) => type === 'update');
  expect(updates.length).toBeGreaterThan(0);
  expect(updates.length).toBeLessThanOrEqual(3);
});

it.each([
  [
    'says that it is gone',
    () => {
      channel.say({ type: 'gone' });
    },
  ],
  ['is silent for too long', () => undefined],
])('reads nothing any more once the last panel %s', async (_, leave) => {
  channel.say({ type: 'beat' });
  await jest.advanceTimersByTimeAsync(3 * STATS_INTERVAL_MS);
  expect(reads()).toBeGreaterThan(2);
  leave();
  await jest.advanceTimersByTimeAsync(2 * SILENCE_MS);
  const before = reads();
  channel.take();
  await jest.advanceTimersByTimeAsync(2 * SILENCE_MS);
  expect([reads(), channel.take()]).toEqual([before, []]);
});

it('says that it is there to a panel that is, and that it is gone in the end', async () => {
  channel.say({ type: 'beat' });
  channel.take();
  channel.say({ type: 'beat' });
  expect(channel.take()).toMatchObject([{ type: 'alive' }]);
  session.end();
  expect(channel.take()).toMatchObject([{ type: 'gone' }]);
  channel.say({ type: 'beat' });
  await jest.advanceTimersByTimeAsync(SILENCE_MS);
  expect(channel.take()).toEqual([]);
});

it('does nothing for a panel of another version, and says which one it speaks', () => {
  channel.say({ type: 'beat' }, PROTOCOL_VERSION + 1);
  expect(channel.take()).toMatchObject([{ type: 'incompatible', version: PROTOCOL_VERSION }]);
  channel.say({ nonsense: true });
  expect(channel.take()).toEqual([]);
});

it('answers a command that fails with its error', async () => {
  channel.say({ type: 'beat' });
  const app = channel.take()[0]?.app;
  const command = { type: 'edit', job: 1, work: '{"letter": 1}' };
  channel.say({ type: 'command', app, request: 'r', command });
  channel.say({ type: 'command', app: 'another', request: 's', command });
  await jest.advanceTimersByTimeAsync(0);
  const answers = channel.take().filter(({ type }) => type === 'answer');
  expect(answers).toMatchObject([{ request: 'r', error: { code: 'invalid' } }]);
});
