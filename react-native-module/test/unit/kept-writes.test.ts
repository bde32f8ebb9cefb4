import { createSyncClient, type RejectedWrite, type SyncClient } from '../../src/index.ts';
import { deferred, ScriptedHost, turn } from '../support/scripted-host.ts';

function rejected(clientSeq: number): RejectedWrite {
  const error = { code: 'invalid', message: 'no', retryable: false, retry: 'never' } as const;
  return { clientSeq, error, room: 'r', collection: 'c', id: `${clientSeq}`, write: 'delete' };
}

function shown(client: SyncClient): number[] {
  return client.outcomes.get().map(({ clientSeq }) => clientSeq);
}

/** A client whose core answers the question for outcomes when `list.resolve` is called. */
async function setUp() {
  const list = deferred<{ outcomes: RejectedWrite[] }>();
  const host = new ScriptedHost(({ type }) => (type === 'outcomes' ? list.promise : undefined));
  const client = createSyncClient({ url: 'http://127.0.0.1:1', store: 'memory' }, host);
  await client.open();
  await turn();
  return { host, client, list };
}

it('shows what was rejected before and what is rejected while it asks, each once', async () => {
  const { host, client, list } = await setUp();
  host.emit(1, { type: 'outcome', outcome: rejected(2) }, { type: 'outcome', outcome: rejected(3) });
  list.resolve({ outcomes: [rejected(1), rejected(2)] });
  await turn();
  expect(shown(client)).toEqual([1, 2, 3]);

  host.emit(1, { type: 'outcome', outcome: rejected(3) }, { type: 'outcome', outcome: rejected(4) });
  expect(shown(client)).toEqual([1, 2, 3, 4]);
});

it('does not show again what was acknowledged while it asked', async () => {
  const { host, client, list } = await setUp();
  host.emit(1, { type: 'outcome', outcome: rejected(1) });
  await client.acknowledge(1);
  list.resolve({ outcomes: [rejected(1), rejected(2)] });
  await turn();
  expect(shown(client)).toEqual([2]);
});

it('drops what the core no longer keeps when it is opened again', async () => {
  const kept = [rejected(1), rejected(2)];
  const host = new ScriptedHost(({ type }) => (type === 'outcomes' ? { outcomes: kept } : undefined));
  const client = createSyncClient({ url: 'http://127.0.0.1:1', store: 'memory' }, host);
  await client.open();
  await turn();
  await client.close();
  kept.shift();
  await client.open();
  await turn();
  expect(shown(client)).toEqual([2]);
});

it('shows again what comes back after the app has dealt with it', async () => {
  const { host, client, list } = await setUp();
  host.emit(1, { type: 'outcome', outcome: rejected(1) });
  await client.acknowledge(1);
  host.emit(1, { type: 'outcome', outcome: rejected(1) });
  list.resolve({ outcomes: [] });
  await turn();
  expect(shown(client)).toEqual([1]);
});
