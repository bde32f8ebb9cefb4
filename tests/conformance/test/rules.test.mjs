// Who may write what, in the example backend and in that of the example app.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';

import { sign } from '../../../examples/socketio-backend/auth.js';
import { addBackend } from '../../../examples/socketio-backend/backend.js';
import { addSync } from '../../../examples/socketio-backend/sync/sync.js';
import { addRooms } from '../../../react-native-module/example/backend/rooms.js';
import { IN_MEMORY, OPEN_DOOR, STORES, startHost } from '../support/host.mjs';
import { mutation } from '../support/mutation.mjs';

const SECRET = 'a secret of the tests';
const TOKEN_S = 3600;

const token = (sub, rooms, seconds = TOKEN_S) =>
  sign({ sub, rooms, exp: Math.floor(Date.now() / 1000) + seconds }, SECRET);

const BACKENDS = [
  { name: 'the example backend', add: addBackend, room: () => randomUUID() },
  { name: "the example app's backend", add: addRooms, room: () => 'chat:lobby' },
];

/** A device of a user: `push` sends one mutation, and resolves to its result. */
async function device({ peer }, user, room) {
  const socket = await peer({ user, token: token(user, [room]), client_id: randomUUID() });
  let client_seq = 0;
  return {
    push: async (parts) => {
      client_seq += 1;
      const mutations = [mutation({ client_seq, collection: 'messages', ...parts })];
      const { results } = await socket.emitWithAck('sync:push', { room, mutations });
      return results[0];
    },
    pull: async (id) => {
      const { changes } = await socket.emitWithAck('sync:pull', { room, cursor: 0 });
      return changes.find((document) => document.id === id).fields;
    },
  };
}

for (const kind of STORES) {
  for (const { name, add, room: newRoom } of BACKENDS) {
    test(`${kind.name}: ${name} lets nobody overwrite the message of another`, async (context) => {
      const host = await startHost(context, kind, (io, store) => add(io, { secret: SECRET, store }));
      const [room, id] = [newRoom(), randomUUID()];
      const [ada, bob] = [await device(host, 'ada', room), await device(host, 'bob', room)];
      const said = { from: 'ada', text: 'Hello' };
      assert.equal((await ada.push({ id, write: { create: said } })).status, 'applied');
      for (const write of [
        { create: { from: 'bob', text: 'I owe you' } },
        { update: { text: { set: 'x' } } },
        'delete',
      ]) {
        const { status, error } = await bob.push({ id, write });
        assert.deepEqual([status, error?.code], ['rejected', 'forbidden'], JSON.stringify(write));
      }
      assert.deepEqual(await bob.pull(id), said);
      const own = { from: 'bob', text: 'Hi' };
      assert.equal((await bob.push({ id: randomUUID(), write: { create: own } })).status, 'applied');
    });
  }
}

/** As docs/recipes/counters.md has it, and a promise. */
async function objectionToTaking(room, { collection, write }, user, document) {
  if (collection !== 'stock') return undefined;
  const operations = Object.entries(write.update ?? {});
  const amount = write.update?.left?.increment;
  if (operations.length !== 1 || !(amount < 0)) return 'of the stock one only takes';
  return (document?.fields.left ?? 0) + amount < 0 ? 'there is not so much left' : undefined;
}

for (const kind of STORES) {
  test(`${kind.name}: an objection may be a promise, and sees what is stored while nobody else writes`, async (context) => {
    const options = { ...OPEN_DOOR, objection: objectionToTaking };
    const host = await startHost(context, kind, (io, store) => addSync(io, { store, ...options }));
    const [room, collection, id] = [randomUUID(), 'stock', 'tea'];
    await host.added.write(room, [{ collection, id, write: { create: { left: 3 } } }]);
    const devices = await Promise.all(Array.from({ length: 5 }, (_, at) => device(host, `user-${at}`, room)));
    const take = { collection, id, write: { update: { left: { increment: -1 } } } };
    const taken = await Promise.all(devices.map(({ push }) => push(take)));
    const refused = taken.filter(({ status }) => status === 'rejected');
    assert.deepEqual(
      refused.map(({ error }) => [error.code, error.message]),
      Array(2).fill(['forbidden', 'there is not so much left']),
    );
    const [ada] = devices;
    for (const write of [{ update: { left: { set: 9 } } }, { create: { left: 9 } }, 'delete']) {
      assert.equal(
        (await ada.push({ collection, id, write })).error?.code,
        'forbidden',
        JSON.stringify(write),
      );
    }
    assert.equal((await ada.pull(id)).left, 0);
  });
}

test('who signs in to the example app under the name of the server may do no more than others', async (context) => {
  const host = await startHost(context, IN_MEMORY, (io, store) => addRooms(io, { secret: SECRET, store }));
  const room = 'chat:lobby';
  const [ada, server] = [await device(host, 'ada', room), await device(host, 'server', room)];
  await ada.push({ id: 'm1', write: { create: { from: 'ada', text: 'Hello' } } });
  for (const [id, write] of Object.entries({ m1: 'delete', m2: { create: { from: 'bob', text: 'x' } } })) {
    assert.equal((await server.push({ id, write })).error?.code, 'forbidden', id);
  }
  // What the server writes is not asked about.
  await host.added.write(room, [{ collection: 'messages', id: 'm1', write: 'delete' }]);
});

for (const { name, add } of BACKENDS) {
  test(`${name} ends a connection with its token`, async (context) => {
    const host = await startHost(context, IN_MEMORY, (io, store) => add(io, { secret: SECRET, store }));
    const timers = context.mock.method(globalThis, 'setTimeout');
    const ada = await host.peer({ token: token('ada', [], 10) });
    const ended = once(ada, 'disconnect');
    // The only timer of about the token's 10 s and the 30 s after it.
    const given = timers.mock.calls.map(({ arguments: [call, ms] }) => ({ call, ms }));
    const [{ call }, ...more] = given.filter(({ ms }) => ms > 35_000 && ms <= 40_000);
    assert.deepEqual(more, []);
    context.mock.timers.enable({ apis: ['Date'], now: Date.now() + 40_000 });
    call();
    assert.equal((await ended)[0], 'io server disconnect');
  });
}

test('a message whose key is too large to be remembered is refused', async (context) => {
  const host = await startHost(context, IN_MEMORY, (io, store) => addBackend(io, { secret: SECRET, store }));
  const room = randomUUID();
  const ada = await host.peer({ token: token('ada', [room]) });
  for (const idempotencyKey of ['x'.repeat(129), 7, null, { large: 'x' }]) {
    const { error } = await ada.emitWithAck('chat:send', { room, text: 'Hi' }, { idempotencyKey });
    assert.equal(error?.code, 'invalid', JSON.stringify(idempotencyKey));
  }
  const { ok } = await ada.emitWithAck(
    'chat:send',
    { room, text: 'Hi' },
    { idempotencyKey: 'x'.repeat(128) },
  );
  assert.equal(ok, true);
});
