// Who is present by the rules of the protocol: what is refused, and who is gone.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';

import { addSync } from '../../../examples/socketio-backend/sync/sync.js';
import { IN_MEMORY, OPEN_DOOR, startHost } from '../support/host.mjs';
import { until } from '../support/until.mjs';

const room = 'list:1';
const NONSENSE = [
  { state: 7 },
  { state: {}, status: 'busy' },
  { state: {}, status: null },
  { state: { a: 1 }, expires_ms: { a: 'soon' } },
  { state: { a: 1 }, expires_ms: { a: -1 } },
  { state: { a: 1 }, expires_ms: { a: 0.5 } },
  { state: { a: 1 }, expires_ms: { a: null } },
  { state: { a: 1 }, expires_ms: { b: 1 } },
  { state: {}, expires_ms: 7 },
  { state: {}, background_lease_ms: 'long' },
  { state: {}, background_lease_ms: -1 },
  { state: {}, background_lease_ms: 1.5 },
];

const start = (context, options = {}) =>
  startHost(context, IN_MEMORY, (io, store) => addSync(io, { store, ...OPEN_DOOR, ...options }));

test('a presence that the other members could not read is refused, and told to nobody', async (context) => {
  const { peer } = await start(context);
  const [ada, bob] = [
    await peer({ user: 'ada', client_id: randomUUID() }),
    await peer({ user: 'bob', client_id: randomUUID() }),
  ];
  await ada.emitWithAck('presence:join', { room, state: { n: 1 } });
  const told = [];
  ada.on('presence:diff', (diff) => told.push(diff));
  for (const event of ['presence:join', 'presence:update']) {
    for (const nonsense of NONSENSE) {
      const { error } = await bob.emitWithAck(event, { room, ...nonsense });
      assert.equal(error?.code, 'invalid', `${event}: ${JSON.stringify(nonsense)}`);
    }
    // From here on bob is there, and what he updates is looked at.
    await bob.emitWithAck('presence:join', { room, state: {}, status: 'away', expires_ms: {} });
  }
  await ada.emitWithAck('presence:update', { room, state: {} });
  assert.deepEqual(
    told.flatMap(({ joined, updated }) => [...joined, ...updated]).map(({ status }) => status),
    ['away', 'away'],
  );
});

test("another user's client id takes nobody's place, whether that user is there or away", async (context) => {
  const { server, peer } = await start(context);
  const ids = [randomUUID(), randomUUID()];
  const [ada, bob] = [
    await peer({ user: 'ada', client_id: ids[0] }),
    await peer({ user: 'bob', client_id: ids[1] }),
  ];
  await ada.emitWithAck('presence:join', { room, state: { n: 1 } });
  await bob.emitWithAck('presence:join', { room, state: {} });
  const told = [];
  ada.on('presence:diff', (diff) => told.push(diff));
  const mallory = await peer({ user: 'mallory', client_id: ids[0] });
  const join = () => mallory.emitWithAck('presence:join', { room, state: { n: 2 } });
  assert.equal((await join()).error?.code, 'forbidden');

  const away = once(bob, 'presence:diff');
  const [socket] = (await server.fetchSockets()).filter(({ handshake }) => handshake.auth.user === 'ada');
  socket.conn.close();
  assert.equal((await away)[0].updated[0].status, 'away');
  assert.equal((await join()).error?.code, 'forbidden');
  const { members } = await bob.emitWithAck('presence:join', { room, state: {} });
  assert.deepEqual(
    members.map(({ user_id, state }) => [user_id, state]),
    [
      ['ada', { n: 1 }],
      ['bob', {}],
    ],
  );
  assert.deepEqual(told, []);

  // The same user's newer connection takes the place over.
  const again = await peer({ user: 'ada', client_id: ids[0] });
  assert.equal((await again.emitWithAck('presence:join', { room, state: {} })).error, undefined);
});

test('who goes while it is looked up whether they may be there is not there', async (context) => {
  const asked = new Map();
  const allows = (socket) => {
    if (socket.handshake.auth.user === 'ada') return true;
    return new Promise((resolve) => asked.set(socket, resolve));
  };
  const { server, peer } = await start(context, { allows });
  const ada = await peer({ user: 'ada', client_id: randomUUID() });
  const bob = await peer({ user: 'bob', client_id: randomUUID() });
  bob.emit('presence:join', { room, state: {} }, () => {});
  await until(() => asked.size === 1);
  const [[socket, answer]] = asked;
  const ended = once(socket, 'disconnect');
  bob.disconnect();
  await ended;
  answer(true);
  await setImmediate();
  const { members } = await ada.emitWithAck('presence:join', { room, state: {} });
  assert.deepEqual(
    members.map(({ user_id }) => user_id),
    ['ada'],
  );
  assert.equal(server.of('/').adapter.sids.has(socket.id), false, 'no room keeps who has gone');
});

test('a room that is taken away is neither read nor shown there any longer, and the client is told', async (context) => {
  const denied = new Set();
  const allows = (socket) => !denied.has(socket.handshake.auth.user);
  const { server, added, peer } = await start(context, { allows });
  const [ada, bob] = [
    await peer({ user: 'ada', client_id: randomUUID() }),
    await peer({ user: 'bob', client_id: randomUUID() }),
  ];
  const heard = { ada: [], bob: [] };
  for (const [name, socket] of Object.entries({ ada, bob })) {
    await socket.emitWithAck('sync:subscribe', { room, cursor: 0 });
    await socket.emitWithAck('presence:join', { room, state: {} });
    socket.onAny((event, message) => heard[name].push([event, message]));
  }
  denied.add('bob');
  const [socket] = (await server.fetchSockets()).filter(({ handshake }) => handshake.auth.user === 'bob');
  added.revoke(socket, room);
  added.revoke(socket, room);
  await added.write(room, [{ collection: 'tasks', id: 't1', write: { create: {} } }]);
  await ada.emitWithAck('presence:update', { room, state: { n: 1 } });
  const again = await bob.emitWithAck('sync:subscribe', { room, cursor: 0 });
  assert.equal(again.error.code, 'forbidden');
  assert.deepEqual(heard.bob, [['access:lost', { room, lost: ['read', 'presence'], error: again.error }]]);
  assert.deepEqual(
    heard.ada.map(([event, { left }]) => [event, left?.length]),
    [
      ['presence:diff', 0],
      ['presence:diff', 1],
      ['sync:changes', undefined],
    ],
  );
});
