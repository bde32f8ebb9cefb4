// The backend's own events, and what they share with sync.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { until } from '../support/until.mjs';
import { VARIANTS, World } from '../support/world.mjs';

for (const variant of VARIANTS) {
  const scenario = (name, run) =>
    test(`${variant.name}: ${name}`, async (context) => run(await World.start(context, variant)));

  scenario('a device and a client of npm socket.io-client talk in one room', async (world) => {
    const { room } = world;
    const ada = await world.device('ada', { collections: ['messages'] });
    const [carol, dave] = [await world.peer('carol'), await world.peer('dave')];
    const heard = { carol: [], dave: [] };
    carol.on('chat:message', (message) => heard.carol.push(message));
    dave.on('chat:message', (message) => heard.dave.push(message));
    for (const peer of [carol, dave])
      assert.deepEqual(await peer.emitWithAck('room:join', { room }), { ok: true });

    await ada.write(room, 'messages', { m1: { create: { from: 'ada', text: 'Hello' } } });
    await until(() => heard.carol.length === 1 && heard.dave.length === 1);
    assert.deepEqual(heard.carol, [{ id: 'm1', from: 'ada', text: 'Hello' }]);

    const { id } = await carol.emitWithAck('chat:send', { room, text: 'Hi' }, { idempotencyKey: 'key-1' });
    await until(() => ada.rows(room, 'messages').has(id));
    const { from, text } = ada.documents(room, 'messages')[id];
    assert.deepEqual({ from, text }, { from: 'carol', text: 'Hi' });
    await until(() => heard.dave.length === 2);

    await carol.emitWithAck('room:leave', { room });
    await ada.write(room, 'messages', { m2: { create: { from: 'ada', text: 'Bye' } } });
    await until(() => heard.dave.length === 3);
    assert.equal(heard.carol.length, 2);
  });

  scenario('an emit that is repeated with its key takes effect once', async (world) => {
    const { room } = world;
    const ada = await world.device('ada', { collections: ['messages'] });
    const [carol, dave] = [await world.peer('carol'), await world.peer('dave')];
    const heard = [];
    dave.on('chat:message', (message) => heard.push(message));
    await dave.emitWithAck('room:join', { room });
    const send = (peer, idempotencyKey) =>
      peer.emitWithAck('chat:send', { room, text: 'once' }, { idempotencyKey });
    const first = await Promise.all([send(carol, 'key'), send(carol, 'key')]);
    const later = await world.peer('carol');
    const answers = [...first, await send(later, 'key')];
    assert.deepEqual(answers, Array(3).fill({ ok: true, id: answers[0].id }));
    const other = await send(dave, 'key');
    assert.notEqual(other.id, answers[0].id, "a key is its user's own");
    await until(() => ada.rows(room, 'messages').size === 2 && heard.length === 2);
    await ada.settled();
    assert.equal(ada.rows(room, 'messages').size, 2);
  });

  scenario('a write that the backend objects to is rolled back, alone', async (world) => {
    const { room } = world;
    const ada = await world.device('ada', { collections: ['messages', 'tasks'] });
    await ada.write(room, 'messages', {
      forged: { create: { from: 'bob', text: 'I owe you' } },
      mine: { create: { from: 'ada', text: 'Hello' } },
    });
    await ada.write(room, 'tasks', { t1: { create: {} } });
    await until(() => ada.outcomes.length === 1);
    await ada.settled();
    assert.deepEqual([ada.outcomes[0].id, ada.outcomes[0].error.code], ['forged', 'forbidden']);
    assert.deepEqual(Object.keys(ada.documents(room, 'messages')), ['mine']);
    assert.deepEqual(Object.keys(ada.documents(room, 'tasks')), ['t1']);
  });

  scenario('what the application is asked wrongly is answered, and does not end it', async (world) => {
    const { room } = world;
    const carol = await world.peer('carol');
    const refused = [
      ['room:join', { room: 'list:of-others' }],
      ['chat:send', { room: 'list:of-others', text: 'x' }, 'k'],
      ['chat:send', { room }, 'k'],
      ['room:join'],
      ['chat:send', null, null],
    ];
    for (const [event, ...args] of refused) {
      const { error } = await carol.emitWithAck(event, ...args);
      assert.notEqual(error, undefined, event);
    }
    carol.emit('room:join');
    carol.emit('chat:send', 7);
    carol.emit('sync:push', {});
    assert.deepEqual(await carol.emitWithAck('room:join', { room }), { ok: true });
  });
}
