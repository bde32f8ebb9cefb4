import type { Command } from '../../src/contract.ts';
import { createSyncClient, SynclineError } from '../../src/index.ts';
import { Refusal, ScriptedHost, turn } from '../support/scripted-host.ts';

const CLOSED = { code: 'closed', message: 'the client is closed', retryable: false, retry: 'never' } as const;

/** A core whose first client is closed from elsewhere when `takeOver` is called, and calls off some commands. */
function setUp(callsOff: (type: Command['type']) => boolean = () => false) {
  let isTaken = false;
  const host = new ScriptedHost(({ type }, number) => {
    if (number === 1 && (isTaken || callsOff(type))) throw new Refusal(CLOSED);
  });
  const client = createSyncClient({ url: 'http://127.0.0.1:1', store: 'memory' }, host);
  const takeOver = () => (isTaken = true);
  return { host, client, takeOver };
}

it('opens anew at the call after one that found it closed', async () => {
  const { host, client, takeOver } = setUp();
  client.subscribe('r');
  await turn();
  takeOver();
  await expect(client.stats()).rejects.toThrow(SynclineError);
  expect(client.connection.get()).toMatchObject({ state: 'closed', reason: { code: 'closed' } });

  expect(await client.newId()).toBe('new');
  await turn();
  const last = host.calls.filter(({ client: number }) => number === 2).map(({ command }) => command.type);
  expect(last).toContain('subscribe');
});

it('opens anew after a `connect` that found it closed, but not after one that was called off', async () => {
  const { host, client, takeOver } = setUp((type) => type === 'connect');
  await expect(client.connect()).rejects.toMatchObject({ code: 'closed' });
  await turn();
  await client.newId();
  expect(host.configs).toHaveLength(1);

  takeOver();
  await expect(client.connect()).rejects.toMatchObject({ code: 'closed' });
  await turn();
  await client.newId();
  expect(host.configs).toHaveLength(2);
});

it('opens anew for what is to last', async () => {
  const { host, client, takeOver } = setUp();
  await client.open();
  takeOver();
  client.announce('r', Symbol('holder'), {});
  await turn();
  expect(host.configs).toHaveLength(2);
  expect(host.told('presenceJoin')).toHaveLength(2);
  expect(client.presence('r').get().error).toBeNull();
});

it('stays closed when the app closed it', async () => {
  const { host, client, takeOver } = setUp();
  await client.open();
  takeOver();
  await client.close();
  await expect(client.stats()).rejects.toMatchObject({ code: 'closed' });
  expect(host.configs).toHaveLength(1);
});
