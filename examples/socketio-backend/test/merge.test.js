// The merge rule, held to the vectors that the reference wrote.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { checkMutation } from '../sync/check.js';
import { replaceIn, EMPTY } from '../sync/checksum.js';
import { fieldsInConflict } from '../sync/conflict.js';
import { merge } from '../sync/merge.js';

const vectors = JSON.parse(
  readFileSync(new URL('../../../tests/contract/merges.json', import.meta.url), 'utf8'),
);

function replay({ steps, now_ms }) {
  let document = null;
  for (const { writer, mutation, conflict } of steps) {
    const checked = checkMutation(mutation);
    assert.deepEqual(fieldsInConflict(document, checked, writer), conflict);
    if (conflict === null) document = merge(document, checked, writer, now_ms) ?? document;
  }
  return document;
}

test('every history comes to the document of the reference', () => {
  assert(vectors.length > 100);
  for (const vector of vectors) {
    const document = replay(vector);
    // As text and back: what is compared is what travels.
    assert.deepEqual(JSON.parse(JSON.stringify(document)), vector.document, vector.name);
  }
});

test('a merge leaves the document that it was given as it was', () => {
  for (const { steps, now_ms } of vectors) {
    let document = null;
    for (const { writer, mutation, conflict } of steps) {
      if (conflict !== null) continue;
      const before = JSON.stringify(document);
      const after = merge(document, mutation, writer, now_ms) ?? document;
      assert.equal(JSON.stringify(document), before);
      document = after;
    }
  }
});

test('nothing that is written reaches the prototype of all objects', () => {
  vectors.forEach(replay);
  assert.equal({}.polluted, undefined);
  assert.deepEqual(Object.keys(Object.prototype), []);
});

test('the checksum of a room is that of the protocol', () => {
  const documents = [
    ['todos', 'first', 1, false],
    ['todos', 'second', 2, false],
    ['places', 'Zürich', 300, false],
    ['todos', 'third', 301, true],
  ].map(([collection, id, seq, deleted]) => ({ collection, id, seq, deleted }));
  const sum = documents.reduce((checksum, document) => replaceIn(checksum, null, document), EMPTY);
  assert.equal(sum, 'c24533d30b469a26');
  const emptied = documents.reduce((checksum, document) => replaceIn(checksum, document, null), sum);
  assert.equal(emptied, EMPTY);
});
