// A client does with the least that a backend may answer.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Device } from '../support/device.mjs';
import { startLeast } from '../support/least.mjs';
import { Link } from '../support/link.mjs';
import { until } from '../support/until.mjs';

const ROOM = 'list:1';
const ROUNDS = 5;

for (const documents of [true, false]) {
  const kind = documents ? 'changes with their documents' : 'changes that say only where the log ends';

  test(`two devices sync over the least backend, by ${kind}`, async (context) => {
    const backend = await startLeast({ documents });
    const link = await Link.open(backend.url);
    const config = { url: link.url, parser: 'json', settings: { tokenRequired: false } };
    const [ada, bob] = [await Device.open(config), await Device.open(config)];
    context.after(async () => {
      await Promise.all([ada.close(), bob.close()]);
      await link.close();
      await backend.close();
    });
    for (const device of [ada, bob]) await device.watch(ROOM, 'tasks');

    await ada.write(ROOM, 'tasks', { t1: { create: { n: 0, tags: [] } }, gone: { create: {} } });
    await until(() => bob.rows(ROOM, 'tasks').size === 2);
    for (let round = 1; round <= ROUNDS; round += 1) {
      link.mute();
      const before = backend.counts.pushes;
      await ada.write(ROOM, 'tasks', { t1: { update: { n: { increment: 1 } } } });
      await until(() => backend.counts.pushes > before);
      // The ack is lost; the write is not.
      link.cut();
      await bob.write(ROOM, 'tasks', {
        t1: { update: { n: { increment: 10 }, tags: { union: [`b${round}`] } } },
      });
      await Promise.all([ada.settled(), bob.settled()]);
    }
    await bob.write(ROOM, 'tasks', { gone: 'delete' });
    const tags = Array.from({ length: ROUNDS }, (_, index) => `b${index + 1}`);
    const expected = { t1: { n: 11 * ROUNDS, tags } };
    await until(() => [ada, bob].every((device) => !device.rows(ROOM, 'tasks').has('gone')));
    await until(() => ada.rows(ROOM, 'tasks').get('t1').fields.n === 11 * ROUNDS);
    await Promise.all([ada.settled(), bob.settled()]);
    assert.deepEqual(ada.documents(ROOM, 'tasks'), expected);
    assert.deepEqual(bob.documents(ROOM, 'tasks'), expected);
    assert.deepEqual(ada.errors, []);
  });
}

test('a change that overtakes the page read before it is not missed', async (context) => {
  const backend = await startLeast({ documents: true });
  const config = { url: backend.url, parser: 'json', settings: { tokenRequired: false } };
  const [ada, bob] = [await Device.open(config), await Device.open(config)];
  context.after(async () => {
    await Promise.all([ada.close(), bob.close()]);
    await backend.close();
  });
  await ada.watch(ROOM, 'tasks');
  await ada.settled();
  backend.holdPages();
  await bob.watch(ROOM, 'tasks');
  await until(() => backend.counts.pages === 2);
  await ada.write(ROOM, 'tasks', { t1: { create: {} } });
  await until(() => backend.counts.pushes === 1);
  backend.releasePages();
  await until(() => bob.rows(ROOM, 'tasks').has('t1'));
  await Promise.all([ada.settled(), bob.settled()]);
});

test('a write larger than a message of the backend may be is refused, and holds nothing up', async (context) => {
  const backend = await startLeast({ documents: true });
  const device = await Device.open({ url: backend.url, parser: 'json', settings: { tokenRequired: false } });
  context.after(async () => {
    await device.close();
    await backend.close();
  });
  await device.watch(ROOM, 'tasks');
  // Socket.IO takes 1 MB unless told otherwise.
  await device.write(ROOM, 'tasks', { large: { create: { text: 'x'.repeat(1_000_000) } } });
  await device.write(ROOM, 'tasks', { small: { create: {} } });
  await until(() => device.outcomes.length === 1);
  await device.settled();
  assert.deepEqual([device.outcomes[0].id, device.outcomes[0].error.code], ['large', 'too_large']);
  assert.deepEqual(device.documents(ROOM, 'tasks'), { small: {} });
  assert.equal((await device.call('stats')).reconnects, 1);
});
