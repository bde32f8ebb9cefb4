// Syncline through its Node addon: text in, text out, parsed in JavaScript.

import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

import { serve } from './contender.mjs';

const COUNT = 1_000;
const TEXT = 'x'.repeat(164);
const ADDON = resolve(
  process.env.SYNCLINE_NODE_ADDON ?? join(import.meta.dirname, '../../../target/fast/syncline.node'),
);
const addon = createRequire(ADDON)(ADDON);

let left = 0;
/** Never what a document holds already: that would change nothing. */
let position = COUNT;
let arrived = () => undefined;

function onEvents(_, { text }) {
  for (const event of JSON.parse(text)) if (event.type === 'rows') left -= event.upserted.length;
  if (left <= 0) arrived();
}

const unwrap = (reply) => {
  const { ok, error } = JSON.parse(reply);
  if (error) throw new Error(error.message);
  return ok;
};

const config = { url: 'http://127.0.0.1:1', store: 'memory', autoConnect: false };
const { client } = unwrap(await addon.open(JSON.stringify(config), onEvents));
const call = async (text) => unwrap((await addon.call(client, { text, attachments: [] })).text);

function writes(count, write) {
  const one = (_, number) => {
    const id = `n${String(number).padStart(4, '0')}`;
    return { room: 'list:ffi', collection: 'notes', id, write: write(number) };
  };
  return JSON.stringify({ type: 'write', writes: Array.from({ length: count }, one) });
}

await call(writes(COUNT, (position) => ({ create: { done: false, position, text: TEXT } })));
await call(JSON.stringify({ type: 'watch', room: 'list:ffi', collection: 'notes' }));

const QUEUE = JSON.stringify({ type: 'queue' });
/** Each becomes part of the write before, so that the queue does not grow. */
const changes = (count, position) => writes(count, () => ({ update: { position: { set: position } } }));

/** Resolves when as many changed rows are there; to the microseconds that this thread was busy, from the call on. */
function change(command, rows) {
  left = rows;
  const seen = new Promise((resolveSeen) => (arrived = resolveSeen));
  const written = call(command);
  const begin = performance.eventLoopUtilization();
  return Promise.all([written, seen]).then(() => performance.eventLoopUtilization(begin).active * 1000);
}

/** What `work` resolves to, and the microseconds that it took. */
async function timed(work) {
  const begin = performance.now();
  const done = await work();
  return [done, (performance.now() - begin) * 1000];
}

async function calls(samples) {
  const values = [];
  for (let sample = 0; sample < samples; sample += 1) values.push((await timed(() => call(QUEUE)))[1]);
  return { values };
}

async function batches(samples, rows) {
  const answer = { values: [], also: [[]] };
  for (let sample = 0; sample < samples; sample += 1) {
    position += 1;
    const command = changes(rows, position);
    const [busy, us] = await timed(() => change(command, rows));
    answer.also[0].push(busy / rows);
    answer.values.push(us / rows);
  }
  return answer;
}

// Events alone do not keep a process alive; standard input does until the orders end.
await serve(({ samples, work }) => (work === 'one' ? calls(samples) : batches(samples, work.batch)));
await addon.closeAll();
