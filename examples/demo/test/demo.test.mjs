// The demo as a user runs it, on little data. scripts/test node builds what it needs and says where that is.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const RUN_MS_MAX = 60_000;
const demo = fileURLToPath(new URL('../demo.mjs', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'syncline-demo-test-'));
after(() => rmSync(folder, { recursive: true }));

/** Runs the demo with a temporary folder of its own, which it must leave empty. */
function run(content, ...options) {
  const file = join(folder, 'my films.ndjson');
  writeFileSync(file, content);
  const temporary = mkdtempSync(join(folder, 'tmp-'));
  const env = { ...process.env, TMPDIR: temporary };
  return new Promise((resolve) => {
    execFile(
      'node',
      [demo, '--data', file, ...options],
      { env, timeout: RUN_MS_MAX },
      (error, stdout, stderr) => {
        resolve({
          code: error?.code ?? 0,
          lines: stdout.trimEnd().split('\n'),
          stderr,
          left: readdirSync(temporary),
        });
      },
    );
  });
}

function lastObject({ lines }) {
  return JSON.parse(lines.at(-1));
}

test('odd documents converge', async () => {
  const documents = [
    { 'a.b': 1, 'c\\d': [null, { x: 0.1 }], '': 'no name' },
    { 'é 🎬': 'ü', big: 1.5e300, small: -0 },
    {},
    { nested: { deeper: { still: [[]] } } },
  ];
  const content = documents.map((document) => `${JSON.stringify(document)}\n`).join('');
  const result = await run(`${content}{"__proto__": {"y": 1}}\n`, '--json');
  assert.equal(result.code, 0, result.stderr);
  assert.match(result.lines.at(-2), /^demo: converged, \d+ documents, 0 lost, 0 duplicated$/);
  const { lost, duplicated, documents: counted, local_write_us, sync_ms, ...figures } = lastObject(result);
  // The counter, the one for live edits, 50 made offline; 5 imported, of which A deleted one that B kept.
  assert.deepEqual({ lost, duplicated, counted }, { lost: 0, duplicated: 0, counted: 57 });
  assert.deepEqual(Object.keys(figures), ['recovery_ms', 'bytes_sent', 'journal_bytes']);
  for (const figure of [
    ...Object.values(figures),
    ...Object.values(local_write_us),
    ...Object.values(sync_ms),
  ]) {
    assert(figure > 0, lines(result));
  }
  assert.deepEqual(result.left, []);
});

test('no documents are enough', async () => {
  const result = await run('');
  assert.equal(result.code, 0, result.stderr);
  assert.equal(result.lines.at(-1), 'demo: converged, 52 documents, 0 lost, 0 duplicated');
});

test('a bad line is named', async () => {
  const result = await run('{"a":1}\n{"a":\n');
  assert.equal(result.code, 2);
  assert.match(result.stderr, /my films\.ndjson:2: not JSON/);
});

test('a document that the client refuses is named by its line, and nothing is left behind', async () => {
  const result = await run(`{"a":1}\n{"x":[${'0,'.repeat(300_000)}0]}\n`);
  assert.equal(result.code, 2, result.stderr);
  assert.match(result.stderr, /my films\.ndjson:2: .*1048576/);
  assert.deepEqual(result.left, []);
});

function lines(result) {
  return result.lines.join('\n');
}
