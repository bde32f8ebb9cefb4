import assert from 'node:assert/strict';
import { test } from 'node:test';

import { compare } from '../src/compare.mjs';
import { keyOf, Model, pathOf } from '../src/model.mjs';

const COUNTER = { collection: 'demo', id: 'counter', field: 'value' };

function modelOf(...writes) {
  const model = new Model();
  for (const [id, write] of writes) {
    model.apply({ collection: 'c', id, write });
  }
  return model;
}

test('an update after a deletion brings the document back with its fields', () => {
  const model = modelOf(['1', { create: { a: 1, b: 2 } }], ['1', 'delete']);
  assert.equal(model.documents().size, 0);
  model.apply({ collection: 'c', id: '1', write: { update: { b: { set: 3 } } } });
  assert.deepEqual(model.documents().get(keyOf('c', '1')), { a: 1, b: 3 });
});

test("a field's name is data: dots, backslashes, __proto__", () => {
  for (const name of ['a.b', 'c\\d', '__proto__', '', 'é è']) {
    const model = modelOf(['1', { create: {} }], ['1', { update: { [pathOf(name)]: { set: 1 } } }]);
    assert.deepEqual(Object.entries(model.documents().get(keyOf('c', '1'))), [[name, 1]]);
  }
});

test('a clone keeps what was', () => {
  const model = modelOf(['1', { create: { n: 1 } }]);
  const before = model.clone();
  model.apply({ collection: 'c', id: '1', write: { update: { n: { increment: 2 } } } });
  assert.deepEqual(before.documents().get(keyOf('c', '1')), { n: 1 });
  assert.deepEqual(model.documents().get(keyOf('c', '1')), { n: 3 });
});

test('equal listings have no difference, whatever the order of fields', () => {
  const expected = modelOf(['1', { create: { a: 0, b: [{ c: null }] } }]).documents();
  const actual = [{ collection: 'c', id: '1', fields: { b: [{ c: null }], a: -0 } }];
  assert.deepEqual(compare(expected, actual, COUNTER), { lost: 0, duplicated: 0, differences: [] });
});

test('a missing document and a missing field are lost', () => {
  const expected = modelOf(['1', { create: { a: 1, b: 2 } }], ['2', { create: {} }]).documents();
  const actual = [{ collection: 'c', id: '1', fields: { a: 1 } }];
  const { lost, duplicated, differences } = compare(expected, actual, COUNTER);
  assert.deepEqual({ lost, duplicated }, { lost: 2, duplicated: 0 });
  assert.deepEqual(differences, ['c/1 b: undefined, should be 2', 'c/2 is missing']);
});

test('a document nobody made, or listed twice, is duplicated', () => {
  const expected = modelOf(['1', { create: {} }]).documents();
  const row = (id) => ({ collection: 'c', id, fields: {} });
  assert.equal(compare(expected, [row('1'), row('1'), row('2')], COUNTER).duplicated, 2);
});

test('a counter tells how many counts are missing or too many', () => {
  const expected = new Map([[keyOf('demo', 'counter'), { value: 10 }]]);
  const at = (value) =>
    compare(expected, [{ collection: 'demo', id: 'counter', fields: { value } }], COUNTER);
  assert.equal(at(7).lost, 3);
  assert.equal(at(12).duplicated, 2);
  assert.equal(at('10').lost, 1);
});
