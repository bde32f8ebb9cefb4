// better-sqlite3 as its documentation recommends it: WAL, prepared statements, one transaction for a group.

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';

import Database from 'better-sqlite3';

import { operationsOf, serve } from './contender.mjs';

/** The document that Syncline writes, 206 bytes of JSON. */
const TEXT = 'x'.repeat(164);

/** Answers orders; `synchronous` is `FULL`, so that a committed write is on disk, or `NORMAL`. */
export async function serveQueue(synchronous) {
  const database = new Database(join(process.argv[2], 'queue.db'));
  database.pragma('journal_mode = WAL');
  database.pragma(`synchronous = ${synchronous}`);
  database.exec(
    'CREATE TABLE queue (seq INTEGER PRIMARY KEY, room TEXT, collection TEXT, id TEXT, fields TEXT) STRICT',
  );
  const insert = database.prepare('INSERT INTO queue (room, collection, id, fields) VALUES (?, ?, ?, ?)');

  function write({ id, fields }) {
    insert.run('user:bench', 'notes', id, JSON.stringify(fields));
  }

  const writeAll = database.transaction((documents) => documents.forEach(write));

  let written = 0;

  function nextDocument() {
    written += 1;
    return { id: randomUUID(), fields: { done: false, position: written, text: TEXT } };
  }

  await serve(({ samples, work }) =>
    Array.from({ length: samples }, () => {
      const documents = Array.from({ length: operationsOf(work) }, nextDocument);
      const begin = performance.now();
      if (work === 'one') {
        write(documents[0]);
      } else {
        writeAll(documents);
      }
      return ((performance.now() - begin) * 1000) / documents.length;
    }),
  );
}
