// Who is present, by the example backend: told to those who are there, and without ghosts.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { until } from '../support/until.mjs';
import { MEMORY, MSGPACK, World } from '../support/world.mjs';

const GRACE_MS = 600;
/** What a busy machine may add to a time that is measured. */
const SLACK_MS = 2000;

/** A world in which `users` are present in the room, each with its name as the state, and know of each other. */
async function present(context, variant, users) {
  const environment = { ...variant.environment, GRACE_MS: String(GRACE_MS) };
  const world = await World.start(context, { ...variant, environment });
  const devices = [];
  for (const user of users) {
    // Only the first one's link is broken.
    const url = devices.length === 0 ? world.link.url : world.backend.url;
    const device = await world.device(user, { url, collections: [] });
    await device.call('presenceJoin', { room: world.room, state: { name: user } });
    devices.push(device);
  }
  for (const device of devices) {
    await until(
      () => device.members(world.room).size === users.length,
      () => device.presences,
    );
  }
  return [world, ...devices];
}

for (const variant of [MEMORY, MSGPACK]) {
  test(`${variant.name}: who is there is told with their states, and who says goodbye is gone at once`, async (context) => {
    const [world, ada, eve] = await present(context, variant, ['ada', 'eve']);
    const { room } = world;
    assert.deepEqual(eve.members(room).get('ada').state, { name: 'ada' });
    await ada.call('presenceUpdate', { room, state: { typing: true }, expiresInMs: 60_000 });
    await until(() => eve.members(room).get('ada').state.typing === true);
    assert.equal(eve.members(room).get('ada').state.name, 'ada', 'an update changes what it names');
    await ada.call('presenceUpdate', { room, state: { typing: null } });
    await until(() => !('typing' in eve.members(room).get('ada').state));
    await eve.call('presenceLeave', { room });
    await until(() => ada.members(room).size === 1);
    eve.presences.length = 0;
    await eve.call('presenceJoin', { room, state: {} });
    await until(() => [ada, eve].every((device) => device.members(room).size === 2));

    eve.presences.length = 0;
    await ada.call('disconnect');
    await until(() => eve.presences.length > 0);
    assert.deepEqual(
      eve.presences.map((_, at) => eve.presences[at].members.map(({ userId }) => userId)),
      [['eve']],
      'not away for a grace: gone',
    );
  });

  test(`${variant.name}: a device whose link broke is away for the grace, and then gone`, async (context) => {
    const [world, , eve] = await present(context, variant, ['ada', 'eve']);
    eve.presences.length = 0;
    world.link.hold();
    world.link.cut();
    const began = Date.now();
    const isAway = ({ userId, status }) => userId === 'ada' && status === 'away';
    await until(() => eve.presences.some(({ members }) => members.some(isAway)));
    await until(() => !eve.members(world.room).has('ada'));
    const gone = Date.now() - began;
    assert.ok(gone >= GRACE_MS - 50 && gone < GRACE_MS + SLACK_MS, `gone after ${gone} ms`);
    world.link.release();
    await until(() => eve.members(world.room).get('ada')?.status === 'active');
  });

  test(`${variant.name}: a device that comes back within the grace never left`, async (context) => {
    const [world, ada, eve] = await present(context, variant, ['ada', 'eve']);
    eve.presences.length = 0;
    ada.connections.length = 0;
    world.link.cut();
    await until(() => ada.connections.some(({ state }) => state !== 'open'));
    await until(() => ada.connections.at(-1).state === 'open');
    await until(
      () => eve.members(world.room).get('ada')?.status === 'active' && ada.members(world.room).size === 2,
    );
    // Longer than the grace: an end of the older connection that still counted would show.
    await new Promise((resolve) => setTimeout(resolve, 2 * GRACE_MS));
    const without = eve.presences.filter(({ members }) => !members.some(({ userId }) => userId === 'ada'));
    assert.deepEqual(without, []);
    assert.equal(eve.members(world.room).get('ada').status, 'active');
  });
}

test('a backend refuses the presence of who may not use the room, and too large a state', async (context) => {
  const world = await World.start(context, MEMORY);
  const client_id = '018f0000-0000-7000-8000-000000000001';
  const peer = await world.peer('carol', { client_id });
  const join = (room, state) => peer.emitWithAck('presence:join', { room, state });
  assert.equal((await join('list:other', {})).error.code, 'forbidden');
  assert.equal((await join(world.room, { text: 'x'.repeat(5000) })).error.code, 'too_large');
  assert.equal(
    (await peer.emitWithAck('presence:update', { room: world.room, state: {} })).error.code,
    'not_found',
  );
  assert.deepEqual(
    (await join(world.room, { a: 1 })).members.map(({ state }) => state),
    [{ a: 1 }],
  );
});
