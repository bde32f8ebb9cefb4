// Events that wait in the queue of a device: each takes effect once, whatever breaks.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { until } from '../support/until.mjs';
import { MEMORY, MSGPACK, POSTGRES, World } from '../support/world.mjs';

const ROUNDS = 5;
const MESSAGES = 40;
/** Fewer than there are, so that a cut finds some sent and others not. */
const STREAM = 5;

const say = (room, text) => ({ work: { event: { name: 'chat:send', args: [{ room, text }] } } });
const stream = (room, text) => ({ ...say(room, text), policy: 'stream' });

/** Resolves when the jobs are durable on the device, to their numbers. */
async function enqueue(device, jobs) {
  const { enqueued } = await device.call('jobs', { command: { type: 'enqueue', jobs } });
  return enqueued.map(({ job }) => job);
}

/** What was said in a room, in order. */
async function said(peer, room) {
  const { changes } = await peer.emitWithAck('sync:pull', { room, cursor: 0, limit: 1000 });
  return changes.map(({ fields }) => fields.text);
}

const drained = (device) => until(async () => (await device.call('queue')).count === 0);

for (const variant of [MEMORY, MSGPACK]) {
  test(`${variant.name}: an event whose ack is lost is sent again and takes effect once`, async (context) => {
    const world = await World.start(context, variant);
    const { room } = world;
    const ada = await world.device('ada', { collections: [] });
    const peer = await world.peer('carol');
    const texts = [];
    for (let round = 1; round <= ROUNDS; round += 1) {
      texts.push(`message ${round}`);
      await until(() => ada.connection.state === 'open');
      world.link.mute();
      await enqueue(ada, [say(room, texts.at(-1))]);
      await until(async () => (await said(peer, room)).length === round);
      assert.equal((await ada.call('queue')).count, 1, 'the device has not heard of it');
      world.link.cut();
      await drained(ada);
    }
    assert.deepEqual(await said(peer, room), texts);
  });

  for (const [events, job] of [
    ['events', say],
    ['streamed events', stream],
  ]) {
    test(`${variant.name}: ${events} on a link that is cut again and again arrive once, in order`, async (context) => {
      const world = await World.start(context, variant);
      const { room } = world;
      const ada = await world.device('ada', { collections: [], settings: { jobStreamMax: STREAM } });
      const peer = await world.peer('carol');
      const texts = Array.from({ length: MESSAGES }, (_, number) => `message ${number}`);
      await enqueue(
        ada,
        texts.map((text) => job(room, text)),
      );
      for (let before = 0; before < MESSAGES; before = (await said(peer, room)).length) {
        world.link.cut();
        // A cut that comes before anything was said would prove nothing, and might never end.
        const last = before;
        await until(async () => (await said(peer, room)).length > last);
      }
      await drained(ada);
      assert.deepEqual(await said(peer, room), texts);
    });
  }
}

test('events queued offline survive the device, and drain when it comes back', async (context) => {
  const world = await World.start(context, POSTGRES);
  const { room } = world;
  const directory = mkdtempSync(join(tmpdir(), 'syncline-conformance-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const before = await world.device('ada', { collections: [], directory, autoConnect: false });
  const texts = Array.from({ length: MESSAGES }, (_, number) => `message ${number}`);
  await enqueue(
    before,
    texts.map((text) => say(room, text)),
  );
  await before.close();

  const after = await world.device('ada', { collections: [], directory });
  await drained(after);
  assert.deepEqual(await said(await world.peer('carol'), room), texts);
});

test('an event that the backend refuses becomes a dead letter, and those behind it go on', async (context) => {
  const world = await World.start(context, MEMORY);
  const { room } = world;
  const ada = await world.device('ada', { collections: [] });
  const [refused] = await enqueue(ada, [say(room, ''), say(room, 'after it')]);
  await drained(ada);
  assert.deepEqual(await said(await world.peer('carol'), room), ['after it']);
  const { deadLetters } = await ada.call('jobs', { command: { type: 'deadLetters' } });
  assert.deepEqual(
    deadLetters.map(({ job, error }) => [job, error.category, error.code]),
    [[refused, 'VALIDATION', 'invalid']],
  );

  // Mended by the app, it is said after all.
  const work = say(room, 'mended').work;
  await ada.call('jobs', { command: { type: 'retry', job: refused, work } });
  await drained(ada);
  assert.deepEqual(await said(await world.peer('carol'), room), ['after it', 'mended']);
});
