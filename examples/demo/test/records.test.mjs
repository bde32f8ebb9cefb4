import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { UsageError } from '../src/arguments.mjs';
import { invalidAt } from '../src/json_position.mjs';
import { collectionOf, readRecords } from '../src/records.mjs';

const folder = mkdtempSync(join(tmpdir(), 'syncline-records-'));
after(() => rmSync(folder, { recursive: true }));

async function read(content) {
  const file = join(folder, 'data.json');
  writeFileSync(file, content);
  return readRecords(file);
}

async function refusal(content) {
  const error = await read(content).then(
    () => assert.fail('nothing was refused'),
    (reason) => reason,
  );
  assert(error instanceof UsageError, error.stack);
  return error.message.replace(`${join(folder, 'data.json')}:`, '');
}

test('an array is read with the line of each document', async () => {
  const records = await read('[\n  {"a": "],[{"},\n  {"b":\n    [1, {"c": "\\""}]}, {}\n]\n');
  assert.deepEqual(records, [
    { line: 2, fields: { a: '],[{' } },
    { line: 3, fields: { b: [1, { c: '"' }] } },
    { line: 4, fields: {} },
  ]);
});

test('lines are read, empty ones skipped, the last with or without its end', async () => {
  const expected = [
    { line: 1, fields: { a: 1 } },
    { line: 3, fields: { 'é. x': null } },
  ];
  assert.deepEqual(await read('{"a":1}\r\n\n{"é. x":null}\n'), expected);
  assert.deepEqual(await read('\ufeff{"a":1}\n\n{"é. x":null}'), expected);
});

test('a file larger than one chunk is read whole', async () => {
  const documents = Array.from({ length: 3000 }, (_, index) => ({ index, text: 'é'.repeat(100) }));
  for (const content of [
    JSON.stringify(documents),
    documents.map((each) => JSON.stringify(each)).join('\n'),
  ]) {
    const records = await read(content);
    assert.deepEqual(
      records.map((record) => record.fields),
      documents,
    );
  }
});

test('nothing is an empty list', async () => {
  for (const content of ['', ' \n\n', '[]', '[\n]\n']) {
    assert.deepEqual(await read(content), []);
  }
});

test('what is not an object is refused with its line', async () => {
  assert.equal(await refusal('{"a":1}\n"b"\n'), '2: a string is not a document: an object is needed');
  assert.equal(await refusal('[{},\n\n null]'), '3: null is not a document: an object is needed');
  assert.equal(await refusal('[{},[1]]'), '1: an array is not a document: an object is needed');
  assert.equal(await refusal('[1, 2]'), '1: a number is not a document: an object is needed');
});

test('broken JSON is refused with its line', async () => {
  assert.match(await refusal('{"a":1}\n{"a":\n'), /^2: not JSON: /);
  assert.match(await refusal('[\n{"a":1},\n{"b": 1,\n "c": oops}\n]'), /^4: not JSON: /);
  assert.equal(await refusal('[{"a":1}\n{"b":2}]'), '2: a comma is missing between two documents');
  assert.equal(await refusal('[{"a":1},\n]'), '2: a document is missing beside a comma');
  assert.equal(await refusal('[{"a":1},\n{"b":\n'), '2: the document that begins here does not end');
  assert.equal(await refusal('[{"a":1}\n'), '2: the file ends within the array');
  assert.equal(await refusal('[{"a":1}]\n[]'), '2: something follows the array');
});

test('what would not arrive as it is is refused', async () => {
  assert.equal(await refusal('{"a":"\\ud800"}'), '1: a string holds half of a surrogate pair');
  assert.equal(await refusal('{"a":1e999}'), '1: a number is out of range');
  assert.equal(await refusal(`{"a":${'['.repeat(64)}${']'.repeat(64)}}`), '1: nested deeper than 64 levels');
  assert.equal(await refusal(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), '1: not UTF-8');
  assert.equal(
    await refusal(`{}\n{"a":"${'x'.repeat(1024 * 1024)}"}`),
    '2: a document of over 1048576 bytes',
  );
});

test('a file that is not there, or a folder, is told', async () => {
  await assert.rejects(readRecords(join(folder, 'gone.json')), /gone\.json: no such file$/);
  await assert.rejects(readRecords(folder), /is a folder$/);
});

test('a collection is named after the file', () => {
  assert.equal(collectionOf('/a/b/films of 1999.v2.ndjson'), 'films of 1999.v2');
  assert.equal(Buffer.byteLength(collectionOf(`${'é'.repeat(50)}.json`)), 64);
  assert.equal(collectionOf('/a/b/\u0007.json'), '-');
});

test('the place of a mistake is found', () => {
  for (const [before, rest] of [
    ['{"a": [1, 2.5e3, true, null, "x\\u00e9"], ', 'b}'],
    ['{"a": 1', 'x}'],
    ['{"a": 0', '1}'],
    ['{"a" ', '1}'],
    ['[1, ', ']'],
    ['[1 ', '2]'],
    ['{"a": 1}', 'x'],
    ['', ''],
    ['{"a": {"b": ', ']}}'],
  ]) {
    assert.equal(invalidAt(before + rest), before.length, before + rest);
  }
});
