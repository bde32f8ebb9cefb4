// lmdb as its documentation recommends it: `put`, which batches what is asked for at once, and `flushed`, after which it
// is on the disk.

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';

import { open } from 'lmdb';

import { operationsOf, serve } from './contender.mjs';

const TEXT = 'x'.repeat(164);

const queue = open({ path: join(process.argv[2], 'queue') });
let written = 0;

function nextDocument() {
  written += 1;
  return {
    room: 'user:bench',
    collection: 'notes',
    id: randomUUID(),
    fields: { done: false, position: written, text: TEXT },
  };
}

await serve(async ({ samples, work }) => {
  const values = [];
  for (let sample = 0; sample < samples; sample += 1) {
    const documents = Array.from({ length: operationsOf(work) }, nextDocument);
    const begin = performance.now();
    await Promise.all(documents.map((document) => queue.put(document.fields.position, document)));
    await queue.flushed;
    values.push(((performance.now() - begin) * 1000) / documents.length);
  }
  return values;
});
