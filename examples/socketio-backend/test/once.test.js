// What is asked for again is done once.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isKey, onceByKey } from '../once.js';

test('the key of one user is never that of another', async () => {
  const once = onceByKey();
  const asked = [
    ['ada', 'x y'],
    ['ada x', 'y'],
    ['ada', 'x'],
    ['ada', 'x y'],
  ];
  const answers = await Promise.all(asked.map(([user, key], at) => once(user, key, async () => at)));
  assert.deepEqual(answers, [0, 1, 2, 0]);
});

test('a key is a text of at most 128 bytes', () => {
  const good = ['k', 'x'.repeat(128)];
  const bad = ['x'.repeat(129), 'é'.repeat(65), 7, null, {}, ['k']];
  assert.deepEqual([...good, ...bad].map(isKey), [...good.map(() => true), ...bad.map(() => false)]);
});
