// What the server itself writes, by `sync.write`, beside what its clients do.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';

import { addSync } from '../../../examples/socketio-backend/sync/sync.js';
import { IN_MEMORY, OPEN_DOOR, STORES, startHost } from '../support/host.mjs';
import { mutation } from '../support/mutation.mjs';

const WRITES_AT_ONCE = 100;

for (const kind of STORES) {
  test(`${kind.name}: a client's time that is far ahead leaves the server's own writes alone`, async (context) => {
    const room = randomUUID();
    const { added, peer } = await startHost(context, kind, (io, store) =>
      addSync(io, { store, ...OPEN_DOOR }),
    );
    const ada = await peer({ user: 'ada', client_id: randomUUID() });
    const far = mutation({ time: [Number.MAX_SAFE_INTEGER, 2 ** 32 - 1] });
    // The highest number of a time that is not ahead, where the counter has no room above it.
    const full = mutation({ client_seq: 2, time: [Date.now() + 60_000, 2 ** 32 - 1] });
    for (const sent of [full, { ...far, client_seq: 3 }, { ...far, client_seq: 2 ** 40 }]) {
      const { results } = await ada.emitWithAck('sync:push', { room, mutations: [sent] });
      assert.equal(results[0].status, 'applied');
      await added.write(room, [
        { collection: 'tasks', id: 't1', write: { update: { by: { set: 'server' } } } },
      ]);
    }
    const { changes } = await ada.emitWithAck('sync:pull', { room, cursor: 0 });
    assert.equal(changes[0].fields.by, 'server');
    const [wallMs] = changes[0].stamps.fields.by;
    assert.ok(wallMs <= Date.now() + 300_000, `${wallMs} is more than five minutes ahead`);
  });

  test(`${kind.name}: of the server's writes that run at once, none is lost`, async (context) => {
    const room = randomUUID();
    const { added, store } = await startHost(context, kind, (io, store) =>
      addSync(io, { store, ...OPEN_DOOR }),
    );
    await added.write(room, [{ collection: 'tasks', id: 't1', write: { create: { n: 0 } } }]);
    const add = () =>
      added.write(room, [{ collection: 'tasks', id: 't1', write: { update: { n: { increment: 1 } } } }]);
    await Promise.all(Array.from({ length: WRITES_AT_ONCE }, add));
    const { head, changes } = await store.page(room, 0, 10, 1 << 20);
    assert.equal(changes[0].fields.n, WRITES_AT_ONCE);
    assert.equal(head.seq, 1 + WRITES_AT_ONCE);
  });

  test(`${kind.name}: nobody pushes as the server, whatever their name`, async (context) => {
    const room = randomUUID();
    const { added, peer } = await startHost(context, kind, (io, store) =>
      addSync(io, { store, ...OPEN_DOOR }),
    );
    const write = () => added.write(room, [{ collection: 'tasks', id: 't1', write: { create: {} } }]);
    await write();
    const ada = await peer({ user: 'ada' });
    const { changes } = await ada.emitWithAck('sync:pull', { room, cursor: 0 });
    const [client_id] = Object.keys(changes[0].version);
    const thief = await peer({ user: 'server', client_id });
    const last = mutation({ client_seq: Number.MAX_SAFE_INTEGER });
    const { error } = await thief.emitWithAck('sync:push', { room, mutations: [last] });
    assert.equal(error?.code, 'forbidden');
    await write();
  });
}

const FAILURES = {
  throws: () => {
    throw new Error('the index is away');
  },
  rejects: () => Promise.reject(new Error('the index is away')),
};
for (const [how, onChanges] of Object.entries(FAILURES)) {
  test(`what is written stands, and is answered so, when onChanges ${how}`, async (context) => {
    const logged = context.mock.method(console, 'error', () => {});
    const room = randomUUID();
    const options = { ...OPEN_DOOR, onChanges };
    const { added, peer } = await startHost(context, IN_MEMORY, (io, store) =>
      addSync(io, { store, ...options }),
    );
    const ada = await peer({ user: 'ada', client_id: randomUUID() });
    const { error, results } = await ada.emitWithAck('sync:push', { room, mutations: [mutation()] });
    assert.deepEqual([error, results?.[0].status], [null, 'applied']);
    const next = await ada.emitWithAck('sync:push', {
      room,
      after: 1,
      mutations: [mutation({ client_seq: 2 })],
    });
    assert.equal(next.error, null, 'the chain holds');
    await added.write(room, [{ collection: 'tasks', id: 't2', write: { create: {} } }]);
    assert.deepEqual(
      logged.mock.calls.map(({ arguments: [where, reason] }) => [where, reason.message]),
      Array(3).fill(['onChanges:', 'the index is away']),
    );
  });
}
