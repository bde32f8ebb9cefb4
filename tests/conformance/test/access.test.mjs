// Who may do what, and what a backend does with nonsense.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';

import { token } from '../support/backend.mjs';
import { mutation } from '../support/mutation.mjs';
import { until } from '../support/until.mjs';
import { MEMORY, MSGPACK, POSTGRES, World, newRoom } from '../support/world.mjs';

for (const variant of [MEMORY, MSGPACK]) {
  test(`${variant.name}: a bad token is refused, and a good one lets the writes go`, async (context) => {
    const world = await World.start(context, variant);
    const { room } = world;
    const expired = token('ada', [room], -1);
    const refused = { nonsense: ['nonsense', /malformed/], expired: [expired, /expired/] };
    for (const [id, [bad, words]] of Object.entries(refused)) {
      const ada = await world.device('ada', { token: bad, autoConnect: false });
      await assert.rejects(ada.call('connect'), { code: 'unauthorized' });
      await until(() => ada.tokensNeeded.length === 1);
      const { state, reason } = await ada.call('connection');
      assert.equal(state, 'unauthorized');
      assert.match(reason.message, words);
      await ada.write(room, 'tasks', { [id]: { create: {} } });
      await ada.call('setToken', { token: world.token('ada') });
      await ada.settled();
    }
    const bob = await world.device('bob');
    await bob.settled();
    assert.equal(bob.rows(room, 'tasks').size, 2);
  });

  test(`${variant.name}: a room that is not allowed is denied, alone, until a token allows it`, async (context) => {
    const world = await World.start(context, variant);
    const { room } = world;
    const denied = newRoom();
    const ada = await world.device('ada');
    await ada.watch(denied, 'tasks');
    await until(() => ada.room(denied).state === 'denied');
    assert.equal(ada.room(denied).error.code, 'forbidden');
    await ada.write(denied, 'tasks', { t1: { create: { n: 1 } } });
    await ada.write(room, 'tasks', { t2: { create: {} } });
    await until(() => ada.errors.some(({ code }) => code === 'forbidden'));
    await until(() => ada.queue.count === 1);
    await until(() => ada.room(room).state === 'live');
    await ada.call('setToken', { token: token('ada', [room, denied]) });
    await ada.settled();
    assert.deepEqual(ada.documents(denied, 'tasks'), { t1: { n: 1 } });
  });
}

test('an event that the backend does not know is answered, and the connection stays', async (context) => {
  const world = await World.start(context, MEMORY);
  const ada = await world.device('ada');
  await ada.settled();
  const { args } = await ada.call('emitWithAck', { event: 'haunt', args: [{ room: world.room }] });
  assert.equal(args[0].error.code, 'invalid');
  await ada.write(world.room, 'tasks', { t1: { create: {} } });
  await ada.settled();
  assert.equal((await ada.call('stats')).reconnects, 1);
});

test('another version of the protocol is refused with its code', async (context) => {
  const world = await World.start(context, MEMORY);
  await assert.rejects(world.peer('carol', { protocol: 2 }), /^Error: unsupported_protocol: /);
  await assert.rejects(world.peer('carol', { client_id: 'me' }), /^Error: invalid: /);
});

const nested = (depth) => (depth === 0 ? 1 : [nested(depth - 1)]);
const NONSENSE = {
  'no message': [undefined, null, 7, 'x', [], true],
  'no room': [{}, { room: '' }, { room: 7 }, { room: 'a\nb' }, { room: 'x'.repeat(129) }, { room: '\ud800' }],
  'no mutations': [{ mutations: [] }, { mutations: {} }, { mutations: [null] }, { mutations: [7] }],
  'numbers that do not grow': [
    { mutations: [mutation(), mutation()] },
    { mutations: [mutation({ client_seq: 0 })] },
  ],
  'parts that do not fit': [
    { client_seq: 1.5 },
    { collection: 7 },
    { id: 'x'.repeat(129) },
    { time: [1] },
    { time: [1, 2 ** 32] },
    { base: { me: 1 } },
    { write: 'undo' },
    { write: {} },
    { write: { create: {}, update: {} } },
    { write: { create: [] } },
    { write: { create: { deep: nested(65) } } },
    { write: { create: { text: '\udc00' } } },
    { write: { create: { huge: 2 ** 63 } } },
    { write: { update: {} } },
    { write: { update: { 'a\\b': 'unset' } } },
    { write: { update: { [Array(33).fill('a').join('.')]: 'unset' } } },
    { write: { update: { a: 'unset', 'a.b': 'unset' } } },
    { write: { update: { a: { increment: 'x' } } } },
    { write: { update: { a: { multiply: 2 } } } },
    { write: { update: { a: {} } } },
    { write: { update: { a: { union: 1 } } } },
  ].map((parts) => ({ mutations: [mutation(parts)] })),
};

for (const variant of [MEMORY, POSTGRES]) {
  test(`${variant.name}: nonsense is refused, and has no effect`, async (context) => {
    const world = await World.start(context, variant);
    const { room } = world;
    const peer = await world.peer('carol', { client_id: randomUUID() });
    for (const [kind, messages] of Object.entries(NONSENSE)) {
      for (const message of messages) {
        const push = message?.mutations === undefined ? message : { room, ...message };
        const { error } = await peer.emitWithAck('sync:push', push);
        assert.equal(error?.code, 'invalid', `${kind}: ${JSON.stringify(message)}`);
      }
    }
    const { error } = await peer.emitWithAck('sync:pull', { room, cursor: -1, limit: 1 });
    assert.equal(error.code, 'invalid');
    assert.deepEqual((await peer.emitWithAck('sync:pull', { room, cursor: 0, limit: 1 })).cursor, 0);
  });

  test(`${variant.name}: pushes are answered by the rules of the protocol`, async (context) => {
    const world = await World.start(context, variant);
    const { room } = world;
    const client = randomUUID();
    const peer = await world.peer('carol', { client_id: client });
    const push = (after, ...mutations) => peer.emitWithAck('sync:push', { room, after, mutations });
    const statuses = ({ results }) => results.map(({ status, seq, error }) => [status, seq ?? error.code]);

    assert.deepEqual(statuses(await push(null, mutation(), mutation({ client_seq: 3, id: 't2' }))), [
      ['applied', 1],
      ['applied', 2],
    ]);
    assert.equal((await push(2, mutation({ client_seq: 4 }))).error.code, 'out_of_order');
    assert.equal(
      (await push(3, mutation({ client_seq: 4 }))).error.code,
      'out_of_order',
      'the chain is broken',
    );
    const refused = mutation({ client_seq: 5, id: 'absent', write: 'delete' });
    assert.deepEqual(statuses(await push(null, mutation({ client_seq: 4 }), refused)), [
      ['applied', 3],
      ['rejected', 'not_found'],
    ]);
    const again = await push(5, mutation({ id: 't2', client_seq: 3 }), mutation({ client_seq: 4 }), refused);
    assert.deepEqual(statuses(again), [
      ['duplicate', 2],
      ['duplicate', 3],
      ['duplicate', 'not_found'],
    ]);
    const unused = await push(null, mutation({ client_seq: 2 }));
    assert.deepEqual(statuses(unused), [['duplicate', 3]], 'a number below the highest was used');

    const thief = await world.peer('mallory', { client_id: client });
    const stolen = await thief.emitWithAck('sync:push', { room, mutations: [mutation({ client_seq: 9 })] });
    assert.equal(stolen.error.code, 'forbidden');
    const reader = await world.peer('carol');
    const unnamed = await reader.emitWithAck('sync:push', { room, mutations: [mutation({ client_seq: 9 })] });
    assert.equal(unnamed.error.code, 'forbidden');
  });

  test(`${variant.name}: a clock that runs ahead is capped`, async (context) => {
    const world = await World.start(context, variant);
    const { room } = world;
    const peer = await world.peer('carol', { client_id: randomUUID() });
    const ahead = mutation({ time: [Date.now() + 86_400_000, 0] });
    await peer.emitWithAck('sync:push', { room, mutations: [ahead] });
    const { changes } = await peer.emitWithAck('sync:pull', { room, cursor: 0, limit: 1 });
    const [wallMs, counter] = changes[0].stamps.base;
    assert(wallMs <= Date.now() + 300_000 && wallMs > Date.now() + 200_000);
    assert.equal(counter, 1);
  });
}
