import {
  BackgroundSyncResult,
  BackgroundSyncStatus,
  createSyncClient,
  getBackgroundSyncStatus,
  isBackgroundSyncRegistered,
  registerBackgroundSync,
  runBackgroundSync,
  type SyncOptions,
  unregisterBackgroundSync,
} from '../../src/index.ts';
import { Devices } from '../support/devices.ts';
import { ScriptedHost, turn } from '../support/scripted-host.ts';

const OPTIONS: SyncOptions = { url: 'http://127.0.0.1:1' };

function setUp(options: Partial<SyncOptions> = {}, host = new ScriptedHost()) {
  return { host, client: createSyncClient({ ...OPTIONS, ...options }, host) };
}

it('opens the client for the background, in the unit of the core', async () => {
  const { host, client } = setUp();
  const status = await registerBackgroundSync(client, { minimumInterval: 30, deadlineMs: 20_000 });
  expect(status).toBe(BackgroundSyncStatus.Available);
  expect(host.configs).toMatchObject([{ background: { everyMs: 1_800_000, deadlineMs: 20_000 } }]);
  expect(isBackgroundSyncRegistered(client)).toBe(true);
});

it('leaves to the core what the app does not say, and opens nothing twice for what is so already', async () => {
  const { host, client } = setUp();
  await registerBackgroundSync(client);
  await registerBackgroundSync(client);
  expect(host.configs).toHaveLength(1);
  expect(host.configs[0]).toHaveProperty('background', {});
});

it('opens a client anew that was open without it, and what is followed stays so', async () => {
  const { host, client } = setUp();
  client.subscribe('r');
  await client.open();
  await registerBackgroundSync(client);
  await turn();
  expect(host.log.map(({ type }) => type)).toEqual(['open', 'close', 'open']);
  expect(host.configs[0]).not.toHaveProperty('background');
  expect(host.configs[1]).toHaveProperty('background');
  const last = host.calls.filter(({ client: number }) => number === 2).map(({ command }) => command.type);
  expect(last).toContain('subscribe');
});

it('opens the client without it to end the rounds, also those that its options asked for', async () => {
  const { host, client } = setUp({ background: { everyMs: 900_000 } });
  expect(isBackgroundSyncRegistered(client)).toBe(true);
  await unregisterBackgroundSync(client);
  expect(host.configs).toHaveLength(1);
  expect(host.configs[0]).not.toHaveProperty('background');
  expect(isBackgroundSyncRegistered(client)).toBe(false);
});

it('ends the rounds of a client that was closed, and leaves it closed', async () => {
  const { host, client } = setUp({ background: {} });
  await client.open();
  await client.close();
  await unregisterBackgroundSync(client);
  expect(host.log.map(({ type }) => type)).toEqual(['open', 'close', 'open', 'close']);
  expect(host.configs[1]).not.toHaveProperty('background');
  await expect(client.stats()).rejects.toMatchObject({ code: 'closed' });
});

it('changes nothing where the system may not wake the app up', async () => {
  const { host, client } = setUp();
  host.backgroundPermitted = false;
  expect(await getBackgroundSyncStatus(client)).toBe(BackgroundSyncStatus.Restricted);
  expect(await registerBackgroundSync(client)).toBe(BackgroundSyncStatus.Restricted);
  expect(host.configs).toEqual([]);
  expect(isBackgroundSyncRegistered(client)).toBe(false);
});

it('is restricted on Node, with the real core', async () => {
  const devices = new Devices();
  const client = createSyncClient({ ...OPTIONS, autoConnect: false }, devices.host);
  expect(await registerBackgroundSync(client)).toBe(BackgroundSyncStatus.Restricted);
  await client.open();
  await unregisterBackgroundSync(client);
  await devices.dispose();
});

it.each([
  ['minimumInterval', 0],
  ['minimumInterval', Number.NaN],
  ['deadlineMs', -1],
  ['deadlineMs', Number.POSITIVE_INFINITY],
])('refuses a %s of %d', async (name, value) => {
  const { host, client } = setUp();
  await expect(registerBackgroundSync(client, { [name]: value })).rejects.toMatchObject({ code: 'invalid' });
  expect(host.configs).toEqual([]);
});

it.each([
  [true, BackgroundSyncResult.Success],
  [false, BackgroundSyncResult.Failed],
])('answers a task of JavaScript as expo-background-task wants it: complete %s', async (complete, result) => {
  const report = { complete, pending: 0, reason: null };
  const answer = new ScriptedHost(({ type }) => (type === 'syncOnce' ? report : undefined));
  const { host, client } = setUp({}, answer);
  expect(await runBackgroundSync(client, { deadlineMs: 5_000 })).toBe(result);
  expect(host.told('syncOnce')).toEqual([{ type: 'syncOnce', deadlineMs: 5_000 }]);
});
