// What breaks between a device and its backend, and what must come of it.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import pg from 'pg';

import { until } from '../support/until.mjs';
import { MEMORY, POSTGRES, VARIANTS, World } from '../support/world.mjs';

const ROUNDS = 5;
const WRITES = 60;
/** Small pushes, of which few are under way at once: whatever fails, fails between two of them. */
const SMALL_PUSHES = { pushCountMax: 5, pushWindowBytes: 2000 };

/** Resolves when the backend's log of a room has grown beyond `seq`; to where it ends. */
async function grown(peer, room, seq) {
  let head;
  await until(async () => {
    ({ cursor: head } = await peer.emitWithAck('sync:pull', { room, cursor: 1_000_000, limit: 1 }));
    return head > seq;
  });
  return head;
}

for (const variant of VARIANTS) {
  test(`${variant.name}: a write whose ack is lost is sent again and applied once`, async (context) => {
    const world = await World.start(context, variant);
    const { room } = world;
    const ada = await world.device('ada');
    const peer = await world.peer('carol');
    await ada.write(room, 'tasks', { t1: { create: { n: 0 } } });
    await ada.settled();
    for (let round = 1; round <= ROUNDS; round += 1) {
      world.link.mute();
      await ada.write(room, 'tasks', { t1: { update: { n: { increment: 1 } } } });
      assert.equal(await grown(peer, room, round), round + 1);
      assert.equal((await ada.call('queue')).count, 1, 'the device has not heard of it');
      world.link.cut();
      await ada.settled();
      assert.equal(ada.rows(room, 'tasks').get('t1').fields.n, round);
    }
    const { changes, cursor } = await peer.emitWithAck('sync:pull', { room, cursor: 0, limit: 10 });
    assert.deepEqual([changes[0].fields.n, cursor], [ROUNDS, ROUNDS + 1]);
  });

  test(`${variant.name}: edits made offline survive the device, and drain in order`, async (context) => {
    const world = await World.start(context, variant);
    const { room } = world;
    const directory = mkdtempSync(join(tmpdir(), 'syncline-conformance-'));
    context.after(() => rmSync(directory, { recursive: true, force: true }));
    const before = await world.device('ada', { directory, autoConnect: false });
    await before.write(room, 'tasks', { t1: { create: { n: 0, log: [] } } });
    for (let n = 1; n <= WRITES; n += 1) {
      await before.write(room, 'tasks', { t1: { update: { n: { set: n }, log: { append: [n] } } } });
    }
    await before.close();
    const ada = await world.device('ada', { directory, settings: SMALL_PUSHES });
    await ada.settled();
    const bob = await world.device('bob');
    await bob.settled();
    const log = Array.from({ length: WRITES }, (_, index) => index + 1);
    assert.deepEqual(bob.documents(room, 'tasks'), { t1: { n: WRITES, log } });
    assert.deepEqual(ada.documents(room, 'tasks'), { t1: { n: WRITES, log } });
  });
}

test('a backend that lost everything is believed: the room is read again, and the outbox drains', async (context) => {
  const world = await World.start(context, MEMORY);
  const { room } = world;
  const ada = await world.device('ada');
  await ada.write(room, 'tasks', { lost1: { create: {} }, lost2: { create: {} }, lost3: { create: {} } });
  await ada.settled();
  await ada.call('disconnect');
  await ada.write(room, 'tasks', { kept: { create: { n: 1 } }, lost1: { update: { n: { set: 1 } } } });
  await world.restart();
  await ada.call('connect');
  await until(() => ada.outcomes.length === 1);
  await ada.settled();
  assert.deepEqual(ada.documents(room, 'tasks'), { kept: { n: 1 } });
  assert.deepEqual([ada.outcomes[0].id, ada.outcomes[0].error.code], ['lost1', 'not_found']);
  const bob = await world.device('bob');
  await bob.settled();
  assert.deepEqual(bob.documents(room, 'tasks'), { kept: { n: 1 } });
});

test('a log that was lost and is as long again is told by its checksum', async (context) => {
  const world = await World.start(context, MEMORY);
  const { room } = world;
  const ada = await world.device('ada');
  await ada.write(room, 'tasks', { lost1: { create: {} }, lost2: { create: {} } });
  await ada.settled();
  await ada.call('disconnect');
  await world.restart();
  const bob = await world.device('bob');
  await bob.write(room, 'tasks', { new1: { create: {} }, new2: { create: {} } });
  await bob.settled();
  await ada.call('connect');
  await until(() => ada.rows(room, 'tasks').has('new2'));
  await ada.settled();
  assert.deepEqual(ada.documents(room, 'tasks'), { new1: {}, new2: {} });
});

test('Postgres keeps everything when its backend is killed in the midst of pushes', async (context) => {
  const world = await World.start(context, POSTGRES);
  const { room } = world;
  const ada = await world.device('ada', { settings: SMALL_PUSHES });
  const bob = await world.device('bob', { settings: SMALL_PUSHES });
  await ada.write(room, 'tasks', { t1: { create: { n: 0 } } });
  await until(() => bob.rows(room, 'tasks').has('t1'));
  await Promise.all([ada.settled(), bob.settled()]);
  let head = 1;
  for (let round = 0; round < ROUNDS; round += 1) {
    const peer = await world.peer('carol');
    world.link.mute();
    for (let write = 0; write < WRITES; write += 1) {
      for (const device of [ada, bob]) {
        await device.write(room, 'tasks', { t1: { update: { n: { increment: 1 } } } });
      }
    }
    head = await grown(peer, room, head);
    assert(head < 1 + (round + 1) * 2 * WRITES, 'not all were sent');
    await world.restart();
    await Promise.all([ada.settled(), bob.settled()]);
    head = 1 + (round + 1) * 2 * WRITES;
  }
  const total = ROUNDS * 2 * WRITES;
  await until(() => [ada, bob].every((device) => device.rows(room, 'tasks').get('t1').seq === total + 1));
  assert.deepEqual(
    [ada, bob].map((device) => device.documents(room, 'tasks').t1.n),
    [total, total],
  );
});

test('a database that fails for now costs no write, and none its order', async (context) => {
  const world = await World.start(context, POSTGRES);
  const { room } = world;
  const admin = new pg.Client(POSTGRES.environment.DATABASE_URL);
  await admin.connect();
  context.after(() => admin.end());
  const ada = await world.device('ada', { settings: SMALL_PUSHES });
  await ada.write(room, 'tasks', { t1: { create: { log: [] } } });
  await ada.settled();
  // Whoever holds the room's row keeps the backend waiting, until its connection is ended.
  await admin.query('BEGIN');
  await admin.query('SELECT * FROM sync_rooms WHERE room = $1 FOR UPDATE', [room]);
  for (let n = 1; n <= WRITES; n += 1) {
    await ada.write(room, 'tasks', { t1: { update: { log: { append: [n] } } } });
  }
  let ended = 0;
  await until(async () => {
    const { rowCount } = await admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_locks
       WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))`,
    );
    ended += rowCount;
    return ended >= 3;
  });
  await admin.query('COMMIT');
  await ada.settled();
  assert.deepEqual(ada.outcomes, []);
  const log = Array.from({ length: WRITES }, (_, index) => index + 1);
  const bob = await world.device('bob');
  await bob.settled();
  assert.deepEqual(bob.documents(room, 'tasks'), { t1: { log } });
});

test('two backends over one Postgres serve one room', async (context) => {
  const world = await World.start(context, POSTGRES);
  const other = await World.start(context, POSTGRES, world.rooms);
  const { room } = world;
  const settings = { presencePingMs: 50, ...SMALL_PUSHES };
  const [ada, bob] = [await world.device('ada', { settings }), await other.device('bob', { settings })];
  await ada.write(room, 'tasks', { t1: { create: { n: 0 } } });
  // No adapter carries changes from one to the other: the heads tell.
  await until(() => bob.rows(room, 'tasks').has('t1'));
  for (let n = 0; n < WRITES; n += 1) {
    for (const device of [ada, bob]) {
      await device.write(room, 'tasks', { t1: { update: { n: { increment: 1 } } } });
    }
  }
  await until(() =>
    [ada, bob].every((device) => device.rows(room, 'tasks').get('t1').seq === 1 + 2 * WRITES),
  );
  await Promise.all([ada.settled(), bob.settled()]);
  assert.deepEqual(
    [ada, bob].map((device) => device.documents(room, 'tasks').t1.n),
    [2 * WRITES, 2 * WRITES],
  );
});

test('a backend that is asked to end does so, and its devices go on with the next', async (context) => {
  const world = await World.start(context, POSTGRES);
  const { room } = world;
  const ada = await world.device('ada');
  await ada.settled();
  assert.equal(await world.backend.stop(), 0);
  await ada.write(room, 'tasks', { t1: { create: {} } });
  await world.restart();
  await ada.settled();
  assert.deepEqual(ada.documents(room, 'tasks'), { t1: {} });
});
