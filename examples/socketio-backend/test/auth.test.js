// How long a connection lasts.

import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';

import { endWithToken } from '../auth.js';

const DAY_MS = 86_400_000;

/** A socket that was connected now, with a token that ends in `lifeMs`; `tick` lets time pass. */
function connected(context, lifeMs) {
  context.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_700_000_000_000 });
  const socket = Object.assign(new EventEmitter(), { disconnect: context.mock.fn() });
  endWithToken(socket, { exp: (Date.now() + lifeMs) / 1000 });
  return { socket, ended: () => socket.disconnect.mock.calls, tick: (ms) => context.mock.timers.tick(ms) };
}

test('a connection ends 30 s after its token', (context) => {
  const { ended, tick } = connected(context, 60_000);
  tick(89_999);
  assert.equal(ended().length, 0);
  tick(1);
  assert.deepEqual(
    ended().map(({ arguments: given }) => given),
    [[true]],
  );
});

test('a token of months does not end its connection at once', (context) => {
  const { ended, tick } = connected(context, 60 * DAY_MS);
  for (let day = 0; day < 60; day += 1) tick(DAY_MS);
  assert.equal(ended().length, 0);
  tick(30_000);
  assert.equal(ended().length, 1);
});

test('of a connection that has ended nothing is left to end', (context) => {
  const { socket, ended, tick } = connected(context, 60_000);
  socket.emit('disconnect');
  tick(DAY_MS);
  assert.equal(ended().length, 0);
});
