// The queue that many apps keep: one array as JSON under one key of a key-value storage, read, changed and written anew
// for each write, or once for a group. The storage is a file, put in its place when it is on the disk.

import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { operationsOf, serve } from './contender.mjs';

const TEXT = 'x'.repeat(164);

/** Answers orders with a queue that holds `length` entries before each write. */
export async function serveQueue(length) {
  const path = join(process.argv[2], 'queue.json');
  let written = 0;
  const nextDocument = () => {
    written += 1;
    return {
      room: 'user:bench',
      collection: 'notes',
      id: randomUUID(),
      fields: { done: false, position: written, text: TEXT },
    };
  };
  let stored = JSON.stringify(Array.from({ length }, nextDocument));
  const store = (text) => {
    const file = openSync(`${path}.new`, 'w');
    writeSync(file, text);
    fsyncSync(file);
    closeSync(file);
    renameSync(`${path}.new`, path);
    stored = text;
  };
  store(stored);
  await serve(({ samples, work }) =>
    Array.from({ length: samples }, () => {
      const documents = Array.from({ length: operationsOf(work) }, nextDocument);
      const begin = performance.now();
      const queue = JSON.parse(stored);
      queue.push(...documents);
      store(JSON.stringify(queue));
      const took = performance.now() - begin;
      // As many entries for the next one.
      stored = JSON.stringify(queue.slice(-length));
      return (took * 1000) / documents.length;
    }),
  );
}
