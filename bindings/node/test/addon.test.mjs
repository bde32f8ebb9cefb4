// The addon alone: text and bytes in, text and bytes out. What they do is tested where they are given a meaning.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';

const ADDON = resolve(
  process.env.SYNCLINE_NODE_ADDON ?? join(import.meta.dirname, '../../../target/fast/syncline.node'),
);
const EVENT_TIMEOUT_MS = 10_000;
const EXIT_TIMEOUT_MS = 10_000;

const addon = createRequire(ADDON)(ADDON);
const folder = mkdtempSync(join(tmpdir(), 'syncline-addon-'));

after(async () => {
  await addon.closeAll();
  rmSync(folder, { recursive: true, force: true });
});

/** Opens a client that never connects. */
async function open(config = {}, onEvents = () => {}) {
  const text = JSON.stringify({
    url: 'http://127.0.0.1:9',
    store: 'memory',
    autoConnect: false,
    ...config,
  });
  return JSON.parse(await addon.open(text, onEvents));
}

async function call(client, command, attachments = []) {
  const reply = await addon.call(client, { text: JSON.stringify(command), attachments });
  return JSON.parse(reply.text);
}

/** What `start` hands to its argument. The timer bounds the wait, and keeps the process alive: events do not. */
function arrival(start) {
  return new Promise((resolveArrival, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`no event within ${EVENT_TIMEOUT_MS} ms`)),
      EVENT_TIMEOUT_MS,
    );
    start((value) => {
      clearTimeout(timer);
      resolveArrival(value);
    });
  });
}

const WRITE = {
  room: 'list:1',
  collection: 'tasks',
  id: 'a',
  write: { create: { title: 'x' } },
};

test('opens, calls and closes a client', async () => {
  const { ok } = await open();
  assert.deepEqual(await call(ok.client, { type: 'write', writes: [WRITE] }), {
    ok: { clientSeqs: [1] },
  });
  const { row } = (
    await call(ok.client, {
      type: 'document',
      room: 'list:1',
      collection: 'tasks',
      id: 'a',
    })
  ).ok;
  assert.deepEqual(row, {
    id: 'a',
    fields: { title: 'x' },
    seq: 0,
    pending: true,
  });
  assert.deepEqual(await call(ok.client, { type: 'close' }), { ok: {} });
  assert.equal((await call(ok.client, { type: 'stats' })).error.code, 'closed');
});

test('delivers events with the number of their client', async () => {
  let client;
  const [from, rows] = await arrival(async (arrived) => {
    const { ok } = await open({}, (sender, events) => {
      const rows = JSON.parse(events.text).find(({ type }) => type === 'rows');
      if (rows) arrived([sender, rows]);
    });
    client = ok.client;
    await call(client, { type: 'watch', room: 'list:1', collection: 'tasks' });
    await call(client, { type: 'write', writes: [WRITE] });
  });
  assert.equal(from, client);
  assert.deepEqual(rows.upserted, [{ id: 'a', fields: { title: 'x' }, seq: 0, pending: true }]);
});

test('opens a directory anew for whoever opens it last, and ends its former client', async () => {
  const directory = join(folder, 'again');
  const config = { directory, store: 'disk' };
  const first = await open(config);
  await call(first.ok.client, { type: 'write', writes: [WRITE] });
  const second = await open(config);
  assert.ok(second.ok.client > first.ok.client, 'a handle is never used twice');
  assert.equal((await call(first.ok.client, { type: 'queue' })).error.code, 'closed');
  assert.equal((await call(second.ok.client, { type: 'queue' })).ok.count, 1);
});

test('remembers what the host said of the network before a client was open', async () => {
  addon.setNetwork(false, false, 'none');
  try {
    const { ok } = await open({ url: 'http://127.0.0.1:9', token: 'any' });
    assert.equal((await call(ok.client, { type: 'connect' })).error.code, 'offline');
  } finally {
    addon.setNetwork(true, false, 'unknown');
  }
});

test('answers mistakes with an envelope', async () => {
  for (const text of ['', '{', '[]', '{"url": 1}', '{"url": "http://x", "nope": 1}']) {
    const { error } = JSON.parse(await addon.open(text, () => {}));
    assert.equal(error.code, 'invalid', text);
    assert.equal(error.retryable, false);
    assert.notEqual(error.message, '');
  }
  assert.equal((await open({ url: 'nonsense' })).error.code, 'invalid_url');
  const { ok } = await open();
  assert.equal((await call(ok.client, { type: 'nope' })).error.code, 'invalid');
  assert.equal((await call(4_000_000_000, { type: 'stats' })).error.code, 'closed');
});

test('rejects arguments of wrong types', async () => {
  await assert.rejects(async () => addon.open(1, () => {}));
  await assert.rejects(async () => addon.open('{}'));
  const command = { text: '{}', attachments: [] };
  await assert.rejects(async () => addon.call('1', command));
  await assert.rejects(async () => addon.call(-1, command));
  await assert.rejects(async () => addon.call(1, '{}'));
  await assert.rejects(async () => addon.call(1, { text: '{}' }));
  await assert.rejects(async () => addon.call(1, { text: '{}', attachments: ['AQI='] }));
  assert.throws(() => addon.setAppState('asleep'), /asleep/);
  assert.throws(() => addon.setNetwork('yes'));
});

test('carries bytes both ways, as they were when they were handed over', async () => {
  const { ok } = await open();
  const handler = (payload) => ({ handler: { key: 'upload', payload } });
  const bytes = new Uint8Array([9, 0, 255, 1]);
  const work = handler({ a: { $attachment: 1 }, b: [{ $attachment: 0 }] });
  const queued = call(ok.client, { type: 'jobs', command: { type: 'enqueue', jobs: [{ work }] } }, [
    bytes.subarray(1),
    new Uint8Array(),
  ]);
  bytes.fill(7);
  assert.ok('ok' in (await queued));

  const list = JSON.stringify({ type: 'jobs', command: { type: 'list' } });
  const { text, attachments } = await addon.call(ok.client, { text: list, attachments: [] });
  const { a, b } = JSON.parse(text).ok.jobs[0].work.handler.payload;
  assert.deepEqual(attachments[a.$attachment], new Uint8Array());
  assert.deepEqual(attachments[b[0].$attachment], new Uint8Array([0, 255, 1]));
  assert.equal(attachments.length, 2);
});

test('refuses a command that names bytes which are not beside it', async () => {
  const { ok } = await open();
  const { error } = await call(ok.client, { type: 'emit', event: 'e', args: [{ $attachment: 1 }] }, [
    new Uint8Array(1),
  ]);
  assert.equal(error.code, 'invalid');
});

test('takes the state of the app and the network', () => {
  for (const state of ['background', 'inactive', 'active']) addon.setAppState(state);
  addon.setNetwork(false, false, 'none');
  addon.setNetwork(true, true, 'cellular');
});

test('closes everything at once', async () => {
  const { ok } = await open();
  await addon.closeAll();
  assert.equal((await call(ok.client, { type: 'stats' })).error.code, 'closed');
});

test('lets the process end by itself with a client open and connecting', () => {
  const program = `
    const addon = require(${JSON.stringify(ADDON)});
    const config = { url: 'http://127.0.0.1:9', store: 'memory', token: 't' };
    addon.open(JSON.stringify(config), () => {}).then((reply) => console.log(reply));
  `;
  const child = spawnSync(process.execPath, ['--eval', program], {
    encoding: 'utf8',
    timeout: EXIT_TIMEOUT_MS,
  });
  assert.equal(child.error, undefined);
  assert.equal(child.status, 0, child.stderr);
  assert.match(child.stdout, /^\{"ok":\{"client":\d+\}\}\n$/);
});
