// Devices sync through the example backend.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { until } from '../support/until.mjs';
import { VARIANTS, World } from '../support/world.mjs';

const LARGE_TEXT_LENGTH = 1_000_000;
const DOCUMENTS = 2500;

for (const variant of VARIANTS) {
  const scenario = (name, run) =>
    test(`${variant.name}: ${name}`, async (context) => run(await World.start(context, variant)));

  scenario('what one device writes, the other shows, both ways', async (world) => {
    const { room } = world;
    const [ada, bob] = [await world.device('ada'), await world.device('bob')];
    await ada.write(room, 'tasks', {
      t1: { create: { title: 'Tea', address: { city: 'Zürich' }, tags: [] } },
    });
    await until(
      () => bob.rows(room, 'tasks').has('t1'),
      () => [ada.describe(), bob.describe()],
    );
    await bob.write(room, 'tasks', {
      t1: { update: { 'address.city': { set: 'Bern' }, tags: { union: ['red'] }, title: 'unset' } },
    });
    const expected = { t1: { address: { city: 'Bern' }, tags: ['red'] } };
    await until(() => ada.documents(room, 'tasks').t1.tags.length === 1);
    await Promise.all([ada.settled(), bob.settled()]);
    assert.deepEqual(ada.documents(room, 'tasks'), expected);
    assert.deepEqual(bob.documents(room, 'tasks'), expected);
    assert.equal((await ada.call('connection')).userId, 'ada');
    assert.deepEqual([...ada.errors, ...bob.errors, ...ada.outcomes, ...bob.outcomes], []);
  });

  scenario('a deletion reaches a device that was away', async (world) => {
    const { room } = world;
    const [ada, bob] = [await world.device('ada'), await world.device('bob')];
    await ada.write(room, 'tasks', { kept: { create: {} }, gone: { create: { n: 1 } } });
    await until(() => bob.rows(room, 'tasks').size === 2);
    await bob.settled();
    await bob.call('disconnect');
    await ada.write(room, 'tasks', { gone: 'delete' });
    await ada.settled();
    await bob.call('connect');
    await until(() => !bob.rows(room, 'tasks').has('gone'));
    assert.deepEqual(Object.keys(bob.documents(room, 'tasks')), ['kept']);
  });

  scenario('increments of two devices that were offline add up', async (world) => {
    const { room } = world;
    const [ada, bob] = [await world.device('ada'), await world.device('bob')];
    await ada.write(room, 'tasks', { xp: { create: { n: 100 } } });
    await until(() => bob.rows(room, 'tasks').has('xp'));
    await Promise.all([ada.settled(), bob.settled()]);
    await Promise.all([ada.call('disconnect'), bob.call('disconnect')]);
    for (let turn = 0; turn < 10; turn += 1) {
      await ada.write(room, 'tasks', { xp: { update: { n: { increment: 3 } } } });
      await bob.write(room, 'tasks', { xp: { update: { n: { increment: -1 } } } });
    }
    await until(() => ada.documents(room, 'tasks').xp.n === 130);
    await Promise.all([ada.call('connect'), bob.call('connect')]);
    await until(() => [ada, bob].every((device) => device.documents(room, 'tasks').xp.n === 120));
    await Promise.all([ada.settled(), bob.settled()]);
    assert.deepEqual(
      [ada, bob].map((device) => device.documents(room, 'tasks').xp.n),
      [120, 120],
    );
  });

  scenario('a room of many pages is read whole', async (world) => {
    const { room } = world;
    const ada = await world.device('ada');
    const ids = Array.from({ length: DOCUMENTS }, (_, index) => `d${index}`);
    const writes = ids.map((id, index) => [id, { create: { index, text: 'x'.repeat(600) } }]);
    for (let from = 0; from < DOCUMENTS; from += 500) {
      await ada.write(room, 'tasks', Object.fromEntries(writes.slice(from, from + 500)));
    }
    await ada.settled();
    const bob = await world.device('bob', { settings: { pageCountMax: 100 } });
    await bob.settled();
    assert.equal(bob.rows(room, 'tasks').size, DOCUMENTS);
    assert.deepEqual(bob.documents(room, 'tasks'), ada.documents(room, 'tasks'));

    const peer = await world.peer('carol');
    let cursor = 0;
    const seen = [];
    for (let more = true; more;) {
      const page = await peer.emitWithAck('sync:pull', { room, cursor, limit: 400 });
      assert(page.changes.length > 0 && page.changes.length <= 400, `${page.changes.length} changes`);
      seen.push(...page.changes.map(({ seq }) => seq));
      ({ cursor, more } = page);
    }
    assert.deepEqual(
      seen,
      Array.from({ length: DOCUMENTS }, (_, index) => index + 1),
    );
  });

  scenario('a page holds about a mebibyte, however large its documents', async (world) => {
    const { room } = world;
    const ada = await world.device('ada');
    for (const id of ['a', 'b', 'c']) {
      await ada.write(room, 'tasks', { [id]: { create: { text: id.repeat(LARGE_TEXT_LENGTH) } } });
    }
    await ada.settled();
    const peer = await world.peer('carol');
    const page = await peer.emitWithAck('sync:subscribe', { room, cursor: 0 });
    assert.equal(page.changes.length, 1);
    assert.equal(page.more, true);
    const bob = await world.device('bob');
    await bob.settled();
    assert.equal(bob.documents(room, 'tasks').c.text.length, LARGE_TEXT_LENGTH);
  });

  scenario('of two writes, the first stays where its collection wants it so', async (world) => {
    const { room } = world;
    const options = { conflict: 'first_write_wins' };
    const [ada, bob] = [await world.device('ada', options), await world.device('bob', options)];
    await ada.write(room, 'tasks', { t1: { create: { title: 'Tea', n: 1 } } });
    await until(() => bob.rows(room, 'tasks').has('t1'));
    await Promise.all([ada.settled(), bob.settled()]);
    await bob.call('disconnect');
    await ada.write(room, 'tasks', { t1: { update: { title: { set: 'Coffee' } } } });
    await ada.settled();
    await bob.write(room, 'tasks', { t1: { update: { title: { set: 'Water' } } } });
    await bob.call('connect');
    await until(() => bob.outcomes.length === 1);
    await bob.settled();
    const [{ error, conflict }] = bob.outcomes;
    assert.equal(error.code, 'conflict');
    assert.deepEqual(conflict, { kind: 'update_update', fields: ['title'] });
    assert.deepEqual(bob.documents(room, 'tasks'), { t1: { title: 'Coffee', n: 1 } });
  });

  scenario('values and names of every kind come back as they were', async (world) => {
    const { room } = world;
    const [ada, bob] = [await world.device('ada'), await world.device('bob')];
    const fields = {
      '': 'the empty name',
      constructor: { toString: 1 },
      'a.b\\c': [1, [2, []], { in: null }],
      numbers: [0, -1, 128, 65536, 2 ** 53, -(2 ** 53), 0.5, -1.25e-7, 1e-300],
      text: 'a"b\\c\n\u0000\u007f Grüße, 世界 🌍 \u2028',
      bool: [true, false],
    };
    // npm's MessagePack parser takes this one for an instruction, and the backend then refuses the write.
    if (variant.parser === 'json')
      Object.defineProperty(fields, '__proto__', { value: { x: 1 }, enumerable: true });
    await ada.write(room, 'tasks', { 'é/🌍 1': { create: fields } });
    await until(() => bob.rows(room, 'tasks').size === 1);
    await ada.settled();
    assert.deepEqual(bob.documents(room, 'tasks'), { 'é/🌍 1': fields });
  });
}
